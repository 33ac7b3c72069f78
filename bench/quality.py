"""Held-out quality at equal steps: against another CPU trainer's record, and against training by the torch twin.

    python bench/quality.py [--seeds 5] [--skip-twin] [--backend cpu|gsplat]

1. brighton_beach with its given cameras, 496x278, 3,000 steps, DJI_0026 held out. OpenSplat's CPU build was measured on
   the same frame, cameras, size and steps once (see the record in ../shared/baselines.md): 20.09 dB, 809 s.
2. lund_door at 96 px, 300 steps, at most 3,000 splats, every eighth held out: the native kernels against the twin,
   same seed. Small, because the twin takes seconds per step.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from scenes import real

from diorama import kernels
from diorama.capture.types import PosedScene
from diorama.reconstruct.evaluate import EvaluateConfig, evaluate_splats
from diorama.reconstruct.train import PRESETS, TrainConfig, train_splats

OPENSPLAT_DB, OPENSPLAT_S = 20.09, 809.0
BRIGHTON = replace(PRESETS["preview"], steps=3_000, max_size_px=496, max_splats=26_000, hold_out="DJI_0026")
SMALL = replace(PRESETS["preview"], steps=300, max_size_px=96, max_splats=3_000)


class Trained(NamedTuple):
    """Held-out PSNR in dB; seconds of training, by the clock and of all cores' work."""

    psnr_db: float
    seconds: float
    cpu_seconds: float


def trained(scene: PosedScene, config: TrainConfig) -> Trained:
    with tempfile.TemporaryDirectory() as out:
        started, worked = time.monotonic(), time.process_time()
        result = train_splats(scene, Path(out), replace(config, checkpoint_every=10**9))
        seconds, cpu_seconds = time.monotonic() - started, time.process_time() - worked
    size = config.max_size_px or 10**6
    score = evaluate_splats(
        scene,
        result.splats,
        result.held_out,
        EvaluateConfig(max_size_px=size, backend="cpu", train_views=0, pictures=0),
    )
    assert score.psnr_db is not None
    return Trained(score.psnr_db, seconds, cpu_seconds)


def spread(values: list[float]) -> str:
    return f"median {statistics.median(values):.2f} (from {min(values):.2f} to {max(values):.2f} in {len(values)} runs)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--backend", choices=["cpu", "gsplat"], default="cpu", help="what trains in the first part")
    parser.add_argument("--skip-twin", action="store_true", help="it takes some minutes")
    options = parser.parse_args()
    print(f"{kernels.simd_level()}, {kernels.thread_count()} threads")

    scene = real("baseline")
    runs = [trained(scene, replace(BRIGHTON, backend=options.backend, seed=seed)) for seed in range(options.seeds)]
    decibels, seconds = [r.psnr_db for r in runs], [r.seconds for r in runs]
    print(f"brighton_beach DJI_0026, 496x278, 3,000 steps: {spread(decibels)} dB; OpenSplat {OPENSPLAT_DB} dB")
    print(f"  training: {spread(seconds)} s; OpenSplat {OPENSPLAT_S:.0f} s")
    if options.skip_twin:
        return
    scene = real("lund_door")
    ours, native_s, _ = trained(scene, replace(SMALL, backend="cpu"))
    twins, twin_s, _ = trained(scene, replace(SMALL, backend="torch"))
    print(
        f"lund_door, 96 px, 300 steps, seed 0: native {ours:.3f} dB in {native_s:.1f} s, "
        f"twin {twins:.3f} dB in {twin_s:.0f} s, difference {ours - twins:+.3f} dB"
    )


if __name__ == "__main__":
    main()
