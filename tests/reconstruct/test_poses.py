"""Poses from pictures, end to end: a small ray-traced corner of a room with exact truth, footage that cannot work, and
a real portal with published ground truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from diorama.capture.camera import Camera
from diorama.capture.errors import InputError
from diorama.capture.events import Event, Progressed, Warned
from diorama.capture.transforms import Pose
from diorama.capture.types import Capture, Frame, Quality
from diorama.reconstruct.poses import PoseConfig, estimate_poses
from diorama.reconstruct.poses.estimate import _is_sound, has_panoramas
from diorama.render.synthetic import compare_cameras

FAST = PoseConfig(threads=2, max_features=1000)
CAMERA = Camera.pinhole(320, 240, 300, 300, 160, 120)
ROOM_M = 4.0


def looking(centre: np.ndarray, focus: np.ndarray) -> Pose:
    forward = (focus - centre) / np.linalg.norm(focus - centre)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return Pose(rotation, -rotation @ centre)


def texture(seed: int, size: int = 512) -> np.ndarray:
    """Noise with detail at several scales, (size, size, 3) uint8."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size, size, 3))
    for cells in (16, 48, 128):
        noise = PIL.Image.fromarray(rng.integers(0, 256, (cells, cells, 3), np.uint8))
        total += np.asarray(noise.resize((size, size), PIL.Image.Resampling.BICUBIC), float)
    return np.asarray(np.clip((total / 3 - 128) * 2 + 128, 0, 255), np.uint8)


def room_picture(pose: Pose, textures: list[np.ndarray]) -> np.ndarray:
    """What a camera sees of the planes x = 0, y = 0 and z = 0: exact ray casting, four rays a pixel."""
    big = CAMERA.scaled(640, 480)
    v, u = np.mgrid[0:480, 0:640] + 0.5
    rays = np.stack([(u - big.cx) / big.fx, (v - big.cy) / big.fy, np.ones_like(u)], -1) @ pose.rotation
    centre = pose.origin_in_source
    with np.errstate(divide="ignore", invalid="ignore"):
        t = -centre / rays
    t = np.where(np.isfinite(t) & (t > 0), t, np.inf)
    axis = np.argmin(t, axis=-1)
    near = np.minimum(np.take_along_axis(t, axis[..., None], -1), 1e3)
    hit = centre + near * rays
    picture = np.zeros((480, 640, 3))
    for k in range(3):
        rest = [i for i in range(3) if i != k]
        ij = np.clip(np.nan_to_num(hit[..., rest]) / ROOM_M, 0, 0.999) * len(textures[k])
        picture = np.where((axis == k)[..., None], textures[k][ij[..., 0].astype(int), ij[..., 1].astype(int)], picture)
    return np.asarray(picture.reshape(240, 2, 320, 2, 3).mean((1, 3)), np.uint8)


def make_capture(folder: Path, pictures: list[np.ndarray], prior: bool = True) -> Capture:
    images = folder / "images"
    images.mkdir(parents=True)
    frames = tuple(Frame(f"shot {k:02d}.png", 7) for k in range(len(pictures)))
    for frame, picture in zip(frames, pictures, strict=True):
        PIL.Image.fromarray(picture).save(images / frame.name)
    return Capture(images, folder / "masks", "photos", {7: CAMERA}, {7: prior}, frames, given=len(frames))


TRUTH = [
    looking(np.array([2.2 * np.cos(a) + 0.6, 2.2 * np.sin(a) + 0.6, 1.3 + 0.25 * (k % 2)]), np.array([0.7, 0.7, 0.6]))
    for k, a in enumerate(np.linspace(0.35, 1.25, 8))
]


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    textures = [texture(k) for k in range(3)]
    return [room_picture(pose, textures) for pose in TRUTH]


def test_a_room_comes_out_where_it_is(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    """Key points good to about 0.2 px at a focal length of 300 px, hundreds of them: 0.1 degrees, with room."""
    heard: list[Event] = []
    capture = make_capture(tmp_path, pictures)
    scene = estimate_poses(capture, tmp_path / "out", PoseConfig(threads=2), on_event=heard.append)
    agreement = compare_cameras(scene.cam_from_world, {f.name: p for f, p in zip(capture.frames, TRUTH, strict=True)})
    assert agreement.count == 8
    assert np.degrees(agreement.median_rotation_rad) < 0.2
    assert agreement.median_position < 0.005
    # Upright, on the floor.
    up = agreement.truth_from_estimated.rotation @ [0, 0, 1]
    assert np.degrees(np.arccos(up[2])) < 0.5
    assert abs(agreement.truth_from_estimated.apply([0, 0, 0])[2]) < 0.02
    assert scene.up_source == "ground plane"
    assert not scene.is_metric
    # What goes with it.
    assert scene.summary.mapper == "incremental"
    assert scene.summary.reprojection_error_px is not None
    assert scene.summary.reprojection_error_px < 1
    assert scene.summary.components == 1
    assert len(scene.summary.attempts) == 1
    assert set(scene.cameras) == {7}
    assert scene.cameras[7].fx == pytest.approx(300, rel=0.02)
    assert set(scene.visible) == set(scene.cam_from_world)
    for name, seen in scene.visible.items():
        pixels = scene.cameras[7].project(scene.cam_from_world[name].apply(scene.points.xyz[seen]))
        assert np.all((pixels > -2) & (pixels < [322, 242]))
    assert scene.points.rgb_srgb.std() > 10
    assert not (tmp_path / "out" / "work").exists()
    done = [e.done / e.total for e in heard if isinstance(e, Progressed) and e.total]
    assert done == sorted(done)
    assert any("matching" in e.detail for e in heard if isinstance(e, Progressed))


def test_strangers_among_the_frames_are_named(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    other, black = texture(99)[:240, :320], np.zeros((240, 320, 3), np.uint8)
    capture = make_capture(tmp_path, [*pictures, other, black])
    frames = list(capture.frames)
    frames[9] = replace(frames[9], quality=Quality(0.0, 1.0, 1.0, 0.0))
    capture = replace(capture, frames=tuple(frames))
    scene = estimate_poses(capture, tmp_path / "out", replace(FAST, attempts=1))
    assert len(scene.registered) == 8
    reasons = {r.name: r.reason for r in scene.unregistered}
    assert "no overlap" in reasons["shot 08.png"]
    assert "too few features (0" in reasons["shot 09.png"]
    assert "too dark" in reasons["shot 09.png"]
    assert "2 frames not registered" in scene.summary.attempts[0]


def test_the_global_mapper_and_retrieval_agree_with_the_truth(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    capture = make_capture(tmp_path, pictures[:6])
    config = replace(FAST, mapper="global", matching="retrieval", camera_model="RADIAL")
    scene = estimate_poses(capture, tmp_path / "out", config)
    agreement = compare_cameras(scene.cam_from_world, {f.name: p for f, p in zip(capture.frames, TRUTH, strict=False)})
    assert agreement.count == 6
    assert np.degrees(agreement.median_rotation_rad) < 0.3
    assert (scene.summary.mapper, scene.cameras[7].model) == ("global", "RADIAL")


def test_the_same_seed_on_one_thread_gives_the_same_poses(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    capture = make_capture(tmp_path, pictures[:5])
    scenes = [
        estimate_poses(capture, tmp_path / n, PoseConfig(threads=1, seed=4, max_features=1000)) for n in ("a", "b")
    ]
    for name, pose in scenes[0].cam_from_world.items():
        np.testing.assert_array_equal(pose.matrix(), scenes[1].cam_from_world[name].matrix())
    np.testing.assert_array_equal(scenes[0].points.xyz, scenes[1].points.xyz)


@pytest.mark.parametrize("damaged", [False, True])
def test_a_stopped_run_goes_on(tmp_path: Path, pictures: list[np.ndarray], damaged: bool) -> None:
    capture = make_capture(tmp_path, pictures[:5])
    out = tmp_path / "out"

    def stop_at_matching(event: Event) -> None:
        if isinstance(event, Progressed) and "matching" in event.detail:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        estimate_poses(capture, out, FAST, on_event=stop_at_matching)
    (database,) = (out / "work").rglob("database.db")
    if damaged:
        for path in database.parent.glob("database.db-*"):
            path.unlink()
        database.write_bytes(database.read_bytes()[:3000] + b"\xff" * 5000)
        assert not _is_sound(database)
    before = database.stat().st_ino
    seen: list[int] = []

    def watch(event: Event) -> None:
        if isinstance(event, Progressed) and database.exists():
            seen.append(database.stat().st_ino)
        assert not isinstance(event, Warned)

    scene = estimate_poses(capture, out, FAST, on_event=watch)
    assert len(scene.registered) == 5
    if not damaged:
        assert set(seen) == {before}


def test_masked_pixels_have_no_features(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    """The left half is hidden: no point may come from there. One mask is a PNG, the others are not."""
    capture = make_capture(tmp_path, pictures[2:7])
    capture.masks.mkdir()
    frames = []
    for k, frame in enumerate(capture.frames):
        name = f"hide_{k}.{'png' if k == 0 else 'bmp'}"
        mask = np.full((240, 320), 255, np.uint8)
        mask[:, :160] = 0
        PIL.Image.fromarray(mask).save(capture.masks / name)
        frames.append(replace(frame, mask=name))
    capture = replace(capture, frames=tuple(frames))
    scene = estimate_poses(capture, tmp_path / "out", replace(FAST, attempts=1))
    assert len(scene.registered) >= 4
    for name, seen in scene.visible.items():
        pixels = scene.cameras[7].project(scene.cam_from_world[name].apply(scene.points.xyz[seen]))
        assert np.all(pixels[:, 0] > 158)  # reprojection errors of up to 2 px


Pictures = Callable[[], list[np.ndarray]]


def copies() -> list[np.ndarray]:
    """One picture eight times, with a hand's shake and a sensor's noise."""
    rng, big = np.random.default_rng(0), texture(5)
    shots = [big[j : j + 240, i : i + 320].astype(int) for i, j in rng.integers(0, 2, (8, 2))]
    return [np.clip(s + rng.normal(0, 3, s.shape), 0, 255).astype(np.uint8) for s in shots]


def strangers() -> list[np.ndarray]:
    return [texture(20 + k)[:240, :320] for k in range(5)]


def bare_walls() -> list[np.ndarray]:
    return [np.full((240, 320, 3), 200 + k, np.uint8) for k in range(5)]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (copies, "near-copies"),
        (strangers, "no overlap"),
        (bare_walls, "almost nothing to hold on to"),
        (lambda: [texture(1)[:240, :320]], "1 picture is not enough"),
    ],
)
def test_footage_that_cannot_work_gets_one_sentence(tmp_path: Path, make: Pictures, says: str) -> None:
    capture = make_capture(tmp_path, make())
    with pytest.raises(InputError, match=says) as caught:
        estimate_poses(capture, tmp_path / "out", replace(FAST, attempts=2))
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_lund_door_agrees_with_its_ground_truth(tmp_path: Path, footage: Path) -> None:
    from diorama.capture.colmap import read_model
    from diorama.capture.ingest import ingest

    folder = footage / "photos" / "lund_door"
    capture = ingest([folder / "images"], tmp_path / "frames").capture
    scene = estimate_poses(capture, tmp_path / "out")
    assert len(scene.registered) == 12
    by_source = {f.name: Path(f.source or f.name).stem for f in capture.frames}
    truth = {Path(i.name).stem: i.cam_from_world for i in read_model(folder / "colmap_ground_truth").images}
    found = {by_source[name]: pose for name, pose in scene.cam_from_world.items()}
    agreement = compare_cameras(found, truth)
    print(f"rotation {np.degrees(agreement.median_rotation_rad):.3f} degrees, position {agreement.median_position:.4%}")
    assert agreement.count == 12
    assert np.degrees(agreement.median_rotation_rad) < 0.5
    assert agreement.median_position < 0.005


def test_panoramas_are_refused_in_one_sentence(tmp_path: Path) -> None:
    """By what the camera says, and by what a Photo Sphere has written into its file."""
    picture = np.zeros((64, 128, 3), np.uint8)
    capture = make_capture(tmp_path / "a", [picture] * 4)
    assert not has_panoramas(capture)
    with (capture.images / "shot 00.png").open("ab") as file:
        file.write(b"<GPano:ProjectionType>equirectangular</GPano:ProjectionType>")
    assert has_panoramas(capture)
    with pytest.raises(InputError, match="360 degrees"):
        estimate_poses(capture, tmp_path / "out")
    given = replace(make_capture(tmp_path / "b", [picture] * 4), cameras={7: Camera.equirectangular(128, 64)})
    assert has_panoramas(given)
