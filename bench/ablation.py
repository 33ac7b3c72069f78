"""What each part of the trainer gives: time and held-out quality with it changed, everything else equal.

    python bench/ablation.py [--runs 5] [--steps 3000] [--size 496] [--only NAME ...] [--set NAME ...]

Two sets unless told otherwise: brighton_beach with its given cameras (18 drone photos) and the synthetic terrace (24
pictures of 480x360 and their true cameras). Others are sets of the footage folder, their cameras found as `scan` does.
Every variant is trained with seeds 0 to RUNS - 1, the variants in turn; medians, and the range of the PSNR. Everything
runs on one thread, and seconds are the processor's for the training alone, so that what else the machine does hardly
counts. What the parts of the kernels give (tiles, fusion) is in `bench/parts.py`: they change time only. By default
photos of this size have it throughout; `small photos first` starts with a quarter of it.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from dataclasses import replace

from quality import Trained, trained
from scenes import real, synthetic

from diorama import kernels
from diorama.capture.types import PosedScene
from diorama.reconstruct.train import PRESETS, DropoutConfig, TrainConfig

VARIANTS: dict[str, Callable[[TrainConfig], TrainConfig]] = {
    "preview as it is": lambda c: c,
    "rates do not settle": lambda c: replace(c, learning_rates=replace(c.learning_rates, settle=1.0)),
    "no dropout": lambda c: replace(c, dropout=DropoutConfig(0.0)),
    "small photos first": lambda c: replace(c, resolution=replace(c.resolution, min_px=120)),
    "sparse Adam": lambda c: replace(c, sparse_adam=True),
    "strategy classic": lambda c: replace(c, strategy="classic"),
    "strategy fast": lambda c: replace(c, strategy="fast"),
    "exposure affine": lambda c: replace(c, exposure="affine"),
    "anti-aliasing": lambda c: replace(c, antialiased=True),
}


def scene_of(name: str) -> PosedScene:
    if name == "terrace":
        return synthetic(24, 480, 360)
    return real("baseline" if name == "brighton_beach" else name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3_000)
    parser.add_argument("--size", type=int, default=496)
    parser.add_argument("--only", nargs="*", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--set", nargs="*", default=["brighton_beach", "terrace"])
    options = parser.parse_args()
    kernels.set_thread_count(1)
    print(f"{kernels.simd_level()}, one thread, {options.steps} steps, {options.runs} seeds")
    print(f"| set | variant | CPU seconds | PSNR, dB | from - to |\n{'|---' * 5}|")
    base = replace(PRESETS["preview"], steps=options.steps, max_size_px=options.size, backend="cpu")
    for name in options.set:
        scene = scene_of(name)
        runs: dict[str, list[Trained]] = {variant: [] for variant in options.only}
        for seed in range(options.runs):
            for variant in options.only:
                runs[variant].append(trained(scene, replace(VARIANTS[variant](base), seed=seed)))
        for variant, found in runs.items():
            decibels, seconds = [r.psnr_db for r in found], [r.cpu_seconds for r in found]
            print(
                f"| {name} | {variant} | {statistics.median(seconds):.1f} | {statistics.median(decibels):.2f} "
                f"| {min(decibels):.2f} - {max(decibels):.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
