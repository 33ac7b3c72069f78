"""Clone, split and prune (Kerbl et al. 2023, section 5.2), by absolute gradients (AbsGS, Ye et al. 2024)."""

from __future__ import annotations

import numpy as np

from ..config import TrainConfig
from ..schedule import random_numbers
from ..table import LOG_SCALE, LOGIT_OPACITY, SplatTable
from .densify import split
from .mcmc import sigmoid


class Classic:
    """Where the picture pulls at a splat's centre there are too few: small ones are cloned, large ones split in two."""

    opacity_reg = 0.0
    scale_reg = 0.0
    needle_reg = 0.0
    max_needle = 1.0
    needs_statistics = True

    def __init__(self, config: TrainConfig) -> None:
        self._config, self._classic = config, config.classic
        self.absolute_gradients = config.classic.absolute
        self._least_pull = config.classic.absolute_grad if config.classic.absolute else config.classic.grad
        self._start, self._stop = config.classic.start * config.steps, config.classic.stop * config.steps

    def after_step(self, table: SplatTable, step: int, means_lr: float) -> None:
        if step > self._stop or step % self._classic.every or not table.count:
            return
        if step >= self._start:
            self._densify(table, step)
            self._prune(table, step)
            table.clear_statistics()
        if step % self._classic.reset_every == 0:
            self._reset_opacity(table)

    def _densify(self, table: SplatTable, step: int) -> None:
        statistics = table.statistics()
        pull = statistics.grad_norm / np.maximum(statistics.visible, 1.0)
        room = self._config.max_splats - table.count
        wanted = np.flatnonzero(pull > self._least_pull)
        if len(wanted) > room:  # the cap is hard: the strongest pulls first
            wanted = np.sort(wanted[np.argsort(-pull[wanted], kind="stable")[: max(room, 0)]])
        if not len(wanted):
            return
        largest = np.exp(table.column(LOG_SCALE).max(axis=1))
        is_small = largest[wanted] <= self._classic.clone_scale
        clones = table.rows(wanted[is_small])
        split(table, wanted[~is_small], random_numbers(self._config.seed, "split", step))
        table.append(clones)

    def _prune(self, table: SplatTable, step: int) -> None:
        gone = sigmoid(table.column(LOGIT_OPACITY)[:, 0]) < self._classic.min_opacity
        if step > self._classic.reset_every:
            gone |= np.exp(table.column(LOG_SCALE).max(axis=1)) > self._classic.prune_scale
        if gone.any() and not gone.all():
            table.keep(np.flatnonzero(~gone))

    def _reset_opacity(self, table: SplatTable) -> None:
        """No splat stays more opaque than twice the pruning threshold: floaters must earn their opacity again."""
        ceiling = 2.0 * self._classic.min_opacity
        logits = table.column(LOGIT_OPACITY)
        table.set_column(LOGIT_OPACITY, np.minimum(logits, np.float32(np.log(ceiling / (1.0 - ceiling)))))
