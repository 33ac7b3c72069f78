"""One splat becomes two: what strategies that watch gradients share."""

from __future__ import annotations

import numpy as np

from diorama.capture.transforms import rotation_from_quaternion

from ..table import LOG_SCALE, MEAN, QUAT, Index, SplatTable
from .mcmc import share

SPLIT_SHRINK = 1.6
"""A splat is split into two this much smaller (Kerbl et al. 2023, section 5.2)."""


def split(table: SplatTable, index: Index, generator: np.random.Generator) -> None:
    """Two splats for each of `index`, drawn from its own distribution: one in its place, one at the end."""
    if not len(index):
        return
    rows = table.rows(index)
    draws = generator.standard_normal((2, len(index), 3)) * np.exp(rows[:, LOG_SCALE])
    rotation = rotation_from_quaternion(rows[:, QUAT])
    offsets = np.einsum("nij,snj->sni", rotation, draws).astype(np.float32)
    rows[:, LOG_SCALE] -= np.float32(np.log(SPLIT_SHRINK))
    first, second = rows.copy(), rows
    first[:, MEAN] += offsets[0]
    second[:, MEAN] += offsets[1]
    table.replace(index, first)
    table.append(second)


def clone(table: SplatTable, index: Index, min_opacity: float) -> None:
    """A copy of each of `index` at the end; both are weakened so that together they look like the one (see `share`)."""
    if len(index):
        table.append(share(table, index, min_opacity))
