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

from collections.abc import Iterator, Sequence
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
    error: (N,) the smallest mean error of its pixels in a view that sees it, 0 to 1. usual_error: the median over all
    views of a view's mean error. nearness: (N,) the largest ratio of its depth to that
    of its pixels in a view that sees it: 1 on a surface, less before it.
    """

    weight: Array
    views: npt.NDArray[np.int64]
    error: Array
    usual_error: float
    nearness: Array


def remove_floaters(
    table: SplatTable, targets: Sequence[Target], sh_degree: int, config: FloaterConfig, exposures: Floats | None = None
) -> dict[str, int]:
    """Takes floaters out of the table; how many for each of `REASONS`. The same whatever the thread count.

    exposures: (len(targets), 3, 4), each photo's map from the splats' colours to its own (see exposure.py), or None.
    """
    found = find_floaters(table, targets, sh_degree, config, exposures)
    gone = np.zeros(table.count, np.bool_)
    for mask in found.values():
        gone |= mask
    if gone.any() and not gone.all():
        table.keep(np.flatnonzero(~gone))
        return {reason: int(mask.sum()) for reason, mask in found.items()}
    return dict.fromkeys(REASONS, 0)


def find_floaters(
    table: SplatTable, targets: Sequence[Target], sh_degree: int, config: FloaterConfig, exposures: Floats | None = None
) -> dict[str, Bools]:
    """Which splats (N,) go, for each of `REASONS`; no splat for two."""
    seen = look(table, targets, sh_degree, config, exposures)
    unseen = seen.weight < config.min_weight
    few = seen.views <= max(config.few_views, config.few_share * len(targets))
    contradicted = ~unseen & (seen.error > max(config.error, config.error_factor * seen.usual_error))
    floating = ~unseen & ~contradicted & few & (seen.nearness < config.nearness)
    loss = _loss_without(table, targets, sh_degree, contradicted | floating, exposures)
    contradicted &= loss < 0.0
    floating &= loss < config.max_loss
    return {"unseen": unseen, "contradicted": contradicted, "floating": floating}


def look(
    table: SplatTable, targets: Sequence[Target], sh_degree: int, config: FloaterConfig, exposures: Floats | None = None
) -> Seen:
    """Gathers `Seen` from every training view."""
    count = table.count
    means = table.column(MEAN).astype(np.float64)
    weight, views = np.zeros(count), np.zeros(count, np.int64)
    error, nearness, view_errors = np.full(count, np.inf), np.zeros(count), list[float]()
    for target, photo in _photos(targets, exposures):

        def maps(drawn: Drawn, photo: _Photo = photo) -> Floats:
            off = np.where(photo.kept, photo.error(drawn), 0.0)
            view_errors.append(float(off.sum() / max(1, photo.kept.sum())))
            depth = drawn.depth / np.maximum(drawn.alpha, 1e-6)
            surface = np.where(photo.kept & (drawn.alpha > 0.5), 1.0 / np.maximum(depth, 1e-9), 0.0)
            return np.stack([photo.kept, off, surface]).astype(np.float32)

        total, wrong, inverse_depth = table.contribution(target.view, sh_degree, maps).astype(np.float64)
        weight = np.maximum(weight, total)
        sees = total >= config.view_weight
        views += sees
        error = np.where(sees, np.minimum(error, wrong / np.maximum(total, 1e-12)), error)
        matrix = np.asarray(target.view.cam_from_world, np.float64)
        in_camera = means @ matrix[:, :3].T + matrix[:, 3]
        depth = np.linalg.norm(in_camera, axis=1) if target.view.depth_is_distance else in_camera[:, 2]
        ratio = depth * inverse_depth / np.maximum(total, 1e-12)
        nearness = np.where(sees, np.maximum(nearness, ratio), nearness)
    nothing = views == 0
    error[nothing], nearness[nothing] = 0.0, 1.0
    return Seen(weight, views, error, float(np.median(view_errors)) if view_errors else 0.0, nearness)


def _loss_without(
    table: SplatTable, targets: Sequence[Target], sh_degree: int, suspects: Bools, exposures: Floats | None
) -> Array:
    """(N,): how much the mean error of a suspect's pixels grows, over all views, once all suspects are hidden."""
    if not suspects.any():
        return np.zeros(table.count)
    shown = table.column(LOGIT_OPACITY)
    hidden = np.where(suspects[:, None], np.float32(HIDDEN_LOGIT), shown)
    growth, weight = np.zeros(table.count), np.zeros(table.count)
    for target, photo in _photos(targets, exposures):
        without: list[Floats] = []

        def remember(drawn: Drawn, photo: _Photo = photo, out: list[Floats] = without) -> Floats:
            out.append(photo.error(drawn))
            return np.zeros((0, *drawn.alpha.shape), np.float32)

        def compare(drawn: Drawn, photo: _Photo = photo, before: list[Floats] = without) -> Floats:
            return np.stack([photo.kept, np.where(photo.kept, before[0] - photo.error(drawn), 0.0)]).astype(np.float32)

        table.set_column(LOGIT_OPACITY, hidden)
        table.contribution(target.view, sh_degree, remember)
        table.set_column(LOGIT_OPACITY, shown)
        total, more = table.contribution(target.view, sh_degree, compare).astype(np.float64)
        weight += total
        growth += more
    return growth / np.maximum(weight, 1e-12)


@dataclass(frozen=True, eq=False)
class _Photo:
    """A photo (H, W, 3) in 0 to 1, which of its pixels count, and its exposure (3, 4) or None."""

    rgb: Floats
    kept: Bools
    exposure: Floats | None

    def error(self, drawn: Drawn) -> Floats:
        """(H, W): mean absolute difference from the picture over the channels, 0 to 1."""
        rgb = drawn.rgb if self.exposure is None else drawn.rgb @ self.exposure[:, :3].T + self.exposure[:, 3]
        off: Floats = np.abs(np.clip(rgb, 0.0, 1.0) - self.rgb).mean(axis=-1)
        return off


def _photos(targets: Sequence[Target], exposures: Floats | None) -> Iterator[tuple[Target, _Photo]]:
    """One at a time: there may be thousands."""
    for i, target in enumerate(targets):
        rgb, mask = photo_at(target, target.view.width, target.view.height)
        kept = np.ones(rgb.shape[:2], np.bool_) if mask is None else mask > 0
        exposure = None if exposures is None else exposures[i]
        yield target, _Photo(rgb.astype(np.float32) / np.float32(255.0), kept, exposure)
