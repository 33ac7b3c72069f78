"""Checkpoints: a training's whole state in one safetensors file, written beside its place and renamed when whole.

A file is named by its step and by what it belongs to (`TrainConfig` and photos, as a hash), so a training only ever
goes on from its own. The newest two are kept. Size: 708 bytes per splat.
Beside the splats' arrays a state may hold what is learnt per photo, under names with a slash (`exposure/free`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError

from .backends import Arrays
from .table import COLUMNS

KEEP = 2
VERSION = "1"
_NAME = re.compile(r"step_(\d{8})_([0-9a-f]{16})\.safetensors")
_SHAPES: dict[str, tuple[int, ...]] = {
    "rows": (COLUMNS,),
    "exp_avg": (COLUMNS,),
    "exp_avg_sq": (COLUMNS,),
    "grad_norm": (),
    "visible": (),
}
_OPTIONAL = ("smoothing",)
"""Arrays (N,) that only some trainings have."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state after `step` steps; `history` is the record so far, `seconds` the time it took."""

    step: int
    state: Arrays
    history: dict[str, list[float]]
    seconds: float


def save_checkpoint(folder: Path, fingerprint: str, checkpoint: Checkpoint) -> Path:
    """Writes one checkpoint and removes all but the newest two of this training, and all of any other.

    Raises:
        InputError: the disk is full or cannot be written.
    """
    from safetensors.numpy import save_file

    path = folder / f"step_{checkpoint.step:08d}_{fingerprint}.safetensors"
    beside = path.with_suffix(".partial")
    arrays = {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in checkpoint.state.items()}
    record = {"step": checkpoint.step, "history": checkpoint.history, "seconds": checkpoint.seconds}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(arrays, str(beside), metadata={"version": VERSION, "training": json.dumps(record)})
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except Exception as error:  # safetensors wraps the system's errors in its own type
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError) or "I/O error" in str(error) or "os error" in str(error):
            raise InputError(
                f"The checkpoint {path} cannot be written ({error}): free disk space, then train again."
            ) from error
        raise
    mine = sorted((p for p in _files(folder) if p.name.endswith(f"_{fingerprint}.safetensors")), reverse=True)
    for old in set(_files(folder)) - set(mine[:KEEP]):
        old.unlink(missing_ok=True)
    return path


def load_newest(folder: Path, fingerprint: str, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest whole checkpoint of this training, or None. One that cannot be read is passed over with a warning."""
    for partial in folder.glob("*.partial"):  # left by a kill in the middle of writing
        partial.unlink(missing_ok=True)
    for path in sorted(_files(folder), reverse=True):
        match = _NAME.fullmatch(path.name)
        if match is None or match[2] != fingerprint:
            continue
        try:
            return _read(path, int(match[1]))
        except Exception as error:
            warn(f"The checkpoint {path.name} is damaged and was passed over ({error}).")
    return None


def _files(folder: Path) -> list[Path]:
    return [p for p in folder.glob("step_*.safetensors") if _NAME.fullmatch(p.name)]


def _read(path: Path, step: int) -> Checkpoint:
    """Reads and checks one file; any exception means that it is not a whole checkpoint of ours."""
    from safetensors import safe_open

    with safe_open(str(path), framework="numpy") as file:
        metadata: dict[str, str] = file.metadata() or {}
        if metadata.get("version") != VERSION:
            raise ValueError(f"version {metadata.get('version')!r}, expected {VERSION!r}")
        held = set(file.keys())
        names = [*_SHAPES, *(name for name in _OPTIONAL if name in held)]
        per_photo = [name for name in held if "/" in name]
        state: dict[str, npt.NDArray[np.float32]] = {name: file.get_tensor(name) for name in names}
        more = {name: file.get_tensor(name) for name in per_photo}
    count = len(state["rows"])
    for name in names:
        if state[name].shape != (count, *_SHAPES.get(name, ())) or state[name].dtype != np.float32:
            raise ValueError(f"{name} is {state[name].dtype}{state[name].shape}")
    state |= more
    record: dict[str, Any] = json.loads(metadata["training"])
    if record["step"] != step:
        raise ValueError(f"it holds step {record['step']}")
    history = {str(k): [float(x) for x in v] for k, v in record["history"].items()}
    return Checkpoint(step, state, history, float(record["seconds"]))
