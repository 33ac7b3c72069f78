"""Splats left out at random while training, where few photos see the same place.

A place that three photos show is fitted by any splats that look right from those three, each making up for the others'
mistakes. Where each must do without some of the others, what it shows must be right by itself, and holds from new
places too (DropGaussian, Park et al. 2025). Places that many photos show are held by these; there the missing splats
cost sharpness and give nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diorama.kernels import View

from .config import DropoutConfig
from .pixels import project
from .schedule import random_numbers
from .table import Floats

SAMPLE = 2_000
"""Points that stand for the scene; the number of photos that see them costs so many projections a photo."""


@dataclass(frozen=True)
class Dropout:
    """Of one picture. share: of the splats that are left out. seed, place: what decides which; another for every
    picture of a training."""

    share: float
    seed: int
    place: int

    def factors(self, count: int) -> Floats:
        """(count,) of the opacities: 0 for what is left out; the others make up for it, so that the mean is 1."""
        drawn = random_numbers(self.seed, "dropout", self.place).random(count, np.float32)
        return (drawn >= self.share) * np.float32(1.0 / (1.0 - self.share))


def dropout_shares(views: Sequence[View], points: Floats, config: DropoutConfig) -> list[float]:
    """For each of the views its largest share, by how many views see what it sees: the median over those of `points`
    (N, 3), in the training frame, that are in its picture, whether something hides them or not."""
    sample = np.asarray(points[:: max(1, len(points) // SAMPLE)], np.float64)
    if config.share == 0.0 or not len(sample):
        return [0.0] * len(views)
    inside = np.zeros((len(views), len(sample)), np.bool_)
    for row, view in zip(inside, views, strict=True):
        pixels, depth = project(sample, view)
        row[:] = (depth > 0) & ((pixels > 0) & (pixels < (view.width, view.height))).all(axis=1)
    seen = inside.sum(axis=0)
    medians = [float(np.median(seen[row])) if row.any() else float(config.many) for row in inside]
    return [config.share * min(1.0, max(0.0, (config.many - m) / (config.many - config.few))) for m in medians]
