"""Everything that depends on the step alone: learning rates, SH degree, the order of the photos, random numbers.

Nothing here has a memory: a training that goes on at step s draws what it would have drawn without the break.
"""

from __future__ import annotations

import functools
import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from .config import TrainConfig

Purpose = Literal["views", "background", "relocate", "grow", "split", "start", "sample", "dropout"]
_PURPOSES: tuple[Purpose, ...] = ("views", "background", "relocate", "grow", "split", "start", "sample", "dropout")


def random_numbers(seed: int, purpose: Purpose, step: int) -> np.random.Generator:
    """The generator for one purpose at one step: counter-based (Philox), independent of every other."""
    return np.random.Generator(np.random.Philox(key=[seed, (_PURPOSES.index(purpose) << 48) | step]))


def means_learning_rate(config: TrainConfig, step: int) -> float:
    """Exponential fall from `means` at step 1 to `means_final` at the last step."""
    rates = config.learning_rates
    share = (step - 1) / max(1, config.steps - 1)
    return math.exp((1 - share) * math.log(rates.means) + share * math.log(rates.means_final))


def settling_at(config: TrainConfig, step: int, photos: int) -> float:
    """What the rates of colours and opacities are multiplied with where `photos` are trained on: 1, then ever less."""
    rates = config.learning_rates
    first = max(rates.settle * config.steps, rates.settle_after * photos / config.batch)
    share = (step - first) / (config.steps - first) if first < step else 0.0
    return float(rates.settled**share)


def sh_degree_at(config: TrainConfig, step: int) -> int:
    """Degree 0 at first, one more after each `sh_every` of all steps."""
    every = max(1, round(config.sh_every * config.steps))
    return min(config.sh_degree, (step - 1) // every)


def views_at(config: TrainConfig, step: int, count: int) -> list[int]:
    """Which of `count` photos step `step` (1 for the first) trains on: every epoch is one seeded shuffle of all."""
    places = range((step - 1) * config.batch, step * config.batch)
    return [int(_shuffle(config.seed, place // count, count)[place % count]) for place in places]


@functools.lru_cache(maxsize=4)
def _shuffle(seed: int, epoch: int, count: int) -> npt.NDArray[np.int64]:
    return random_numbers(seed, "views", epoch).permutation(count)


def dropout_at(config: TrainConfig, step: int) -> float:
    """How much of a photo's dropout counts: none at first, when all is coarse anyway, all at the end."""
    return step / config.steps


def background_at(config: TrainConfig, step: int) -> tuple[float, float, float]:
    if config.background == "random":
        red, green, blue = random_numbers(config.seed, "background", step).random(3)
        return float(red), float(green), float(blue)
    grey = 1.0 if config.background == "white" else 0.0
    return grey, grey, grey
