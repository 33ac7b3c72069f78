"""Small pictures first: the size of the photos as a function of the step.

While the splats are few and coarse, fine pixels teach them nothing that coarse ones do not (Chen et al. 2025,
"DashGaussian: Optimizing 3D Gaussian Splatting in 200 Seconds"). A step at half the size costs about a quarter of the
pixels' work. Sizes go up in few levels, because what the loss needs of a photo is worked out anew at each.
"""

from __future__ import annotations

import dataclasses
import math

from diorama.kernels import View

from .config import TrainConfig

LEVELS_PER_OCTAVE = 2
"""So many sizes between one and its double."""


def scale_at(config: TrainConfig, step: int, longest_px: int) -> float:
    """Size of the photos at step `step` (1 for the first), as a share of their full size, at most 1.

    It rises exponentially from `resolution.start` to 1 at the share `resolution.until` of all steps, in levels.

    Args:
        longest_px: longer side of the largest photo, which is never made smaller than `resolution.min_px`.
    """
    resolution = config.resolution
    first = max(resolution.start, min(1.0, resolution.min_px / longest_px))
    levels = math.ceil(-math.log2(first) * LEVELS_PER_OCTAVE - 1e-9)
    until = resolution.until * config.steps
    if not levels or step > until:
        return 1.0
    left = levels - math.floor((step - 1) / until * levels)
    return float(max(first, 2.0 ** (-left / LEVELS_PER_OCTAVE)))


def scaled_view(view: View, scale: float) -> View:
    """The same camera with a picture `scale` times as large, rounded to whole pixels."""
    if scale >= 1.0:
        return view
    width, height = max(1, round(view.width * scale)), max(1, round(view.height * scale))
    across, down = width / view.width, height / view.height
    return dataclasses.replace(
        view,
        width=width,
        height=height,
        fx=view.fx * across,
        fy=view.fy * down,
        cx=view.cx * across,
        cy=view.cy * down,
    )
