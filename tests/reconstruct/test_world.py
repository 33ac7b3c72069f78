"""The world set upright, on scenes whose true upright is known: cameras and points are made upright and then turned,
shifted and scaled by a known similarity that `upright` must undo."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diorama.capture.camera import Camera
from diorama.capture.errors import InputError
from diorama.capture.transforms import Pose, Sim3, rotation_from_quaternion
from diorama.capture.types import Capture, Exif, Frame, Gps, PosedScene, PoseSummary, SparsePoints
from diorama.reconstruct.poses import PoseConfig, rescale, upright
from diorama.reconstruct.poses.geodesy import enu_from_gps, gps_from_enu
from diorama.reconstruct.poses.world import USUAL_DEPTH, place_world, transformed

ORIGIN = Gps(46.84, -91.99, 190.0)


def looking(centre: np.ndarray, focus: np.ndarray, level: np.ndarray | None = None) -> Pose:
    """cam_from_world at `centre` towards `focus`; its picture's up is the world's, or `level` where that is given."""
    forward = (focus - centre) / np.linalg.norm(focus - centre)
    right = np.cross(forward, [0.0, 0.0, 1.0] if level is None else level)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return Pose(rotation, -rotation @ centre)


def make_scene(poses: list[Pose], points: np.ndarray, gps: list[Gps] | None = None) -> PosedScene:
    frames = tuple(Frame(f"{k:03d}.jpg", 1, exif=Exif(gps=gps[k] if gps else None)) for k in range(len(poses)))
    camera = Camera.pinhole(640, 480, 600, 600, 320, 240)
    capture = Capture(Path("images"), Path("masks"), "photos", {1: camera}, {1: True}, frames, given=len(frames))
    count = len(points)
    sparse = SparsePoints(points, np.zeros((count, 3), np.uint8), np.full(count, 0.5), np.full(count, 3, np.int32))
    everything = np.arange(count, dtype=np.int32)
    return PosedScene(
        capture=capture,
        cameras={1: camera},
        cam_from_world={f.name: p for f, p in zip(frames, poses, strict=True)},
        points=sparse,
        summary=PoseSummary("incremental", 0.5, 1),
        visible={f.name: everything for f in frames},
    )


def scrambled(scene: PosedScene, seed: int = 5) -> PosedScene:
    """In a frame as a mapper leaves it: turned anyhow, elsewhere, of another size."""
    rng = np.random.default_rng(seed)
    turn = rotation_from_quaternion(rng.normal(size=4))
    return replace(transformed(scene, Sim3(0.37, turn, rng.normal(size=3) * 4)), world_from_input=Sim3.identity())


def ground_and_thing(rng: np.random.Generator, extent: float = 4.0, offset: float = 0.0) -> np.ndarray:
    """A flat ground with 1 % noise at z = 0 and a column of things on it, shifted in x by `offset`."""
    ground = np.column_stack([rng.uniform(-extent, extent, (600, 2)), rng.normal(0, 0.01, 600)])
    thing = np.column_stack([rng.uniform(-0.4, 0.4, (500, 2)), rng.uniform(0, 1.8, 500)])
    return np.concatenate([ground, thing]) + [offset, 0, 0]


def orbit(rng: np.random.Generator, count: int = 24, roll_deg: float = 2.0, arc: float = 2 * np.pi) -> list[Pose]:
    poses = []
    for angle in np.linspace(0, arc, count, endpoint=False):
        centre = np.array([3 * np.cos(angle), 3 * np.sin(angle), 1.5])
        level = np.array([*(np.tan(np.radians(rng.normal(0, roll_deg, 2)))), 1.0])
        poses.append(looking(centre, np.array([0, 0, 0.6]), level))
    return poses


def tilt_deg(scene: PosedScene, true_scene: PosedScene) -> float:
    """Angle between the true up, carried into the scene by its cameras, and +z."""
    name = scene.registered[0].name
    true_up_in_cam = true_scene.cam_from_world[name].rotation @ [0, 0, 1]
    up = scene.cam_from_world[name].rotation.T @ true_up_in_cam
    return float(np.degrees(np.arccos(np.clip(up[2], -1, 1))))


def heights(scene: PosedScene) -> np.ndarray:
    return scene.points.xyz[:, 2]


def test_an_orbit_stands_on_its_ground() -> None:
    rng = np.random.default_rng(1)
    truth = make_scene(orbit(rng), ground_and_thing(rng))
    scene = upright(scrambled(truth))
    assert scene.up_source == "ground plane"
    assert tilt_deg(scene, truth) < 0.2  # noise of 0.01 over a ground of 8: far below
    ground = heights(scene)[:600] / 0.37
    assert abs(np.median(ground)) < 0.01
    # The first camera looks along +y.
    ahead = scene.cam_from_world["000.jpg"].rotation[2]
    assert abs(ahead[0]) < 1e-9
    assert ahead[1] > 0
    # Centred on what is looked at: the column stands at the origin.
    assert np.linalg.norm(np.median(scene.points.xyz[600:, :2], axis=0)) < 0.15 * 0.37


def test_cameras_alone_give_up_within_their_roll() -> None:
    """Without points: rolls of 2 degrees over 24 cameras average to about 0.6 degrees in each axis."""
    rng = np.random.default_rng(2)
    truth = make_scene(orbit(rng), np.zeros((0, 3)))
    scene = upright(scrambled(truth))
    assert scene.up_source == "cameras"
    assert tilt_deg(scene, truth) < 1.5


def test_one_camera_on_its_side_does_not_tip_the_world() -> None:
    rng = np.random.default_rng(3)
    poses = orbit(rng, roll_deg=0.0)
    centre = poses[4].origin_in_source
    poses[4] = looking(centre, np.array([0, 0, 0.6]), np.cross([0, 0, 1.0], centre))
    truth = make_scene(poses, np.zeros((0, 3)))
    assert tilt_deg(upright(scrambled(truth)), truth) < 0.5


def test_a_quarter_orbit_pitched_down_is_not_tilted_by_its_pitch() -> None:
    """The cameras' mean up leans by their pitch; their x axes do not."""
    rng = np.random.default_rng(4)
    truth = make_scene(orbit(rng, roll_deg=0.0, arc=np.pi / 2), np.zeros((0, 3)))
    assert tilt_deg(upright(scrambled(truth)), truth) < 0.5


def test_straight_ahead_at_a_wall_takes_the_wall_for_vertical() -> None:
    """All cameras pitched up by 12 degrees at a facade: only the facade says how much."""
    rng = np.random.default_rng(6)
    wall = np.column_stack([rng.uniform(-3, 3, 900), rng.normal(5, 0.01, 900), rng.uniform(-1, 5, 900)])
    poses = [
        looking(np.array([x, 0, 0.0]), np.array([x, 5, 5 * np.tan(np.radians(12))])) for x in np.linspace(-1, 1, 9)
    ]
    truth = make_scene(poses, wall)
    scene = upright(scrambled(truth))
    assert tilt_deg(scene, truth) < 0.5
    assert np.quantile(heights(scene), 0.02) == pytest.approx(0, abs=1e-6)


def test_a_facade_is_upright_where_all_cameras_lean_alike() -> None:
    """A quarter round with every camera rolled by 3 degrees puts the level off; the facade brings it back."""
    rng = np.random.default_rng(19)
    wall = np.column_stack([rng.uniform(-3, 3, 900), rng.normal(0, 0.01, 900), rng.uniform(-1, 3, 900)])
    poses = []
    for angle in np.linspace(-0.3, 0.3, 11):
        centre = np.array([5 * np.sin(angle), -5 * np.cos(angle), 1.0])
        pose = looking(centre, np.array([0, 0, 1.0]))
        roll = np.array([[np.cos(0.05), -np.sin(0.05), 0], [np.sin(0.05), np.cos(0.05), 0], [0, 0, 1]])
        poses.append(Pose(roll @ pose.rotation, roll @ pose.translation))
    scene = upright(scrambled(make_scene(poses, wall)))
    normal = np.linalg.svd(scene.points.xyz - scene.points.xyz.mean(0))[2][2]
    assert abs(np.degrees(np.arcsin(normal[2]))) < 0.3


def nadir(rng: np.random.Generator, yaw: str) -> tuple[PosedScene, list[np.ndarray]]:
    """A flight at 50 m over gentle ground, 5 rows of 4, looking straight down within half a degree."""
    ground = np.column_stack([rng.uniform(-70, 70, (1500, 2)), rng.normal(0, 0.3, 1500)])
    poses, centres = [], []
    for row in range(5):
        for column in range(4):
            centre = np.array([20.0 * column - 30, 20.0 * row - 40, 50 + rng.normal(0, 0.3)])
            angle = {"lawnmower": np.pi * (row % 2), "any": rng.uniform(0, 2 * np.pi), "same": 0.0}[yaw]
            below = np.array([*(centre[:2] + rng.normal(0, 0.4, 2)), 0.0])
            poses.append(looking(centre, below, np.array([np.cos(angle), np.sin(angle), 0.0])))
            centres.append(centre)
    return make_scene(poses, ground), centres


@pytest.mark.parametrize("yaw", ["lawnmower", "any"])
def test_straight_down_without_gps(yaw: str) -> None:
    truth, _ = nadir(np.random.default_rng(7), yaw)
    scene = upright(scrambled(truth))
    assert tilt_deg(scene, truth) < 1.0
    assert abs(np.median(heights(scene))) < 0.37
    assert min(p.origin_in_source[2] for p in scene.cam_from_world.values()) > 0


@pytest.mark.parametrize("yaw", ["lawnmower", "any", "same"])
def test_straight_down_with_gps_is_metric_and_north_is_y(yaw: str) -> None:
    rng = np.random.default_rng(8)
    truth, centres = nadir(rng, yaw)
    gps = [gps_from_enu(c + rng.normal(0, 0.8, 3), ORIGIN) for c in centres]
    gps[3] = gps_from_enu(centres[3] + [150.0, 0, 0], ORIGIN)  # one fix is far off
    truth = make_scene(list(truth.cam_from_world.values()), truth.points.xyz, gps)
    scene = upright(scrambled(truth))
    assert scene.is_metric
    assert scene.metric_source == "gps"
    assert tilt_deg(scene, truth) < 2.0
    # Scale and heading: 0.8 m over 19 cameras spread by about 30 m leave about 0.6 %.
    a, b = (scene.cam_from_world[n].origin_in_source for n in ("000.jpg", "019.jpg"))
    assert np.linalg.norm((b - a) - (centres[19] - centres[0])) < 2.5
    assert scene.georeference is not None
    # The world's origin lies on the ground below what is looked at: about ENU (0, 0, 0) of the made scene.
    off = enu_from_gps(scene.georeference, ORIGIN)
    truth_of_origin = centres[0] - a
    assert np.linalg.norm(off - truth_of_origin) < 2.0


def test_gps_of_a_walk_round_a_table_is_no_scale() -> None:
    """Steps of metres under GPS noise of metres: not metric, and said so."""
    rng = np.random.default_rng(9)
    truth = make_scene(orbit(rng), ground_and_thing(rng))
    gps = [gps_from_enu(p.origin_in_source + rng.normal(0, 3, 3), ORIGIN) for p in truth.cam_from_world.values()]
    truth = make_scene(list(truth.cam_from_world.values()), truth.points.xyz, gps)
    scene = upright(scrambled(truth))
    assert not scene.is_metric
    assert scene.georeference is None
    assert any("GPS" in w for w in scene.warnings)
    assert tilt_deg(scene, truth) < 0.3


def test_gps_along_one_line_gives_scale_but_not_up() -> None:
    rng = np.random.default_rng(10)
    centres = [np.array([x, 0.0, 1.6]) for x in np.linspace(-40, 40, 20)]
    poses = [looking(c, c + [rng.normal(0, 0.2), 8, -0.4 + rng.normal(0, 0.2)]) for c in centres]
    points = np.column_stack([rng.uniform(-45, 45, 900), rng.uniform(4, 12, 900), rng.uniform(0, 3, 900)])
    gps = [gps_from_enu(c + rng.normal(0, 1.0, 3), ORIGIN) for c in centres]
    truth = make_scene(poses, points, gps)
    scene = upright(scrambled(truth))
    assert scene.is_metric
    assert scene.up_source != "gps"
    assert tilt_deg(scene, truth) < 4
    length = np.linalg.norm(
        scene.cam_from_world["000.jpg"].origin_in_source - scene.cam_from_world["019.jpg"].origin_in_source
    )
    assert length == pytest.approx(80, rel=0.03)


def test_without_metres_the_usual_depth_is_a_handy_one() -> None:
    rng = np.random.default_rng(11)
    scene = place_world(scrambled(make_scene(orbit(rng), ground_and_thing(rng))), PoseConfig())
    assert not scene.is_metric
    depths = [
        np.median(np.linalg.norm(scene.points.xyz - p.origin_in_source, axis=1)) for p in scene.cam_from_world.values()
    ]
    assert np.median(depths) == pytest.approx(USUAL_DEPTH)


def test_world_from_input_leads_there_and_back() -> None:
    rng = np.random.default_rng(12)
    given = scrambled(make_scene(orbit(rng), ground_and_thing(rng)))
    scene = place_world(given, PoseConfig(distance=("000.jpg", "006.jpg", 4.2)))
    there = scene.world_from_input
    np.testing.assert_allclose(there.apply(given.points.xyz), scene.points.xyz, atol=1e-9)
    for name, pose in given.cam_from_world.items():
        np.testing.assert_allclose(
            there.transform_camera(pose).matrix(), scene.cam_from_world[name].matrix(), atol=1e-9
        )


def test_pictures_do_not_change_with_the_world() -> None:
    rng = np.random.default_rng(13)
    given = scrambled(make_scene(orbit(rng), ground_and_thing(rng)))
    scene = place_world(given, PoseConfig(distance=("000.jpg", "006.jpg", 4.2)))
    for name in ("000.jpg", "017.jpg"):
        camera = given.cameras[1]
        before = camera.project(given.cam_from_world[name].apply(given.points.xyz))
        after = camera.project(scene.cam_from_world[name].apply(scene.points.xyz))
        np.testing.assert_allclose(after, before, atol=1e-6)


@pytest.mark.parametrize("b", ["006.jpg", "006", "0,0,2.5"])
def test_a_known_distance_makes_metres(b: str) -> None:
    rng = np.random.default_rng(14)
    scene = make_scene(orbit(rng), ground_and_thing(rng))
    a = scene.cam_from_world["000.jpg"].origin_in_source
    other = np.array([0, 0, 2.5]) if "," in b else scene.cam_from_world["006.jpg"].origin_in_source
    made = rescale(scene, "000.jpg", b, 12.0)
    assert made.is_metric
    assert made.metric_source == "distance"
    factor = 12.0 / np.linalg.norm(a - other)
    np.testing.assert_allclose(made.points.xyz, factor * scene.points.xyz)
    assert made.world_from_input.scale == pytest.approx(factor)


@pytest.mark.parametrize(
    ("a", "b", "metres", "says"),
    [
        ("000.jpg", "nobody.jpg", 1.0, "nobody.jpg"),
        ("000.jpg", "1,2", 1.0, "1,2"),
        ("000.jpg", "1,2,nan", 1.0, "nan"),
        ("000.jpg", "000.jpg", 1.0, "same place"),
        ("000.jpg", "006.jpg", 0.0, "above 0"),
        ("000.jpg", "006.jpg", float("inf"), "above 0"),
    ],
)
def test_a_distance_that_cannot_be(a: str, b: str, metres: float, says: str) -> None:
    rng = np.random.default_rng(15)
    with pytest.raises(InputError, match=says):
        rescale(make_scene(orbit(rng), ground_and_thing(rng)), a, b, metres)


def test_upright_keeps_an_imported_scale_and_its_metres() -> None:
    rng = np.random.default_rng(16)
    given = replace(scrambled(make_scene(orbit(rng), ground_and_thing(rng))), is_metric=True, metric_source="import")
    scene = upright(given)
    assert scene.world_from_input.scale == pytest.approx(1)
    assert (scene.is_metric, scene.metric_source) == (True, "import")


def test_an_import_without_points_or_visibility_is_set_upright() -> None:
    rng = np.random.default_rng(17)
    truth = make_scene(orbit(rng), ground_and_thing(rng))
    scene = upright(replace(scrambled(truth), visible={}))
    assert tilt_deg(scene, truth) < 0.3
    nothing = upright(replace(scrambled(truth), visible={}, points=SparsePoints.empty()))
    assert all(np.all(np.isfinite(p.matrix())) for p in nothing.cam_from_world.values())


def test_degrees_become_metres() -> None:
    """At the equator one second of longitude is 30.922 m, one of latitude 30.715 m (WGS 84's radii of curvature)."""
    here = Gps(0.0, 10.0, 0.0)
    east = enu_from_gps(Gps(0.0, 10.0 + 1 / 3600, 0.0), here)
    north = enu_from_gps(Gps(1 / 3600, 10.0, 5.0), here)
    np.testing.assert_allclose(east, [30.922, 0, 0], atol=1e-3)
    np.testing.assert_allclose(north, [0, 30.715, 5], atol=1e-3)


def test_metres_and_degrees_round_trip() -> None:
    rng = np.random.default_rng(18)
    for offset in rng.normal(0, 500, (20, 3)):
        back = enu_from_gps(gps_from_enu(offset, ORIGIN), ORIGIN)
        np.testing.assert_allclose(back, offset, atol=1e-5)
