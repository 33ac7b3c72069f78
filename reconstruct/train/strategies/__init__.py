"""Strategies: who decides how many splats there are and where. Each is a small object that edits a `SplatTable`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..backends import Target
from ..config import TrainConfig
from ..table import SplatTable


class Strategy(Protocol):
    """A strategy keeps no state of its own: all it needs is in the table and the step, so it resumes for nothing."""

    opacity_reg: float
    scale_reg: float
    needle_reg: float
    max_needle: float
    needs_statistics: bool
    absolute_gradients: bool
    """Whether the statistics' `grad_norm` is AbsGS's."""

    def after_step(self, table: SplatTable, step: int, means_lr: float) -> None:
        """Called after the optimizer's step number `step` (1 for the first), with the learning rate it used."""


def make_strategy(config: TrainConfig, targets: Sequence[Target] = ()) -> Strategy:
    """The config's strategy; `targets` are the photos, which `fast` looks at."""
    from .classic import Classic
    from .fast import Fast
    from .mcmc import Mcmc

    if config.strategy == "fast":
        return Fast(config, targets)
    return Mcmc(config) if config.strategy == "mcmc" else Classic(config)
