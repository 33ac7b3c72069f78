"""`diorama doctor`: what this machine has, and what each missing thing would add."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from .console import Console
from .machine import cores, cpu_name, memory_bytes, version, versions

State = Literal["ok", "missing"]


@dataclass(frozen=True)
class Finding:
    """One thing looked for; `adds` says what a missing one would bring and how to get it."""

    name: str
    state: State
    value: str
    adds: str = ""


def doctor(models: Path | None, console: Console) -> dict[str, Any]:
    """Looks at everything and prints it; never fails because something is missing."""
    findings = [*_processor(), *_cuda(), *_backends(), *_networks(models), *_programs()]
    marks = {"ok": "yes", "missing": "no "}
    width = max(len(f.name) for f in findings)
    console.say("This machine")
    for finding in findings:
        console.say(f"  {marks[finding.state]} {finding.name:<{width}}  {finding.value}")
        if finding.adds:
            console.say(f"        {'':<{width}}{finding.adds}")
    console.say("\nVersions")
    console.say("  " + ", ".join(f"{name} {number}" for name, number in versions().items()))
    return {"findings": [asdict(f) for f in findings], "versions": versions()}


def _processor() -> list[Finding]:
    from diorama.kernels import simd_level, simd_levels, thread_count

    memory = memory_bytes()
    return [
        Finding("processor", "ok", f"{cpu_name()}, {cores()} cores, {thread_count()} threads used"),
        Finding("memory", "ok", f"{memory / 2**30:.1f} GiB" if memory else "unknown"),
        Finding("SIMD kernels", "ok", f"{simd_level()} (built in: {', '.join(simd_levels())})"),
    ]


def _cuda() -> list[Finding]:
    import torch

    if torch.cuda.is_available():
        device = torch.cuda.get_device_properties(0)
        return [Finding("CUDA device", "ok", f"{device.name}, {device.total_memory / 2**30:.0f} GiB")]
    built = torch.version.cuda
    why = f"torch is built for CUDA {built} but sees no device" if built else "torch is a CPU build"
    return [
        Finding(
            "CUDA device",
            "missing",
            why,
            "With an NVIDIA card, its driver and a CUDA build of torch, `pip install 'diorama[cuda]'` adds the gsplat "
            "backend. Nothing needs it.",
        )
    ]


def _backends() -> list[Finding]:
    from diorama.render.rasterize import available_backends, choose_backend

    there = available_backends()
    chosen = choose_backend("auto")
    found = [Finding("backends", "ok", ", ".join(f"{b} (chosen)" if b == chosen else b for b in there))]
    if "gsplat" not in there:
        number = version("gsplat")
        found.append(
            Finding(
                "gsplat",
                "missing",
                f"{number} is installed but CUDA is not usable" if number else "not installed",
                "Trains and renders on an NVIDIA card.",
            )
        )
    return found


def _networks(models: Path | None) -> list[Finding]:
    from diorama.render.models import NETWORKS, find_model

    found = []
    for name, network in NETWORKS.items():
        words: list[str] = []
        path = find_model(name, models, download=False, explain=words.append)
        found.append(
            Finding(name, "ok", str(path))
            if path
            else Finding(name, "missing", "weights not found", f"Adds {network.task}. {words[0] if words else ''}")
        )
    return found


def _programs() -> list[Finding]:
    from diorama.viewer.bundle import find_bundle

    found = []
    bundle = find_bundle()
    found.append(
        Finding("scene page", "ok", str(bundle))
        if bundle
        else Finding("scene page", "missing", "not built", "Adds `diorama view`; install again where npm is reachable.")
    )
    browser = next((p for p in ("chromium", "google-chrome", "chromium-browser", "firefox") if shutil.which(p)), None)
    found.append(
        Finding("browser", "ok", browser)
        if browser
        else Finding("browser", "missing", "none found on the path", "`diorama view` prints a URL for any browser.")
    )
    return found
