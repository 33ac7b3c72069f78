"""The synthetic scenes are the truth other tests stand on, so here they are held to truth that is derived by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diorama.capture.camera import Camera
from diorama.capture.errors import InputError
from diorama.capture.events import Event, Finished, Progressed, Started
from diorama.capture.transforms import Pose, Sim3, rotation_from_quaternion
from diorama.render.paths import look_at
from diorama.render.synthetic import (
    SyntheticScene,
    compare_cameras,
    orbit_cameras,
    phone_camera,
    read_truth,
    synthetic_scene,
    views,
    write_synthetic_footage,
)
from diorama.render.synthetic.light import Light
from diorama.render.synthetic.noise import cells, fractal
from diorama.render.synthetic.scene import bake, linear_from_srgb, srgb_from_linear
from diorama.render.synthetic.solids import Patch, Solid, ball, box, dome, lathe, rotation_z
from diorama.render.synthetic.texture import Atlas

NOON = Light((0.0, 0.0, 1.0), sun_samples=4, sky_samples=16)
CAMERA = Camera.pinhole(80, 60, 70.0, 70.0, 40.0, 30.0)


def grey(patch: Patch) -> np.ndarray:
    return np.full(patch.points.shape, 0.4, np.float32)


def spotted(*centres: tuple[float, float, float], radius_m: float = 0.06) -> object:
    """Black with white discs around points of the world."""

    def material(patch: Patch) -> np.ndarray:
        away = np.min([np.linalg.norm(patch.points - np.array(c), axis=-1) for c in centres], 0)
        white = np.clip((radius_m - away) / 0.01 + 0.5, 0, 1)
        return np.repeat(white[..., None], 3, -1).astype(np.float32)

    return material


def scene_of(*solids: Solid, light: Light = NOON) -> SyntheticScene:
    first, atlas = bake(solids, light, 0)
    return SyntheticScene("test", 0, (0, 0, 0), (1, 2), (1,), solids, first, atlas)


def tilted(angle: float = 0.7) -> np.ndarray:
    return rotation_from_quaternion([math.cos(angle / 2), *(math.sin(angle / 2) * np.array([0.6, 0.48, 0.64]))])


VASE = ((0.0, 0.0), (0.3, 0.0), (0.5, 0.4), (0.5, 0.7), (0.2, 1.0), (0.35, 1.3), (0.0, 1.3))
SOLIDS: dict[str, Solid] = {
    "box": box((-0.3, -0.5, 0.1), (0.6, 0.4, 1.0), grey, 0.05, turn=0.5, seen="-x +x -y +y -z +z"),
    "ellipsoid": ball((0.2, -0.1, 0.6), (0.7, 0.4, 0.5), grey, 0.05),
    "lathe": lathe((0.1, 0.2, -0.1), VASE, grey, 0.05),
    "lying lathe": lathe((0.1, 0.2, 0.3), VASE, grey, 0.05, tilted()),
}


def inside(solid: Solid, points: np.ndarray) -> np.ndarray:
    """Whether points of the world are in a solid of SOLIDS, from the solid's definition alone."""
    p = (points - solid.position) @ solid.solid_from_world.T
    if hasattr(solid, "half"):
        return (np.abs(p) < solid.half).all(-1)
    if hasattr(solid, "radii"):
        return ((p / solid.radii) ** 2).sum(-1) < 1
    profile = np.array(VASE)
    side = profile[1:-1]
    radius = np.interp(p[..., 2], side[:, 1], side[:, 0])
    return (np.hypot(p[..., 0], p[..., 1]) < radius) & (p[..., 2] > 0) & (p[..., 2] < 1.3)


@pytest.mark.parametrize("name", SOLIDS)
def test_rays_stop_where_a_solid_begins(name: str) -> None:
    """Marching along each ray in steps of 2 mm, the first point inside comes within one step of the hit."""
    solid = SOLIDS[name]
    rng = np.random.default_rng(5)
    origin = rng.normal(size=(400, 3))
    origin *= 3 / np.linalg.norm(origin, axis=1, keepdims=True)
    direction = rng.normal(0.3, 0.35, (400, 3)) - origin
    t = solid.hit(tuple(origin.T), tuple(direction.T))  # type: ignore[arg-type]
    step = 0.002 / np.linalg.norm(direction, axis=1)
    along = np.arange(0, 1.6, 0.0005)
    marched = inside(solid, origin[:, None] + along[None, :, None] * direction[:, None])
    found = marched.any(1)
    first = along[marched.argmax(1)]
    assert found.sum() > 100 and (~found).sum() > 50
    # A ray that only grazes may pass between two marching points: it may hit, but never where none is near.
    assert np.isfinite(t[found]).all()
    assert (np.abs(t - first)[found] <= step[found] + 0.0005).mean() > 0.97
    assert (np.isfinite(t) & ~found).mean() < 0.03
    entry = origin + np.where(np.isfinite(t), t - 1e-5, 0)[:, None] * direction
    assert not inside(solid, entry).any()


@pytest.mark.parametrize("name", SOLIDS)
def test_a_hit_knows_its_place_on_the_surface(name: str) -> None:
    solid = SOLIDS[name]
    rng = np.random.default_rng(6)
    origin = rng.normal(size=(300, 3))
    origin *= 3 / np.linalg.norm(origin, axis=1, keepdims=True)
    direction = np.array([0.1, 0.1, 0.5]) + rng.normal(0, 0.2, (300, 3)) - origin
    t = solid.hit(tuple(origin.T), tuple(direction.T))  # type: ignore[arg-type]
    met = np.isfinite(t)
    o, d, t = origin[met], direction[met], t[met]
    hit = solid.describe(tuple(o.T), tuple(d.T), t)  # type: ignore[arg-type]
    surfaces = solid.surfaces()
    assert met.sum() > 100
    for i in range(met.sum()):
        point, normal = surfaces[int(hit.surface[i])].locate(hit.u[i : i + 1], hit.v[i : i + 1])
        world = point[0] @ solid.solid_from_world + solid.position
        assert np.allclose(world, o[i] + t[i] * d[i], atol=1e-6)
        cosine = -(normal[0] @ solid.solid_from_world) @ d[i] / np.linalg.norm(d[i])
        assert cosine == pytest.approx(hit.cosine[i], abs=1e-6)


def test_depth_is_along_the_axis_and_exact() -> None:
    """Straight down from 2 m every ground pixel has depth 2, and the top of a ball of 0.3 m has 2 - 0.6."""
    scene = scene_of(box((-3, -3, -0.1), (3, 3, 0), grey, 0.1), ball((0, 0, 0.3), 0.3, grey, 0.1))
    down = Pose(np.diag([1.0, -1.0, -1.0]), np.array([0.0, 0.0, 2.0]))
    _, depth = scene.render(CAMERA, down, samples=1)
    assert depth[0, 0] == pytest.approx(2.0, abs=1e-6)
    row = (np.arange(60) + 0.5 - 30) / 70
    column = (np.arange(80) + 0.5 - 40) / 70
    y, x = np.meshgrid(row, column, indexing="ij")
    # Ray (x, y, 1) t from the eye, the ball's centre at depth 1.7: t^2 (1 + r2) - 3.4 t + 1.7^2 - 0.09 = 0.
    r2 = x * x + y * y
    inner = 1.7**2 - (1 + r2) * (1.7**2 - 0.09)
    expected = np.where(inner > 0, (1.7 - np.sqrt(np.maximum(inner, 0))) / (1 + r2), 2.0)
    assert np.allclose(depth, expected, atol=1e-5)


@pytest.mark.parametrize("k1", [0.0, -0.12])
def test_known_points_land_where_the_camera_says(k1: float) -> None:
    """White discs on the floor and on a wall: the centre of light of each is the projection of its centre."""
    spots = [(0.4, -0.3, 0.0), (-0.7, 0.2, 0.0), (0.5, 1.0, 0.6), (-0.4, 1.0, 0.3)]
    floor = box((-2, -2, -0.1), (2, 2, 0), spotted(*spots), 0.01, seen="+z")  # type: ignore[arg-type]
    wall = box((-2, 1.0, 0), (2, 1.2, 2), spotted(*spots), 0.01, seen="-y")  # type: ignore[arg-type]
    scene = scene_of(floor, wall)
    camera = phone_camera(320, 240, k1)
    pose = look_at(np.array([0.3, -2.2, 1.3]), np.array([0, 0.2, 0.2]), 0.05)
    picture, depth = scene.render(camera, pose, samples=9)
    light = linear_from_srgb(picture[..., 0] / 255)
    rows, columns = np.mgrid[:240, :320] + 0.5
    for spot in spots:
        u, v = camera.project(pose.apply(spot))
        near = (np.hypot(columns - u, rows - v) < 14) * light
        assert near.sum() > 5
        centre = np.array([(near * columns).sum(), (near * rows).sum()]) / near.sum()
        # A disc's centre is not exactly the centre of its picture; at 3 m and 6 cm that is under 0.1 px.
        assert np.allclose(centre, [u, v], atol=0.15)
        assert depth[int(v), int(u)] == pytest.approx(pose.apply(spot)[2], abs=0.02)


def test_two_views_see_the_same_colours() -> None:
    """What one view sees, carried by its depth into another view, has the same colour there."""
    scene = synthetic_scene("minimal")
    a, b = views(scene, count=16, width=160, height=120)[:2]
    rows, columns = np.mgrid[:120, :160] + 0.5
    plane = a[0].unproject(np.stack([columns, rows], -1))
    in_a = np.concatenate([plane, np.ones((120, 160, 1))], -1) * a[3][..., None]
    in_b = b[1].apply(a[1].inverse().apply(in_a))
    u, v = np.moveaxis(b[0].project(in_b), -1, 0)
    seen = (u > 1) & (u < 158) & (v > 1) & (v < 118)
    i, j = v[seen].astype(int), u[seen].astype(int)
    visible = np.abs(b[3][i, j] / in_b[seen][:, 2] - 1) < 0.01
    difference = np.abs(a[2][seen][visible].astype(int) - b[2][i, j][visible].astype(int))
    assert visible.mean() > 0.6
    # Half a pixel of rounding and the pixel's own blur remain; wrong poses or depths give a median of 25 and more.
    assert np.median(difference) < 6


def test_shadows_and_open_ground() -> None:
    """Under a table no sun arrives; far from it all of it does, and its share is the cosine."""
    top = box((-0.5, -0.5, 0.4), (0.5, 0.5, 0.5), grey, 0.1)
    points = np.array([[0, 0, 0], [0.45, 0.3, 0], [3, 0, 0]], np.float32)
    up = np.tile(np.array([[0, 0, 1]], np.float32), (3, 1))
    direct = NOON.direct(points, up, [top])
    assert np.allclose(direct[:2], 0) and np.allclose(direct[2], NOON.sun_rgb)
    slanted = np.array([[0.0, 0.6, 0.8]], np.float32)
    assert np.allclose(NOON.direct(points[2:], slanted, [top]), 0.8 * np.array(NOON.sun_rgb))
    ambient = NOON.ambient(points, up, [top])
    assert (ambient[0] < 0.7 * ambient[2]).all()


def test_a_sky_gives_light_of_its_own() -> None:
    scene = scene_of(dome(20.0, grey, 0.5))
    picture, depth = scene.render(CAMERA, look_at(np.zeros(3), np.array([1.0, 0, 0.8])), samples=1)
    assert (picture == srgb_from_linear(0.4)).all()
    assert depth.max() == pytest.approx(20.0, abs=0.01)


def test_nothing_is_black_and_has_no_depth() -> None:
    scene = scene_of(ball((5, 0, 0), 0.5, grey, 0.1))
    picture, depth = scene.render(CAMERA, look_at(np.zeros(3), np.array([1.0, 0, 0])))
    assert picture[0, 0].max() == 0 and depth[0, 0] == 0
    assert depth[30, 40] == pytest.approx(4.5, abs=0.01)
    assert scene.render(CAMERA, look_at(np.zeros(3), np.array([-1.0, 0, 0])))[0].max() == 0
    with pytest.raises(ValueError, match="square"):
        scene.render(CAMERA, Pose.identity(), samples=5)


def test_the_same_seed_gives_the_same_bytes() -> None:
    pose = orbit_cameras(synthetic_scene("minimal"), 4, seed=1)[1]
    again = synthetic_scene.__wrapped__("minimal", 0)
    first = synthetic_scene("minimal").render(CAMERA, pose)
    assert np.array_equal(first[0], again.render(CAMERA, pose)[0])
    assert np.array_equal(first[1], again.render(CAMERA, pose)[1])
    assert not np.array_equal(first[0], synthetic_scene("minimal", 1).render(CAMERA, pose)[0])
    with pytest.raises(ValueError, match="terrace"):
        synthetic_scene("atlantis")


def test_a_walk_stays_in_its_range_and_upright() -> None:
    scene = synthetic_scene("minimal")
    poses = orbit_cameras(scene, 40)
    eyes = np.array([p.origin_in_source for p in poses])
    radius = np.hypot(*eyes[:, :2].T)
    assert radius.min() >= scene.stand_m[0] and radius.max() <= scene.stand_m[1]
    assert radius.std() > 0.02
    assert np.abs(eyes[:20, 2] - scene.heights_m[0]).max() < 0.4 < 0.2 + np.ptp(eyes[:, 2])
    for pose in poses:
        assert np.allclose(pose.rotation @ pose.rotation.T, np.eye(3), atol=1e-12)
        assert pose.rotation[1, 2] < -0.8  # the camera's +y, down, points to the ground
        in_cam = pose.apply(scene.focus)
        assert np.hypot(*in_cam[:2]) < 0.15 * in_cam[2]


def test_written_footage_and_its_truth(tmp_path: Path) -> None:
    heard: list[Event] = []
    truth = write_synthetic_footage(tmp_path, 5, 96, 72, place="minimal", k1=-0.05, on_event=heard.append)
    files = sorted(p.name for p in tmp_path.iterdir())
    assert files == [f"frame_{i:04d}.jpg" for i in range(1, 6)] + ["truth.json"]
    with Image.open(tmp_path / "frame_0003.jpg") as photo:
        assert photo.size == (96, 72)
        assert photo.getexif().get_ifd(0x8769)[41989] == 26
        pixels = np.asarray(photo).astype(int)
    exact, _ = synthetic_scene("minimal").render(truth.camera, truth.cam_from_world["frame_0003.jpg"])
    assert np.abs(pixels - exact).mean() < 3  # JPEG at quality 95
    # 26 mm on a diagonal of 43.27 mm, 120 px here.
    assert truth.camera.fx == pytest.approx(26 / 43.2666 * 120, rel=1e-5)
    read = read_truth(tmp_path)
    assert read.camera == truth.camera and read.size_m == truth.size_m
    for name, pose in truth.cam_from_world.items():
        assert np.allclose(read.cam_from_world[name].matrix(), pose.matrix(), atol=1e-12)
    assert isinstance(heard[0], Started) and isinstance(heard[-1], Finished)
    progress = [e for e in heard if isinstance(e, Progressed)]
    assert len(progress) == 6 and progress[-1].done == progress[-1].total == heard[0].total
    with pytest.raises(ValueError, match=r"\.jpg or \.png"):
        write_synthetic_footage(tmp_path, 1, suffix=".bmp")


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"version": 9}', '{"version": 1, "camera": {"model": "X"}}', "[" * 99999]
)
def test_a_truth_that_is_not_ours_gets_a_sentence(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_truth(tmp_path)
    (tmp_path / "truth.json").write_text(content)
    with pytest.raises(InputError, match=r"truth\.json is "):
        read_truth(tmp_path)


def test_agreement_is_blind_to_a_similarity_and_sees_errors() -> None:
    truth = {f"{i}": p for i, p in enumerate(orbit_cameras(synthetic_scene("minimal"), 12))}
    other_from_world = Sim3(3.7, tilted(), np.array([1.0, -2.0, 5.0]))
    estimated = {n: other_from_world.transform_camera(p) for n, p in truth.items()}
    same = compare_cameras({**estimated, "unknown": Pose.identity()}, truth)
    assert same.count == 12
    assert same.max_rotation_rad < 1e-12 and same.max_position < 1e-12

    turned = dict(estimated)
    turned["3"] = Pose(rotation_z(math.radians(1)), np.zeros(3)) @ estimated["3"]
    assert math.degrees(compare_cameras(turned, truth).max_rotation_rad) == pytest.approx(1.0, abs=1e-9)
    centres = np.array([p.origin_in_source for p in truth.values()])
    size = 2 * np.linalg.norm(centres - centres.mean(0), axis=1).max()
    moved = dict(truth)
    moved["5"] = Pose(truth["5"].rotation, truth["5"].translation + 0.01 * size * np.array([0, 0, 1.0]))
    # One camera of twelve moved: the fit follows it a little.
    assert 0.008 < compare_cameras(moved, truth).max_position <= 0.01
    with pytest.raises(ValueError, match="three"):
        compare_cameras({"0": truth["0"]}, truth)


def test_noise_keeps_to_its_band() -> None:
    """Wavelengths 0.5 to 0.1 m at a spacing of 1 cm: nothing finer than the roll-off's end, half an octave on."""
    field = fractal(np.random.default_rng(0), (256, 200), (0.01, 0.01), 0.5, 0.1)
    assert field.mean() == pytest.approx(0, abs=1e-5) and field.std() == pytest.approx(1, abs=1e-5)
    power = np.abs(np.fft.fft2(field)) ** 2
    k = np.hypot(np.fft.fftfreq(256, 0.01)[:, None], np.fft.fftfreq(200, 0.01)[None])
    assert power[(k > 10 * 2**0.5) | (k < 2 / 2**0.5)].sum() < 1e-6 * power.sum()


def test_cells_against_every_distance() -> None:
    """The nearest seed by brute force: distance 0 is reached, borders are where two are equally near."""
    points = np.stack(np.meshgrid(np.linspace(3, 6, 61), np.linspace(3, 6, 61)), -1).astype(np.float32)
    near, gap, value = cells(np.random.default_rng(1), points)
    assert near.min() < 0.06 and near.max() < 1.3 and (gap >= 0).all()
    same = np.abs(np.diff(value, axis=1)) < 1e-7
    # Between neighbours 5 cm apart the distances to two seeds change by 5 cm each at most.
    assert (gap[:, 1:][~same] <= 0.1 + 1e-5).all() and same.mean() > 0.8


def test_textures_are_read_exactly() -> None:
    """A linear ramp is the same at every level away from the edges; a closed texture joins at its seam."""
    ramp = np.repeat(np.linspace(0, 1, 65, dtype=np.float32)[None, :, None], 33, 0).repeat(3, 2)
    wave = np.cos(np.linspace(0, 2 * np.pi, 65, dtype=np.float32))[None, :, None].repeat(33, 0).repeat(3, 2)
    atlas = Atlas.build([ramp, wave], [False, True], [0.01, 0.01])
    u = np.linspace(0.3, 0.7, 50, dtype=np.float32)
    v = np.full(50, 0.37, np.float32)
    zero, one = np.zeros(50, np.int32), np.ones(50, np.int32)
    for footprint in (0.001, 0.013, 0.04):
        read = atlas.read(zero, u, v, np.full(50, footprint, np.float32))
        assert np.allclose(read[:, 0], u, atol=1e-6)
    # (1, 2, 1) / 4 damps one wave in 64 texels by (1 + cos(2 pi / 64)) / 2, alike at the seam and elsewhere.
    ends = atlas.read(one[:2], np.array([0, 1], np.float32), v[:2], np.full(2, 0.02, np.float32))
    assert np.allclose(ends, (1 + math.cos(2 * math.pi / 64)) / 2, atol=1e-6)


def test_srgb_both_ways() -> None:
    codes = np.arange(256)
    assert np.array_equal(srgb_from_linear(linear_from_srgb(codes / 255)), codes)
