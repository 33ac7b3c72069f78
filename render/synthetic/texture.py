"""Textures of all surfaces in one array, read with trilinear filtering (Williams 1983)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .solids import Array

Floats = npt.NDArray[np.float32]

LEVELS = 5
MULTIPLE = 2 ** (LEVELS - 1)
"""Counts of texel intervals are multiples of this, so that each level halves them exactly."""


@dataclass(frozen=True, eq=False)
class Atlas:
    """Texels (M, 3) linear RGB of every surface and level, one after the other.

    A texture has samples on both edges: `columns + 1` by `rows + 1` texels, u = 0 on the first and 1 on the last.
    columns, rows: (surfaces,) intervals at level 0. starts: (surfaces, LEVELS) first texel. texel_m: (surfaces,).
    """

    texels: Floats
    columns: npt.NDArray[np.int32]
    rows: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    texel_m: Floats

    @staticmethod
    def build(textures: Sequence[Floats], closed: Sequence[bool], texel_m: Sequence[float]) -> Atlas:
        """From textures (rows + 1, columns + 1, 3); a closed one repeats its first column as its last."""
        pieces: list[Floats] = []
        starts = np.zeros((len(textures), LEVELS), np.int64)
        total = 0
        for index, (texture, is_closed) in enumerate(zip(textures, closed, strict=True)):
            level = texture
            for step in range(LEVELS):
                if step:
                    level = _halved(level, is_closed)
                starts[index, step] = total
                pieces.append(level.reshape(-1, 3))
                total += len(pieces[-1])
        shapes = np.array([t.shape[:2] for t in textures], np.int32) - 1
        return Atlas(
            np.concatenate(pieces).astype(np.float32),
            shapes[:, 1].copy(),
            shapes[:, 0].copy(),
            starts,
            np.asarray(texel_m, np.float32),
        )

    def read(self, surface: npt.NDArray[np.int32], u: Array, v: Array, footprint_m: Array) -> Floats:
        """Colours (n, 3) at (u, v) of surfaces, averaged over about `footprint_m`."""
        finest = np.maximum(footprint_m / self.texel_m[surface], 1)
        level = np.minimum(np.log2(finest), LEVELS - 1.001).astype(np.float32)
        lower = level.astype(np.int32)
        blend = (level - lower)[:, None]
        return self._bilinear(surface, u, v, lower) * (1 - blend) + self._bilinear(surface, u, v, lower + 1) * blend

    def _bilinear(self, surface: npt.NDArray[np.int32], u: Array, v: Array, level: npt.NDArray[np.int32]) -> Floats:
        columns, rows = self.columns[surface] >> level, self.rows[surface] >> level
        x, y = (u * columns).astype(np.float32), (v * rows).astype(np.float32)
        left = np.clip(x.astype(np.int32), 0, columns - 1)
        top = np.clip(y.astype(np.int32), 0, rows - 1)
        fx, fy = (x - left)[:, None], (y - top)[:, None]
        stride = columns + 1
        index = self.starts[surface, level] + top.astype(np.int64) * stride + left
        take = self.texels.take
        upper = take(index, axis=0)
        upper += (take(index + 1, axis=0) - upper) * fx
        index += stride
        below = take(index, axis=0)
        below += (take(index + 1, axis=0) - below) * fx
        below -= upper
        below *= fy
        upper += below
        colours: Floats = upper
        return colours


def _halved(texture: Floats, is_closed: bool) -> Floats:
    """Every second sample after the filter (1, 2, 1) / 4; beyond an open edge the texture is mirrored."""
    wide = np.concatenate([texture[:, -2:-1] if is_closed else texture[:, 1:2], texture], 1)
    wide = np.concatenate([wide, texture[:, 1:2] if is_closed else texture[:, -2:-1]], 1)
    thin = 0.25 * wide[:, :-2:2] + 0.5 * wide[:, 1:-1:2] + 0.25 * wide[:, 2::2]
    tall = np.concatenate([thin[1:2], thin, thin[-2:-1]], 0)
    halved = 0.25 * tall[:-2:2] + 0.5 * tall[1:-1:2] + 0.25 * tall[2::2]
    return halved.astype(np.float32)


def resampled(lattice: Floats, rows: int, columns: int) -> Floats:
    """A lattice (h, w, 3) with samples on its edges, interpolated to `rows` by `columns` with samples on its edges."""
    for axis, count in ((0, rows), (1, columns)):
        position = np.linspace(0, lattice.shape[axis] - 1, count, dtype=np.float32)
        left = np.minimum(position.astype(np.int32), lattice.shape[axis] - 2)
        share = (position - left).reshape([-1, 1, 1] if axis == 0 else [1, -1, 1]).astype(np.float32)
        lattice = lattice.take(left, axis) * (1 - share) + lattice.take(left + 1, axis) * share
    return lattice
