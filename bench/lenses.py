"""What a lens costs: one synthetic place, photographed by different cameras from the same positions with known poses.

    python bench/lenses.py [--place terrace] [--width 96] [--steps 3000] [--views 32] [--splats 40000]

Cameras: a pinhole; the same with strong distortion (OPENCV); a fisheye of 180 degrees; an equirectangular one. All
have the pinhole's resolution in their middle, pixels per radian, so the wider ones have larger pictures. Each model
trains on its own original pictures, with the same budget of steps and splats, though the wide ones show several times
as much of the place. Two raw PSNRs, both on positions between, which no training saw:

- `pinhole views`: the same pinhole pictures for all. The target is at most 0.3 dB below the pinhole's model.
- `own lens`: through the lens trained on, over the pixels that the pinhole sees too: what is left of the difference
  when the same splats need not fit two lenses.

`straight` is the OPENCV camera's photos straightened first, as lens="straight" does.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose
from diorama.capture.types import SparsePoints
from diorama.kernels import simd_level, thread_count
from diorama.reconstruct.train import PRESETS, McmcConfig, TrainConfig, train_splats
from diorama.reconstruct.views import LensMode
from diorama.render.metrics import psnr
from diorama.render.rasterize import rasterize
from diorama.render.splats import Splats
from diorama.render.synthetic import SyntheticScene, orbit_cameras, phone_camera, posed_scene, synthetic_scene

TARGET_DB = 0.3


def lenses(pinhole: Camera) -> dict[str, Camera]:
    """Cameras with the pinhole's pixels per radian in the middle."""
    width, height, focal = pinhole.width_px, pinhole.height_px, pinhole.fx
    around = 2 * round(math.pi * focal)
    circle = around // 2
    fisheye = (focal, focal, circle / 2, circle / 2, 0.0, 0.0, 0.0, 0.0)
    distorted = (focal, focal, width / 2, height / 2, -0.2, 0.03, 0.002, -0.001)
    return {
        "pinhole": pinhole,
        "opencv": Camera("OPENCV", width, height, distorted),
        "fisheye": Camera("OPENCV_FISHEYE", circle, circle, fisheye),
        "equirectangular": Camera.equirectangular(around, around // 2),
    }


def score(place: SyntheticScene, splats: Splats, camera: Camera, pinhole: Camera, poses: list[Pose]) -> float:
    """Mean PSNR over what `camera` takes of the pinhole's field of view at `poses`."""
    y, x = np.mgrid[: camera.height_px, : camera.width_px] + 0.5
    rays = camera.rays(np.stack([x, y], axis=-1))
    there = pinhole.project(rays)
    with np.errstate(invalid="ignore"):
        inside = (there >= 0).all(-1) & (there <= [pinhole.width_px, pinhole.height_px]).all(-1)
    values = []
    for pose in poses:
        truth = place.render(camera, pose)[0].astype(np.float32) / 255
        drawn = rasterize(splats, camera, pose, backend="cpu").rgb
        values.append(psnr(np.clip(drawn, 0, 1), truth, inside))
    return float(np.mean(values))


@dataclass(frozen=True)
class Score:
    """Raw PSNR in dB on held-out pinhole views, and in the lens that was trained on."""

    pinhole_db: float
    own_db: float


def compare(place: SyntheticScene, width: int, views: int, config: TrainConfig, folder: Path) -> dict[str, Score]:
    """Scores of each lens; prints a line each."""
    pinhole = phone_camera(width, width * 3 // 4)
    walk = orbit_cameras(place, 2 * views)
    stand, held_out = walk[::2], walk[1::4]
    runs: list[tuple[str, Camera, LensMode]] = [(n, c, "original") for n, c in lenses(pinhole).items()]
    runs.append(("straight", lenses(pinhole)["opencv"], "straight"))
    scores: dict[str, Score] = {}
    points: SparsePoints | None = None
    for name, camera, lens in runs:
        scene = posed_scene(place, camera, stand, folder / name, samples=4)
        points = points if points is not None else scene.points  # the pinhole's, for all
        began = time.monotonic()
        result = train_splats(replace(scene, points=points), folder / f"{name}_out", replace(config, lens=lens))
        seconds = time.monotonic() - began
        scores[name] = Score(*(score(place, result.splats, c, pinhole, held_out) for c in (pinhole, camera)))
        found, base = scores[name], scores["pinhole"].pinhole_db
        print(
            f"{name:16} {camera.width_px:4}x{camera.height_px:<4} pinhole views {found.pinhole_db:.2f} dB "
            f"({found.pinhole_db - base:+.2f}), own lens {found.own_db:.2f} dB ({found.own_db - base:+.2f}), "
            f"{len(result.splats):,} splats, {seconds:.0f} s",
            flush=True,
        )
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--place", default="terrace")
    parser.add_argument("--width", type=int, default=96, help="of the pinhole's pictures, px")
    parser.add_argument("--steps", type=int, default=3_000)
    parser.add_argument("--views", type=int, default=32)
    parser.add_argument("--splats", type=int, default=40_000)
    options = parser.parse_args()
    print(f"{options.place}, {options.steps} steps, {simd_level()}, {thread_count()} threads")
    config = replace(
        PRESETS["preview"],
        steps=options.steps,
        max_size_px=None,
        max_splats=options.splats,
        hold_out="none",
        backend="cpu",
        checkpoint_every=10**9,
        mcmc=McmcConfig(growth=0.1),  # so that the cap is reached and all have equally many
    )
    with tempfile.TemporaryDirectory() as folder:
        scores = compare(synthetic_scene(options.place, 0), options.width, options.views, config, Path(folder))
    base = scores["pinhole"].pinhole_db
    for name, found in scores.items():
        if name not in ("pinhole", "straight"):
            is_met = found.pinhole_db >= base - TARGET_DB
            print(
                f"{name}: {found.pinhole_db - base:+.2f} dB, target {-TARGET_DB:+.2f}: {'met' if is_met else 'missed'}"
            )


if __name__ == "__main__":
    main()
