"""Depth maps: those that came with a capture (phones with a laser scanner, other programs) and those made from photos.

One `.npz` per frame. Depth is z along the optical axis, in units of the frame in which the poses were solved or
imported: a scene that is scaled later keeps its maps, as `PosedScene.world_from_input` scales them too.

In the file: `depth_code` (h, w) uint16, 0 for unknown, else `near (far / near)^((code - 1) / 65534)` with
`depth_range` = (near, far) float64, so that rounding changes a depth by less than 1e-4 of itself where the farthest is
1,000 times the nearest (by half of log(far / near) / 65534); `confidence` (h, w) uint8 over 255 and `normals`
(h, w, 3) int8 over 127 where there are any. Files of an earlier form, with `depth` as float32, are read too.
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

_STEPS = 65534
"""Between the code of the nearest depth, 1, and that of the farthest, 65535."""


@dataclass(frozen=True, eq=False)
class DepthMap:
    """Depth (h, w) float32, 0 where it is not known, and confidence (h, w) float32 in 0 to 1, or None for 1.

    It covers what the frame's picture covers, as the lens drew it, in as many pixels as it has.

    normals: (h, w, 3) float32 or None: unit normals of the surface in the camera's axes, towards the camera; zeros
        where they are not known.
    """

    depth: Floats
    confidence: Floats | None = None
    normals: Floats | None = None

    @property
    def nbytes(self) -> int:
        """Memory that the arrays take."""
        return sum(a.nbytes for a in (self.depth, self.confidence, self.normals) if a is not None)

    def above(self, confidence: float) -> DepthMap:
        """The map without the pixels of less confidence than that."""
        if self.confidence is None:
            return self
        kept = self.confidence >= confidence
        normals = None if self.normals is None else self.normals * kept[..., None]
        return DepthMap(self.depth * kept, self.confidence * kept, normals)


def write_depth(map_: DepthMap, path: Path) -> None:
    """Writes beside the path and renames. Depths that are no positive numbers become unknown."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = np.isfinite(map_.depth) & (map_.depth > 0)
    near, far = _range_of(map_.depth[known])
    logs = np.log(np.where(known, map_.depth, near).astype(np.float64) / near)
    step = np.log(far / near) / _STEPS
    codes = np.rint(logs / step).astype(np.int64) if step > 0 else np.zeros(known.shape, np.int64)
    arrays: dict[str, Any] = {
        "depth_code": np.where(known, np.clip(codes, 0, _STEPS) + 1, 0).astype(np.uint16),
        "depth_range": np.array([near, far]),
    }
    if map_.confidence is not None:
        sure = np.nan_to_num(np.clip(map_.confidence, 0.0, 1.0))
        arrays["confidence"] = np.rint(sure * 255).astype(np.uint8)
    if map_.normals is not None:
        arrays["normals"] = np.rint(np.clip(np.nan_to_num(map_.normals), -1.0, 1.0) * 127).astype(np.int8)
    beside = path.with_name(path.name + ".partial")
    with beside.open("wb") as file:
        np.savez_compressed(file, **arrays)
    beside.replace(path)


def _range_of(known: Floats) -> tuple[float, float]:
    return (float(known.min()), float(known.max())) if known.size else (1.0, 1.0)


def read_depth(path: Path) -> DepthMap:
    """Raises InputError for a file that is no depth map of `write_depth`'s form."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                raise InputError(f"{path} is larger than a depth map can be; take it away or replace it.")
        with np.load(path, allow_pickle=False) as arrays:
            depth = _decoded(arrays) if "depth_code" in arrays else np.asarray(arrays["depth"], np.float32)
            confidence = _fraction(arrays, "confidence", 255)
            normals = _fraction(arrays, "normals", 127)
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError) as error:
        raise InputError(f"{path} cannot be read as a depth map ({error}); take it away or replace it.") from error
    shape = depth.shape
    fits = (confidence is None or confidence.shape == shape) and (normals is None or normals.shape == (*shape, 3))
    if depth.ndim != 2 or not depth.size or not fits:
        raise InputError(f"{path} holds no picture of depths; take it away or replace it.")
    known = np.isfinite(depth) & (depth > 0)
    return DepthMap(np.where(known, depth, np.float32(0.0)), confidence, normals)


def _decoded(arrays: Any) -> Floats:
    codes, (near, far) = np.asarray(arrays["depth_code"]), np.asarray(arrays["depth_range"], np.float64)
    if codes.dtype != np.uint16 or not (0 < near <= far < np.inf):
        raise ValueError("its codes or their range are not those of depths")
    steps = np.maximum(codes, 1).astype(np.float64) - 1.0
    depth = near * np.exp(steps * (np.log(far / near) / _STEPS))
    return np.where(codes > 0, depth, 0.0).astype(np.float32)


def _fraction(arrays: Any, name: str, whole: int) -> Floats | None:
    """Integers as shares of `whole`; floats as they are, without what is no number."""
    if name not in arrays:
        return None
    values = np.asarray(arrays[name])
    if values.dtype.kind in "iu":
        return values.astype(np.float32) / np.float32(whole)
    return np.nan_to_num(values.astype(np.float32))


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
