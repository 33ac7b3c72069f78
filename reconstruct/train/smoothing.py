"""Mip-Splatting's 3D smoothing filter: no splat is finer than what the photos could show of it (Yu et al. 2024).

A photo samples the scene at its pixels. Detail finer than that is invention of the optimizer, seen as soon as a camera
comes closer. So every splat is drawn blurred by a ball a part of a pixel wide, the pixel being the smallest among the
photos that see it. When training ends the blur is put into the splats themselves: files and viewers need not know.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diorama.kernels import View

from .backends import StepBackend
from .table import LOG_SCALE, LOGIT_OPACITY, Floats

VARIANCE = 0.2
"""Of the ball, in squared pixels of the photo that samples a splat most finely; the paper's s (eq. 9)."""

EVERY = 100
"""Steps between two looks at which photos see which splats, besides those after splats were added or moved."""


def smoothing_of(intervals: Floats) -> Floats:
    """Standard deviations (N,) of the balls from the splats' sampling intervals (see `kernels.sampling_intervals`).

    Splats that no camera sees get the largest of the others', and none where no splat is seen.
    """
    seen = np.isfinite(intervals)
    widest = intervals[seen].max() if seen.any() else np.float32(0.0)
    smoothing: Floats = np.sqrt(np.float32(VARIANCE)) * np.where(seen, intervals, widest)
    return smoothing


class Smoother:
    """Keeps a backend's filter up to date. Has nothing to remember: the filter itself is a part of the checkpoint."""

    def __init__(self, views: Sequence[View]) -> None:
        self._views, self._edits = views, 0

    def start(self, backend: StepBackend, *, resumed: bool) -> None:
        """Before the first step, or the first after a break, which goes on with the filter of before."""
        if not resumed:
            backend.smooth(self._views)
        self._edits = backend.edits

    def after_step(self, backend: StepBackend, step: int) -> None:
        """After step number `step` and what the strategy did to the splats."""
        if step % EVERY == 0 or backend.edits != self._edits:
            backend.smooth(self._views)
            self._edits = backend.edits


def bake(rows: Floats, smoothing: Floats) -> Floats:
    """Rows (N, 59) that look without the filter as `rows` do with it: `kernels.twin.smoothed`, in float64."""
    scales = np.exp(rows[:, LOG_SCALE].astype(np.float64))
    blurred = np.sqrt(scales**2 + smoothing[:, None].astype(np.float64) ** 2)
    logits = rows[:, LOGIT_OPACITY].astype(np.float64)
    # log o' = log o + fade, and the logit of o' is log o' - log(1 - o'), neither of which loses digits at 0 or 1
    log_opacity = -np.logaddexp(0.0, -logits) + np.log(scales / blurred).sum(axis=1, keepdims=True)
    baked = rows.copy()
    baked[:, LOG_SCALE] = np.log(blurred)
    none = smoothing[:, None] == 0.0
    with np.errstate(divide="ignore"):
        faded = log_opacity - np.log(-np.expm1(log_opacity))
    baked[:, LOGIT_OPACITY] = np.where(none, logits, faded)
    return baked
