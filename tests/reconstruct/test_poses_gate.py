"""The gate, the plan and the diagnosis, on solutions made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diorama.capture.camera import Camera
from diorama.capture.errors import InputError
from diorama.capture.transforms import Pose
from diorama.capture.types import Capture, Exif, Frame, Gps, Quality, SparsePoints
from diorama.reconstruct.poses import PoseConfig
from diorama.reconstruct.poses.diagnose import is_near_copies, unregistered_frames, why_nothing
from diorama.reconstruct.poses.evidence import Evidence, sampson_error
from diorama.reconstruct.poses.gate import Judgement, judge
from diorama.reconstruct.poses.job import Attempt, CameraJob, Job
from diorama.reconstruct.poses.pairs import exhaustive_pairs, sequential_pairs, similar_pairs, spatial_pairs
from diorama.reconstruct.poses.plan import first_attempt, next_attempt
from diorama.reconstruct.poses.points import clean_points
from diorama.reconstruct.poses.solution import Solution, _other_groups

COUNT = 12
NAMES = tuple(f"{k:02d}.jpg" for k in range(COUNT))
CAMERA = CameraJob("SIMPLE_RADIAL", 1000, 750, (1000.0, 500.0, 375.0, 0.0), True)
JOB = Job("images", None, "db", "out", NAMES, (1,) * COUNT, {1: CAMERA}, (None,) * COUNT, Attempt(), 1, 0)


def make_capture(count: int = COUNT, source: str = "photos", gps: bool = False) -> Capture:
    exif = [Exif(gps=Gps(46.0 + k * 1e-5, -91.0, 10.0) if gps else None) for k in range(count)]
    frames = tuple(Frame(f"{k:02d}.jpg", 1, exif=exif[k]) for k in range(count))
    camera = Camera("SIMPLE_RADIAL", 1000, 750, (1000.0, 500.0, 375.0, 0.0))
    return Capture(Path("images"), Path("masks"), source, {1: camera}, {1: True}, frames)  # type: ignore[arg-type]


def make_solution(focal: float = 1010.0, error_px: float = 0.5) -> Solution:
    """Twelve cameras a metre apart on a line along x, 40 points ahead of them, all seen by all."""
    rng = np.random.default_rng(0)
    poses = tuple(Pose(np.eye(3), np.array([-float(k), 0, 0])) for k in range(COUNT))
    xyz = np.column_stack([rng.uniform(0, 11, 40), rng.uniform(-2, 2, 40), rng.uniform(8, 12, 40)])
    points = SparsePoints(xyz, np.zeros((40, 3), np.uint8), np.full(40, 0.5), np.full(40, COUNT, np.int32))
    frame, point = np.divmod(np.arange(40 * COUNT), 40)
    camera = Camera("SIMPLE_RADIAL", 1000, 750, (focal, 500.0, 375.0, 0.0))
    return Solution(
        {1: camera}, NAMES, (1,) * COUNT, poses, points, point.astype(np.int32), frame.astype(np.int32), (), error_px
    )


def without(solution: Solution, place: int) -> Solution:
    keep = [k for k in range(len(solution.names)) if k != place]
    use = solution.observed_frame != place
    frame = solution.observed_frame[use]
    return replace(
        solution,
        names=tuple(solution.names[k] for k in keep),
        camera_of=tuple(solution.camera_of[k] for k in keep),
        cam_from_input=tuple(solution.cam_from_input[k] for k in keep),
        observed_point=solution.observed_point[use],
        observed_frame=(frame - (frame > place)).astype(np.int32),
    )


def make_evidence(count: int = COUNT, inliers: int = 100, shift: float = 0.1) -> Evidence:
    first, second = np.array(exhaustive_pairs(count), np.int32).T
    pairs = len(first)
    return Evidence(
        np.full(count, 2000, np.int32),
        first,
        second,
        np.full(pairs, inliers + 20, np.int32),
        np.full(pairs, inliers, np.int32),
        np.zeros(pairs, bool),
        np.full(pairs, shift),
        np.ones(pairs),
    )


def moved(solution: Solution, place: int, centre: list[float]) -> Solution:
    poses = list(solution.cam_from_input)
    poses[place] = Pose(poses[place].rotation, -poses[place].rotation @ np.array(centre))
    return replace(solution, cam_from_input=tuple(poses))


def test_a_good_solution_passes() -> None:
    judgement = judge(make_solution(), make_evidence(), NAMES, JOB, ordered=True)
    assert judgement.passed
    assert judgement.describe() == "12 of 12 frames registered, mean reprojection error 0.50 px"


@pytest.mark.parametrize(
    ("solution", "says"),
    [
        (without(make_solution(), 3), "1 frames not registered"),
        (replace(make_solution(), others=(("x.jpg", "y.jpg"),)), "2 separate parts"),
        (make_solution(error_px=2.0), "reprojection error"),
        (make_solution(focal=2000.0), "EXIF"),
        (make_solution(focal=50000.0), "implausible"),
        (moved(make_solution(), 5, [5, 900, 0]), "stand where they cannot"),
        (Solution.empty(), "12 frames not registered"),
    ],
)
def test_each_fault_fails_the_gate(solution: Solution, says: str) -> None:
    judgement = judge(solution, make_evidence(), NAMES, JOB, ordered=True)
    assert not judgement.passed
    assert says in judgement.describe()
    assert judgement.score < judge(make_solution(), make_evidence(), NAMES, JOB, ordered=True).score


def test_a_camera_off_the_path_is_an_outlier_in_a_video_only() -> None:
    off = moved(make_solution(), 5, [5, 60, 0])
    assert judge(off, make_evidence(), NAMES, JOB, ordered=True).outliers == ("05.jpg",)
    assert judge(off, make_evidence(), NAMES, JOB, ordered=False).outliers == ()


def test_a_camera_its_pairs_contradict_is_an_outlier() -> None:
    evidence = make_evidence()
    evidence.agreement[evidence.pairs_of(7)] = 0.1
    judgement = judge(make_solution(), evidence, NAMES, JOB, ordered=False)
    assert judgement.outliers == ("07.jpg",)
    assert judgement.contradicted == pytest.approx(11 / 66)


def test_a_camera_that_sees_next_to_nothing_is_an_outlier() -> None:
    solution = make_solution()
    keep = (solution.observed_frame != 2) | (solution.observed_point < 10)
    thin = replace(solution, observed_frame=solution.observed_frame[keep], observed_point=solution.observed_point[keep])
    assert judge(thin, make_evidence(), NAMES, JOB, ordered=False).outliers == ("02.jpg",)


def test_the_sampson_error_is_the_distance_from_the_epipolar_line() -> None:
    """Sideways motion: epipolar lines are rows. A match off by d in one picture has a Sampson error of d / sqrt 2."""
    b_from_a = Pose(np.eye(3), np.array([-1.0, 0, 0]))
    xy = np.array([[0.1, 0.2], [0.3, -0.1]])
    error = sampson_error(b_from_a, xy, xy + [[-0.2, 0.0], [-0.3, 0.01]])
    np.testing.assert_allclose(error, [0, 0.01 / np.sqrt(2)], atol=1e-12)


# Plan


def test_what_limits_an_attempt_decides_the_next() -> None:
    capture, config = make_capture(), PoseConfig()
    first = first_attempt(capture, config)
    assert (first.matching.strategy, first.mapping.mapper) == ("exhaustive", "incremental")
    good = judge(make_solution(), make_evidence(), NAMES, JOB, ordered=False)
    unmatched = next_attempt(capture, config, [(first, replace(good, registered=6, connected=6))])
    assert unmatched is not None
    assert unmatched.features.count > first.features.count
    unsolved = next_attempt(capture, config, [(first, replace(good, registered=6, connected=12))])
    assert unsolved is not None
    assert (unsolved.features, unsolved.mapping.relaxed) == (first.features, True)
    bent = next_attempt(capture, config, [(first, replace(good, lens_fits=False))])
    assert bent is not None
    assert bent.mapping.camera_model == "RADIAL"


def test_the_plan_ends_and_never_repeats() -> None:
    capture = make_capture(source="video", count=60)
    bad = Judgement(3, 60, 30, 2, 3.0, (), 0.5, False, ("bad",))
    for config in (PoseConfig(), PoseConfig(mapper="global"), PoseConfig(max_size_px=800, max_features=900)):
        tried: list[tuple[Attempt, Judgement]] = [(first_attempt(capture, config), bad)]
        while (attempt := next_attempt(capture, config, tried)) is not None:
            assert attempt not in [a for a, _ in tried]
            tried.append((attempt, bad))
            assert len(tried) < 40
        assert len(tried) > 3
        assert config.mapper == "auto" or all(a.mapping.mapper == config.mapper for a, _ in tried)


@pytest.mark.parametrize(
    ("capture", "strategy"),
    [
        (make_capture(200), "exhaustive"),
        (make_capture(201), "retrieval"),
        (make_capture(201, gps=True), "spatial"),
        (make_capture(50, "video"), "sequential"),
    ],
)
def test_footage_decides_how_pairs_are_chosen(capture: Capture, strategy: str) -> None:
    assert first_attempt(capture, PoseConfig()).matching.strategy == strategy


def test_what_a_person_says_goes() -> None:
    wanted = PoseConfig(matching="retrieval", mapper="global", camera_model="OPENCV", max_size_px=700, max_features=999)
    attempt = first_attempt(make_capture(), wanted)
    assert (attempt.matching.strategy, attempt.mapping.mapper, attempt.mapping.camera_model) == (
        "retrieval",
        "global",
        "OPENCV",
    )
    assert (attempt.features.max_size_px, attempt.features.count) == (700, 999)
    for wrong in ({"attempts": 0}, {"threads": 0}, {"max_size_px": 3}, {"max_features": 5}):
        with pytest.raises(InputError):
            PoseConfig(**wrong)  # type: ignore[arg-type]


def test_pairs() -> None:
    assert exhaustive_pairs(3) == [(0, 1), (0, 2), (1, 2)]
    assert sequential_pairs(6, 1) == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    # Overlap 3 adds the steps 1, 2 and 4.
    assert [(i, j) for i, j in sequential_pairs(6, 3) if i == 0] == [(0, 1), (0, 2), (0, 3), (0, 4)]
    spots = ((0.0, 0.0, 0.0), (9.0, 0.0, 0.0), (1.0, 0.0, 99.0), None)
    assert spatial_pairs(spots, 1) == [(0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert similar_pairs([[1, 3, 2], [], [3], [0]], 1, min_gap=2) == [(0, 3)]


# Points


def test_points_without_support_are_left_out_and_far_ones_kept() -> None:
    solution = make_solution()
    xyz = solution.points.xyz.copy()
    error = solution.points.error_px.copy()
    xyz[0] = [5, 0, 60]  # background at six times the usual distance: seen under 10 degrees
    xyz[1] = [5, 0, 1e5]  # seen under no angle
    error[2] = 30.0
    solution = replace(solution, points=replace(solution.points, xyz=xyz, error_px=error))
    points, visible = clean_points(solution, frozenset(NAMES) - {"03.jpg"})
    assert len(points) == 38
    np.testing.assert_allclose(points.xyz[0], xyz[0])
    assert set(points.track_length) == {11}
    assert "03.jpg" not in visible
    np.testing.assert_array_equal(visible["00.jpg"], np.arange(38))


# Diagnosis


def test_each_frame_left_out_has_its_reason() -> None:
    capture, evidence = make_capture(), make_evidence()
    solution = make_solution()
    for place in (11, 10, 9, 8, 7):
        solution = without(solution, place)
    solution = replace(solution, others=(("10.jpg", "11.jpg"),))
    evidence.inliers[evidence.pairs_of(9)] = 5
    evidence.features[8] = 20
    evidence.inliers[evidence.pairs_of(7)] = 30
    blurred = replace(capture.frames[9], quality=Quality(10.0, 0.3, 0.0, 0.0))
    capture = replace(capture, frames=(*capture.frames[:9], blurred, *capture.frames[10:]))
    found = {r.name: r.reason for r in unregistered_frames(capture, solution, evidence, ("00.jpg",))}
    assert set(found) == {"00.jpg", "07.jpg", "08.jpg", "09.jpg", "10.jpg", "11.jpg"}
    assert "where its own matches say it cannot be" in found["00.jpg"]
    assert "too few matches (30" in found["07.jpg"]
    assert "too few features (20" in found["08.jpg"]
    assert "blurred (30%" in found["09.jpg"]
    assert "in another component of 2 frames" in found["10.jpg"]


def test_each_failure_has_its_sentence() -> None:
    capture = make_capture()
    nothing = Judgement(0, COUNT, COUNT, 0, float("nan"), (), 0.0, True, ())
    copies = make_evidence(shift=0.0005)
    assert is_near_copies(copies)
    assert not is_near_copies(make_evidence())
    assert "near-copies" in why_nothing(capture, copies, nothing)
    apart = make_evidence(inliers=6)
    assert "no overlap" in why_nothing(capture, apart, replace(nothing, connected=1))
    turning = replace(make_evidence(), turning=np.ones(66, bool))
    assert "turned on the spot" in why_nothing(capture, turning, nothing)
    bare = replace(make_evidence(), features=np.full(COUNT, 12, np.int32))
    assert "almost nothing to hold on to" in why_nothing(capture, bare, nothing)
    assert "Only 0 of the 12 photos" in why_nothing(capture, make_evidence(), nothing)


def test_a_frame_in_two_models_counts_for_the_larger() -> None:
    groups = _other_groups([{"a", "b", "c"}, {"b", "c", "d"}, {"a", "b"}, {"d", "e", "f"}])
    assert groups == (("d",), ("e", "f"))


def test_evidence_and_solutions_survive_the_disk(tmp_path: Path) -> None:
    evidence, solution = make_evidence(), replace(make_solution(), others=(("x", "y"),))
    evidence.save(tmp_path / "e.npz")
    solution.save(tmp_path / "s.npz")
    for name, value in vars(Evidence.load(tmp_path / "e.npz")).items():
        np.testing.assert_array_equal(value, getattr(evidence, name))
    back = Solution.load(tmp_path / "s.npz")
    assert (back.cameras, back.names, back.others) == (solution.cameras, solution.names, solution.others)
    np.testing.assert_array_equal(back.centres, solution.centres)
    np.testing.assert_array_equal(back.points.xyz, solution.points.xyz)
