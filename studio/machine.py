"""What this machine is: used by the doctor, by reports and by the records of stages."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "diorama",
    "numpy",
    "scipy",
    "torch",
    "pycolmap",
    "onnxruntime",
    "av",
    "pillow",
    "pillow-heif",
    "rawpy",
    "safetensors",
    "zstandard",
    "matplotlib",
    "fastapi",
    "uvicorn",
    "tyro",
    "rich",
    "gsplat",
    "nerfstudio",
)


def version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def versions() -> dict[str, str]:
    """Versions of Python and of what Diorama stands on, installed ones only."""
    found = {name: version(name) for name in PACKAGES}
    return {"python": platform.python_version()} | {name: v for name, v in found.items() if v}


def cpu_name() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def hardware() -> dict[str, object]:
    return {"cpu": cpu_name(), "cores": cores(), "memory_bytes": memory_bytes(), "system": platform.platform()}


class PeakMemory:
    """Peak resident bytes of this process, or of its largest child, since the measuring began."""

    def __init__(self) -> None:
        self.bytes = 0


@contextmanager
def measured_memory() -> Iterator[PeakMemory]:
    """Measures the peak within the block: Linux lets a process reset its own high-water mark; elsewhere the process's
    peak so far stands in. A child counts when it is larger than every child before the block."""
    peak = PeakMemory()
    children_before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    try:
        yield peak
    finally:
        children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        child_bytes = children * 1024 if children > children_before else 0
        peak.bytes = max(_own_peak_bytes(), child_bytes)


def _own_peak_bytes() -> int:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
