"""How far to trust a depth that stereo found, and which way its surface looks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from diorama.kernels import StereoField

from .consistency import Agreement
from .pictures import Level

Floats = npt.NDArray[np.float32]

_BIAS, _COST, _VOTES, _SHARE, _SPREAD = 2.1, -4.85, 0.95, 2.2, -26.0
"""Of a logistic regression on five synthetic captures (terrace and minimal, 8 to 40 photos, frames alike in weight):
what makes a depth right to 1 %."""

_MOST_SPREAD = 0.03

_UNLIKE, _ALIKE = 0.9, 0.6
"""Where no view costs less than the first, nothing was matched, and maps that agree had it from the same sparse points;
where one costs less than the second, the match counts in full."""


def confidence_of(field: StereoField, found: Agreement) -> Floats:
    """(H, W) in 0 to 1: about the share of such pixels that are within 1 % of the truth.

    A logistic function of what the match costs (disagreement with other photos' depth included), of how many views
    confirm it (by the logarithm), of their share among those that could, and of how far apart they say it is (by the
    square root); times how much the likest view is like the photo at all.
    """
    cost = np.clip(field.cost, 0.0, 2.0)
    share = found.votes / np.maximum(found.seen, 1.0)
    spread = np.sqrt(np.minimum(found.spread, _MOST_SPREAD))
    score = _BIAS + _COST * cost + _VOTES * np.log1p(found.votes) + _SHARE * share + _SPREAD * spread
    alike = np.clip((_UNLIKE - field.view_costs.min(axis=0)) / (_UNLIKE - _ALIKE), 0.0, 1.0)
    sure: Floats = (alike / (1.0 + np.exp(-np.clip(score, -60.0, 60.0)))).astype(np.float32)
    return sure


def normals_of(planes: Floats, level: Level) -> Floats:
    """(H, W, 3), unit, towards the camera, in its axes, of planes (3, H, W) of inverse depth.

    With n . X = 1 for points X of a plane, inverse depth is n . (x, y, 1), x and y in focal lengths from the axis.
    """
    rho, gx, gy = planes
    camera = level.camera
    x = np.arange(rho.shape[1], dtype=np.float32) + np.float32(0.5 - camera.cx)
    y = np.arange(rho.shape[0], dtype=np.float32)[:, None] + np.float32(0.5 - camera.cy)
    away = np.stack([gx * np.float32(camera.fx), gy * np.float32(camera.fy), rho - gx * x - gy * y], axis=-1)
    length = np.linalg.norm(away, axis=-1, keepdims=True)
    towards: Floats = -away / np.maximum(length, np.float32(1e-30))
    return towards
