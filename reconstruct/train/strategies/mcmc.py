"""3D Gaussian Splatting as Markov Chain Monte Carlo (Kheradmand et al. 2024)."""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

from ..config import TrainConfig
from ..schedule import random_numbers
from ..table import LOG_SCALE, LOGIT_OPACITY, Floats, Index, SplatTable

Array = npt.NDArray[np.float64]

MAX_COPIES = 51
"""Most splats that one is shared among at a time, as in the paper's code; the sum of eq. 9 loses digits beyond."""


class Mcmc:
    """Relocates dead splats onto living ones, grows by a share up to the cap, and adds noise to the means."""

    needs_statistics = False
    absolute_gradients = False

    def __init__(self, config: TrainConfig) -> None:
        self._config, self._mcmc = config, config.mcmc
        self.opacity_reg, self.scale_reg = config.mcmc.opacity_reg, config.mcmc.scale_reg
        self.needle_reg, self.max_needle = config.mcmc.needle_reg, config.mcmc.max_needle
        self._every = max(1, min(config.mcmc.every, config.steps // config.mcmc.least_times))
        self._start, self._stop = config.mcmc.start * config.steps, config.mcmc.stop * config.steps

    def after_step(self, table: SplatTable, step: int, means_lr: float) -> None:
        if self._start <= step <= self._stop and step % self._every == 0 and table.count:
            self._relocate(table, step)
            if self._mcmc.needle_reg == 0:
                shorten_needles(table, self._mcmc.max_needle)
            if self._mcmc.max_thickness < 1:
                flatten(table, self._mcmc.max_thickness)
            self._grow(table, step)
        table.add_noise(self._mcmc.noise * means_lr, self._config.seed, step)

    def _relocate(self, table: SplatTable, step: int) -> None:
        """Each dead splat becomes a copy of a living one, drawn by opacity; the copies share its opacity (eq. 9)."""
        opacity = sigmoid(table.column(LOGIT_OPACITY)[:, 0])
        is_dead = opacity <= self._mcmc.min_opacity
        dead, alive = np.flatnonzero(is_dead), np.flatnonzero(~is_dead)
        if not len(dead) or not len(alive):
            return
        chosen = draw(opacity, alive, len(dead), random_numbers(self._config.seed, "relocate", step))
        rows = share(table, chosen, self._mcmc.min_opacity)
        table.replace(dead, rows)

    def _grow(self, table: SplatTable, step: int) -> None:
        target = min(self._config.max_splats, math.ceil(table.count * (1 + self._mcmc.growth)))
        opacity = sigmoid(table.column(LOGIT_OPACITY)[:, 0])
        if target <= table.count:
            return
        everyone = np.arange(table.count)
        generator = random_numbers(self._config.seed, "grow", step)
        chosen = draw(opacity, everyone, target - table.count, generator)
        table.append(share(table, chosen, self._mcmc.min_opacity))


def shorten_needles(table: SplatTable, most: float) -> None:
    """Shortens splats whose longest axis is more than `most` times their second longest.

    Needles fit one photo's texture seen edge-on and stick out of every other view: where few photos see a place they
    are how training overfits. A shortened splat's momentum, which made the needle, starts again.
    """
    ordered = np.sort(table.column(LOG_SCALE), axis=1)
    limit = ordered[:, 1] + np.float32(math.log(most))
    index = np.flatnonzero(ordered[:, 2] > limit)
    if len(index):
        rows = table.rows(index)
        rows[:, LOG_SCALE] = np.minimum(rows[:, LOG_SCALE], limit[index, None])
        table.replace(index, rows)


def flatten(table: SplatTable, most: float) -> None:
    """Takes each splat half of the way to a shortest axis of at most `most` times its second longest.

    The end of PGSR's flattening loss (Chen et al. 2024, eq. 4) without its gradient: in logarithms, so that small and
    large splats become equally flat, and relative to the disc's own size. The scales' momentum starts again.
    """
    log_scales = table.column(LOG_SCALE)
    ordered = np.sort(log_scales, axis=1)
    limit = ordered[:, 1] + np.float32(math.log(most))
    thick = np.flatnonzero(ordered[:, 0] > limit)
    if not len(thick):
        return
    values = log_scales.copy()
    shortest = log_scales[thick].argmin(axis=1)
    values[thick, shortest] = 0.5 * (log_scales[thick, shortest] + limit[thick])
    table.set_column(LOG_SCALE, values)


def draw(weights: Array, candidates: Index, count: int, generator: np.random.Generator) -> Index:
    """`count` of `candidates` with replacement, each as likely as its weight; uniform where all weights are zero."""
    cumulative = np.cumsum(np.nan_to_num(weights[candidates], nan=0.0, posinf=0.0) + 1e-12)
    picks = np.searchsorted(cumulative, generator.random(count) * cumulative[-1], side="right")
    chosen: Index = candidates[np.minimum(picks, len(candidates) - 1)]
    return chosen


def share(table: SplatTable, chosen: Index, min_opacity: float) -> Floats:
    """Makes room for copies: every splat in `chosen` is weakened in place as eq. 9 says; returns the copies' rows.

    A splat drawn n times is shared among n + 1. The weakened splats' moments start again, as the copies' do.
    """
    originals, inverse, drawn = np.unique(chosen, return_inverse=True, return_counts=True)
    rows = table.rows(originals)
    opacity, scale_factor = shared(sigmoid(rows[:, LOGIT_OPACITY][:, 0]), drawn + 1)
    opacity = np.clip(opacity, min_opacity, 1.0 - 1e-6)
    rows[:, LOGIT_OPACITY] = (np.log(opacity) - np.log1p(-opacity))[:, None]
    rows[:, LOG_SCALE] += np.log(scale_factor)[:, None].astype(np.float32)
    table.replace(originals, rows)
    return rows[inverse]


def shared(opacity: Array, copies: npt.NDArray[np.int64]) -> tuple[Array, Array]:
    """Opacity (N,) of each of `copies` (N,) equal splats that look like one of `opacity`, and their scale factor (N,).

    Kheradmand et al. 2024, eq. 9: opacity `1 - (1 - o)^(1/n)` keeps the composited alpha at the centre; the scale
    factor `o / sum_{i=1..n} sum_{k=0..i-1} C(i-1, k) (-1)^k o_new^(k+1) / sqrt(k+1)` keeps what the splat covers.
    """
    n = np.minimum(copies, MAX_COPIES)
    new = 1.0 - (1.0 - opacity) ** (1.0 / n)
    powers = np.arange(1, MAX_COPIES + 1)
    covered = (_coefficients()[n] * new[:, None] ** powers).sum(axis=1)
    return new, opacity / covered


@functools.cache
def _coefficients() -> Array:
    """Row n, column k: sum over i = 1..n of C(i-1, k) (-1)^k / sqrt(k+1), the inner sums of eq. 9 in another order.

    By the hockey-stick identity the binomials add up to C(n, k+1).
    """
    table = np.zeros((MAX_COPIES + 1, MAX_COPIES))
    for n in range(1, MAX_COPIES + 1):
        for k in range(n):
            table[n, k] = math.comb(n, k + 1) * (-1) ** k / math.sqrt(k + 1)
    return table


def sigmoid(x: npt.NDArray[np.floating]) -> Array:
    result: Array = 0.5 * (1.0 + np.tanh(0.5 * x.astype(np.float64)))
    return result
