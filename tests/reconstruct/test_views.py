"""Views: sizes, masks, alpha and the words of --hold-out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from diorama.capture.camera import Camera
from diorama.capture.errors import InputError
from diorama.capture.transforms import Pose
from diorama.capture.types import Capture, Frame, PosedScene, PoseSummary, SparsePoints
from diorama.reconstruct.views import hold_out_names, load_views


def scene_of(tmp_path: Path, camera: Camera, files: dict[str, np.ndarray], masks: dict[str, np.ndarray]) -> PosedScene:
    images, mask_folder = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    mask_folder.mkdir()
    for name, pixels in files.items():
        PIL.Image.fromarray(pixels).save(images / name)
    for name, pixels in masks.items():
        PIL.Image.fromarray(pixels).save(mask_folder / f"{name}.png")
    frames = tuple(Frame(n, 1, mask=f"{n}.png" if n in masks else None) for n in files)
    capture = Capture(images, mask_folder, "photos", {1: camera}, {1: True}, frames)
    poses = {n: Pose(np.eye(3), np.array([float(i), 0, 0])) for i, n in enumerate(files)}
    return PosedScene(capture, {1: camera}, poses, SparsePoints.empty(), PoseSummary("test", None, 1))


def gradient(width: int, height: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], -1).astype(np.uint8)


PINHOLE = Camera.pinhole(80, 60, 70.0, 71.0, 41.0, 29.0)


def test_pictures_come_in_the_asked_order_at_the_asked_size(tmp_path: Path) -> None:
    pixels = gradient(80, 60)
    scene = scene_of(tmp_path, PINHOLE, {"a.png": pixels, "b.png": 255 - pixels}, {})
    second, first = load_views(scene, ["b.png", "a.png"], max_size_px=40)
    assert (first.name, second.name) == ("a.png", "b.png")
    assert first.rgb.shape == (30, 40, 3)
    assert first.mask is None
    assert first.camera == PINHOLE.scaled(40, 30)
    assert second.cam_from_world.translation[0] == 1.0
    assert np.allclose(first.rgb, pixels.reshape(30, 2, 40, 2, 3).mean((1, 3)), atol=1.01)  # rounded once per axis
    assert load_views(scene, ["a.png"])[0].rgb.tobytes() == pixels.tobytes()


def test_masks_and_alpha_hide_pixels(tmp_path: Path) -> None:
    rgba = np.dstack([gradient(80, 60), np.full((60, 80), 255, np.uint8)])
    rgba[:20, :, 3] = 0
    mask = np.full((60, 80), 255, np.uint8)
    mask[:, :10] = 0
    scene = scene_of(tmp_path, PINHOLE, {"a.png": rgba, "b.png": gradient(80, 60)}, {"a.png": mask})
    both, none = load_views(scene, ["a.png", "b.png"], max_size_px=40)
    assert none.mask is None
    assert both.mask is not None
    expected = np.full((30, 40), 255)
    expected[:10] = 0
    expected[:, :5] = 0
    assert np.array_equal(both.mask, expected)


def test_a_distorted_camera_is_straightened(tmp_path: Path) -> None:
    camera = Camera("SIMPLE_RADIAL", 200, 120, (150.0, 100.0, 60.0, -0.15))
    scene = scene_of(tmp_path, camera, {"a.png": gradient(200, 120)}, {})
    view = load_views(scene, ["a.png"], max_size_px=100)[0]
    assert view.camera.is_pinhole
    assert view.rgb.shape == (view.camera.height_px, view.camera.width_px, 3)
    x = np.array([10.5, 50.5, 90.5])
    rays = np.stack([(x - view.camera.cx) / view.camera.fx, np.zeros(3), np.ones(3)], -1)
    seen = camera.project(rays)[:, 0]
    middle = view.rgb[int(view.camera.cy), (x - 0.5).astype(int), 0]
    assert np.allclose(middle, seen * 255 / 200, atol=2.0)  # one source pixel is 1.3 grey levels


def test_unusable_pictures_are_named(tmp_path: Path) -> None:
    scene = scene_of(
        tmp_path, PINHOLE, {"a.png": gradient(80, 60), "b.png": gradient(40, 30), "c.png": gradient(80, 60)}, {}
    )
    with pytest.raises(InputError, match=r"b\.png is 40x30"):
        load_views(scene, ["b.png"])
    (scene.capture.images / "a.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"a\.png cannot be read"):
        load_views(scene, ["a.png"])
    (scene.capture.images / "c.png").unlink()
    with pytest.raises(InputError, match=r"c\.png is missing"):
        load_views(scene, ["c.png"])


NAMES = [f"sub/DJI_{i:04d}.jpg" for i in range(18)]


def test_every_eighth() -> None:
    assert hold_out_names(NAMES, "every:8") == [NAMES[0], NAMES[8], NAMES[16]]
    assert hold_out_names(NAMES, "none") == []
    assert hold_out_names(NAMES[:3], "every:8") == []
    assert hold_out_names(NAMES[:4], "every:8") == NAMES[:1]


def test_names_may_be_short() -> None:
    assert hold_out_names(NAMES, "DJI_0003, sub/DJI_0001.jpg") == [NAMES[1], NAMES[3]]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("DJI_0099", "DJI_0009"),
        ("every:1", "nothing to train"),
        ("every:0", "nothing"),
        (",".join(NAMES), "no frame to train"),
    ],
)
def test_a_wrong_hold_out_is_one_clear_sentence(spec: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        hold_out_names(NAMES, spec)


def test_an_ambiguous_name_is_refused() -> None:
    with pytest.raises(InputError, match="could be"):
        hold_out_names(["a/x.jpg", "b/x.jpg", "c/y.jpg"], "x.jpg")
