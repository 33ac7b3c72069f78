"""Coverage of surfaces and proposals of photos: hand-made cases, and captures whose holes are known."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from diorama.capture import Capture, Frame, Pose, PosedScene, PoseSummary, SparsePoints
from diorama.capture.errors import InputError
from diorama.capture.events import ignore
from diorama.reconstruct.reshoot import (
    Kind,
    ReshootConfig,
    ReshootPlan,
    Survey,
    load_plan,
    plan_reshoot,
    save_plan,
    survey_scene,
)
from diorama.reconstruct.reshoot.looks import LevelScene, draw_looks
from diorama.reconstruct.reshoot.places import pan_tilt
from diorama.reconstruct.reshoot.quality import Quality, measure_quality, score_of, view_worth, widest_angle
from diorama.reconstruct.reshoot.surface import known_surface, with_unknown
from diorama.reconstruct.reshoot.words import explain
from diorama.render.paths import look_at
from diorama.render.splats import SH_C0, Splats
from diorama.render.synthetic import phone_camera, synthetic_scene
from diorama.render.synthetic.holes import Hole, HoledCapture, hole_points, holed_capture, seen_by

CAMERA = phone_camera(320, 240)
FAST = ReshootConfig(photos=False, places=120, depth_px=96, grid_cells=60_000, min_gain=0.0)


def scene_of(poses: list[Pose]) -> PosedScene:
    names = [f"IMG_{i:02d}.jpg" for i in range(len(poses))]
    frames = tuple(Frame(n, 1) for n in names)
    capture = Capture(Path("images"), Path("masks"), "photos", {1: CAMERA}, {1: True}, frames)
    points = SparsePoints(np.zeros((0, 3)), np.zeros((0, 3), np.uint8), np.zeros(0), np.zeros(0, np.int32))
    named = dict(zip(names, poses, strict=True))
    return PosedScene(capture, {1: CAMERA}, named, points, PoseSummary("truth", 0.0, 1), is_metric=True)


def true_splats(poses: tuple[Pose, ...]) -> Splats:
    """What a perfect training would know: small balls on all that the cameras see, and nothing else."""
    place, small = synthetic_scene("minimal"), CAMERA.fitted(80)
    points, sizes = [], []
    for pose in poses:
        _, depth = place.render(small, pose, samples=1)
        rows, columns = np.nonzero(depth > 0)
        rays = small.rays(np.stack([columns + 0.5, rows + 0.5], -1))
        z = depth[rows, columns]
        points.append(pose.inverse().apply(rays / rays[:, 2:] * z[:, None]))
        sizes.append(0.6 * z / small.fx)
    return balls(np.concatenate(points), np.concatenate(sizes))


def balls(points: np.ndarray, sizes: np.ndarray) -> Splats:
    many = len(points)
    arrays = (
        points,
        np.tile([1.0, 0, 0, 0], (many, 1)),
        np.repeat(np.log(sizes)[:, None], 3, 1),
        np.full(many, 4.0),
        np.full((many, 1, 3), 0.1 / SH_C0),
    )
    return Splats(*(np.ascontiguousarray(a, np.float32) for a in arrays))


def wall(half: float = 2.0) -> Splats:
    """In the plane y = 0, 4 units wide and high."""
    at = np.linspace(-half, half, 60)
    x, z = np.meshgrid(at, at)
    return balls(np.stack([x, np.zeros_like(x), z], -1).reshape(-1, 3), np.full(x.size, 0.05))


@cache
def holed(hole: Hole) -> tuple[HoledCapture, Survey]:
    capture = holed_capture(synthetic_scene("minimal"), hole, middle_deg=70.0, count=24)
    found = survey_scene(scene_of(list(capture.taken)), true_splats(capture.taken), FAST)
    assert found is not None
    return capture, found


@cache
def planned() -> ReshootPlan:
    """Two photos for the gap."""
    capture, _ = holed("gap")
    config = dataclasses.replace(FAST, proposals=2)
    plan = plan_reshoot(scene_of(list(capture.taken)), true_splats(capture.taken), config)
    assert plan is not None
    return plan


def test_a_wall_seen_by_one_two_and_no_camera_is_said_to_be() -> None:
    # Three cameras 1.5 units before the wall; a picture shows 2 units of it, so that its outer parts are in one
    # picture, and its ends in none.
    at = (-0.8, 0.0, 0.8)
    poses = [look_at((x, -1.5, 0.0), (x, 0.0, 0.0)) for x in at]
    level = LevelScene.of(scene_of(poses), wall())
    looks = list(draw_looks(level, 128, False, ignore))
    surface = known_surface(looks, 60_000)
    assert surface is not None
    quality = measure_quality(surface, looks, 3)
    half_picture = 1.5 * CAMERA.width_px / 2 / CAMERA.fx
    x = surface.points[:, 0]
    expected = sum(np.abs(x - c) < half_picture for c in at)
    inner = np.min([np.abs(np.abs(x - c) - half_picture) for c in at], axis=0) > surface.grid.cell
    assert inner.sum() > 100
    assert (quality.cameras == expected)[inner].mean() > 0.98  # rims of the picture's top and bottom remain
    # In the middle the outer two rays cross under 2 atan(0.8 / 1.5) = 56.1 degrees, and the wall is seen upright.
    middle = (np.abs(x) < 0.1) & (np.abs(surface.points[:, 2]) < 0.1)
    assert np.median(quality.angle_deg[middle]) == pytest.approx(56.1, abs=2.0)
    assert quality.incidence_deg[middle].max() < 5.0
    assert np.median(quality.px_per_unit[middle]) == pytest.approx(CAMERA.fx / 1.5, rel=0.02)
    kinds = quality.kinds(FAST)
    alone = inner & (expected == 1)
    assert (kinds[alone] == Kind.ONE).mean() > 0.95
    assert (kinds[middle] == Kind.WELL).all()


def test_a_wall_is_not_seen_through_another() -> None:
    near = balls(
        np.array([[x, -1.5, z] for x in np.linspace(-1, 0, 40) for z in np.linspace(-1, 1, 80)]), np.full(3200, 0.03)
    )
    both = Splats(
        *(
            np.concatenate([getattr(wall(), n), getattr(near, n)])
            for n in ("means", "quats", "log_scales", "logit_opacities", "sh")
        )
    )
    poses = [look_at((x, -4.0, 0.0), (0, 0, 0)) for x in (-0.3, 0.0, 0.3)] + [look_at((2.5, -3.0, 0.0), (0, 0, 0))]
    looks = list(draw_looks(LevelScene.of(scene_of(poses), both), 128, False, ignore))
    surface = known_surface(looks, 60_000)
    assert surface is not None
    quality = measure_quality(surface, looks, 4)
    # The middle left of the wall lies behind the near one for the first three, in sight of the fourth.
    x, y, z = surface.points.T
    behind = (np.abs(y) < 0.1) & (x > -0.9) & (x < -0.4) & (np.abs(z) < 0.4)
    assert behind.sum() > 20
    assert not quality.sees[behind][:, :3].any()
    assert quality.sees[behind][:, 3].mean() > 0.9


def test_what_lies_behind_a_thing_is_unknown_and_free_space_is_not() -> None:
    box = balls(
        np.array([[x, 0.0, z] for x in np.linspace(-0.5, 0.5, 40) for z in np.linspace(-0.5, 0.5, 40)]),
        np.full(1600, 0.03),
    )
    back = wall()
    back.means[:, 1] += 2.0
    both = Splats(
        *(
            np.concatenate([getattr(back, n), getattr(box, n)])
            for n in ("means", "quats", "log_scales", "logit_opacities", "sh")
        )
    )
    looks = list(
        draw_looks(
            LevelScene.of(scene_of([look_at((x, -3.0, 0.0), (0, 0, 0)) for x in (-0.2, 0.2)]), both), 128, False, ignore
        )
    )
    known = known_surface(looks, 60_000)
    assert known is not None
    surface, free = with_unknown(known, looks)
    grid = surface.grid

    def is_free(point: tuple[float, float, float]) -> bool:
        flat, inside = grid.index(np.array([point]))
        assert inside.all()
        return bool(free.reshape(-1)[flat[0]])

    assert is_free((0.0, -1.5, 0.0))  # before the box
    assert not is_free((0.0, 1.0, 0.0))  # in its shadow
    assert is_free((1.2, 1.0, 0.0))  # beside the shadow
    unknown = surface.points[~surface.is_known]
    assert len(unknown) > 50
    # Most of the unknown that counts lies along the shadow's rim, behind the box, not in the open before it.
    heavy = unknown[surface.weight[~surface.is_known] > 0.25]
    assert (heavy[:, 1] > -0.2).mean() > 0.9


def test_the_widest_angle_is_between_the_outermost_rays() -> None:
    angles = np.radians([0.0, 10.0, 35.0, 60.0])
    centres = np.stack([np.cos(angles), np.sin(angles), np.zeros(4)], -1)
    sees = np.array([[1, 1, 1, 1], [0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]], bool)
    angle, ends = widest_angle(np.zeros((4, 3)), centres, sees)
    assert angle == pytest.approx([60.0, 25.0, 0.0, 0.0], abs=1e-4)
    assert sorted(np.degrees(np.arctan2(ends[0, :, 1], ends[0, :, 0]))) == pytest.approx([0.0, 60.0], abs=1e-6)
    assert (ends[3] == 0).all()


def test_a_view_is_worth_less_from_the_side_and_from_afar() -> None:
    one = view_worth(np.array([1.0, 0.5, 0.275, 0.04]), np.full(4, 100.0), 100.0)
    assert one == pytest.approx([1.0, 1.0, 0.5, 0.0])
    assert view_worth(np.ones(2), np.array([50.0, 300.0]), 100.0) == pytest.approx([0.25, 1.0])
    config = ReshootConfig()
    score = score_of(np.array([0.0, 1.0, 3.0, 9.0]), np.array([0.0, 0.0, 20.0, 90.0]), np.ones(4), config)
    assert score == pytest.approx([0.0, 0.2, 1.0, 1.0])


def test_the_first_kind_that_holds_is_said() -> None:
    def quality(**changed: float) -> Quality:
        good = {"cameras": 5, "angle_deg": 30.0, "incidence_deg": 20.0, "px_per_unit": 100.0, "confidence": 0.9}
        values = {n: np.array([v]) for n, v in (good | changed).items()}
        nothing = np.zeros(1)
        return Quality(
            sees=np.zeros((1, 5), bool), views=nothing, ends=np.zeros((1, 2, 3)), interest=nothing, target_px=100.0,
            **values,
        )  # fmt: skip

    def kind(**changed: float) -> int:
        return int(quality(**changed).kinds(ReshootConfig())[0])

    assert kind() == Kind.WELL
    assert kind(cameras=0, confidence=0.0, angle_deg=0.0) == Kind.NEVER
    assert kind(cameras=1, angle_deg=0.0) == Kind.ONE
    assert kind(cameras=4, angle_deg=2.0, incidence_deg=80.0) == Kind.NARROW
    assert kind(incidence_deg=80.0, px_per_unit=1.0) == Kind.GLANCING
    assert kind(px_per_unit=20.0) == Kind.FAR
    assert kind(confidence=0.1) == Kind.UNSURE


@pytest.mark.parametrize("azimuth", [0.0, 1.0, -2.5])
@pytest.mark.parametrize("tilt", [-np.pi / 2, -0.7, 0.4])
def test_a_camera_turns_to_where_it_should_look(azimuth: float, tilt: float) -> None:
    turn = pan_tilt(azimuth, tilt)
    assert turn @ turn.T == pytest.approx(np.eye(3))
    assert np.linalg.det(turn) == pytest.approx(1.0)
    expected = [np.cos(tilt) * np.cos(azimuth), np.cos(tilt) * np.sin(azimuth), np.sin(tilt)]
    assert turn[2] == pytest.approx(expected)
    assert turn[0, 2] == 0.0  # level
    assert turn[1, 2] <= 1e-12  # the picture's down is not up


@pytest.mark.parametrize("hole", ["gap", "side", "lone"])
def test_proposals_show_the_hole_and_more_of_it_than_random_photos(hole: Hole) -> None:
    capture, found = holed(hole)
    place = synthetic_scene("minimal")
    points = hole_points(place, CAMERA, capture, most=1)
    assert len(points) > 200

    def shown(poses: list[Pose]) -> np.ndarray:
        return np.array([seen_by(place, CAMERA, [p], points) > 0 for p in poses])

    chosen = shown([c.cam_from_level for c in found.chooser.choose(4)])
    others = [shown([c.cam_from_level for c in found.chooser.random(4, seed)]).any(0).mean() for seed in range(12)]
    print(hole, chosen.mean(1).round(2), chosen.any(0).mean().round(2), np.round(others, 2))
    assert chosen.any(0).mean() > 1.5 * np.median(others)
    assert (chosen.mean(1) > 0.05).mean() >= 0.5


def test_places_are_in_free_space_at_the_height_of_the_cameras_and_not_behind_walls() -> None:
    _, found = holed("gap")
    points = found.places.points
    assert len(points) > 50
    heights = [look.centre[2] for look in found.looks]
    assert points[:, 2].min() >= min(heights) - 1e-9
    assert points[:, 2].max() <= max(heights) + 1e-9
    # The court of "minimal" has walls at 2.3 m all round; where photos showed them nobody walks through.
    assert (np.abs(points[:, :2]).max(1) < 2.3).mean() > 0.95


def test_nobody_walks_through_a_wall() -> None:
    at = np.linspace(-3, 3, 120)
    x, z = np.meshgrid(at, at)
    big = balls(np.stack([x, np.zeros_like(x), z], -1).reshape(-1, 3), np.full(x.size, 0.05))
    poses = [look_at((a, -1.5, 0.0), (1.6 * a, 0.0, 0.0)) for a in (-1.5, -0.5, 0.5, 1.5)]
    found = survey_scene(scene_of(poses), big, dataclasses.replace(FAST, reach=2.0))
    assert found is not None
    points, walk = found.places.points, found.places.walk
    assert (points[:, 1] < 0).sum() > 20
    behind = (points[:, 1] > 0.2) & (np.abs(points[:, 0]) < 0.6)
    # Photos show 2.5 units of the wall to either side: the way round its known end is longer than two units, the way
    # through it shorter.
    assert (walk[behind] > 2.0).all()
    assert (walk[points[:, 1] < -0.5] < 4.0).all()


def test_the_words_say_where_to_stand_and_to_look() -> None:
    poses = [look_at((0.0, -4.0, 1.5), (0.0, 0.0, 1.5)), look_at((1.0, -4.0, 1.5), (1.0, 0.0, 1.5))]
    scene = scene_of(poses)
    new = look_at((-2.1, -4.0, 1.5), (-1.1, -4.0 + np.sqrt(3.0), 1.5))
    reason = explain(scene, [], new, np.array([5.0, 0.0, 1.0]), {Kind.ONE: 1.0}, "IMG_01.jpg", 1.3)
    assert "About 1.3 m\u00b2" in reason.what
    assert "seen by one photo only (IMG_01.jpg)" in reason.what
    assert (
        reason.do
        == "From where IMG_00.jpg was taken, facing as it did, go 2.1 m to the left; turn 30\u00b0 to the right."
    )
    assert "About 690 m\u00b2" in explain(scene, [], new, np.zeros(3), {Kind.ONE: 1.0}, None, 688.4).what
    steps = explain(dataclasses.replace(scene, is_metric=False), [], new, np.zeros(3), {Kind.NEVER: 1.0}, None, 1.3)
    assert "m\u00b2" not in steps.what
    assert "go 2.1 steps to the left" in steps.do
    same = explain(scene, [], poses[0], np.zeros(3), {Kind.FAR: 1.0}, None, 1.3)
    assert same.do == "Stand where IMG_00.jpg was taken; look the same way."


def test_a_plan_is_the_same_each_time_and_survives_its_file(tmp_path: Path) -> None:
    plan, again = planned(), planned.__wrapped__()
    assert len(plan.proposals) == 2
    for one, other in zip(plan.proposals, again.proposals, strict=True):
        assert np.array_equal(one.cam_from_world.matrix(), other.cam_from_world.matrix())
        assert one.reason == other.reason
    save_plan(plan, tmp_path / "reshoot", "abc")
    back = load_plan(tmp_path / "reshoot")
    assert back is not None
    assert back.made_from == "abc"
    assert np.array_equal(back.kinds, plan.kinds)
    assert np.abs(back.points - plan.surface.grid.centres(plan.surface.cells)).max() < 1e-9
    place = plan.proposals[0].cam_from_world.origin_in_source
    assert back.places_in_level[0] == pytest.approx(plan.level.turn @ place)
    assert back.findings()[0].place_in_world == pytest.approx(place)
    assert back.findings()[0].what.startswith("Where to reshoot, 1: ")
    assert sum(back.shares.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"cells": "', '"cells": "////'),
        lambda text: text.replace("data:image/jpeg;base64,", "https://elsewhere.example/"),
        lambda text: text.replace('"version": 1', '"version": 9'),
        lambda text: text.replace('"count": ', '"count": 9'),
    ],
)
def test_a_damaged_file_is_refused_in_a_sentence(tmp_path: Path, damage: object) -> None:
    plan = planned()
    save_plan(plan, tmp_path, "abc")
    path = tmp_path / "coverage.json"
    path.write_text(damage(path.read_text()))  # type: ignore[operator]
    with pytest.raises(InputError, match=r"coverage\.json"):
        load_plan(tmp_path)


def test_nothing_to_see_is_no_plan() -> None:
    poses = [look_at((x, -3.0, 0.0), (x, 0.0, 0.0)) for x in (0.0, 1.0)]
    assert plan_reshoot(scene_of(poses), Splats.empty(0), FAST) is None
    assert plan_reshoot(scene_of(poses[:1]), wall(), FAST) is None
    away = [look_at((x, -3.0, 0.0), (x, -9.0, 0.0)) for x in (0.0, 1.0)]
    assert plan_reshoot(scene_of(away), wall(), FAST) is None
