"""Training on pictures as a lens drew them: what is photographed through it is learned, and shown by any camera."""

from __future__ import annotations

import importlib.util
import math
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from diorama.capture.camera import Camera
from diorama.capture.errors import InputError
from diorama.capture.types import PosedScene
from diorama.kernels import View
from diorama.reconstruct.evaluate import EvaluateConfig, evaluate_splats
from diorama.reconstruct.train import TrainConfig, train_splats
from diorama.reconstruct.train.backends import Shot, StepSettings, Target, open_backend
from diorama.reconstruct.train.nearness import EVERY, LARGEST, Nearness
from diorama.reconstruct.train.table import LOG_SCALE, MEAN, QUAT
from diorama.reconstruct.views import load_views, view_camera
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


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    program = Path(__file__).parents[2] / "bench" / "lenses.py"
    spec = importlib.util.spec_from_file_location("bench_lenses", program)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_every_lens_learns_what_pinholes_learn(tmp_path: Path, bench: ModuleType) -> None:
    """Within 0.3 dB, by held-out views: bench/lenses.py as it runs by itself, which says what is compared and why."""
    found = bench.Bench(synthetic_scene("terrace", 0), 64, 24, bench.config_for(2_000, 20_000), tmp_path).run()
    assert found["pinhole"].lens.pinhole_db > 29
    for name in ("opencv", "fisheye", "equirectangular"):
        assert found[name].own_db >= -bench.TARGET_DB, (name, found)
        assert found[name].views_db >= -bench.TARGET_DB, (name, found)


@pytest.mark.slow
def test_a_panorama_keeps_up_where_training_goes_further(tmp_path: Path, bench: ModuleType) -> None:
    """The harder setting of docs/benchmarks.md, "Lenses": all round, too, floor and ceiling included."""
    config = bench.faster(bench.config_for(1_500, 20_000), 2.4)
    place = synthetic_scene("terrace", 0)
    found = bench.Bench(place, 64, 24, config, tmp_path, "rig").run(("equirectangular",))["equirectangular"]
    assert found.own_db >= -bench.TARGET_DB and found.views_db >= -bench.TARGET_DB, found
    assert found.lens.round_db[0] - found.rig.round_db[0] >= -bench.TARGET_DB, found


def test_a_rig_sees_what_its_lens_sees(bench: ModuleType) -> None:
    """Solid angles: a sphere; a square of pi by pi in the fisheye's angles, whose corners are beyond a half sphere."""
    cameras = bench.lenses(PINHOLE)
    for name in ("fisheye", "equirectangular"):
        whole = sum(float(p.weights.sum()) for p in bench.rig(cameras[name]))
        own = float(bench.single(cameras[name])[0].weights.sum())
        assert own == pytest.approx(whole, rel=0.01), "pixels on the rim are in or out; worst seen 0.4 %"
    assert own == pytest.approx(4 * math.pi, rel=1e-3)


def test_native_and_twin_take_the_same_steps_on_a_panorama() -> None:
    """Whose rows count for less towards the poles."""
    rng = np.random.default_rng(2)
    view = View.equirectangular(64, 32, np.eye(3, 4))
    target = Target(view, rng.integers(0, 255, (32, 64, 3), np.uint8), None)
    rows = np.zeros((60, 59), np.float32)
    rays = rng.standard_normal((60, 3))
    rows[:, MEAN] = 3 * rays / np.linalg.norm(rays, axis=1, keepdims=True)
    rows[:, QUAT] = rng.standard_normal((60, 4))
    rows[:, LOG_SCALE] = np.log([0.3, 0.25, 0.2])  # how balls are turned would be rounding
    native, twin = (open_backend(name, rows, [target], 60, statistics=False) for name in ("cpu", "torch"))
    settings = StepSettings(1, 1e-3, 1e-3, 5e-3, 5e-2, 2.5e-3, 1.25e-4, 0, 0.2, (0.2, 0.5, 0.7), 0.0, 0.0)
    for backend in (native, twin):
        backend.step([Shot(0, view)], settings)
    assert native.take_loss() == pytest.approx(twin.take_loss(), rel=1e-5)
    ours, theirs = native.state()["exp_avg"], twin.state()["exp_avg"]
    scale = np.abs(theirs).max(axis=0) + 1e-12
    gap = np.abs(ours - theirs) - 2**-7 * np.abs(theirs)  # ours are kept as bfloat16
    assert (gap / scale).max() < 2e-3  # float32 sums over up to some hundred pixels


@pytest.mark.parametrize("name", ["cpu", "torch"])
def test_splats_held_to_their_distance_go_on_learning(name: str) -> None:
    """Their moments stay: Adam's first steps from nothing would be three times too large, every time they are held."""
    rng = np.random.default_rng(2)
    view = View.equirectangular(32, 16, np.eye(3, 4))
    rows = np.zeros((40, 59), np.float32)
    rows[:, MEAN], rows[:, QUAT] = rng.standard_normal((40, 3)), rng.standard_normal((40, 4))
    rows[:, LOG_SCALE] = math.log(0.25)
    backend = open_backend(
        name, rows, [Target(view, rng.integers(0, 255, (16, 32, 3), np.uint8), None)], 40, statistics=False
    )
    backend.step([Shot(0, view)], StepSettings(1, *[1e-3] * 6, 0, 0.2, (0.2, 0.5, 0.7), 0.0, 0.0))
    before = backend.state()
    Nearness([view], 100).after_step(backend, EVERY)
    after = backend.state()
    assert (after["rows"][:, LOG_SCALE] < before["rows"][:, LOG_SCALE] - 0.1).any()
    assert np.array_equal(after["rows"][:, MEAN], before["rows"][:, MEAN])
    assert before["exp_avg"].any() and np.array_equal(after["exp_avg"], before["exp_avg"])
    assert np.array_equal(after["exp_avg_sq"], before["exp_avg_sq"])


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

        def adjust(self, index: np.ndarray, rows: np.ndarray) -> None:
            self.table[index] = rows

    rows = np.zeros((3, 59), np.float32)
    rows[:, MEAN] = [[0, 0, 2], [0, 0, 200], [0, 0, 0]]
    rows[:, LOG_SCALE] = 0.0
    panorama = View.equirectangular(64, 32, np.eye(3, 4))
    straight = View(64, 32, 50.0, 50.0, 32.0, 16.0, np.eye(3, 4, dtype=np.float32))
    fisheye = View(32, 32, 10.0, 10.0, 16.0, 16.0, np.eye(3, 4, dtype=np.float32), "fisheye")
    for views, expected in (([panorama, straight], 2 * LARGEST), ([fisheye], 2 * LARGEST), ([straight], 1.0)):
        table = Table(rows.copy())
        Nearness(views, 100).after_step(table, EVERY)  # type: ignore[arg-type]
        assert np.allclose(np.exp(table.table[0, LOG_SCALE]), expected)
        assert np.allclose(np.exp(table.table[1, LOG_SCALE]), 1.0), "far enough for its size"
    Nearness([panorama], 100).after_step(table, EVERY + 1)  # type: ignore[arg-type]
    assert np.allclose(table.table, rows), "looked at every so many steps only"
