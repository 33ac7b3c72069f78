"""Trainings to follow: one that only pretends, and a real one of a tiny scene."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose
from diorama.capture.types import Capture, Frame, PosedScene, PoseSummary, SparsePoints
from diorama.reconstruct.train import Box, Start, TrainConfig, TrainResult, Watched, train_splats
from diorama.render.rasterize import rasterize
from diorama.render.splats import SH_C0, Splats
from diorama.viewer.live import LiveEndpoint

from .conftest import ring, synthetic_splats


class FakeTraining:
    """Stands in for `Watched`: splats that do not change, and a photo."""

    def __init__(self, splats: Splats) -> None:
        self.all = splats
        self.step, self.steps, self.seconds = 0, 1000, 0.0
        self.history: dict[str, list[float]] = {n: [] for n in ("step", "loss", "splats", "psnr_db", "step_ms")}
        self.crop: Box | None = None
        self.photos = ("one.jpg", "two.jpg")
        self.is_antialiased = False
        self.asked = list[str]()

    @property
    def count(self) -> int:
        return len(self.all)

    def splats(self, *, sh_degree: int = 0, box: Box | None = None, most: int | None = None) -> Splats:
        self.asked.append("splats")
        shown = self.all if box is None else self.all.select(box.holds(self.all.means))
        return shown.select(np.arange(min(len(shown), most or len(shown))))

    def picture(self, camera: Camera, cam_from_world: Pose, box: Box | None = None) -> np.ndarray:
        self.asked.append("picture")
        return rasterize(self.all, camera, cam_from_world, backend="cpu").rgb

    def photo(self, index: int) -> tuple[np.ndarray, None]:
        return np.full((12, 16, 3), 100 + index, np.uint8), None

    def rendering(self, index: int) -> np.ndarray:
        return np.full((12, 16, 3), (100 + index) / 255 + 0.1, np.float32)


class Running:
    """A stand-in for a training's loop, on a thread, that offers itself to be followed."""

    def __init__(self, folder: Path, splats: Splats, step_s: float = 0.002) -> None:
        self.training = FakeTraining(splats)
        folder.mkdir(parents=True, exist_ok=True)
        self.endpoint = LiveEndpoint(folder, share=0.5)
        self.interrupted = False
        self.ended_at: int | None = None
        self._step_s = step_s
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        t = self.training
        with self.endpoint:
            while not self.interrupted:
                time.sleep(self._step_s)
                t.step += 1
                if t.step % 10 == 0:
                    for name, value in zip(t.history, (t.step, 0.5, t.count, 20.0, 2.0), strict=True):
                        t.history[name].append(float(value))
                if not self.endpoint.between_steps(t, lambda: self.interrupted):  # type: ignore[arg-type]
                    break
            self.ended_at = t.step

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.interrupted = True
        self._thread.join(10)
        assert not self._thread.is_alive()


def wait(condition: Callable[[], bool]) -> None:
    """Until the condition holds; the limit is only there so that a failure ends."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.002)


def tiny_scene(folder: Path, views: int = 6, width: int = 64, height: int = 48) -> PosedScene:
    """A lumpy thing of 300 splats, photographed from a ring; the photos are in `folder/images`."""
    splats = synthetic_splats(300)
    images = folder / "images"
    images.mkdir(parents=True)
    camera = Camera.pinhole(width, height, 0.9 * width, 0.9 * width, width / 2, height / 2)
    frames, poses = [], {}
    for i, (_, _, pose) in enumerate(ring(splats, views, camera)):
        name = f"view_{i:02d}.png"
        rgb = np.clip(rasterize(splats, camera, pose, backend="cpu").rgb, 0, 1)
        PIL.Image.fromarray((255 * rgb + 0.5).astype(np.uint8)).save(images / name)
        frames.append(Frame(name, 1))
        poses[name] = pose
    rgb = np.clip((0.5 + SH_C0 * splats.sh[:, 0]) * 255, 0, 255).astype(np.uint8)
    count = len(splats)
    points = SparsePoints(splats.means.astype(np.float64), rgb, np.full(count, 0.5), np.full(count, 3, np.int32))
    capture = Capture(images, folder / "masks", "synthetic", {1: camera}, {1: True}, tuple(frames))
    return PosedScene(capture, {1: camera}, poses, points, PoseSummary("truth", 0.0, 1))


class RealTraining:
    """`train_splats` on a thread, offered to pages from `folder`, at a pace that leaves a browser room."""

    def __init__(self, scene: PosedScene, folder: Path, *, pace_s: float = 0.01, steps: int = 100_000) -> None:
        self.out = folder / "splats"
        self.config = TrainConfig(
            steps=steps, max_size_px=None, hold_out="none", max_splats=400, start=Start(min_points=60),
            checkpoint_every=10_000, log_every=20, backend="cpu",
        )  # fmt: skip
        self.result: TrainResult | None = None
        self.step = 0
        self._watched: Watched | None = None
        self._scene, self._pace_s = scene, pace_s
        self._endpoint = LiveEndpoint(folder)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ends = False

    def between_steps(self, training: Watched, interrupted: Callable[[], bool]) -> bool:
        time.sleep(self._pace_s)
        self.step, self._watched = training.step, training
        return self._endpoint.between_steps(training, lambda: self._ends) and not self._ends

    @property
    def crop(self) -> Box | None:
        return None if self._watched is None else self._watched.crop

    def _run(self) -> None:
        with self._endpoint:
            self.result = train_splats(self._scene, self.out, self.config, observer=self)

    def __enter__(self) -> RealTraining:
        self._thread.start()
        wait(lambda: self.step > 0)
        return self

    def __exit__(self, *error: object) -> None:
        self._ends = True
        self._thread.join(30)
        assert not self._thread.is_alive()
