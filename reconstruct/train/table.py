"""The splats in training as a table: one row per splat, 59 columns in the kernels' order.

Strategies read and edit rows, whatever the backend keeps them in. They touch a few rows every hundred steps, so rows
travel as NumPy arrays, from a GPU too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from diorama.kernels import View
from diorama.render.splats import Splats

Floats = npt.NDArray[np.float32]
Index = npt.NDArray[np.int64]

COLUMNS = 59
MEAN = slice(0, 3)
QUAT = slice(3, 7)
LOG_SCALE = slice(7, 10)
LOGIT_OPACITY = slice(10, 11)
SH = slice(11, 59)


def rows_from_splats(splats: Splats) -> Floats:
    """(N, 59); missing SH coefficients are zero."""
    rows = np.zeros((len(splats), COLUMNS), np.float32)
    rows[:, MEAN] = splats.means
    rows[:, QUAT] = splats.quats
    rows[:, LOG_SCALE] = splats.log_scales
    rows[:, LOGIT_OPACITY] = splats.logit_opacities[:, None]
    flat = splats.sh.reshape(len(splats), -1)
    rows[:, SH.start : SH.start + flat.shape[1]] = flat
    return rows


def splats_from_rows(rows: Floats, sh_degree: int = 3) -> Splats:
    count = (sh_degree + 1) ** 2
    arrays = (
        rows[:, MEAN],
        rows[:, QUAT],
        rows[:, LOG_SCALE],
        rows[:, LOGIT_OPACITY].reshape(-1),
        rows[:, SH].reshape(-1, 16, 3)[:, :count],
    )
    return Splats(*(np.ascontiguousarray(a, dtype=np.float32) for a in arrays))


@dataclass(frozen=True, eq=False)
class Statistics:
    """What was seen since the statistics were last cleared, per splat (N,).

    grad_norm: sum over steps of the norm of the loss's gradient by the projected centre, in units where the picture's
        half width and half height are 1; for a strategy with `absolute_gradients`, the norm of the sums over pixels of
        its absolute values, x and y apart (AbsGS, Ye et al. 2024, eq. 5). visible: number of steps that saw the splat.
    """

    grad_norm: Floats
    visible: Floats


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a camera sees: float32 rgb (H, W, 3) over black, alpha (H, W), depth (H, W), the sum of weight times z."""

    rgb: Floats
    alpha: Floats
    depth: Floats


Weigh = Callable[[Drawn], Floats]
"""From a picture to maps (K, H, W): what its pixels count for."""


class SplatTable(Protocol):
    """What a strategy may do with the splats; rows are float32 (M, 59), indices int64 (M,)."""

    @property
    def count(self) -> int: ...

    def column(self, columns: slice) -> Floats:
        """A copy (N, width) of some columns of every row."""

    def rows(self, index: Index) -> Floats:
        """Copies of some rows."""

    def replace(self, index: Index, rows: Floats) -> None:
        """New values for some rows, all different; Adam's moments of these rows start again at zero."""

    def adjust(self, index: Index, rows: Floats) -> None:
        """Slightly other values for some rows, all different, whose means stay; Adam's moments go on."""

    def set_column(self, columns: slice, values: Floats) -> None:
        """New values (N, width) for some columns of every row; Adam's moments of these columns start again at zero."""

    def append(self, rows: Floats) -> None:
        """New rows at the end, with zero moments and statistics."""

    def keep(self, index: Index) -> None:
        """Keeps only these rows, given in ascending order."""

    def add_noise(self, amount: float, seed: int, step: int) -> None:
        """3DGS-MCMC's noise on the means (Kheradmand et al. 2024, eq. 9); the same for the same (seed, step)."""

    def statistics(self) -> Statistics: ...

    def clear_statistics(self) -> None: ...

    def contribution(self, view: View, sh_degree: int, weigh: Weigh) -> Floats:
        """What each splat adds to a camera's picture, float32 (K, N): sums over pixels of its blending weight times
        each of `weigh`'s K maps; see `kernels.contribution`. The same on any thread count on the CPU."""
