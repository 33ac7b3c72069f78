"""What training keeps in memory: bytes per splat and per pixel, as planes fitted through measurements.

    python bench/memory.py [--quick] [--json]

Every point is a process of its own that trains a synthetic cloud for a few steps as the trainer does (`NativeSteps`,
the photos' bytes and planes included). It reports the system's own figures: resident memory after the steps, and the
peak while splats and photos were handed over and stepped, both less what Python and its libraries had before. Splats
shrink as their number grows, so that about as many are blended per pixel at any count; their pairs with tiles are part
of the slopes. `bytes = fixed + splats * a + pixels * b + pixels of all photos * c` is fitted by least squares of the
relative errors. The last line is a million splats at 960x640 with four photos, the whole process included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

STEPS = 6
SPLATS = [(n, (960, 640), 4) for n in (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000)]
PIXELS = [(20_000, size, photos) for size in ((480, 320), (960, 640), (1920, 1280)) for photos in (1, 8)]
TARGET = (1_000_000, (960, 640), 4)
LIMIT_BYTES = 3e9


@dataclass(frozen=True)
class Point:
    """steady, peak: bytes beyond what the process had before; process_peak: all it had at its peak."""

    splats: int
    pixels: int
    photos: int
    steady: int
    peak: int
    process_peak: int


def resident() -> tuple[int, int]:
    """(resident now, its peak) in bytes. Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["VmRSS"].split()[0]) * 1024, int(fields["VmHWM"].split()[0]) * 1024


def random_rows(count: int) -> np.ndarray:
    """(count, 59) float32 rows like `cases.cloud`'s, made a piece at a time so as not to set the peak."""
    rng = np.random.default_rng(1)
    rows = np.empty((count, 59), np.float32)
    for first in range(0, count, 4096):
        part = rows[first : first + 4096]
        part[:] = rng.standard_normal(part.shape, np.float32)
        part[:, :3] = rng.random((len(part), 3), np.float32) * [4, 3, 4] - [2, 1.5, -2]
        part[:, 7:10] = part[:, 7:10] * 0.4 - 3.5 - 0.5 * np.log(count / 20000)
        part[:, 11:] *= 0.2
    return rows


def measure_here(splats: int, size: tuple[int, int], photos: int) -> Point:
    """Trains in this process; only the first time in a process means anything."""
    from cases import view_of_cloud

    from diorama.reconstruct.train.backends import Shot, StepSettings, Target
    from diorama.reconstruct.train.backends.native import NativeSteps

    view, rng = view_of_cloud(*size), np.random.default_rng(2)
    before, _ = resident()
    targets = [Target(view, rng.integers(0, 255, (size[1], size[0], 3), np.uint8), None) for _ in range(photos)]
    rows = random_rows(splats)
    backend = NativeSteps(rows, targets, splats, statistics=True)
    del rows
    for step in range(max(STEPS, photos)):
        settings = StepSettings(step + 1, 1.6e-4, 1e-3, 5e-3, 5e-2, 2.5e-3, 1.25e-4, 3, 0.2, (0.0, 0.0, 0.0), 0.0, 0.0)
        backend.step([Shot(step % photos, view)], settings)
    now, peak = resident()
    return Point(splats, size[0] * size[1], photos, now - before, peak - before, peak)


def measure(splats: int, size: tuple[int, int], photos: int) -> Point:
    arguments = [str(a) for a in (splats, *size, photos)]
    command = [sys.executable, __file__, "--child", *arguments]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Point(**json.loads(text))


@dataclass(frozen=True)
class Fit:
    """Bytes: fixed, per splat, per pixel of the picture, per pixel of all photos; r2 of the fit."""

    fixed: float
    per_splat: float
    per_pixel: float
    per_photo_pixel: float
    r2: float


def fit(points: list[Point], which: str) -> Fit:
    y = np.array([getattr(p, which) for p in points], np.float64)
    x = np.array([[1, p.splats, p.pixels, p.pixels * p.photos] for p in points], np.float64)
    solution, *_ = np.linalg.lstsq(x / y[:, None], np.ones(len(y)), rcond=None)
    residual = y - x @ solution
    return Fit(*solution.tolist(), r2=float(1 - (residual**2).sum() / ((y - y.mean()) ** 2).sum()))


def show(points: list[Point], fits: dict[str, Fit], target: Point) -> None:
    print(f"{'splats':>10} {'pixels':>10} {'photos':>6} {'MB':>8} {'peak MB':>8}")
    for p in points:
        print(f"{p.splats:10} {p.pixels:10} {p.photos:6} {p.steady / 1e6:8.0f} {p.peak / 1e6:8.0f}")
    for which, f in fits.items():
        print(
            f"{which}: {f.fixed / 1e6:.0f} MB + {f.per_splat:.0f} B per splat + {f.per_pixel:.0f} B per pixel of the "
            f"picture + {f.per_photo_pixel:.0f} B per pixel of every photo (R^2 {f.r2:.4f})"
        )
    print(
        f"{target.splats} splats, {target.pixels} pixels, {target.photos} photos: "
        f"the whole process peaks at {target.process_peak / 1e6:.0f} MB (limit {LIMIT_BYTES / 1e6:.0f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="nothing above 300,000 splats; the target is left out")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", nargs=4, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        splats, width, height, photos = options.child
        print(json.dumps(asdict(measure_here(splats, (width, height), photos))))
        return
    points = [measure(*p) for p in [*SPLATS, *PIXELS] if not options.quick or p[0] <= 300_000]
    fits = {which: fit(points, which) for which in ("steady", "peak")}
    target = next((p for p in points if p.splats == TARGET[0]), points[-1])
    if options.json:
        report = {"points": [asdict(p) for p in points], "fits": {k: asdict(f) for k, f in fits.items()}}
        print(json.dumps(report, indent=2))
    else:
        show(points, fits, target)
    if target.splats == TARGET[0] and target.process_peak > LIMIT_BYTES:
        raise SystemExit(f"training a million splats takes {target.process_peak / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
