"""Multi-view stereo against the truth: error, how well confidence ranks it, and seconds per frame.

    python bench/depth.py [--frames 24] [--estimate 4] [--size 640] [--sets NAME ...] [--pictures DIR]

First the synthetic terrace, whose depth is exact. A pixel counts where there is something to compare (the grey levels
around it vary) and where at least three other photos see its point; the other rows say how much is left out by that.
Then real sets by name (see scenes.py): every second sparse point is hidden from the estimator and asked afterwards.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from diorama import kernels
from diorama.capture.depth import DepthMap
from diorama.capture.types import PosedScene, SparsePoints
from diorama.reconstruct.depth import MultiViewStereo, MvsConfig
from diorama.render.synthetic import SyntheticScene, synthetic_scene

from scenes import real, synthetic  # isort: skip

TEXTURED_GRAY_LEVELS, SEEN_BY = 3.0, 3
SURE_POINT_VIEWS, SURE_POINT_PX = 3, 1.0


def auc(right: np.ndarray, score: np.ndarray) -> float:
    """The chance that something right is trusted more than something wrong."""
    from scipy.stats import rankdata

    ranks, count = rankdata(score), int(right.sum())
    if count in (0, len(right)):
        return float("nan")
    return float((ranks[right].sum() - count * (count + 1) / 2) / (count * (len(right) - count)))


def row(name: str, error: np.ndarray, confidence: np.ndarray) -> str:
    middle = float(np.median(error))
    return (
        f"| {name} | {len(error):,} | {middle:.2%} | {(error < 0.01).mean():.1%} | {(error < 0.05).mean():.1%} "
        f"| {auc(error < 0.01, confidence):.3f} | {auc(error < middle, confidence):.3f} |"
    )


HEAD = f"| what | pixels | median error | within 1 % | within 5 % | AUC at 1 % | AUC at the median |\n{'|---' * 7}|"


class Clock:
    """Seconds that estimating all frames of a scene took, wall and processor."""

    def __init__(self) -> None:
        self.wall = self.busy = 0.0
        self.frames = 0

    def estimate(self, scene: PosedScene, wanted: Sequence[str], size: int) -> Iterator[tuple[str, DepthMap]]:
        """Every frame is estimated, as a scan would; those wanted are handed on."""
        maps = MultiViewStereo(MvsConfig(max_size_px=size)).estimate(scene)
        while True:
            wall, busy = time.monotonic(), time.process_time()
            found = next(maps, None)
            self.wall += time.monotonic() - wall
            self.busy += time.process_time() - busy
            if found is None:
                return
            self.frames += 1
            if found[0] in wanted:
                yield found

    def __str__(self) -> str:
        each = f"{self.wall / self.frames:.2f} s each, {self.busy / self.frames:.2f} s of one core"
        return f"{self.frames} frames in {self.wall:.1f} s: {each}"


@dataclass(frozen=True, eq=False)
class Judged:
    """Pixels (or points) of some frames: relative errors and confidence, flat, and how long it took."""

    error: np.ndarray
    confidence: np.ndarray
    counts: np.ndarray
    known: float
    clock: Clock


def judge_synthetic(scene: PosedScene, place: SyntheticScene, names: Sequence[str], size: int) -> Judged:
    errors, sure, counts, known, clock = [], [], [], [], Clock()
    for name, map_ in clock.estimate(scene, names, size):
        height, width = map_.depth.shape
        camera = scene.cameras[1].scaled(width, height)
        rgb, truth = place.render(camera, scene.cam_from_world[name], samples=1)
        there = (truth > 0) & (map_.depth > 0)
        good = textured(rgb) & (seen_by(scene, place, name, truth) >= SEEN_BY)
        errors.append(np.abs(map_.depth / np.maximum(truth, 1e-9) - 1)[there])
        sure.append(map_.confidence[there])
        counts.append(good[there])
        known.append(there.sum() / (truth > 0).sum())
    return Judged(np.concatenate(errors), np.concatenate(sure), np.concatenate(counts), float(np.mean(known)), clock)


def textured(rgb: np.ndarray) -> np.ndarray:
    """Where the grey levels of 7 by 7 pixels have a standard deviation of `TEXTURED_GRAY_LEVELS`."""
    from scipy.ndimage import uniform_filter

    gray = rgb.astype(np.float64).mean(-1)
    return uniform_filter(gray**2, 7) - uniform_filter(gray, 7) ** 2 > TEXTURED_GRAY_LEVELS**2


def seen_by(scene: PosedScene, place: SyntheticScene, name: str, truth: np.ndarray) -> np.ndarray:
    """By how many other photos each pixel's true point is seen: inside the picture with nothing in front."""
    height, width = truth.shape
    camera, small = scene.cameras[1].scaled(width, height), scene.cameras[1].scaled(width // 2, height // 2)
    y, x = np.mgrid[0:height, 0:width] + 0.5
    rays = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x)], -1)
    world = scene.cam_from_world[name].inverse().apply(rays * truth[..., None])
    seen = np.zeros(truth.shape, int)
    for other, pose in scene.cam_from_world.items():
        if other == name:
            continue
        _, depth = place.render(small, pose, samples=1)
        points = pose.apply(world)
        with np.errstate(invalid="ignore"):
            at = np.floor(small.project(points))
        inside = (points[..., 2] > 0) & (at >= 0).all(-1) & (at < [small.width_px, small.height_px]).all(-1)
        column, line = np.where(inside, at[..., 0], 0).astype(int), np.where(inside, at[..., 1], 0).astype(int)
        seen += inside & (np.abs(depth[line, column] / np.maximum(points[..., 2], 1e-9) - 1) < 0.02)
    return seen


def half_hidden(scene: PosedScene) -> tuple[PosedScene, np.ndarray]:
    """The scene with a random half of its points, and which ones are left out."""
    points = scene.points
    hidden = np.random.default_rng(0).random(len(points)) < 0.5
    renumbered = np.cumsum(~hidden) - 1
    visible = {name: renumbered[i[~hidden[i]]].astype(np.int32) for name, i in scene.visible.items()}
    left = SparsePoints(
        points.xyz[~hidden], points.rgb_srgb[~hidden], points.error_px[~hidden], points.track_length[~hidden]
    )
    return replace(scene, points=left, visible=visible), hidden


def judge_real(scene: PosedScene, count: int, size: int, pictures: Path | None) -> Judged:
    known_scene, hidden = half_hidden(scene)
    sharp = (scene.points.track_length >= SURE_POINT_VIEWS) & (scene.points.error_px < SURE_POINT_PX) & hidden
    names = [f.name for f in scene.registered]
    names = names[:: max(1, len(names) // count)][:count]
    errors, sure, known, clock = [], [], [], Clock()
    for name, map_ in clock.estimate(known_scene, names, size):
        height, width = map_.depth.shape
        ids = scene.visible[name][sharp[scene.visible[name]]]
        points = scene.cam_from_world[name].apply(scene.points.xyz[ids])
        at = scene.camera(scene.capture.frame(name)).scaled(width, height).project(points)
        column, line = np.clip(at[:, 0].astype(int), 0, width - 1), np.clip(at[:, 1].astype(int), 0, height - 1)
        depth = map_.depth[line, column] * scene.world_from_input.scale
        errors.append(np.abs(depth / points[:, 2] - 1)[depth > 0])
        sure.append(map_.confidence[line, column][depth > 0])
        known.append(float((map_.confidence > 0.5).mean()))
        if pictures is not None:
            pictures.mkdir(parents=True, exist_ok=True)
            picture(map_).save(pictures / f"{Path(name).stem}.png")
    error = np.concatenate(errors)
    return Judged(error, np.concatenate(sure), np.ones(len(error), bool), float(np.mean(known)), clock)


def picture(map_: DepthMap):
    """Inverse depth as colours, dark where it is not trusted, and the normals beside."""
    import PIL.Image
    from matplotlib import colormaps

    sure = map_.confidence > 0.5
    rho = np.where(map_.depth > 0, 1 / np.maximum(map_.depth, 1e-9), 0)
    low, high = np.percentile(rho[sure], [1, 99]) if sure.any() else (0, 1)
    colours = colormaps["turbo"](np.clip((rho - low) / max(high - low, 1e-12), 0, 1))[..., :3]
    colours = colours * np.where(sure, 1, 0.25)[..., None]
    normals = (map_.normals * [1, -1, -1] + 1) / 2
    return PIL.Image.fromarray((np.concatenate([colours, normals], 1) * 255).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=24, help="photos of the synthetic terrace")
    parser.add_argument("--estimate", type=int, default=4, help="frames to judge; 0: none but real sets")
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--sets", nargs="*", default=[], help="real sets of the footage folder")
    parser.add_argument("--pictures", type=Path, help="writes colour maps of the real sets into this folder")
    options = parser.parse_args()
    print(f"{kernels.simd_level()}, {kernels.thread_count()} threads")
    if options.estimate:
        scene, place = synthetic(options.frames, options.size, options.size * 3 // 4), synthetic_scene("terrace")
        names = list(scene.cam_from_world)[:: max(1, options.frames // options.estimate)][: options.estimate]
        judged = judge_synthetic(scene, place, names, options.size)
        print(f"terrace, {options.frames} photos at {options.size} px: {judged.clock}")
        print(f"depth is given for {judged.known:.1%} of the pixels\n{HEAD}")
        print(
            row(f"textured, seen by {SEEN_BY}", judged.error[judged.counts], judged.confidence[judged.counts]),
            row("all", judged.error, judged.confidence),
            *(
                row(f"confidence at least {c}", *(a[judged.confidence >= c] for a in (judged.error, judged.confidence)))
                for c in (0.5, 0.8)
            ),
            sep="\n",
        )
    for name in options.sets:
        judged = judge_real(real(name), options.estimate or 4, options.size, options.pictures)
        print(f"\n{name}: {judged.clock}; confidence over 0.5 for {judged.known:.1%}\n{HEAD}")
        print(row("hidden sparse points", judged.error, judged.confidence))


if __name__ == "__main__":
    main()
