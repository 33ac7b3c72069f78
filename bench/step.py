"""How long a training step takes: forward, loss, backward, Adam, in one call from Python.

    python bench/step.py [--simd LEVEL|all] [--threads N] [--rounds N] [--steps N] [--json] [--check] [--quick]

Per instruction set, picture size and splat count it prints the median over rounds of the median step (half the spread
between the quartiles behind it), on all threads and on one; where ../shared/kernel-prototype lies beside the checkout,
the prototype's on the same splats, camera and photo, run in turn with ours in every round, and our time over its (the
median of the rounds' ratios, so that what else the machine does hits both); the arithmetic floor (`floor.py` derives
it); how much faster than on one thread (x1); milliseconds per phase; and one step of the torch twin. `--check` ends
with 1 where a step at 480x354 with 20,000 splats takes more than 40 ms (the best of five tries, since other programs
may hold the machine).
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from cases import PROTOTYPE, SEED, STILL, Case, brighton, has_brighton, synthetic
from floor import blended_pairs, operations, peak_rate
from prototype import FLAGS, Prototype

from diorama import kernels
from diorama.kernels import PHASES, Photo, pack, train_step, zero_moments

LIMIT_MS = 40.0
WARM_UP = 3


@dataclass
class Timing:
    """Milliseconds of one step on `threads` threads: one number per round, and their phases."""

    threads: int
    round_ms: list[float] = field(default_factory=list)
    prototype_ms: list[float] = field(default_factory=list)
    phase_ms: dict[str, float] = field(default_factory=dict)
    floor_ms: float | None = None

    @property
    def median_ms(self) -> float:
        return statistics.median(self.round_ms)

    @property
    def ratio(self) -> float | None:
        pairs = zip(self.round_ms, self.prototype_ms, strict=True)
        return statistics.median(a / b for a, b in pairs) if self.prototype_ms else None


@dataclass
class Result:
    name: str
    simd_level: str
    splats: int
    visible: int
    pairs: int
    blended: int
    timings: list[Timing]

    @property
    def gain_of_threads(self) -> float:
        return self.timings[-1].median_ms / self.timings[0].median_ms


class Ours:
    """One case, ready to be stepped again and again."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.blocks, self.m, self.v = pack(*case.splats), zero_moments(case.count), zero_moments(case.count)
        self.photo = Photo(case.photo_srgb)

    def run(self, threads: int, steps: int) -> tuple[float, list[float]]:
        """Median milliseconds of `steps` steps, and of their phases."""
        kernels.set_thread_count(threads)
        times, phases = [], []
        for step in range(steps + WARM_UP):
            start = time.perf_counter()
            self.stats = train_step(self.blocks, self.m, self.v, self.case.count, self.case.view, self.photo, STILL)
            if step >= WARM_UP:
                times.append(1e3 * (time.perf_counter() - start))
                phases.append(self.stats.phase_ms)
        return statistics.median(times), np.median(phases, axis=0).tolist()


def measure(case: Case, options: argparse.Namespace, prototype: Prototype | None, peak: float | None) -> Result:
    ours = Ours(case)
    if prototype:
        prototype.take(case)
    timings = [Timing(threads) for threads in options.thread_counts]
    phases: list[list[list[float]]] = [[] for _ in timings]
    for _ in range(options.rounds):
        for timing, found in zip(timings, phases, strict=True):
            ms, phase_ms = ours.run(timing.threads, options.steps)
            timing.round_ms.append(ms)
            found.append(phase_ms)
            if prototype:
                timing.prototype_ms.append(prototype.run(timing.threads, options.steps))
    blended = blended_pairs(case)
    for timing, found in zip(timings, phases, strict=True):
        timing.phase_ms = dict(zip(PHASES, np.median(found, axis=0).tolist(), strict=True))
        if peak:
            timing.floor_ms = 1e3 * operations(case, blended, ours.stats.visible) / (peak * timing.threads)
    stats = ours.stats
    return Result(case.name, kernels.simd_level(), case.count, stats.visible, stats.pairs, blended, timings)


def twin_step_ms(case: Case) -> float:
    """One step of the torch twin, picture to Adam, on one thread: its operations are too small to share."""
    import torch

    from diorama.kernels import twin

    torch.set_num_threads(1)
    params = [torch.tensor(a, requires_grad=True) for a in case.splats]
    photo = torch.tensor(case.photo_srgb) / 255
    start = time.perf_counter()
    rgb, _, _ = twin.rasterize(*params, case.view, 3)  # type: ignore[arg-type]
    twin.photo_loss(rgb, photo).backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for p in params:
            assert p.grad is not None
            twin.adam_step(p, p.grad, torch.zeros_like(p), torch.zeros_like(p), 1, 1e-3)
    return 1e3 * (time.perf_counter() - start)


def cases(quick: bool) -> list[Case]:
    sizes, counts = ([(480, 354)], [20_000]) if quick else ([(480, 354), (960, 708)], [20_000, 50_000, 100_000])
    found = [synthetic(n, *size) for size in sizes for n in counts]
    return found if quick or not has_brighton() else [*found, brighton()]


def with_spread(values: list[float]) -> str:
    if len(values) < 3:
        return f"{statistics.median(values):.2f}"
    low, _, high = statistics.quantiles(values, n=4)
    return f"{statistics.median(values):.2f} ±{(high - low) / 2:.2f}"


def show_header(options: argparse.Namespace) -> None:
    print(f"ms per step, medians of {options.rounds} rounds of {options.steps} steps ± half the quartiles' spread;")
    print(f"seed {SEED}; SIMD levels {', '.join(kernels.simd_levels())}\n")
    print(
        f"{'case':22} {'SIMD':8} {'threads':>7} {'ours':>13} {'prototype':>13} {'ratio':>6} {'floor':>6} {'x1':>5}  "
        + "".join(f"{p:>9}" for p in PHASES)
    )


def show(result: Result) -> None:
    for timing in result.timings:
        prototype = with_spread(timing.prototype_ms) if timing.prototype_ms else "-"
        ratio = "-" if timing.ratio is None else f"{timing.ratio:.2f}"
        floor = "-" if timing.floor_ms is None else f"{timing.floor_ms:.2f}"
        gain = f"{result.gain_of_threads:.2f}" if timing.threads > 1 and len(result.timings) > 1 else "-"
        print(
            f"{result.name:22} {result.simd_level:8} {timing.threads:7} {with_spread(timing.round_ms):>13} "
            f"{prototype:>13} {ratio:>6} {floor:>6} {gain:>5}  "
            + "".join(f"{timing.phase_ms[p]:9.2f}" for p in PHASES),
            flush=True,
        )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--check", action="store_true", help=f"fail above {LIMIT_MS:.0f} ms at 480x354 with 20k splats")
    parser.add_argument("--quick", action="store_true", help="only 480x354 with 20k splats")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="per round")
    parser.add_argument("--simd", choices=[*kernels.simd_levels(), "all"], help="all: all but portable")
    parser.add_argument("--threads", type=int, help="instead of one and all")
    options = parser.parse_args()
    options.thread_counts = [options.threads] if options.threads else sorted({kernels.thread_count(), 1}, reverse=True)
    fast = [level for level in kernels.simd_levels() if level != "portable"]
    options.levels = (fast or ["portable"]) if options.simd == "all" else [options.simd or kernels.simd_level()]
    return options


def main() -> None:
    options = parse()
    found = cases(options.quick)
    results: list[Result] = []
    compiler = shutil.which("g++") is not None
    if not options.json:
        show_header(options)
    with tempfile.TemporaryDirectory() as folder:
        for level in options.levels:
            kernels.set_simd_level(level)
            peak = peak_rate(Path(folder), level) if compiler else None
            prototype = Prototype(Path(folder), level) if compiler and PROTOTYPE.is_dir() and level in FLAGS else None
            for case in found:
                results.append(measure(case, options, prototype, peak))
                for _ in range(4):
                    if options.check and len(results) == 1 and results[0].timings[0].median_ms > LIMIT_MS:
                        results[0] = measure(case, options, prototype, peak)
                if not options.json:
                    show(results[-1])
    first = results[0].timings[0].median_ms
    twin_ms = twin_step_ms(found[0])
    report: dict[str, Any] = {
        "simd_levels": kernels.simd_levels(),
        "seed": SEED,
        "limit_ms": LIMIT_MS,
        "within_limit": first <= LIMIT_MS,
        "twin_ms": twin_ms,
        "twin_ratio": twin_ms / first,
        "cases": [asdict(r) | {"median_ms": r.timings[0].median_ms, "ratio": r.timings[0].ratio} for r in results],
    }
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        print(f"\ntorch twin, {results[0].name}: {twin_ms:.0f} ms, {report['twin_ratio']:.0f} times the native step")
    if options.check and not report["within_limit"]:
        raise SystemExit(f"a step takes {first:.1f} ms, more than {LIMIT_MS:.0f}")


if __name__ == "__main__":
    main()
