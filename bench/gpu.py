"""The gsplat backend on the CUDA device at hand: time of a training step, whole trainings with PSNR, peak memory.

    python bench/gpu.py [--write docs/benchmarks.md] [--set NAME] [--steps N] [--only-look]

The steps are those of bench/step.py, a whole step of the trainer's backend with the clock stopped when the device is
done; the trainings are of `--set` (a set of the footage folder, by default brighton_beach where it is at hand) or else
of a synthetic place. `--write` replaces the document's part between its two gpu-check marks. Without a CUDA device or
gsplat: one line, and the exit code 2.
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
from pathlib import Path

from diorama.render.backends.cuda import cuda_missing

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
    """name: size and splats. Milliseconds per step, and the most memory that torch held in MiB."""

    name: str
    median_ms: float
    best_ms: float
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
        times = []
        for step in range(1, steps + 11):
            settings = StepSettings(step, 0, 0, 0, 0, 0, 0, 3, 0.2, (0.0, 0.0, 0.0), 0.01, 0.01)
            torch.cuda.synchronize()
            started = time.perf_counter()
            backend.step([Shot(0, case.view)], settings)
            torch.cuda.synchronize()
            if step > 10:
                times.append(1e3 * (time.perf_counter() - started))
        peak = torch.cuda.max_memory_allocated() / 2**20
        rows.append(StepRow(case.name, statistics.median(times), min(times), peak))
        print(f"{case.name:24}{rows[-1].median_ms:8.2f} ms (best {min(times):.2f}), {peak:.0f} MiB; seed {SEED}")
    return rows


def measure_trainings(name: str | None) -> list[TrainingRow]:
    """Presets preview and standard."""
    import torch
    from scenes import footage_folder, real, synthetic

    from diorama.reconstruct.evaluate import EvaluateConfig, evaluate_splats
    from diorama.reconstruct.train import PRESETS, train_splats

    if name is None and (footage_folder() / "photos" / DEFAULT_SET).is_dir():
        name = DEFAULT_SET
    scene, what = (real(name), name) if name else (synthetic(40, 960, 720), "synthetic terrace")
    rows = []
    for preset in ("preview", "standard"):
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
        rows.append(TrainingRow(f"{what}, {preset}", result.steps, score.psnr_db, seconds, len(result.splats), peak))
        print(f"{rows[-1].name}: {score.psnr_db:.2f} dB in {seconds:.1f} s, {peak:.0f} MiB")
    return rows


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
        "A step is forward, loss, backward and Adam of the gsplat backend; memory is the most that torch held.",
        "",
        "| picture, splats | step, ms (median) | best | memory, MiB |",
        "|---|---|---|---|",
        *(f"| {r.name} | {r.median_ms:.2f} | {r.best_ms:.2f} | {r.peak_mib:,.0f} |" for r in steps),
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
    parser.add_argument("--set", dest="name", help="a set of the footage folder (see bench/scenes.py)")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--only-look", action="store_true", help="only say whether the benchmark can run")
    options = parser.parse_args()
    if missing := cuda_missing():
        print(f"gpu-check: {missing}")
        raise SystemExit(2)
    if options.only_look:
        return
    text = section(machine(), measure_steps(options.steps), measure_trainings(options.name), datetime.date.today())
    print(text)
    if options.write:
        document = options.write.read_text(encoding="utf-8")
        options.write.write_text(with_section(document, text), encoding="utf-8")


if __name__ == "__main__":
    main()
