"""Following a video from frame to frame as it is decoded, holding a handful of small pictures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .frames import TrackBuilder
from .tracking import View, make_view, measure_motion

GOOD_STEP_PX = 12.0
"""Motion, at 1000 px, that a tracked step aims at: well above the tracker's noise, well below what it loses."""

MOST_SKIPPED = 8
SAFE_SHARE = 0.6
"""A step over skipped frames that loses more features than this leaves is taken frame by frame."""

PATIENCE = 3
"""Frames that cannot be followed (blurred by a jerk) before one after them can; more than these are a cut."""


class Follower:
    """Measures the motion between frames into a `TrackBuilder`.

    Frames are skipped while little moves. A step that fails is tried frame by frame, and past frames that cannot be
    followed from the last one that could.
    """

    def __init__(self, builder: TrackBuilder) -> None:
        self.builder = builder
        self.last: tuple[int, View] | None = None
        self.held: list[tuple[int, npt.NDArray[np.uint8]]] = []
        self.skip = 1
        self.waiting = False

    def add(self, index: int, small: npt.NDArray[np.uint8]) -> None:
        """The next frame, as a small grey picture."""
        if self.last is None:
            self.last = index, make_view(small)
            return
        self.held.append((index, small))
        if self.waiting or len(self.held) >= self.skip:
            self._advance(at_end=False)

    def finish(self) -> None:
        """Follow what is still held after the last frame."""
        if self.held:
            self._advance(at_end=True)

    def _advance(self, *, at_end: bool) -> None:
        if len(self.held) > 1 and not self.waiting and self._step_to(len(self.held) - 1, SAFE_SHARE):
            return
        self.waiting = False
        while self.held:
            ahead = range(min(len(self.held), PATIENCE + 1))
            if any(self._step_to(k, 0.0) for k in ahead):
                continue
            if len(self.held) <= PATIENCE and not at_end:
                self.waiting = True
                return
            self._lose()

    def _step_to(self, k: int, least_share: float) -> bool:
        """Step to the k-th held frame; False, and nothing changed, when that cannot be followed well enough."""
        assert self.last is not None
        index, view = self.held[k][0], make_view(self.held[k][1])
        motion = measure_motion(self.last[1], view)
        if motion is None or motion.share < least_share:
            return False
        self.builder.steps.append((self.last[0], index, motion, len(self.last[1].corners)))
        step = index - self.last[0]
        aimed = round(step * GOOD_STEP_PX / max(motion.median_px, 0.5))
        self.skip = int(np.clip(aimed, 1, min(2 * step, MOST_SKIPPED)))
        self.last = index, view
        del self.held[: k + 1]
        return True

    def _lose(self) -> None:
        """Go on from the first held frame, which nothing leads to."""
        assert self.last is not None
        index, small = self.held.pop(0)
        self.builder.steps.append((self.last[0], index, None, len(self.last[1].corners)))
        self.last, self.skip = (index, make_view(small)), 1
