"""Coverage and verdict on scenes whose geometry is known: rings, surveys, walls, spins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diorama.capture import (
    Camera,
    Capture,
    Frame,
    Pose,
    PosedScene,
    PoseSummary,
    Quality,
    Rejected,
    Sim3,
    SparsePoints,
)
from diorama.reconstruct.coverage import (
    azimuth_gaps,
    find_centre,
    largest_angle_deg,
    measure_coverage,
    nearest_cameras,
    side_words,
)
from diorama.reconstruct.evaluate import Evaluation, ViewScore
from diorama.reconstruct.verdict import Verdict, judge

CAMERA = Camera.pinhole(640, 480, 500.0, 500.0, 320.0, 240.0)
FINE = Quality(100.0, 1.0, 0.0, 0.0, 20.0, 0.7)


def looking(centre: Sequence[float], target: Sequence[float]) -> Pose:
    """A camera at `centre` that looks at `target`, upright (world +z up; camera +y down)."""
    position = np.asarray(centre, float)
    forward = np.asarray(target, float) - position
    forward /= np.linalg.norm(forward)
    up = np.array([0.0, 0.0, 1.0]) if abs(forward[2]) < 0.99 else np.array([0.0, 1.0, 0.0])
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return Pose(rotation, -rotation @ position)


def ball(count: int = 1500) -> tuple[np.ndarray, np.ndarray]:
    """Points on a unit ball and their outward normals, spread evenly (Fibonacci)."""
    i = np.arange(count) + 0.5
    z, a = 1 - 2 * i / count, np.pi * (1 + 5**0.5) * i
    xyz = np.stack([np.sqrt(1 - z * z) * np.cos(a), np.sqrt(1 - z * z) * np.sin(a), z], axis=1)
    return xyz, xyz


def ground(count: int = 1600, half: float = 5.0) -> tuple[np.ndarray, np.ndarray]:
    side = np.linspace(-half, half, round(count**0.5))
    x, y = np.meshgrid(side, side)
    xyz = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1)
    return xyz, np.tile([0.0, 0.0, 1.0], (len(xyz), 1))


def scene_of(
    poses: Sequence[Pose],
    surface: tuple[np.ndarray, np.ndarray],
    *,
    unplaced: dict[int, str] | None = None,
    source: str = "photos",
    components: int = 1,
    error_px: float = 0.6,
    quality: Quality | None = FINE,
) -> PosedScene:
    """A posed scene of frames IMG_00.jpg and so on that see the points which face them and lie in their picture.

    unplaced: by index, frames that have no camera, with the reason.
    """
    unplaced = unplaced or {}
    xyz, normals = surface
    names = [f"IMG_{i:02d}.jpg" for i in range(len(poses))]
    frames = tuple(Frame(n, 1, source=n, quality=quality) for n in names)
    visible = {}
    for index, (name, pose) in enumerate(zip(names, poses, strict=True)):
        if index in unplaced:
            continue
        px = CAMERA.project(pose.apply(xyz))
        rays = pose.origin_in_source - xyz
        facing = (rays * normals).sum(1) / np.linalg.norm(rays, axis=1) > 0.2
        inside = ((px > 0) & (px < [640, 480])).all(1)
        visible[name] = np.flatnonzero(facing & inside).astype(np.int32)
    tracks = np.bincount(np.concatenate([np.zeros(0, int), *visible.values()]), minlength=len(xyz)).astype(np.int32)
    points = SparsePoints(xyz, np.full((len(xyz), 3), 128, np.uint8), np.full(len(xyz), error_px), tracks)
    capture = Capture(
        Path("images"),
        Path("masks"),
        source,
        {1: CAMERA},
        {1: True},
        frames,
        given=len(frames),  # type: ignore[arg-type]
    )
    return PosedScene(
        capture,
        {1: CAMERA},
        {n: p for i, (n, p) in enumerate(zip(names, poses, strict=True)) if i not in unplaced},
        points,
        PoseSummary("incremental", error_px, components),
        unregistered=tuple(Rejected(names[i], r) for i, r in unplaced.items()),
        is_metric=True,
        up_source="cameras",
        visible=visible,
    )


def ring(azimuths_deg: Sequence[float], radius: float = 4.0, height: float = 1.5) -> list[Pose]:
    a = np.radians(np.asarray(azimuths_deg, float))
    return [looking((radius * np.cos(t), radius * np.sin(t), height), (0, 0, 0)) for t in a]


def survey(columns: int = 5, rows: int = 4, height: float = 6.0) -> list[Pose]:
    """Straight down in a grid 2 units apart."""
    places = [(2.0 * (c - (columns - 1) / 2), 2.0 * (r - (rows - 1) / 2)) for r in range(rows) for c in range(columns)]
    return [looking((x, y, height), (x, y, 0)) for x, y in places]


def codes(verdict: Verdict, severity: str | None = None) -> set[str]:
    return {f.code for f in verdict.findings if severity in (None, f.severity)}


def view(name: str, db: float, *, corrected: float | None = None, ssim: float = 0.9, empty: float = 0.0) -> ViewScore:
    return ViewScore(name, db, corrected if corrected is not None else db, ssim, None, empty, 1.0)


def evaluation(held: dict[str, float], train_db: float, **more: float) -> Evaluation:
    return Evaluation(
        tuple(view(n, db, **more) for n, db in held.items()), (view("IMG_01.jpg", train_db),), 480, 1000, 1.0
    )


# Geometry


def test_gaps_of_a_ring_by_hand() -> None:
    """Four cameras at 0, 90, 180, 200 degrees: steps 90, 90, 20 and 160 back to the first."""
    gaps = azimuth_gaps(["a", "b", "c", "d"], np.array([0.0, 90.0, 180.0, -160.0]), np.ones(4))
    assert [(g.before, g.after) for g in gaps][:1] == [("d", "a")]
    assert [round(g.degrees) for g in gaps] == [160, 90, 90, 20]
    assert gaps[0].middle_deg == pytest.approx(-80.0)
    assert sum(g.degrees for g in gaps) == pytest.approx(360.0)


def test_a_camera_above_the_centre_has_no_azimuth() -> None:
    gaps = azimuth_gaps(["a", "b", "top"], np.array([0.0, 180.0, 90.0]), np.array([1.0, 1.0, 0.01]))
    assert {n for g in gaps for n in (g.before, g.after)} == {"a", "b"}


def test_the_angle_at_a_point() -> None:
    """Rays along x and y meet at 90 degrees; a third between them changes nothing."""
    centres = np.array([[5.0, 0, 0], [0, 2.0, 0], [3.0, 3.0, 0]])
    assert largest_angle_deg(np.zeros(3), centres) == pytest.approx(90.0)
    assert largest_angle_deg(np.zeros(3), centres[:1]) == 0.0


def test_the_centre_is_where_axes_meet() -> None:
    poses = [looking((4 * np.cos(t) + 1, 4 * np.sin(t) + 2, 3.0), (1, 2, 0.5)) for t in np.linspace(0, 6, 12)]
    poses.append(looking((5, 2, 3), (50, 2, 3)))  # one that looks away
    centres = np.array([p.origin_in_source for p in poses])
    axes = np.array([p.rotation[2] for p in poses])
    centre = find_centre(centres, axes, np.zeros((0, 3)))
    # The pull to the anchor and the stray camera move it by a few hundredths of the radius 4.
    assert np.linalg.norm(centre - [1, 2, 0.5]) < 0.2


def test_right_and_left_as_seen_from_the_first_camera() -> None:
    """From azimuth 0 looking at the centre one looks along -x: the right hand is at +y, azimuth 90."""
    coverage = measure_coverage(scene_of(ring(range(0, 360, 20)), ball()))
    assert [side_words(coverage, a, "IMG_00.jpg") for a in (10, 90, 180, -90)] == [
        "front",
        "right side",
        "back",
        "left side",
    ]


@pytest.mark.parametrize(
    ("poses", "surface", "kind"),
    [
        (ring(range(0, 360, 15)), ball(), "orbit"),
        (ring(range(0, 290, 15)), ball(), "orbit"),
        (ring(range(-50, 51, 10)), ball(), "arc"),
        ([looking((x, -4, 1), (x, 0, 1)) for x in np.linspace(-3, 3, 12)], ball(), "front"),
        (survey(), ground(), "overhead"),
        ([looking((0, 0, 1), (np.cos(t), np.sin(t), 1)) for t in np.linspace(0, 6, 24)], ball(), "spin"),
        (
            [looking((x, 0, 1), (x + np.cos(a), np.sin(a), 1)) for x in range(6) for a in (0.5, 2.0, 3.6, 5.2)],
            ground(),
            "walk",
        ),
        (ring([0, 20]), ball(), "few"),
    ],
)
def test_the_kind_of_a_capture(poses: list[Pose], surface: tuple[np.ndarray, np.ndarray], kind: str) -> None:
    assert measure_coverage(scene_of(poses, surface)).kind == kind


def test_an_imported_scene_is_judged_upright_and_places_come_back_in_its_world() -> None:
    """The ring with a gap, lying on its side as COLMAP leaves it: the same words, the place turned alike."""
    azimuths = [a for a in range(0, 360, 12) if not 60 < a < 132]
    scene = scene_of(ring(azimuths), ball())
    c, s = np.cos(1.9), np.sin(1.9)
    tilt = Sim3(1.0, np.array([[1, 0, 0], [0, c, -s], [0, s, c]]), np.zeros(3))
    lying = replace(
        scene,
        cam_from_world={n: tilt.transform_camera(p) for n, p in scene.cam_from_world.items()},
        points=replace(scene.points, xyz=tilt.apply(scene.points.xyz)),
        up_source="import",
    )
    here, there = judge(None, scene), judge(None, lying)
    assert [f.code for f in here.findings] == [f.code for f in there.findings]
    assert there.level == here.level == "usable"
    place = next(f.place_in_world for f in here.findings if f.code == "gap")
    tilted = next(f.place_in_world for f in there.findings if f.code == "gap")
    assert np.linalg.norm(tilt.apply(place) - np.array(tilted)) < 0.2  # of 4: up is estimated


def test_coverage_without_points_or_tracks() -> None:
    scene = scene_of(ring(range(0, 360, 15)), ball())
    bare = replace(scene, points=SparsePoints.empty(), visible={})
    coverage = measure_coverage(bare)
    assert coverage.kind == "orbit" and not coverage.measured and coverage.regions == ()
    assert judge(None, bare).level == "good"
    guessed = measure_coverage(replace(scene, visible={}))
    assert not guessed.measured and guessed.angle_deg is not None and guessed.angle_deg > 90


def test_tracks_that_are_empty_are_unknown_not_missing() -> None:
    """A dataset without tracks comes back from disk with an empty list for each frame: no frame hangs on nothing."""
    scene = scene_of(ring(range(0, 360, 20)), ball())
    silent = replace(scene, visible={f.name: np.zeros(0, np.int32) for f in scene.registered})
    coverage = measure_coverage(silent)
    assert coverage.links == () and coverage.joints == () and not coverage.measured
    assert "common points" not in " ".join(judge(scene.capture, silent, coverage).sentences)


def test_an_empty_scene_is_no_crash() -> None:
    scene = scene_of([], (np.zeros((0, 3)), np.zeros((0, 3))))
    assert judge(None, scene).level == "reshoot"


# Verdicts


def test_a_dense_ring_is_good() -> None:
    scene = scene_of(ring(range(0, 360, 12)), ball())
    verdict = judge(None, scene, None, evaluation({"IMG_00.jpg": 27.0, "IMG_08.jpg": 26.0}, 28.0))
    assert verdict.level == "good", verdict.sentences
    assert "26.5 dB" in verdict.headline
    assert codes(verdict) <= {"one_height"}


def test_a_gap_in_the_ring_is_named_with_its_side_and_what_to_do() -> None:
    """Cameras every 12 degrees but none from 60 to 132 (72 degrees): the right side as seen from IMG_00."""
    azimuths = [a for a in range(0, 360, 12) if not 60 < a < 132]
    verdict = judge(None, scene_of(ring(azimuths), ball()))
    (gap,) = [f for f in verdict.findings if f.code == "gap"]
    assert verdict.level == "usable"
    assert gap.frames == ("IMG_05.jpg", "IMG_06.jpg")
    assert "right side" in gap.what and "72 degrees" in gap.what and gap.do.startswith("Walk there and take")
    # The place to stand: azimuth 96, at the cameras' distance and height.
    x, y, z = gap.place_in_world or (0, 0, 0)
    assert np.degrees(np.arctan2(y, x)) == pytest.approx(96, abs=3)
    assert z == pytest.approx(1.5, abs=0.1)


def test_a_wide_gap_is_a_reshoot() -> None:
    azimuths = [a for a in range(0, 360, 12) if not 60 < a < 192]
    assert judge(None, scene_of(ring(azimuths), ball())).level == "reshoot"


def test_a_survey_from_above_is_not_blamed_for_missing_azimuths() -> None:
    scene = scene_of(survey(), ground())
    verdict = judge(None, scene, None, evaluation({"IMG_03.jpg": 25.0}, 26.0))
    assert verdict.level == "good", verdict.sentences
    assert not codes(verdict) & {"gap", "one_side", "one_height", "step"}


def test_one_side_is_a_note_not_a_fault() -> None:
    verdict = judge(None, scene_of(ring(range(-50, 51, 10)), ball()))
    assert verdict.level == "good", verdict.sentences
    assert codes(verdict, "note") >= {"one_side"}


def test_a_spin_is_a_reshoot() -> None:
    poses = [looking((0, 0, 1), (np.cos(t), np.sin(t), 1)) for t in np.linspace(0, 6, 24)]
    verdict = judge(None, scene_of(poses, ball()))
    assert verdict.level == "reshoot" and "spin" in codes(verdict, "reshoot")


@pytest.mark.parametrize(
    ("lost", "level"),
    [
        ([14], "good"),  # 97 % placed
        ([1, 8, 15, 22], "usable"),  # 87 %
        ([*range(1, 30, 2), 28], "reshoot"),  # 47 %
    ],
)
def test_lost_frames_decide_by_their_share(lost: list[int], level: str) -> None:
    """Lost ones are spread out, so that no gap opens beside them."""
    scene = scene_of(ring(range(0, 360, 12)), ball(), unplaced=dict.fromkeys(lost, "too few matches"))
    verdict = judge(None, scene)
    assert verdict.level == level, verdict.sentences
    assert "unregistered" in codes(verdict)


def test_a_run_of_lost_frames_is_one_sentence_between_its_neighbours() -> None:
    scene = scene_of(ring(range(0, 360, 12)), ball(), unplaced={4: "blurred", 5: "blurred", 6: "blurred"})
    (run,) = [f for f in judge(None, scene).findings if f.code == "unregistered"]
    assert "IMG_04.jpg to IMG_06.jpg (3 frames)" in run.what and "blurred" in run.what
    assert "IMG_03.jpg" in run.do and "IMG_07.jpg" in run.do


def test_pieces_that_do_not_touch() -> None:
    scene = scene_of(ring(range(0, 360, 12)), ball(), components=2)
    verdict = judge(None, scene)
    assert verdict.level == "usable" and "components" in codes(verdict)


def test_parts_held_together_by_few_points_are_found() -> None:
    """Two groups of cameras that see two separate balls share nothing."""
    one, two = ball(400)
    far = one + [20.0, 0, 0]
    poses = [looking((4 * np.cos(t), 4 * np.sin(t), 1), (0, 0, 0)) for t in np.linspace(0, 6, 14)]
    poses += [looking((20 + 4 * np.cos(t), 4 * np.sin(t), 1), (20, 0, 0)) for t in np.linspace(0, 6, 10)]
    scene = scene_of(poses, (np.concatenate([one, far]), np.concatenate([two, two])))
    near = {n: v[(v < 400) == (i < 14)] for i, (n, v) in enumerate(scene.visible.items())}
    scene = replace(scene, visible=near)
    coverage = measure_coverage(scene)
    (joint,) = coverage.joints
    assert len(joint.frames) == 10 and joint.shared == 0
    assert "joint" in codes(judge(None, scene), "usable")


@pytest.mark.parametrize(("error", "level"), [(0.6, "good"), (2.0, "usable"), (4.0, "reshoot")])
def test_reprojection_error(error: float, level: str) -> None:
    assert judge(None, scene_of(ring(range(0, 360, 12)), ball(), error_px=error)).level == level


def test_small_parallax_is_called_out() -> None:
    """Cameras 0.4 apart at a distance of 40: under one degree."""
    poses = [looking((x, -40, 1), (x, 0, 1)) for x in np.linspace(-0.2, 0.2, 12)]
    verdict = judge(None, scene_of(poses, ball()))
    assert verdict.level == "reshoot" and codes(verdict) & {"angle", "spin"}


@pytest.mark.parametrize(
    ("held", "train", "more", "level", "code"),
    [
        ({"IMG_00.jpg": 26.0}, 27.5, {}, "good", None),
        ({"IMG_00.jpg": 22.0}, 23.0, {"ssim": 0.6}, "usable", "held_out"),
        ({"IMG_00.jpg": 22.0}, 23.0, {"ssim": 0.85}, "good", None),
        ({"IMG_00.jpg": 24.0}, 31.0, {}, "usable", "gap_db"),
        ({"IMG_00.jpg": 30.0}, 36.0, {}, "good", None),
        ({"IMG_00.jpg": 14.0}, 25.0, {}, "reshoot", "held_out"),
        ({"IMG_00.jpg": 14.0}, 15.0, {}, "usable", "held_out"),
        ({"IMG_00.jpg": 20.0}, 22.0, {"corrected": 26.0}, "usable", "colour"),
    ],
)
def test_held_out_numbers(
    held: dict[str, float], train: float, more: dict[str, float], level: str, code: str | None
) -> None:
    verdict = judge(None, scene_of(ring(range(0, 360, 12)), ball()), None, evaluation(held, train, **more))
    assert verdict.level == level, verdict.sentences
    assert code is None or code in codes(verdict)


def test_the_worst_held_out_view_becomes_a_place() -> None:
    names = {f"IMG_{i:02d}.jpg": 26.0 for i in range(0, 30, 5)} | {"IMG_10.jpg": 19.0}
    scene = scene_of(ring(range(0, 360, 12)), ball())
    verdict = judge(None, scene, None, evaluation(names, 27.0))
    (weak,) = [f for f in verdict.findings if f.code == "weak_view"]
    assert weak.frames == ("IMG_10.jpg",)
    # Its nearest training cameras are its neighbours, not the other held-out views.
    assert "IMG_09.jpg" in weak.what and "IMG_11.jpg" in weak.what
    assert weak.place_in_world == pytest.approx(tuple(scene.cam_from_world["IMG_10.jpg"].origin_in_source))


def test_a_held_out_corner_is_an_edge_not_a_hole() -> None:
    """The corner of a survey has neighbours on one side only; a view in its middle has them all round."""
    scene = scene_of(survey(), ground())
    for name, at_edge in (("IMG_00.jpg", True), ("IMG_07.jpg", False)):
        verdict = judge(None, scene, None, evaluation({name: 15.0, "IMG_12.jpg": 26.0, "IMG_13.jpg": 26.0}, 27.0))
        (weak,) = [f for f in verdict.findings if f.code == "weak_view"]
        assert weak.frames == (name,) and ("at the edge" in weak.what) == at_edge


def test_nothing_held_out_is_said() -> None:
    verdict = judge(None, scene_of(ring(range(0, 360, 12)), ball()), None, evaluation({}, 27.0))
    assert "no_held_out" in codes(verdict) and "not measured" in verdict.headline


def test_pictures_alone() -> None:
    blurred = replace(FINE, relative_sharpness=0.3)
    burnt = replace(FINE, clipped_bright=0.5)
    names = [f"{i}.jpg" for i in range(20)]
    frames = tuple(Frame(n, 1, quality=blurred if i < 6 else burnt) for i, n in enumerate(names))
    capture = Capture(Path("i"), Path("m"), "photos", {1: CAMERA}, {1: False}, frames, given=20)
    verdict = judge(capture)
    assert verdict.level is None
    assert codes(verdict, "usable") == {"blur", "clipped_bright"}
    assert judge(replace(capture, frames=frames[:1])).level == "reshoot"


def test_nearest_cameras() -> None:
    scene = scene_of(ring([0, 90, 180, 270]), ball())
    assert nearest_cameras(scene, (4, 0.1, 1.5)) == ("IMG_00.jpg", "IMG_01.jpg")
