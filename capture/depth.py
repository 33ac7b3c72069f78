"""Depth maps that came with a capture (phones with a laser scanner, other programs), one `.npz` per frame.

Depth is z along the optical axis, in units of the frame in which the poses were solved or imported: a scene that is
scaled later keeps its maps, as `PosedScene.world_from_input` scales them too.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InputError

Floats = npt.NDArray[np.float32]

MAX_BYTES = 1 << 30
"""What a map may take in memory: files that were not written by us are treated as hostile."""


@dataclass(frozen=True, eq=False)
class DepthMap:
    """Depth (h, w) float32, 0 where it is not known, and confidence (h, w) float32 in 0 to 1, or None for 1.

    It covers what the frame's picture covers, in as many pixels as it has.
    """

    depth: Floats
    confidence: Floats | None = None


def write_depth(map_: DepthMap, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {"depth": map_.depth.astype(np.float32)}
    if map_.confidence is not None:
        arrays["confidence"] = map_.confidence.astype(np.float32)
    beside = path.with_name(path.name + ".partial")
    with beside.open("wb") as file:
        np.savez_compressed(file, **arrays)
    beside.replace(path)


def read_depth(path: Path) -> DepthMap:
    """Raises InputError for a file that is no depth map of `write_depth`'s form."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                raise InputError(f"{path} is larger than a depth map can be; take it away or replace it.")
        with np.load(path, allow_pickle=False) as arrays:
            depth = np.asarray(arrays["depth"], np.float32)
            confidence = np.asarray(arrays["confidence"], np.float32) if "confidence" in arrays else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read as a depth map ({error}); take it away or replace it.") from error
    if depth.ndim != 2 or not depth.size or (confidence is not None and confidence.shape != depth.shape):
        raise InputError(f"{path} holds no picture of depths; take it away or replace it.")
    known = np.isfinite(depth) & (depth > 0)
    return DepthMap(np.where(known, depth, np.float32(0.0)), confidence)


def read_foreign_depth(path: Path, unit: float) -> DepthMap:
    """A 16-bit PNG or a `.npy` of numbers, times `unit`: nerfstudio's, Polycam's and Record3D's form.

    Raises InputError for a file that is neither.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is larger than a depth map can be; take it away or replace it.")
        if path.suffix.lower() == ".npy":
            values = np.load(path, allow_pickle=False)
        else:
            import PIL.Image

            with PIL.Image.open(path) as picture:
                values = np.asarray(picture)
        depth = np.squeeze(np.asarray(values, np.float64)) * unit
    except (OSError, ValueError, TypeError, SyntaxError, EOFError) as error:
        raise InputError(f"{path} cannot be read as a depth map ({error}).") from error
    if depth.ndim != 2 or not depth.size:
        raise InputError(f"{path} has shape {values.shape}, which is no depth map.")
    known = np.isfinite(depth) & (depth > 0)
    return DepthMap(np.where(known, depth, 0.0).astype(np.float32))
