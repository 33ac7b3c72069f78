"""Each photo's exposure and white balance, learnt beside the scene: an affine map of colours per training photo.

A camera that meters anew for every photo shows one wall in many brightnesses; without a word for that, splats put it
into haze in front of the cameras and into view-dependent colour. The loss therefore compares the photo t with
`E_t[:, :3] rgb + E_t[:, 3]` of the picture (as in the exposure compensation of Kerbl et al. 2024, "A Hierarchical 3D
Gaussian Representation"). What all maps have in common is not theirs to learn but the splats': the maps' mean is the
identity at every step, so that the splats are in the capture's average look and are exported as they are.

Photos that are held out have no map, and none is ever fitted to them.
"""

from __future__ import annotations

import numpy as np

from .backends import Arrays
from .config import TrainConfig
from .table import Floats

IDENTITY = np.eye(3, 4, dtype=np.float32)

REACH = 0.6
"""So far Adam can carry an entry in a whole training: the first step size is this over a photo's number of visits."""

MAX_RATE = 0.02
FALL = 0.05
"""The last step size over the first; it falls exponentially."""

WARM_UP = 0.05
"""Share of all steps in which the step size rises from zero: colours must be about right before they are compared."""

HOLD = 0.3
"""Weight of half the squared distance of a map from the identity in its photo's loss.

With less, neighbouring photos' maps drift together away from others' (a region darker in all of its photos is as well
a darker map), which is seen from new places: 0.001 lost 0.9 dB more there, and found true exposures no better.
"""

BETAS = (0.9, 0.99)
EPSILON = 1e-12


class Exposures:
    """The maps of `count` photos, (3, 4) each; Adam moves a map when its photo is visited."""

    def __init__(self, config: TrainConfig, count: int) -> None:
        self._config, self._count = config, count
        self._free = np.repeat(IDENTITY[None], count, axis=0)  # the maps are these with their mean taken out
        self._exp_avg, self._exp_avg_sq = np.zeros_like(self._free), np.zeros_like(self._free)
        self._visits = np.zeros(count, np.float32)

    def value(self, target: int) -> Floats:
        """The map of one photo, float32 (3, 4)."""
        return np.ascontiguousarray(self._free[target] - self._free.mean(axis=0) + IDENTITY)

    def values(self) -> Floats:
        """All maps (count, 3, 4); their mean is the identity."""
        return np.stack([self.value(target) for target in range(self._count)])

    def update(self, target: int, gradient: Floats, step: int) -> None:
        """One step of Adam on a photo's map by the loss's gradient (3, 4) at its value; a NaN moves nothing."""
        if not np.isfinite(gradient).all():
            return
        pull = gradient + HOLD * (self.value(target) - IDENTITY)
        self._visits[target] += 1
        m, v = self._exp_avg[target], self._exp_avg_sq[target]
        m += (1 - BETAS[0]) * (pull - m)
        v += (1 - BETAS[1]) * (pull * pull - v)
        visits = float(self._visits[target])
        mean, spread = m / (1 - BETAS[0] ** visits), np.sqrt(v / (1 - BETAS[1] ** visits))
        self._free[target] -= np.float32(self.rate(step)) * mean / (spread + np.float32(EPSILON))

    def rate(self, step: int) -> float:
        """Adam's step size at step `step`, 1 for the first."""
        config = self._config
        visits = max(1.0, config.steps * config.batch / self._count)
        share = (step - 1) / max(1, config.steps - 1)
        return min(REACH / visits, MAX_RATE) * min(1.0, share / WARM_UP) * float(FALL**share)

    def state(self) -> Arrays:
        return {
            "free": self._free.copy(),
            "exp_avg": self._exp_avg.copy(),
            "exp_avg_sq": self._exp_avg_sq.copy(),
            "visits": self._visits.copy(),
        }

    def restore(self, state: Arrays) -> None:
        """Raises ValueError when the arrays are not a state of as many photos."""
        if state["free"].shape != self._free.shape:
            raise ValueError(f"exposures of {len(state['free'])} photos, expected {self._count}")
        self._free, self._exp_avg = state["free"].copy(), state["exp_avg"].copy()
        self._exp_avg_sq, self._visits = state["exp_avg_sq"].copy(), state["visits"].copy()
