"""How gpu-check writes its results, with made-up numbers that go nowhere, and what it says without a GPU."""

from __future__ import annotations

import datetime
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from diorama.render.backends.cuda import cuda_missing

PROGRAM = Path(__file__).parents[1] / "bench" / "gpu.py"


@pytest.fixture(scope="module")
def gpu() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_gpu", PROGRAM)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_results_stand_between_the_marks_and_replace_old_ones(gpu: ModuleType) -> None:
    machine = gpu.Machine("Made-up device", 24.0, "2.6", "12.4", "1.5.3", "x86_64")
    steps = [gpu.StepRow("480x354, 20k", 1.234, 1.1, 2.468, 345.6)]
    trainings = [gpu.TrainingRow("somewhere, preview", 3000, 21.5, 12.3, 60000, 1234.0)]
    text = gpu.section(machine, steps, trainings, datetime.date(2001, 2, 3))
    assert "Made-up device, 24 GiB; gsplat 1.5.3" in text and "2001-02-03" in text
    assert "| 480x354, 20k | 1.23 | 1.10 | 2.47 | 0.50 | 346 |" in text
    assert "| somewhere, preview | 3,000 | 21.50 | 12 | 60,000 | 1,234 |" in text
    first = gpu.with_section("# Benchmarks\n\nBefore.\n", text)
    assert first.startswith("# Benchmarks\n\nBefore.\n\n" + gpu.BEGIN) and first.endswith(gpu.END + "\n")
    later = gpu.with_section(first + "\nAfter.\n", "new")
    assert "Made-up" not in later and later.endswith("After.\n") and f"{gpu.BEGIN}\nnew\n{gpu.END}" in later
    assert gpu.with_section(later, "new") == later


@pytest.mark.parametrize("document", ["{b}", "{e}", "{e}{b}", "{b}{e}{b}{e}"])
def test_a_document_with_broken_marks_is_left_alone(gpu: ModuleType, document: str) -> None:
    with pytest.raises(ValueError, match="once each"):
        gpu.with_section(document.format(b=gpu.BEGIN, e=gpu.END), "new")


@pytest.mark.skipif(cuda_missing() is None, reason="this machine has a GPU")
def test_without_a_gpu_it_says_so_in_one_line() -> None:
    done = subprocess.run([sys.executable, str(PROGRAM), "--only-look"], check=False, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout.startswith("gpu-check: ") and done.stdout.count("\n") == 1
