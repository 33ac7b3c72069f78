"""What Mip-Splatting's filters give: trained at full size, drawn smaller and larger.

    python bench/antialiasing.py [--place terrace] [--width 256] [--steps 2000] [--max-splats 25000] [--out DIR]

Trains a synthetic place with known cameras twice, with and without `TrainConfig.antialiased`, and compares views that
were not trained on with the truth: at 1/8 to 1/1 with the truth's pixels averaged, at 2 with the place rendered there.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose
from diorama.reconstruct.train import TrainConfig, train_splats
from diorama.render.metrics import psnr
from diorama.render.rasterize import rasterize
from diorama.render.splats import Splats
from diorama.render.synthetic import SyntheticScene, orbit_cameras, phone_camera, posed_scene, synthetic_scene

Floats = npt.NDArray[np.float32]

SIZES = (0.125, 0.25, 0.5, 1.0, 2.0)
HELD_OUT = 8
"""One view in so many."""


def truth_at(scene: SyntheticScene, camera: Camera, pose: Pose, size: float) -> tuple[Camera, Floats]:
    """The camera at `size` of its picture and what it sees there, sRGB (H, W, 3) in 0 to 1.

    Smaller pictures are means over the full one's pixels, in sRGB, in which splats are blended too.
    """
    if size > 1.0:
        scaled = phone_camera(round(camera.width_px * size), round(camera.height_px * size))
        return scaled, scene.render(scaled, pose, 16)[0].astype(np.float32) / 255
    full = scene.render(camera, pose, 16)[0].astype(np.float32) / 255
    side = round(1 / size)
    height, width = camera.height_px // side, camera.width_px // side
    small = full.reshape(height, side, width, side, 3).mean((1, 3)).astype(np.float32)
    return phone_camera(width, height), small


def scores(scene: SyntheticScene, splats: Splats, camera: Camera, poses: list[Pose]) -> dict[float, float]:
    """Mean PSNR in dB over the views, by size."""
    result = {}
    for size in SIZES:
        each = []
        for pose in poses:
            scaled, truth = truth_at(scene, camera, pose, size)
            each.append(psnr(np.clip(rasterize(splats, scaled, pose).rgb, 0, 1), truth))
        result[size] = float(np.mean(each))
    return result


def compare(
    place: str = "terrace",
    width: int = 256,
    views: int = 40,
    steps: int = 2_000,
    max_splats: int = 25_000,
    seed: int = 0,
    out: Path | None = None,
) -> dict[bool, dict[float, float]]:
    """Scores by size, without (False) and with (True) the filters. `width` is a multiple of 32."""
    scene = synthetic_scene(place, seed)
    camera = phone_camera(width, width * 3 // 4)
    poses = orbit_cameras(scene, views, seed)
    result = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = out or Path(temporary)
        posed = posed_scene(scene, camera, poses, folder, points=max_splats // 4, seed=seed)
        held_out = [f.name for i, f in enumerate(posed.registered) if i % HELD_OUT == HELD_OUT // 2]
        config = TrainConfig(
            steps=steps, max_size_px=None, max_splats=max_splats, hold_out=",".join(held_out), seed=seed
        )
        for antialiased in (False, True):
            began = time.monotonic()
            trained = train_splats(
                posed, folder / f"antialiased_{antialiased}", dataclasses.replace(config, antialiased=antialiased)
            )
            seconds = time.monotonic() - began
            held = [posed.cam_from_world[name] for name in trained.held_out]
            result[antialiased] = scores(scene, trained.splats, camera, held)
            print(f"# antialiased={antialiased}: {len(trained.splats):,} splats in {seconds:.0f} s", flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--place", default="terrace")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--views", type=int, default=40)
    parser.add_argument("--steps", type=int, default=2_000)
    parser.add_argument("--max-splats", type=int, default=25_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="keep the photos and models here")
    result = compare(**vars(parser.parse_args()))
    print("| drawn at | without, dB | with, dB | gain, dB |\n|---|---|---|---|")
    for size in SIZES:
        a, b = result[False][size], result[True][size]
        print(f"| {size:g} | {a:.2f} | {b:.2f} | {b - a:+.2f} |")


if __name__ == "__main__":
    main()
