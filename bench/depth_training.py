"""What depth maps do for a training on few photos: 12 of a synthetic place, six more held out between them.

    python bench/depth_training.py [--steps 1500] [--seeds 3] [--place terrace] [--models DIR] [--only NAME ...]

Equal steps and caps of splats throughout. Without depth; with the loss alone; with seeds alone; with both, where depth
is the scene's own (as a perfect scanner would give), what stereo finds in the 12 photos, what a network says,
and both fused. Sparse points are as few and as noisy as structure from motion finds in 12 photos.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from scenes import CACHE

from diorama.capture.depth import DepthMap
from diorama.capture.types import PosedScene
from diorama.reconstruct.depth import save_depth_map
from diorama.reconstruct.depth.stage import DepthSettings, choose_network, estimate_depths
from diorama.reconstruct.evaluate import EvaluateConfig, evaluate_splats
from diorama.reconstruct.train import PRESETS, TrainConfig, train_splats
from diorama.render.synthetic import orbit_cameras, phone_camera, synthetic_scene
from diorama.render.synthetic.posed import posed_scene

FRAMES, EVERY = 18, 3
"""Cameras on the walk; every third is held out."""

POINTS, NOISE = 1_500, 0.003


def sparse_capture(place: str, width: int, seed: int = 0) -> tuple[PosedScene, list[str], Path]:
    """The scene of all 18 photos, the names of those held out, and the folder of true depth maps."""
    height = width * 3 // 4
    folder = CACHE / f"sparse_{place}_{width}_{seed}"
    truth, camera = synthetic_scene(place, seed), phone_camera(width, height)
    poses = orbit_cameras(truth, FRAMES, seed)
    scene = posed_scene(truth, camera, poses, folder, points=POINTS * FRAMES // 12, noise=NOISE, seed=seed)
    held_out = [f.name for f in scene.registered[1::EVERY]]
    for frame in scene.registered:
        _, depth = truth.render(camera, scene.cam_from_world[frame.name], 1)
        save_depth_map(folder / "true", frame.name, DepthMap(depth.astype(np.float32)))
    # What only held-out photos see is not known to anybody: points seen by the others remain.
    each = len(scene.points) // FRAMES
    kept = np.concatenate([np.arange(i * each, (i + 1) * each) for i in range(FRAMES) if i % EVERY != 1])
    points = replace(
        scene.points,
        xyz=scene.points.xyz[kept],
        rgb_srgb=scene.points.rgb_srgb[kept],
        error_px=scene.points.error_px[kept],
        track_length=scene.points.track_length[kept],
    )
    return replace(scene, points=points), held_out, folder


def without(scene: PosedScene, names: list[str]) -> PosedScene:
    """The scene as it is for somebody who has not seen these photos."""
    return replace(scene, cam_from_world={n: p for n, p in scene.cam_from_world.items() if n not in names})


def maps(scene: PosedScene, held_out: list[str], folder: Path, method: str, models: Path | None) -> Path:
    """Depth maps of the photos that are trained on, found once."""
    out = folder / method
    if not (out / "depth.json").is_file():
        chosen = choose_network(method, models=models)  # type: ignore[arg-type]
        name = None if chosen is None else chosen.network.name
        settings = DepthSettings(method, name, 640)  # type: ignore[arg-type]
        found = estimate_depths(without(scene, held_out), out, settings, chosen)
        print(
            f"  {method}: held-out points {found['held_out']}, {found['seconds_per_frame']:.2f} s a photo", flush=True
        )
    return out


def score(scene: PosedScene, held_out: list[str], config: TrainConfig, depth: Path | None) -> float:
    with tempfile.TemporaryDirectory() as out:
        result = train_splats(scene, Path(out), config, depth_maps=depth)
    size = config.max_size_px or 10**6
    found = evaluate_splats(
        scene, result.splats, held_out, EvaluateConfig(max_size_px=size, backend="cpu", train_views=0, pictures=0)
    )
    assert found.psnr_db is not None
    return found.psnr_db


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1_500)
    parser.add_argument("--splats", type=int, default=15_000)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--place", default="terrace")
    parser.add_argument("--models", type=Path)
    parser.add_argument("--only", nargs="*", help="of: none loss seeds true mvs network auto")
    options = parser.parse_args()
    scene, held_out, folder = sparse_capture(options.place, options.width)
    base = replace(
        PRESETS["preview"],
        steps=options.steps,
        max_splats=options.splats,
        max_size_px=options.width,
        hold_out=",".join(held_out),
        backend="cpu",
        checkpoint_every=10**9,
    )
    off = replace(base, depth=replace(base.depth, weight=0.0))
    no_seeds = replace(base, start=replace(base.start, depth_share=0.0))
    no_loss = replace(base, depth=replace(base.depth, weight=1e-12, weight_final=1e-12))
    true = folder / "true"
    cases: dict[str, tuple[TrainConfig, str | None]] = {
        "none": (off, None),
        "loss": (no_seeds, "true"),
        "seeds": (no_loss, "true"),
        "true": (base, "true"),
        "mvs": (base, "mvs"),
        "network": (base, "network"),
        "auto": (base, "auto"),
    }
    print(f"{options.place}, 12 photos of {options.width} px, {options.steps} steps, {options.splats} splats at most")
    plain = 0.0
    for name, (config, method) in cases.items():
        if options.only and name not in options.only:
            continue
        depth = None
        if method is not None:
            depth = true if method == "true" else maps(scene, held_out, folder, method, options.models)
        runs = [score(scene, held_out, replace(config, seed=seed), depth) for seed in range(options.seeds)]
        middle = statistics.median(runs)
        plain = middle if name == "none" else plain
        gain = f"{middle - plain:+.2f} dB" if plain else ""
        print(f"{name:8} {middle:6.2f} dB ({min(runs):.2f} to {max(runs):.2f}) {gain}", flush=True)


if __name__ == "__main__":
    main()
