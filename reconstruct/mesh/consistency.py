"""Which depths hold: those that other pictures of the same place confirm, and none that they look through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diorama.capture.events import OnEvent, Progressed

from .config import FusionConfig
from .views import STAGE, DepthView

Floats = npt.NDArray[np.float32]

PROBES = 400
"""Points of a picture that say which other pictures look at the same place."""

PROBE_EVERY = 16
"""One in so many agreeing pixels says how much views differ."""

FURTHEST_COS = 0.2
"""Pictures whose axes are further apart than about 80 degrees see few of the same faces."""


@dataclass(frozen=True, eq=False)
class Confirmed:
    """depths: each view's (h, w), 0 where it does not hold. difference: what two views usually differ by at one place
    that they agree on, relative to its depth."""

    depths: list[Floats]
    difference: float


def confirmed(views: Sequence[DepthView], config: FusionConfig, on_event: OnEvent) -> Confirmed:
    """Each view's depth with 0 where fewer than `config.agree` neighbours confirm it.

    A neighbour confirms a point when its own depth there is the same to within the tolerance; it objects
    when it sees something behind the point, as it then looks through it; where it sees something in front it says
    nothing. A point holds with enough confirmations and fewer objections. Where a view has fewer neighbours than
    `agree`, all of them must confirm. What too few of the best `config.neighbours` confirm is looked for in others, up
    to `config.asked` in all.
    """
    most = max(config.neighbours, config.asked)
    beside = [neighbours(views, index, most) for index in range(len(views))]
    usual = _usual_difference(views, [others[: config.neighbours] for others in beside])
    tolerance = float(np.clip(config.tolerance_factor * usual, *config.tolerance))
    kept, differences = [], []
    for index, view in enumerate(views):
        known = view.depth > 0
        points = view.points()[known]
        agree = np.zeros(len(points), np.int16)
        object_ = np.zeros_like(agree)
        needed = min(config.agree, len(beside[index]))
        open_ = np.arange(len(points))
        for rank, other in enumerate(beside[index]):
            if rank >= config.neighbours:
                open_ = open_[agree[open_] < needed]
            ratio = _ratio(views[other], points[open_])
            with np.errstate(invalid="ignore"):
                same = np.abs(ratio - 1) <= tolerance
                agree[open_] += same
                object_[open_] += ratio < 1 - 2 * tolerance
            differences.append(np.abs(ratio[same] - 1)[::PROBE_EVERY])
        holds = (agree >= needed) & (object_ <= agree)
        depth = np.zeros_like(view.depth)
        depth[known] = np.where(holds, view.depth[known], 0)
        kept.append(depth)
        on_event(Progressed(STAGE, index + 1, len(views), "comparing depths"))
    every = np.concatenate(differences) if differences else np.zeros(0)
    return Confirmed(kept, float(np.median(every)) if len(every) else 0.0)


def _usual_difference(views: Sequence[DepthView], beside: Sequence[Sequence[int]]) -> float:
    """Of depths of the same places in neighbouring views, relative, the median; what one does not see at all, such as
    what it sees something else in front of, counts as well, which is why it is a median."""
    found = []
    for view, others in zip(views, beside, strict=True):
        rows, columns = np.nonzero(view.depth > 0)
        step = max(1, len(rows) // PROBES)
        points = view.points()[rows[::step], columns[::step]]
        for other in others:
            ratio = _ratio(views[other], points)
            found.append(np.abs(ratio[np.isfinite(ratio)] - 1))
    every = np.concatenate(found) if found else np.zeros(0)
    return float(np.median(every)) if len(every) else 0.0


def _ratio(view: DepthView, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Points' own depth over the view's there; NaN where the view knows none."""
    seen, expected = depth_at(view, points)
    return np.where(seen > 0, expected / np.where(seen > 0, seen, 1), np.nan)


def depth_at(view: DepthView, points: npt.NDArray[np.float64]) -> tuple[Floats, npt.NDArray[np.float64]]:
    """Of points (P, 3) in the world: the view's depth where they are seen, 0 outside or unknown, and their own z."""
    camera = view.camera
    in_cam = view.cam_from_world.apply(points)
    z = in_cam[:, 2]
    ahead = z > 1e-9
    safe = np.where(ahead, z, 1.0)
    column = np.floor(camera.fx * in_cam[:, 0] / safe + camera.cx)
    row = np.floor(camera.fy * in_cam[:, 1] / safe + camera.cy)
    inside = ahead & (column >= 0) & (column < camera.width_px) & (row >= 0) & (row < camera.height_px)
    depth = view.depth[np.where(inside, row, 0).astype(np.int64), np.where(inside, column, 0).astype(np.int64)]
    return np.where(inside, depth, np.float32(0)), z


def neighbours(views: Sequence[DepthView], index: int, count: int) -> list[int]:
    """The views that see most of the same places from about the same side, from another spot; best first."""
    view = views[index]
    rows, columns = np.nonzero(view.depth > 0)
    if not len(rows):
        return []
    step = max(1, len(rows) // PROBES)
    points = view.points()[rows[::step], columns[::step]]
    centre = view.cam_from_world.origin_in_source
    axis = view.cam_from_world.rotation[2]
    usual = float(np.median(np.linalg.norm(points - centre, axis=1)))
    scores = []
    for other, candidate in enumerate(views):
        cosine = float(axis @ candidate.cam_from_world.rotation[2])
        apart = float(np.linalg.norm(candidate.cam_from_world.origin_in_source - centre))
        if other == index or cosine < FURTHEST_COS or apart < 1e-3 * usual:
            continue
        seen, _ = depth_at(candidate, points)
        # Parallax makes a witness independent; beyond about 20 degrees it adds nothing.
        scores.append((float((seen > 0).mean()) * min(1.0, 0.3 + apart / (0.35 * usual)), other))
    scores.sort(reverse=True)
    return [other for score, other in scores[:count] if score > 0.05]
