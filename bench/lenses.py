"""What a lens costs: one synthetic place, photographed by different cameras from the same positions with known poses.

    python bench/lenses.py [--place terrace] [--width 128] [--steps 3000] [--views 32] [--splats 20000]

Cameras: a pinhole; the same with strong distortion (OPENCV); a fisheye of 180 degrees; an equirectangular one. All
have the pinhole's resolution in their middle, pixels per radian, so the wider ones have larger pictures. Each model
trains on its own original pictures; all are compared on the same pinhole pictures from positions between, by raw PSNR.
The target is at most 0.3 dB below the pinhole's model. `straight` is the OPENCV camera's photos straightened first.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose
from diorama.capture.types import SparsePoints
from diorama.kernels import simd_level, thread_count
from diorama.reconstruct.train import PRESETS, TrainConfig, train_splats
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


def score(place: SyntheticScene, splats: Splats, camera: Camera, poses: list[Pose]) -> float:
    """Mean PSNR over pinhole pictures that no training saw."""
    values = []
    for pose in poses:
        truth = place.render(camera, pose)[0].astype(np.float32) / 255
        drawn = rasterize(splats, camera, pose, backend="cpu").rgb
        values.append(psnr(np.clip(drawn, 0, 1), truth))
    return float(np.mean(values))


def compare(place: SyntheticScene, width: int, views: int, config: TrainConfig, folder: Path) -> dict[str, float]:
    """Each lens's PSNR on the held-out pinhole pictures; prints a line each."""
    pinhole = phone_camera(width, width * 3 // 4)
    walk = orbit_cameras(place, 2 * views)
    stand, held_out = walk[::2], walk[1::4]
    scores: dict[str, float] = {}
    points: SparsePoints | None = None
    runs = [(name, camera, "original") for name, camera in lenses(pinhole).items()]
    runs.append(("straight", lenses(pinhole)["opencv"], "straight"))
    for name, camera, lens in runs:
        scene = posed_scene(place, camera, stand, folder / name, samples=4)
        points = points if points is not None else scene.points  # the pinhole's, for all
        scene = replace(scene, points=points)
        began = time.monotonic()
        result = train_splats(scene, folder / f"{name}_out", replace(config, lens=lens))  # type: ignore[arg-type]
        scores[name] = score(place, result.splats, pinhole, held_out)
        difference = scores[name] - scores["pinhole"]
        print(
            f"{name:16} {camera.width_px}x{camera.height_px}: {scores[name]:.2f} dB, {difference:+.2f} to the "
            f"pinhole's, {len(result.splats):,} splats, {time.monotonic() - began:.0f} s",
            flush=True,
        )
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--place", default="terrace")
    parser.add_argument("--width", type=int, default=128, help="of the pinhole's pictures, px")
    parser.add_argument("--steps", type=int, default=3_000)
    parser.add_argument("--views", type=int, default=32)
    parser.add_argument("--splats", type=int, default=20_000)
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
    )
    with tempfile.TemporaryDirectory() as folder:
        scores = compare(synthetic_scene(options.place, 0), options.width, options.views, config, Path(folder))
    worst = min(scores.values()) - scores["pinhole"]
    print(f"worst: {worst:+.2f} dB; target: at least {-TARGET_DB:+.2f}")


if __name__ == "__main__":
    main()
