"""What is taken out before export: splats that no photo needs, by what each contributes to the training views.

Three reasons, in this order; a splat goes for the first that holds:

- `unseen`: no training view takes a noticeable part of a pixel from it.
- `contradicted`: wherever it is seen, its pixels are far from the photos.
- `floating`: few views see it at all, and in each of them it hangs far before the surface that its pixels show: haze
  that one or two photos were fitted with.

The last two are suspicions. They are put to the test: every view is drawn once more without the suspects, and a suspect
stays where its own pixels get worse than the photos allow. So the worst that a wrong suspicion does is bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .backends import Target
from .config import FloaterConfig
from .photos import photo_at
from .table import LOGIT_OPACITY, MEAN, Drawn, Floats, SplatTable

Bools = npt.NDArray[np.bool_]
Array = npt.NDArray[np.float64]

HIDDEN_LOGIT = -50.0
REASONS = ("unseen", "contradicted", "floating")


@dataclass(frozen=True, eq=False)
class Seen:
    """What the training views say about each of N splats.

    weight: (N,) the largest sum of blending weight, in pixels, in one view. views: (N,) int, how many views see it.
    least_error: (N,) the smallest mean error of its pixels in a view that sees it, over the view's own mean error.
    error: (N,) that mean error itself, 0 to 1, in the same view. nearness: (N,) the largest ratio of its depth to that
    of its pixels in a view that sees it: 1 on a surface, less before it.
    """

    weight: Array
    views: npt.NDArray[np.int64]
    least_error: Array
    error: Array
    nearness: Array


def remove_floaters(
    table: SplatTable, targets: Sequence[Target], sh_degree: int, config: FloaterConfig
) -> dict[str, int]:
    """Takes floaters out of the table; how many for each of `REASONS`. The same whatever the thread count."""
    found = find_floaters(table, targets, sh_degree, config)
    gone = np.zeros(table.count, np.bool_)
    for mask in found.values():
        gone |= mask
    if gone.any() and not gone.all():
        table.keep(np.flatnonzero(~gone))
        return {reason: int(mask.sum()) for reason, mask in found.items()}
    return dict.fromkeys(REASONS, 0)


def find_floaters(
    table: SplatTable, targets: Sequence[Target], sh_degree: int, config: FloaterConfig
) -> dict[str, Bools]:
    """Which splats (N,) go, for each of `REASONS`; no splat for two."""
    seen = look(table, targets, sh_degree, config)
    unseen = seen.weight < config.min_weight
    few = seen.views <= max(config.few_views, config.few_share * len(targets))
    contradicted = ~unseen & (seen.error > config.error) & (seen.least_error > config.error_factor)
    floating = ~unseen & ~contradicted & few & (seen.nearness < config.nearness)
    loss = _loss_without(table, targets, sh_degree, contradicted | floating)
    contradicted &= loss < 0.0
    floating &= loss < config.max_loss
    return {"unseen": unseen, "contradicted": contradicted, "floating": floating}


def look(table: SplatTable, targets: Sequence[Target], sh_degree: int, config: FloaterConfig) -> Seen:
    """Gathers `Seen` from every training view."""
    count = table.count
    means = table.column(MEAN).astype(np.float64)
    weight, views = np.zeros(count), np.zeros(count, np.int64)
    least_error, error, nearness = np.full(count, np.inf), np.full(count, np.inf), np.zeros(count)
    for target in targets:
        view_error: list[float] = []
        rgb, mask = photo_at(target, target.view.width, target.view.height)
        kept = _kept(rgb, mask)

        def maps(
            drawn: Drawn,
            rgb: npt.NDArray[np.uint8] = rgb,
            kept: Bools = kept,
            told: list[float] = view_error,
        ) -> Floats:
            off = np.where(kept, _error(drawn, rgb), 0.0)
            told.append(float(off.sum() / max(1, kept.sum())))
            depth = drawn.depth / np.maximum(drawn.alpha, 1e-6)
            surface = np.where(kept & (drawn.alpha > 0.5), 1.0 / np.maximum(depth, 1e-9), 0.0)
            return np.stack([kept, off, surface]).astype(np.float32)

        total, wrong, inverse_depth = table.contribution(target.view, sh_degree, maps).astype(np.float64)
        weight = np.maximum(weight, total)
        sees = total >= config.view_weight
        views += sees
        mean_error = wrong / np.maximum(total, 1e-12)
        relative = mean_error / max(view_error[0], 1e-6)
        smaller = sees & (relative < least_error)
        least_error[smaller], error[smaller] = relative[smaller], mean_error[smaller]
        matrix = np.asarray(target.view.cam_from_world, np.float64)
        depth = means @ matrix[2, :3] + matrix[2, 3]
        ratio = depth * inverse_depth / np.maximum(total, 1e-12)
        nearness = np.where(sees, np.maximum(nearness, ratio), nearness)
    nothing = views == 0
    least_error[nothing] = error[nothing] = 0.0
    nearness[nothing] = 1.0
    return Seen(weight, views, least_error, error, nearness)


def _loss_without(table: SplatTable, targets: Sequence[Target], sh_degree: int, suspects: Bools) -> Array:
    """(N,): how much the mean error of a suspect's pixels grows, over all views, once all suspects are hidden."""
    if not suspects.any():
        return np.zeros(table.count)
    shown = table.column(LOGIT_OPACITY)
    hidden = np.where(suspects[:, None], np.float32(HIDDEN_LOGIT), shown)
    growth, weight = np.zeros(table.count), np.zeros(table.count)
    for target in targets:
        rgb, mask = photo_at(target, target.view.width, target.view.height)
        kept = _kept(rgb, mask)
        without: list[Floats] = []

        def remember(drawn: Drawn, rgb: npt.NDArray[np.uint8] = rgb, out: list[Floats] = without) -> Floats:
            out.append(_error(drawn, rgb))
            return np.zeros((0, *drawn.alpha.shape), np.float32)

        def compare(
            drawn: Drawn, rgb: npt.NDArray[np.uint8] = rgb, kept: Bools = kept, before: list[Floats] = without
        ) -> Floats:
            return np.stack([kept, np.where(kept, before[0] - _error(drawn, rgb), 0.0)]).astype(np.float32)

        table.set_column(LOGIT_OPACITY, hidden)
        table.contribution(target.view, sh_degree, remember)
        table.set_column(LOGIT_OPACITY, shown)
        total, more = table.contribution(target.view, sh_degree, compare).astype(np.float64)
        weight += total
        growth += more
    return growth / np.maximum(weight, 1e-12)


def _error(drawn: Drawn, rgb: npt.NDArray[np.uint8]) -> Floats:
    """(H, W): mean absolute difference from the photo over the channels, 0 to 1."""
    off: Floats = np.abs(np.clip(drawn.rgb, 0.0, 1.0) - rgb / np.float32(255.0)).mean(axis=-1)
    return off


def _kept(rgb: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8] | None) -> Bools:
    kept: Bools = np.ones(rgb.shape[:2], np.bool_) if mask is None else mask > 0
    return kept
