"""What parts of the training step give in time: each is switched off in turn, the rest stays.

    python bench/parts.py [--rounds N] [--steps N] [--simd LEVEL]

On the synthetic 100,000 splats at 480x354 and, where it lies beside the checkout, on the trained brighton scene:

- tight tiles: a splat's tiles and rows are those of its ellipse; without, of the box around it
- fused step: one call; without, the operations apart (`render`, `photo_loss`, `render_backward`, `apply_step`)
- sparse Adam: moves only splats in sight; without (the trainer's default), all
- sums per thread: each thread adds gradients up for itself; without (`deterministic`), in eight fixed shares

The variants take turns in every round; medians of the rounds' medians, and the median ratio to the plain step.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

from cases import STILL, Case, brighton, has_brighton, synthetic

from diorama import kernels
from diorama.kernels import (
    GradientSums,
    Photo,
    StepConfig,
    apply_step,
    pack,
    photo_loss,
    render,
    render_backward,
    train_step,
    zero_moments,
)

SWITCHES = {
    "plain step": STILL,
    "boxes for ellipses": replace(STILL, tight_tiles=False),
    "sparse Adam": replace(STILL, dense_adam=False),
    "deterministic": replace(STILL, deterministic=True),
}
COMPOSED = "operations apart"


def fused(case: Case, config: StepConfig) -> Callable[[], None]:
    blocks, m, v = pack(*case.splats), zero_moments(case.count), zero_moments(case.count)
    photo = Photo(case.photo_srgb)
    return lambda: void(train_step(blocks, m, v, case.count, case.view, photo, config))


def composed(case: Case) -> Callable[[], None]:
    """The same work through `render`, `photo_loss`, `render_backward` and `apply_step`."""
    blocks, m, v = pack(*case.splats), zero_moments(case.count), zero_moments(case.count)
    photo = Photo(case.photo_srgb)

    def step() -> None:
        picture = render(blocks, case.count, case.view)
        _, d_rgb = photo_loss(picture.rgb, photo)
        sums = GradientSums.zeros(case.count)
        sums.gradients[:] = render_backward(picture.context, d_rgb)
        apply_step(sums, blocks, m, v, case.count, 1, STILL)

    return step


def void(_: object) -> None:
    pass


def median_ms(step: Callable[[], None], steps: int) -> float:
    times = []
    for k in range(steps + 2):
        start = time.perf_counter()
        step()
        if k >= 2:
            times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=15, help="per round")
    parser.add_argument("--simd", choices=kernels.simd_levels())
    options = parser.parse_args()
    if options.simd:
        kernels.set_simd_level(options.simd)
    print(f"SIMD {kernels.simd_level()}, {kernels.thread_count()} threads, medians of {options.rounds} rounds")
    for case in [synthetic(100_000, 480, 354)] + ([brighton()] if has_brighton() else []):
        variants = {name: fused(case, config) for name, config in SWITCHES.items()} | {COMPOSED: composed(case)}
        rounds: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(options.rounds):
            for name, step in variants.items():
                rounds[name].append(median_ms(step, options.steps))
        plain = rounds["plain step"]
        print(f"\n{case.name:24} {'ms':>8} {'to plain':>9}")
        for name, ms in rounds.items():
            ratio = statistics.median(a / b for a, b in zip(ms, plain, strict=True))
            print(f"{name:24} {statistics.median(ms):8.2f} {ratio:9.2f}", flush=True)


if __name__ == "__main__":
    main()
