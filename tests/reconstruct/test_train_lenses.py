"""Training on pictures as a lens drew them: what is photographed through it is learned, and shown by any camera."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diorama.capture.camera import Camera
from diorama.capture.errors import InputError
from diorama.capture.types import PosedScene
from diorama.kernels import View
from diorama.reconstruct.evaluate import EvaluateConfig, evaluate_splats
from diorama.reconstruct.train import TrainConfig, train_splats
from diorama.reconstruct.train.nearness import EVERY, LARGEST, Nearness
from diorama.reconstruct.train.table import LOG_SCALE, MEAN
from diorama.reconstruct.views import load_views, view_camera
from diorama.render.metrics import psnr
from diorama.render.rasterize import rasterize
from diorama.render.synthetic import orbit_cameras, phone_camera, posed_scene, synthetic_scene

PINHOLE = phone_camera(64, 48)
FOCAL = PINHOLE.fx
AROUND = 2 * round(math.pi * FOCAL)
LENSES = {
    "pinhole": PINHOLE,
    "opencv": Camera("OPENCV", 64, 48, (FOCAL, FOCAL, 32, 24, -0.2, 0.03, 0.002, -0.001)),
    "fisheye": Camera("OPENCV_FISHEYE", 150, 150, (FOCAL, FOCAL, 75, 75, 0, 0, 0, 0)),
    "equirectangular": Camera.equirectangular(AROUND, AROUND // 2),
}
CONFIG = TrainConfig(steps=1_500, max_size_px=None, max_splats=12_000, hold_out="none", backend="cpu")


@pytest.mark.slow
def test_every_lens_learns_what_a_pinhole_learns(tmp_path: Path) -> None:
    """Held-out pinhole views after training on each lens's own pictures, by raw PSNR.

    Radial distortion costs 0.0 to 0.5 dB, a fisheye 1.3, a panorama 2.1 (measured by bench/lenses.py): these two show
    several times as much of the place with the same number of splats.
    """
    place = synthetic_scene("minimal", 0)
    walk = orbit_cameras(place, 40)
    scores: dict[str, float] = {}
    points = None
    for name, camera in LENSES.items():
        scene = posed_scene(place, camera, walk[::2], tmp_path / name, samples=4)
        points = points or scene.points
        config = replace(CONFIG, lens="original")
        result = train_splats(replace(scene, points=points), tmp_path / f"{name}_out", config)
        drawn = [rasterize(result.splats, PINHOLE, pose, backend="cpu").rgb for pose in walk[1::4]]
        truth = [place.render(PINHOLE, pose)[0].astype(np.float32) / 255 for pose in walk[1::4]]
        scores[name] = float(np.mean([psnr(np.clip(a, 0, 1), b) for a, b in zip(drawn, truth, strict=True)]))
    assert scores["pinhole"] > 27
    assert scores["opencv"] > scores["pinhole"] - 0.6, scores
    assert scores["fisheye"] > scores["pinhole"] - 2.5, scores
    assert scores["equirectangular"] > scores["pinhole"] - 3.5, scores


def small(tmp_path: Path, camera: Camera, views: int = 6) -> PosedScene:
    place = synthetic_scene("minimal", 0)
    return posed_scene(place, camera, orbit_cameras(place, views), tmp_path, points=600, samples=1)


def test_which_photos_are_straightened(tmp_path: Path) -> None:
    opencv, fisheye = LENSES["opencv"], LENSES["fisheye"]
    assert view_camera(opencv).is_pinhole and view_camera(opencv, lens="original") == opencv
    assert view_camera(fisheye) == fisheye and view_camera(fisheye, lens="straight").is_pinhole
    assert view_camera(fisheye, 75).width_px == 75
    scene = small(tmp_path, fisheye, 2)
    (whole,) = load_views(scene, ["frame_0001.png"])
    assert whole.camera == fisheye and whole.rgb.shape == (150, 150, 3) and whole.mask is None
    folds = replace(scene, cameras={1: Camera("OPENCV_FISHEYE", 150, 150, (FOCAL, FOCAL, 75, 75, -0.1, 0, 0, 0))})
    (cut,) = load_views(folds, ["frame_0001.png"])
    assert cut.mask is not None and cut.mask[75, 75] and not cut.mask[0, 0], "corners that the polynomial never reaches"


def test_a_panorama_is_trained_and_evaluated_as_it_is(tmp_path: Path) -> None:
    scene = small(tmp_path / "in", Camera.equirectangular(64, 32))
    config = replace(CONFIG, steps=200, max_splats=800)
    with pytest.raises(InputError, match="five sixths"):
        train_splats(scene, tmp_path / "straight", replace(config, lens="straight"))
    result = train_splats(scene, tmp_path / "out", config)
    assert result.history["loss"][-1] < 0.3
    told = evaluate_splats(scene, result.splats, ["frame_0002.png"], EvaluateConfig(train_views=1, pictures=0))
    assert told.psnr_db is not None and told.psnr_db > 12  # a flat grey picture has 8 to 10


def test_no_splat_is_larger_than_its_distance_allows() -> None:
    class Table:
        def __init__(self, rows: np.ndarray) -> None:
            self.table, self.count = rows, len(rows)

        def column(self, columns: slice) -> np.ndarray:
            return self.table[:, columns]

        def rows(self, index: np.ndarray) -> np.ndarray:
            return self.table[index]

        def replace(self, index: np.ndarray, rows: np.ndarray) -> None:
            self.table[index] = rows

    rows = np.zeros((3, 59), np.float32)
    rows[:, MEAN] = [[0, 0, 2], [0, 0, 200], [0, 0, 0]]
    rows[:, LOG_SCALE] = 0.0
    panorama = View.equirectangular(64, 32, np.eye(3, 4))
    straight = View(64, 32, 50.0, 50.0, 32.0, 16.0, np.eye(3, 4, dtype=np.float32))
    for views, expected in (([panorama, straight], 2 * LARGEST), ([straight], 1.0)):
        table = Table(rows.copy())
        Nearness(views, 100).after_step(table, EVERY)  # type: ignore[arg-type]
        assert np.allclose(np.exp(table.table[0, LOG_SCALE]), expected)
        assert np.allclose(np.exp(table.table[1, LOG_SCALE]), 1.0), "far enough for its size"
    Nearness([panorama], 100).after_step(table, EVERY + 1)  # type: ignore[arg-type]
    assert np.allclose(table.table, rows), "looked at every so many steps only"
