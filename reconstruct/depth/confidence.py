"""How far to trust a depth that stereo found, and which way its surface looks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from diorama.kernels import StereoField

from .consistency import Agreement
from .pictures import Level

Floats = npt.NDArray[np.float32]

_BIAS, _COST, _VOTES, _SHARE, _SPREAD = 0.4, -4.0, 1.25, 1.25, -190.0
"""Of a logistic regression on synthetic footage: what makes a depth right to 1 %."""


def confidence_of(field: StereoField, found: Agreement) -> Floats:
    """(H, W) in 0 to 1: about the share of such pixels that are within 1 % of the truth.

    A logistic function of what the match costs, of how many views confirm it (by the logarithm), of their share among
    those that could, and of how far apart they say it is.
    """
    cost = np.clip(field.cost, 0.0, 2.0)
    share = found.votes / np.maximum(found.seen, 1.0)
    score = _BIAS + _COST * cost + _VOTES * np.log1p(found.votes) + _SHARE * share + _SPREAD * found.spread
    sure: Floats = (1.0 / (1.0 + np.exp(-np.clip(score, -60.0, 60.0)))).astype(np.float32)
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
