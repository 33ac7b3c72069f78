"""How well each surface sample was seen: by how many cameras, under what angles, how sharply, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from .config import ReshootConfig
from .looks import Array, Bools, Look
from .surface import Ints, Surface, look_at_points

WELL_COS, WORST_COS = 0.5, 0.05
"""A view counts in full up to 60 degrees from the normal, and not at all from 87 on."""

USUAL_ERROR = 0.02
"""Below this mean absolute difference (0 to 1) a rendering is right, whatever the others are."""

VIEWS_SHARE = 0.6
"""Of a sample's score, what its views are worth; the rest is the angle under which their rays cross."""

INTEREST_FLOOR = 0.2
"""What a place counts that no camera pointed at; one that most pointed at counts 1: what somebody filmed is what they
want, and not the ends of the floor that happened to be in a corner of a picture."""


class Kind(IntEnum):
    """What is to be said of a sample, in plain words: `WORDS`."""

    WELL = 0
    NEVER = 1
    ONE = 2
    NARROW = 3
    GLANCING = 4
    FAR = 5
    UNSURE = 6


WORDS = {
    Kind.WELL: "well seen",
    Kind.NEVER: "never seen",
    Kind.ONE: "seen by one photo only",
    Kind.NARROW: "seen from one direction only",
    Kind.GLANCING: "seen only at a glancing angle",
    Kind.FAR: "seen only from far away",
    Kind.UNSURE: "uncertain",
}


@dataclass(frozen=True, eq=False)
class Quality:
    """Of M samples and C cameras.

    sees: (M, C) whether a camera really sees a sample, nothing before it. cameras: (M,) how many do.
    angle_deg: (M,) the largest angle between two rays to cameras that see it, found from the farthest ray from the
        mean on (exact but for odd layouts). incidence_deg: (M,) of the most upright view, from the normal; 90 without.
    px_per_unit: (M,) of the sharpest view. confidence: (M,) 0 to 1: renderings like the photos there, and no camera
        that sees through it.
    views: (M,) the sum of views, each by its angle and sharpness, at most 1. ends: (M, 2, 3) the two rays that cross
        under `angle_deg`, 0 where there is none. interest: (M,) 0 to 1, how many cameras pointed there.
    target_px: what a view in full sharpness has, pixels per unit.
    """

    sees: Bools
    cameras: Ints
    angle_deg: Array
    incidence_deg: Array
    px_per_unit: Array
    confidence: Array
    views: Array
    ends: Array
    interest: Array
    target_px: float

    def kinds(self, config: ReshootConfig) -> Ints:
        """(M,) values of `Kind`; of several that hold, the first in this order."""
        kind = np.full(len(self.cameras), int(Kind.WELL), np.int64)
        kind[self.confidence < config.min_confidence] = Kind.UNSURE
        kind[self.px_per_unit < config.far_ratio * self.target_px] = Kind.FAR
        kind[self.incidence_deg > config.glancing_deg] = Kind.GLANCING
        kind[self.angle_deg < config.weak_angle_deg] = Kind.NARROW
        kind[self.cameras == 1] = Kind.ONE
        kind[self.cameras == 0] = Kind.NEVER
        return kind

    def score(self, config: ReshootConfig) -> Array:
        """(M,) 0 to 1, see `score_of`."""
        return score_of(self.views, self.angle_deg, self.confidence, config)


def score_of(views: Array, angle_deg: Array, confidence: Array, config: ReshootConfig) -> Array:
    """0 to 1: enough good views that cross under enough of an angle, halved where the scene is unsure all the same.

    Views saturate, so that their gain is submodular (Roberts et al. 2017) and taking the best first is near to the
    best choice; they are weighted by how upright and how sharp they see, and by the angle between them, as in Smith et
    al. (2018).
    """
    seen = np.minimum(1.0, views / config.enough_views)
    apart = np.minimum(1.0, angle_deg / config.enough_angle_deg)
    return (VIEWS_SHARE * seen + (1 - VIEWS_SHARE) * apart) * (0.5 + 0.5 * confidence)


def view_worth(cosine: Array, px_per_unit: Array, target_px: float) -> Array:
    """0 to 1: what one view of a sample is worth, by the cosine to its normal and its pixels per unit.

    The square of the latter, pixels per area: a photo from twice as far shows four times as much, and is worth no more.
    """
    upright = np.clip((cosine - WORST_COS) / (WELL_COS - WORST_COS), 0.0, 1.0)
    worth: Array = upright * np.minimum(1.0, px_per_unit / max(target_px, 1e-12)) ** 2
    return worth


def measure_quality(
    surface: Surface, looks: Sequence[Look], cameras: int, held_out: frozenset[int] = frozenset()
) -> Quality:
    """`held_out`: indices of cameras that the splats were not trained on; where one sees a sample, its error counts."""
    many = len(surface)
    sees, through = np.zeros((many, cameras), bool), np.zeros(many)
    cosine, sharp = np.zeros((many, cameras), np.float32), np.zeros((many, cameras), np.float32)
    error = np.full((many, cameras), np.nan, np.float32)
    pointed = np.zeros((many, cameras), bool)
    centres = np.zeros((cameras, 3))
    for look in looks:
        index = look.index
        centres[index] = look.centre
        z, column, row = look_at_points(look, surface.points)
        rows = np.flatnonzero(column >= 0)
        nearest, farthest = _window(look.depth)
        at = (row[rows], column[rows])
        slack = surface.grid.cell + 0.01 * z[rows]
        seen = (z[rows] >= nearest[at] - slack) & (z[rows] <= farthest[at] + slack)
        past = z[rows] < nearest[at] - 2 * slack
        middle = np.median(look.depth[look.depth > 0]) if (look.depth > 0).any() else 0.0
        pointed[rows[z[rows] < 2.0 * middle], index] = True
        hidden = None if look.error is None else look.error[at]
        if hidden is not None:
            seen &= np.isfinite(hidden)
            error[rows[seen], index] = hidden[seen]
        seen &= surface.is_known[rows]
        sees[rows[seen], index] = True
        through[rows[past & surface.is_known[rows]]] += 1
        ray = look.centre - surface.points[rows]
        ray /= np.maximum(np.linalg.norm(ray, axis=1, keepdims=True), 1e-12)
        cosine[rows, index] = np.abs((ray * surface.normals[rows]).sum(1))
        sharp[rows, index] = look.focal_px / np.maximum(z[rows], 1e-9)
    cosine[~sees], sharp[~sees], error[~sees] = 0.0, 0.0, np.nan
    count = sees.sum(1)
    angle, ends = widest_angle(surface.points, centres, sees & (cosine > WORST_COS))
    best = sharp.max(1, initial=0.0).astype(np.float64)
    target = float(np.median(best[count > 0])) if (count > 0).any() else 1.0
    wanted = pointed.sum(1).astype(np.float64)
    usual = float(np.quantile(wanted[count > 0], 0.75)) if (count > 0).any() else 1.0
    return Quality(
        sees=sees,
        cameras=count,
        angle_deg=angle,
        incidence_deg=np.degrees(np.arccos(np.clip(cosine.max(1, initial=0.0), 0, 1))).astype(np.float64),
        px_per_unit=best,
        confidence=_confidence(error, count, through, held_out),
        views=view_worth(cosine.astype(np.float64), sharp.astype(np.float64), target).sum(1),
        ends=ends,
        interest=INTEREST_FLOOR + (1 - INTEREST_FLOOR) * np.minimum(1.0, wanted / max(usual, 1.0)),
        target_px=target,
    )


def _window(depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest and the farthest depth around each pixel; where nothing is, it is infinitely far."""
    from scipy.ndimage import maximum_filter, minimum_filter

    far = np.where(depth > 0, depth, np.float32(np.inf))
    return minimum_filter(far, 3), maximum_filter(np.where(depth > 0, depth, np.float32(0)), 3)


def widest_angle(points: Array, centres: Array, sees: Bools) -> tuple[Array, Array]:
    """Degrees (M,) and rays (M, 2, 3): the farthest ray from the mean of all, and the farthest from that one."""
    angle, ends = np.zeros(len(points)), np.zeros((len(points), 2, 3))
    step = max(1, 2_000_000 // max(1, len(centres)))
    for start in range(0, len(points), step):
        part = slice(start, start + step)
        rays = centres[None] - points[part, None]
        rays /= np.maximum(np.linalg.norm(rays, axis=2, keepdims=True), 1e-12)
        mask = sees[part]
        any_ = np.any(mask, axis=1)
        mean = (rays * mask[..., None]).sum(1)
        first = _farthest(rays, mean, mask)
        second = _farthest(rays, first, mask)
        cosine = np.clip((first * second).sum(1), -1, 1)
        angle[part] = np.where(any_, np.degrees(np.arccos(cosine)), 0.0)
        ends[part, 0], ends[part, 1] = first * any_[:, None], second * any_[:, None]
    return angle, ends


def _farthest(rays: Array, start: Array, mask: Bools) -> Array:
    towards = np.where(mask, np.einsum("mci,mi->mc", rays, start), np.inf)
    found: Array = np.take_along_axis(rays, towards.argmin(1)[:, None, None], 1)[:, 0]
    return found


def _confidence(error: np.ndarray, count: Ints, through: Array, held_out: frozenset[int]) -> Array:
    """(M,): how like the photos it comes back, times the share of cameras that agree that something is there."""
    import warnings

    held = np.array(sorted(held_out), np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of rows without any
        off = np.nanmedian(error, axis=1) if error.shape[1] else np.full(len(count), np.nan)
        if len(held):
            honest = np.nanmedian(error[:, held], axis=1)
            off = np.where(np.isfinite(honest), honest, off)
        usual = float(np.nanmedian(off)) if np.isfinite(off).any() else USUAL_ERROR
    excess = np.where(np.isfinite(off), off, 0.0) / max(usual, USUAL_ERROR) - 1.0
    agrees = count / np.maximum(count + through, 1)
    return np.where(count > 0, np.exp(-0.5 * np.maximum(excess, 0.0)) * agrees, 0.0)
