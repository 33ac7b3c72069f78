"""Few splats, put where several photos agree that the picture is wrong: budgeted, multi-view-consistent growth.

From FastGS (Ren et al. 2025, "FastGS: Training 3D Gaussian Splatting in 100 Seconds", sections 3.2 and 3.3) come the
sampled views, their maps of high error and the score of a splat by the high-error pixels that are its own, averaged
over the views; and that a splat which the views do not need is removed. From Taming 3DGS (Mallick et al. 2024, section
3.1) comes the budget: the number of splats follows a curve to the cap, and of the candidates the best scores are taken.

What differs:

- A splat's pixels are its blending weights, not its footprint: what lies behind a surface asks for nothing.
- The largest view counts only as much as the second largest, so that a single photo does not ask for splats. Where one
  photo alone sees a place, more splats there learn it by heart.
- The budget's curve is a function of the step and the number of splats at hand, not of the first number: a training
  resumes without a memory. It is flat at its end like the paper's.
- Uselessness is small blending weight in every sampled view that shows the splat, not a normalised photometric score.
- No opacity resets: MCMC's regularisers of opacity and scale fade what is not needed, and it is pruned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from diorama.kernels import View

from ..backends import Target
from ..config import TrainConfig
from ..photos import PhotoStore, photo_at
from ..resolution import scale_at, scaled_view
from ..schedule import random_numbers, sh_degree_at
from ..table import LOG_SCALE, LOGIT_OPACITY, Drawn, Floats, Index, SplatTable
from .densify import clone, split
from .mcmc import shorten_needles, sigmoid

Array = npt.NDArray[np.float64]


class Fast:
    """See the file's head. Works on any table that knows what its splats contribute."""

    needs_statistics = True
    absolute_gradients = True

    def __init__(self, config: TrainConfig, targets: Sequence[Target]) -> None:
        fast = config.fast
        self._config, self._fast, self._targets = config, fast, targets
        self.opacity_reg, self.scale_reg = fast.opacity_reg, fast.scale_reg
        self.needle_reg, self.max_needle = 0.0, fast.max_needle
        self._every = max(1, min(fast.every, config.steps // fast.least_times))
        self._start, self._stop = fast.start * config.steps, fast.stop * config.steps
        self._prune_stop = fast.prune_stop * config.steps
        self._longest_px = PhotoStore.of(targets).longest_px

    def after_step(self, table: SplatTable, step: int, means_lr: float) -> None:
        self._refine(table, step)
        if self._fast.noise > 0:
            table.add_noise(self._fast.noise * means_lr, self._config.seed, step)

    def _refine(self, table: SplatTable, step: int) -> None:
        if not self._start <= step <= self._prune_stop or step % self._every or not table.count:
            return
        grows = step <= self._stop
        if not grows and step % (self._every * self._fast.prune_every):
            return
        wrong, shown = self._look(table, step)
        keep = self._needed(table, shown)
        if grows:
            self._grow(table, np.where(keep, importance(wrong), 0.0), step)
        kept = np.concatenate([keep, np.ones(table.count - len(keep), np.bool_)])
        if not kept.all() and kept.any():
            table.keep(np.flatnonzero(kept))
        shorten_needles(table, self._fast.max_needle)
        table.clear_statistics()

    def _look(self, table: SplatTable, step: int) -> tuple[Floats, Floats]:
        """Blending weight (K, N) of every splat in K sampled views: over the pixels of high error, and over all."""
        generator = random_numbers(self._config.seed, "sample", step)
        count = min(self._fast.views, len(self._targets))
        chosen = np.sort(generator.choice(len(self._targets), count, replace=False))
        scale = scale_at(self._config, step, self._longest_px)
        degree = sh_degree_at(self._config, step)
        found = [self._weigh(table, self._targets[i], scale, degree) for i in chosen]
        return np.stack([f[0] for f in found]), np.stack([f[1] for f in found])

    def _weigh(self, table: SplatTable, target: Target, scale: float, degree: int) -> Floats:
        view: View = scaled_view(target.view, scale)
        rgb, mask = photo_at(target, view.width, view.height)
        kept = np.ones(rgb.shape[:2], np.bool_) if mask is None else mask > 0

        def maps(drawn: Drawn) -> Floats:
            error = np.abs(np.clip(drawn.rgb, 0.0, 1.0) - rgb / np.float32(255.0)).mean(axis=-1)
            return np.stack([(error > self._fast.error) & kept, kept]).astype(np.float32)

        return table.contribution(view, degree, maps)

    def _needed(self, table: SplatTable, shown: Floats) -> npt.NDArray[np.bool_]:
        """(N,): opaque enough, and worth a part of a pixel in one of the views that show it at all."""
        opaque = sigmoid(table.column(LOGIT_OPACITY)[:, 0]) >= self._fast.min_opacity
        most = shown.max(axis=0, initial=0.0)
        needed: npt.NDArray[np.bool_] = opaque & ((most == 0.0) | (most >= self._fast.min_weight))
        return needed

    def _grow(self, table: SplatTable, score: Array, step: int) -> None:
        statistics = table.statistics()
        pull = statistics.grad_norm / np.maximum(statistics.visible, 1.0)
        score = np.where((pull > self._fast.grad) & (score >= self._fast.min_score), score, 0.0)
        room = budget(table.count, self._config.max_splats, self._left(step)) - table.count
        wanted = best(score, room)
        if not len(wanted):
            return
        largest = np.exp(table.column(LOG_SCALE).max(axis=1))
        is_small = largest[wanted] <= self._fast.clone_scale
        clones = wanted[is_small]
        split(table, wanted[~is_small], random_numbers(self._config.seed, "split", step))
        clone(table, clones, self._fast.min_opacity)

    def _left(self, step: int) -> int:
        """How often splats are added from this step on."""
        return math.floor(self._stop / self._every) - step // self._every + 1


def importance(wrong: Floats) -> Array:
    """(N,) from weights over wrong pixels (K, N): the mean over views, the largest taken as the second largest."""
    ordered = np.sort(wrong.astype(np.float64), axis=0)
    if len(ordered) > 1:
        ordered[-1] = ordered[-2]
    mean: Array = ordered.mean(axis=0)
    return mean


def budget(count: int, cap: int, left: int) -> int:
    """How many splats there may be after this time, of `left` times in which they are added (this one counted).

    What is missing to the cap shrinks as the square of the times left: a parabola that is flat where it ends, as Taming
    3DGS's (eq. 2), from wherever the training stands.
    """
    missing = max(cap - count, 0)
    return cap - math.floor(missing * ((left - 1) / left) ** 2) if left > 0 else count


def best(score: Array, room: int) -> Index:
    """Indices, ascending, of at most `room` splats with the largest positive scores."""
    wanted = np.flatnonzero(score > 0)
    if len(wanted) > room:
        wanted = np.sort(wanted[np.argsort(-score[wanted], kind="stable")[: max(room, 0)]])
    return wanted
