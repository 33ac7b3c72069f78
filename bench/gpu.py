"""The gsplat backend on the CUDA device at hand: time of a training step, whole trainings with PSNR, peak memory.

    python bench/gpu.py [--write docs/benchmarks.md] [--set NAME]... [--presets NAME]... [--steps N] [--only-look]

The steps are those of bench/step.py, a whole step of the trainer's backend with the clock stopped when the device is
done, in turn with a plain loop around gsplat on the same splats (rasterization, L1 and SSIM, fused Adam, as in gsplat's
own example, but with the same SSIM). The trainings are of `--set` (sets of the footage folder, by default
brighton_beach where it is at hand) or else of a synthetic place, by `--presets` (preview, standard and high).
`--write` replaces the document's part between its two gpu-check marks. Without a CUDA device or gsplat: one line, and
the exit code 2.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from diorama.capture.types import PosedScene
from diorama.render.backends.cuda import cuda_missing

if TYPE_CHECKING:
    from cases import Case

WARM_UP = 10
BEGIN, END = "<!-- gpu-check: begin -->", "<!-- gpu-check: end -->"
DEFAULT_SET = "brighton_beach"


@dataclass(frozen=True)
class Machine:
    device: str
    memory_gib: float
    torch: str
    cuda: str
    gsplat: str
    host: str


@dataclass(frozen=True)
class StepRow:
    """name: size and splats. Milliseconds per step, of a plain loop around gsplat too, and the most memory in MiB."""

    name: str
    median_ms: float
    best_ms: float
    plain_ms: float
    peak_mib: float


@dataclass(frozen=True)
class TrainingRow:
    """A preset on a set: its steps, held-out PSNR, seconds of training, splats and the most memory in MiB."""

    name: str
    steps: int
    psnr_db: float
    seconds: float
    splats: int
    peak_mib: float


def machine() -> Machine:
    import importlib.metadata

    import torch

    properties = torch.cuda.get_device_properties(0)
    return Machine(
        properties.name,
        properties.total_memory / 2**30,
        torch.__version__,
        str(torch.version.cuda),
        importlib.metadata.version("gsplat"),
        platform.processor() or platform.machine(),
    )


class PlainGsplat:
    """What gsplat's users write: leaf tensors, one `rasterization`, L1 and SSIM, fused Adam."""

    def __init__(self, case: Case) -> None:
        import torch

        def leaf(array: np.ndarray) -> torch.Tensor:
            return torch.tensor(array, device="cuda").requires_grad_()

        means, quats, log_scales, logit_opacities, sh = case.splats
        self._leaves = [leaf(a) for a in (means, quats, log_scales, logit_opacities, sh[:, :1], sh[:, 1:])]
        self._adam = torch.optim.Adam([{"params": [p], "lr": 0.0} for p in self._leaves], eps=1e-15, fused=True)
        view = case.view
        matrix = np.vstack([view.cam_from_world, [0.0, 0.0, 0.0, 1.0]])
        self._matrix = torch.tensor(matrix, dtype=torch.float32, device="cuda")[None]
        k = [[view.fx, 0.0, view.cx], [0.0, view.fy, view.cy], [0.0, 0.0, 1.0]]
        self._k = torch.tensor(k, dtype=torch.float32, device="cuda")[None]
        self._size = view.width, view.height
        self._photo = torch.tensor(case.photo_srgb, device="cuda").float() / 255.0

    def step(self) -> None:
        import torch
        from gsplat import rasterization

        from diorama.kernels.twin import ssim_map

        means, quats, log_scales, logit_opacities, sh0, sh_rest = self._leaves
        drawn, _, _ = rasterization(
            means,
            quats,
            torch.exp(log_scales),
            torch.sigmoid(logit_opacities),
            torch.cat([sh0, sh_rest], 1),
            self._matrix,
            self._k,
            *self._size,
            sh_degree=3,
            packed=False,
        )
        x, y = drawn[0].permute(2, 0, 1), self._photo.permute(2, 0, 1)
        (0.8 * (x - y).abs().mean() + 0.2 * (1.0 - ssim_map(x, y).mean())).backward()
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)


def measure_steps(steps: int) -> list[StepRow]:
    """Whole steps of `AutogradSteps` on bench/step.py's cases, learning rates 0 so that each sees the same splats."""
    import torch
    from step import SEED, cases

    from diorama.reconstruct.train.backends import Shot, StepSettings, Target, open_backend
    from diorama.reconstruct.train.table import rows_from_splats
    from diorama.render.splats import Splats

    rows = []
    for case in cases(quick=False):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        target = Target(case.view, case.photo_srgb, None)
        table = rows_from_splats(Splats(*case.splats))
        backend = open_backend("gsplat", table, [target], case.count, statistics=False)

        def ours(step: int, backend: Any = backend, view: Any = case.view) -> None:
            settings = StepSettings(step, 0, 0, 0, 0, 0, 0, 3, 0.2, (0.0, 0.0, 0.0), 0.01, 0.01)
            backend.step([Shot(0, view)], settings)

        ours(1)
        peak = torch.cuda.max_memory_allocated() / 2**20
        plain = PlainGsplat(case)
        times: tuple[list[float], list[float]] = ([], [])
        for step in range(2, steps + WARM_UP + 2):
            for kept, take in zip(times, (partial(ours, step), plain.step), strict=True):
                torch.cuda.synchronize()
                started = time.perf_counter()
                take()
                torch.cuda.synchronize()
                if step > WARM_UP + 1:
                    kept.append(1e3 * (time.perf_counter() - started))
        own, other = (statistics.median(kept) for kept in times)
        rows.append(StepRow(case.name, own, min(times[0]), other, peak))
        print(
            f"{case.name:24}{own:8.2f} ms (best {min(times[0]):.2f}), plain {other:.2f} ms, {peak:.0f} MiB; seed {SEED}"
        )
    return rows


def measure_trainings(names: Sequence[str], presets: Sequence[str]) -> list[TrainingRow]:
    """Each preset on each set; synthetic without any."""
    from scenes import footage_folder, real, synthetic

    if not names and (footage_folder() / "photos" / DEFAULT_SET).is_dir():
        names = [DEFAULT_SET]
    sets = [(name, real(name)) for name in names] or [("synthetic terrace", synthetic(40, 960, 720))]
    return [measure_training(name, scene, preset) for name, scene in sets for preset in presets]


def measure_training(name: str, scene: PosedScene, preset: str) -> TrainingRow:
    import torch

    from diorama.reconstruct.evaluate import EvaluateConfig, evaluate_splats
    from diorama.reconstruct.train import PRESETS, train_splats

    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    config = replace(PRESETS[preset], backend="gsplat", checkpoint_every=10**9)
    with tempfile.TemporaryDirectory() as out:
        started = time.monotonic()
        result = train_splats(scene, Path(out), config)
        seconds = time.monotonic() - started
    score = evaluate_splats(
        scene,
        result.splats,
        result.held_out,
        EvaluateConfig(max_size_px=config.max_size_px or 10**6, backend="gsplat", train_views=0, pictures=0),
    )
    assert score.psnr_db is not None
    peak = torch.cuda.max_memory_allocated() / 2**20
    row = TrainingRow(f"{name}, {preset}", result.steps, score.psnr_db, seconds, len(result.splats), peak)
    print(f"{row.name}: {score.psnr_db:.2f} dB in {seconds:.1f} s, {row.splats:,} splats, {peak:.0f} MiB", flush=True)
    return row


def section(m: Machine, steps: Sequence[StepRow], trainings: Sequence[TrainingRow], day: datetime.date) -> str:
    """What goes between the marks."""
    lines = [
        "## On a GPU",
        "",
        "```",
        "make gpu-check",
        "```",
        "",
        f"{m.device}, {m.memory_gib:.0f} GiB; gsplat {m.gsplat}, torch {m.torch}, CUDA {m.cuda}; host {m.host}; "
        f"{day.isoformat()}.",
        "A step is forward, loss, backward and Adam of the gsplat backend; beside it, measured in turn, a plain loop",
        "around gsplat on the same splats. Memory is the most that torch held.",
        "",
        "| picture, splats | step, ms (median) | best | plain gsplat, ms | ours / plain | memory, MiB |",
        "|---|---|---|---|---|---|",
        *(
            f"| {r.name} | {r.median_ms:.2f} | {r.best_ms:.2f} | {r.plain_ms:.2f} | {r.median_ms / r.plain_ms:.2f} | "
            f"{r.peak_mib:,.0f} |"
            for r in steps
        ),
        "",
        "| set, preset | steps | held-out PSNR, dB | seconds of training | splats | memory, MiB |",
        "|---|---|---|---|---|---|",
        *(
            f"| {r.name} | {r.steps:,} | {r.psnr_db:.2f} | {r.seconds:.0f} | {r.splats:,} | {r.peak_mib:,.0f} |"
            for r in trainings
        ),
    ]
    return "\n".join(lines)


def with_section(document: str, text: str) -> str:
    """The document with `text` between the marks; both are put at its end where it has none.

    Raises ValueError for a document with only one of them, or with more than one pair.
    """
    marked = f"{BEGIN}\n{text}\n{END}"
    counts = document.count(BEGIN), document.count(END)
    if counts == (0, 0):
        return f"{document.rstrip()}\n\n{marked}\n"
    start, end = document.find(BEGIN), document.find(END)
    if counts != (1, 1) or end < start:
        raise ValueError(f"the document must have {BEGIN} and {END} once each, in this order")
    return document[:start] + marked + document[end + len(END) :]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="the document to write the results into")
    parser.add_argument("--set", dest="names", action="append", default=[], help="a set of the footage folder")
    parser.add_argument("--presets", nargs="+", default=["preview", "standard", "high"])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--only-look", action="store_true", help="only say whether the benchmark can run")
    options = parser.parse_args()
    if missing := cuda_missing():
        print(f"gpu-check: {missing}")
        raise SystemExit(2)
    if options.only_look:
        return
    text = section(
        machine(),
        measure_steps(options.steps),
        measure_trainings(options.names, options.presets),
        datetime.date.today(),
    )
    print(text)
    if options.write:
        document = options.write.read_text(encoding="utf-8")
        options.write.write_text(with_section(document, text), encoding="utf-8")


if __name__ == "__main__":
    main()
