"""How long a training step takes: forward, loss, backward, Adam.

    python bench/step.py [--json] [--check] [--steps N] [--simd LEVEL] [--threads N] [--quick]

Prints the median over N steps per picture size and splat count with milliseconds per phase, the time of one step of
the torch twin and the ratio; and, where ../shared/kernel-prototype lies beside the checkout, the prototype's numbers
on the same splats, camera and photo. `--check` ends with 1 where a step at 480x354 with 20,000 splats takes more than
40 ms (the best of five tries, since other programs may hold the machine).
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from diorama import kernels
from diorama.kernels import PHASES, Photo, SplatArrays, StepConfig, View, pack, render, train_step, zero_blocks

ROOT = Path(__file__).resolve().parents[1]
PROTOTYPE = ROOT.parent / "shared" / "kernel-prototype"
BRIGHTON = ROOT.parent / "shared" / "baselines" / "brighton_und"
SEED = 20261120
LIMIT_MS = 40.0
STILL = StepConfig(step=100, lr_means=0, lr_quats=0, lr_log_scales=0, lr_opacities=0, lr_sh0=0, lr_sh_rest=0)
"""All the work of a step, with learning rates of zero so that every step sees the same splats."""


@dataclass(frozen=True, eq=False)
class Case:
    name: str
    splats: SplatArrays
    view: View
    photo_srgb: npt.NDArray[np.uint8]

    @property
    def count(self) -> int:
        return len(self.splats.means)


@dataclass
class Result:
    name: str
    splats: int
    visible: int
    pairs: int
    median_ms: float
    best_ms: float
    phase_ms: dict[str, float]
    prototype_ms: float | None = None
    prototype_phase_ms: dict[str, float] = field(default_factory=dict)


def synthetic(count: int, width: int, height: int) -> Case:
    """A box full of splats whose sizes shrink as their number grows: about 40 are blended per pixel at any count."""
    rng = np.random.default_rng(SEED)
    f = np.float32
    splats = SplatArrays(
        (rng.random((count, 3)) * [4, 3, 4] - [2, 1.5, -2]).astype(f),
        rng.standard_normal((count, 4)).astype(f),
        (rng.standard_normal((count, 3)) * 0.4 - 3.5 - 0.5 * np.log(count / 20000)).astype(f),
        rng.standard_normal(count).astype(f),
        (rng.standard_normal((count, 16, 3)) * 0.2).astype(f),
    )
    view = View(width, height, 0.8 * width, 0.8 * width, width / 2, height / 2, np.eye(3, 4, dtype=f))
    other = splats._replace(sh=np.roll(splats.sh, 1, axis=0))
    picture = render(pack(*other), count, view).rgb
    photo = (np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return Case(f"{width}x{height}, {count // 1000}k", splats, view, photo)


def brighton() -> Case:
    """The prototype's trained model, seen by one of its cameras at half size."""
    import PIL.Image
    import pycolmap

    path = PROTOTYPE / "brighton_26k.ply"
    header, _, body = path.read_bytes().partition(b"end_header\n")
    count = int(re.search(rb"element vertex (\d+)", header)[1])  # type: ignore[index]
    rows = np.frombuffer(body, "<f4").reshape(count, 62)
    sh = np.concatenate([rows[:, None, 6:9], rows[:, 9:54].reshape(count, 3, 15).swapaxes(1, 2)], axis=1)
    splats = SplatArrays(
        *(np.ascontiguousarray(a) for a in (rows[:, :3], rows[:, 58:62], rows[:, 55:58], rows[:, 54], sh))
    )
    model = pycolmap.Reconstruction(str(BRIGHTON / "sparse" / "0"))
    image = next(i for i in model.images.values() if i.name == "DJI_0026.jpg")
    camera = model.cameras[image.camera_id]
    width, height = 496, 278
    sx, sy = width / camera.width, height / camera.height
    fx, fy, cx, cy = camera.params
    view = View(width, height, fx * sx, fy * sy, cx * sx, cy * sy, image.cam_from_world().matrix())
    photo = (
        PIL.Image.open(BRIGHTON / "images" / image.name)
        .convert("RGB")
        .resize((width, height), PIL.Image.Resampling.BOX)
    )
    return Case("brighton 496x278, 26k", splats, view, np.asarray(photo))


def measure(case: Case, steps: int) -> Result:
    blocks, m, v = pack(*case.splats), zero_blocks(case.count), zero_blocks(case.count)
    photo = Photo(case.photo_srgb)
    times, phases = [], []
    for step in range(steps + 5):
        start = time.perf_counter()
        stats = train_step(blocks, m, v, case.count, case.view, photo, STILL)
        if step >= 5:
            times.append(1e3 * (time.perf_counter() - start))
            phases.append(stats.phase_ms)
    per_phase = dict(zip(PHASES, np.median(phases, axis=0).tolist(), strict=True))
    return Result(
        case.name, case.count, stats.visible, stats.pairs, float(np.median(times)), float(min(times)), per_phase
    )


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


class Prototype:
    """The yardstick, built in a temporary folder with its own flags and run on the same input."""

    def __init__(self, folder: Path, level: str) -> None:
        self.folder = folder
        self.program = folder / "prototype"
        flags = "-march=native -mprefer-vector-width=512" if level == "avx512" else "-mavx2 -mfma -mbmi2 -mpopcnt"
        command = f"g++ -std=c++17 -O3 {flags} -fno-math-errno -fno-trapping-math -ffp-contract=fast -pthread -w"
        subprocess.run([*command.split(), str(PROTOTYPE / "step.cpp"), "-o", str(self.program)], check=True)

    def add_to(self, result: Result, case: Case, steps: int) -> None:
        s, v = case.splats, case.view
        rows = np.zeros((case.count, 62), "<f4")
        rows[:, :3], rows[:, 6:9], rows[:, 54], rows[:, 55:58], rows[:, 58:] = (
            *(s.means, s.sh[:, 0], s.logit_opacities, s.log_scales, s.quats),
        )
        rows[:, 9:54] = s.sh[:, 1:].swapaxes(1, 2).reshape(case.count, 45)
        (self.folder / "splats.ply").write_bytes(
            f"ply\nformat binary_little_endian 1.0\nelement vertex {case.count}\nend_header\n".encode() + rows.tobytes()
        )
        numbers = [v.width, v.height, v.fx, v.fy, v.cx, v.cy, *v.cam_from_world[:, :3].ravel(), *v.cam_from_world[:, 3]]
        (self.folder / "view.bin").write_bytes(np.array(numbers, "<f4").tobytes() + case.photo_srgb.tobytes())
        files = [str(self.folder / name) for name in ("splats.ply", "view.bin")]
        command = [str(self.program), *files, str(kernels.thread_count()), str(steps), "lr0"]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        medians = [float(x) for x in re.findall(r"[\d.]+", text[text.index("  med") :].splitlines()[0])]
        result.prototype_phase_ms = dict(zip(PHASES, medians, strict=False))
        result.prototype_ms = medians[-1]


def cases(quick: bool) -> list[Case]:
    sizes, counts = ([(480, 354)], [20_000]) if quick else ([(480, 354), (960, 708)], [20_000, 50_000, 100_000])
    found = [synthetic(n, *size) for size in sizes for n in counts]
    if not quick and (PROTOTYPE / "brighton_26k.ply").is_file() and BRIGHTON.is_dir():
        found.append(brighton())
    return found


def show(report: dict[str, Any], results: list[Result]) -> None:
    print(
        f"SIMD {report['simd_level']} of {', '.join(report['simd_levels'])}; {report['threads']} threads; seed {SEED}"
    )
    print(
        f"{'ms per step (median)':24}{'total':>8}{'best':>8}"
        + "".join(f"{p:>10}" for p in PHASES)
        + f"{'prototype':>11}"
    )
    for r in results:
        phases = "".join(f"{r.phase_ms[p]:10.2f}" for p in PHASES)
        prototype = "" if r.prototype_ms is None else f"{r.prototype_ms:11.2f}"
        print(f"{r.name:24}{r.median_ms:8.2f}{r.best_ms:8.2f}{phases}{prototype}")
    print(
        f"torch twin, {results[0].name}: {report['twin_ms']:.0f} ms, {report['twin_ratio']:.0f} times the native step"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--check", action="store_true", help=f"fail above {LIMIT_MS:.0f} ms at 480x354 with 20k splats")
    parser.add_argument("--quick", action="store_true", help="only 480x354 with 20k splats")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--simd", choices=kernels.simd_levels())
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.simd:
        kernels.set_simd_level(options.simd)
    if options.threads:
        kernels.set_thread_count(options.threads)

    found = cases(options.quick)
    results = [measure(case, options.steps) for case in found]
    for _ in range(4):
        if options.check and results[0].median_ms > LIMIT_MS:
            results[0] = measure(found[0], options.steps)
    if PROTOTYPE.is_dir() and kernels.simd_level() != "portable":
        with tempfile.TemporaryDirectory() as folder:
            prototype = Prototype(Path(folder), kernels.simd_level())
            for case, result in zip(found, results, strict=True):
                prototype.add_to(result, case, options.steps)
    twin_ms = twin_step_ms(found[0])
    report = {
        "simd_level": kernels.simd_level(),
        "simd_levels": kernels.simd_levels(),
        "threads": kernels.thread_count(),
        "seed": SEED,
        "limit_ms": LIMIT_MS,
        "within_limit": results[0].median_ms <= LIMIT_MS,
        "twin_ms": twin_ms,
        "twin_ratio": twin_ms / results[0].median_ms,
        "cases": [asdict(r) for r in results],
    }
    print(json.dumps(report, indent=2)) if options.json else show(report, results)
    if options.check and not report["within_limit"]:
        raise SystemExit(f"a step takes {results[0].median_ms:.1f} ms, more than {LIMIT_MS:.0f}")


if __name__ == "__main__":
    main()
