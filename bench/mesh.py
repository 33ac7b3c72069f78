"""Surfaces: how far from the truth, how like the photos, how long and how much memory; prints a table.

    python bench/mesh.py [--only depth noisy splats surface] [--views 40] [--size 320] [--steps 2000]

`things` of diorama.render.synthetic: an urn, a crate and an ellipsoid in the air, seen from all around, so that all of
their surface is known and can be seen. Errors are mean distances as shares of the longest side of the box around them.

depth    exact depth maps. noisy: with noise of 0.5 % of the depth, from pixel to pixel alone.
splats   splats trained with the preset `preview`. surface: with the preset `surface`.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from diorama.capture.camera import Camera
from diorama.capture.depth import DepthMap
from diorama.capture.types import PosedScene
from diorama.reconstruct.mesh import MeshConfig, make_mesh
from diorama.reconstruct.mesh.check import against_photos
from diorama.reconstruct.train import PRESETS, train_splats
from diorama.render.splats import Splats
from diorama.render.synthetic import cameras_around, posed_scene, surface_errors, synthetic_scene, true_surface

CASES = ("depth", "noisy", "splats", "surface")
DISTANCE_M = 2.4


def photos(folder: Path, views: int, size: int) -> tuple[PosedScene, dict[str, np.ndarray]]:
    """The posed scene with its photos in `folder`, and exact depth by frame name."""
    place = synthetic_scene("things")
    camera = Camera.pinhole(size, 3 * size // 4, 1.04 * size, 1.04 * size, size / 2, 3 * size / 8)
    poses = cameras_around(place.focus, DISTANCE_M, views)
    scene = posed_scene(place, camera, poses, folder, samples=4)
    depth = {name: place.render(camera, pose, 1)[1] for name, pose in scene.cam_from_world.items()}
    return scene, depth


def trained(scene: PosedScene, preset: str, steps: int, folder: Path) -> Splats:
    config = replace(
        PRESETS[preset], steps=steps, max_size_px=None, max_splats=20_000, hold_out="none", background="black"
    )
    return train_splats(scene, folder / preset, config).splats


def measure(case: str, views: int, size: int, steps: int) -> dict:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        scene, depth = photos(folder, views, size)
        rng = np.random.default_rng(0)
        noise = 0.005 if case == "noisy" else 0.0
        maps = {
            n: DepthMap((d * (1 + noise * rng.standard_normal(d.shape))).astype(np.float32)) for n, d in depth.items()
        }
        splats = (
            trained(scene, "preview" if case == "splats" else "surface", steps, folder) if case in CASES[2:] else None
        )
        started = time.monotonic()
        config = MeshConfig(source="depth" if splats is None else "splats", faces=20_000)
        made = make_mesh(scene, config, splats=splats, depth_maps=maps)
        seconds = time.monotonic() - started
        finest = made.asset.lods[0]
        errors = surface_errors(finest, true_surface(synthetic_scene("things")))
        seen = against_photos(scene, finest, made.exposures)
        return {
            "case": case,
            "accuracy": errors.accuracy,
            "completeness": errors.completeness,
            "watertight": made.watertight,
            "psnr_db": seen.mean_db,
            "faces": [len(m) for m in made.asset.lods],
            "seconds": seconds,
            "memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "steps_s": made.seconds,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=CASES, default=CASES)
    parser.add_argument("--views", type=int, default=40)
    parser.add_argument("--size", type=int, default=320, help="width of the photos in pixels")
    parser.add_argument("--steps", type=int, default=2_000, help="of trainings")
    parser.add_argument("--one", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes = (options.views, options.size, options.steps)
    if options.one:
        print(json.dumps(measure(options.one, *sizes)))
        return
    print(f"| from | accuracy | completeness | watertight | PSNR, dB | faces | seconds | GB |\n{'|---' * 8}|")
    for case in options.only:
        # A process each, so that memory is the case's own.
        command = [sys.executable, __file__, "--one", case, "--views", str(sizes[0]), "--size", str(sizes[1])]
        done = subprocess.run([*command, "--steps", str(sizes[2])], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        row = json.loads(done.stdout.splitlines()[-1])
        print(
            f"| {case} | {row['accuracy']:.3%} | {row['completeness']:.3%} | {'yes' if row['watertight'] else 'no'} "
            f"| {row['psnr_db']:.1f} | {', '.join(f'{n:,}' for n in row['faces'])} | {row['seconds']:.0f} "
            f"| {row['memory_bytes'] / 1e9:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
