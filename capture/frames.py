"""Which frames of a video to take: driven by motion and overlap, the sharpest of those that would do.

Every frame gets a place: the composed similarities say where the picture as a whole has gone, the sum of what they
leave over says how much parallax has gathered. Frames are taken when they have moved by a step since the frame taken
before; within the tolerance around that step the sharpest is. The step is as the budget allows, not a fixed rate: a
slow video gives few frames, one that was thinned already keeps nearly all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .quality import BLURRED_BELOW
from .tracking import Motion

STEP_PX = 40.0
"""Motion from one frame to the next that is aimed at, at 1000 px: 4 % of the picture keeps about 25 views of each
place, and neighbouring views overlap by well over 80 %."""

LEAST_STEP_PX = 8.0
"""Frames that moved less than this show the same view."""

NOISE_PX = 1.0
"""What tracking leaves over between two pictures of the same view, at 1000 px."""

LOST_STEP_PX = 250.0
"""What a step counts as when features were there and none could be followed: a cut or a jerk."""

PLAIN_STEP_PX = STEP_PX / 4
"""What a step counts as when there was hardly a feature to follow: darkness, a white wall."""

FEW_CORNERS = 20
RECENT = 30
"""A frame must also differ from this many frames taken before, lest a shaking camera be taken for a moving one."""

BLACK_OR_WHITE = 0.9

EARLY, LATE = 0.5, 1.15
"""A frame may be taken from half a step on and should be by 1.15 of it."""

LATEST, LATEST_PX = 2.5, 120.0
"""To get past blurred frames up to 2.5 steps may be made, while that is not more than 12 % of the picture."""


Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Look:
    """One decoded frame: its time and its own numbers."""

    time_s: float
    sharpness: float
    clipped_dark: float
    clipped_bright: float


@dataclass(frozen=True, eq=False)
class Track:
    """All looks of a video, and the motion up to each.

    turn, shift: (F,) complex; `turn * z + shift` takes a point of the first frame, x + iy from the picture's middle
        at 1000 px, to each frame's. parallax_px: (F,) gathered leftovers. half_size: half the picture's width and
        height at 1000 px. cuts: frames that could not be followed from the one before.
    """

    looks: tuple[Look, ...]
    relative: npt.NDArray[np.float64]
    turn: npt.NDArray[np.complex128]
    shift: npt.NDArray[np.complex128]
    parallax_px: npt.NDArray[np.float64]
    half_size: npt.NDArray[np.float64]
    cuts: tuple[int, ...] = ()

    def motion_px(self, i: int | Indices, j: int | Indices) -> npt.NDArray[np.float64]:
        """Motion between frames i and j, which broadcast: mean over a grid in the picture, and gathered parallax."""
        axis = np.linspace(-0.8, 0.8, 5)
        grid = (axis * self.half_size[0] + 1j * axis[:, None] * self.half_size[1]).ravel()
        turn = self.turn[j] / self.turn[i]
        shift = self.shift[j] - turn * self.shift[i]
        whole = np.abs((turn - 1)[..., None] * grid + shift[..., None]).mean(-1)
        result: npt.NDArray[np.float64] = whole + np.abs(self.parallax_px[j] - self.parallax_px[i])
        return result


@dataclass
class TrackBuilder:
    """Gathers looks and motions as frames are decoded; holds no pictures.

    steps: from frame, to frame, motion between them where it could be followed, corners there were to follow.
    """

    half_size: npt.NDArray[np.float64]
    looks: list[Look] = field(default_factory=list)
    steps: list[tuple[int, int, Motion | None, int]] = field(default_factory=list)

    def build(self, relative: npt.NDArray[np.float64]) -> Track:
        count = len(self.looks)
        turn, shift = np.ones(count, np.complex128), np.zeros(count, np.complex128)
        parallax = np.zeros(count)
        cuts = []
        for i, j, motion, corners in self.steps:
            step_turn, step_shift = 1 + 0j, 0j
            left = LOST_STEP_PX if corners >= FEW_CORNERS else PLAIN_STEP_PX * (j - i)
            if motion is not None:
                step_turn = complex(motion.similarity[0, 0], motion.similarity[1, 0])
                step_shift = complex(*motion.similarity[:, 2])
                left = max(0.0, motion.residual_px - NOISE_PX)
            elif corners >= FEW_CORNERS:
                cuts.append(j)
            for k in range(i + 1, j + 1):  # frames that were not tracked lie evenly between those that were
                part = (k - i) / (j - i)
                between = 1 + (step_turn - 1) * part
                turn[k], shift[k] = between * turn[i], between * shift[i] + step_shift * part
                parallax[k] = parallax[i] + left * part
        last = self.steps[-1][1] if self.steps else 0
        for values in (turn, shift, parallax):
            values[last + 1 :] = values[last : last + 1]
        return Track(tuple(self.looks), relative, turn, shift, parallax, self.half_size, tuple(cuts))


@dataclass(frozen=True)
class Choice:
    """Indices of the frames taken, ascending, the step they were taken at, and whether the budget set it."""

    frames: tuple[int, ...]
    step_px: float
    over_budget: bool


def choose(track: Track, max_frames: int, min_frames: int) -> Choice:
    """At most `max_frames` frames; at least about `min_frames` as far as views differ at all."""
    taken = take(track, STEP_PX)
    if len(taken) > max_frames:
        return _coarser(track, max_frames)
    if len(taken) >= min_frames:
        return Choice(taken, STEP_PX, False)
    best, step = taken, STEP_PX
    low, high = 1.5 * LEAST_STEP_PX, STEP_PX
    for _ in range(8):
        middle = (low * high) ** 0.5
        finer = take(track, middle)
        if len(finer) > max_frames:
            low = middle
            continue
        if len(finer) > len(best):
            best, step = finer, middle
        low, high = (middle, high) if len(finer) >= min_frames else (low, middle)
    return Choice(best, step, False)


def _coarser(track: Track, max_frames: int) -> Choice:
    low, high = STEP_PX, STEP_PX
    taken = take(track, high)
    while len(taken) > max_frames:
        low, high = high, high * 1.6
        if high > 1e7:  # every step is a cut: take them evenly
            even = np.unique(np.linspace(0, len(track.looks) - 1, max_frames).astype(int))
            return Choice(tuple(even.tolist()), high, True)
        taken = take(track, high)
    for _ in range(8):
        middle = (low * high) ** 0.5
        finer = take(track, middle)
        if len(finer) > max_frames:
            low = middle
        else:
            high = middle
            taken = finer if len(finer) >= len(taken) else taken
    return Choice(taken, high, True)


def take(track: Track, step_px: float) -> tuple[int, ...]:
    """Walk through the video and take a frame at about every `step_px` of motion, the best of those in reach."""
    count = len(track.looks)
    if count == 0:
        return ()
    scores = _scores(track)
    unusable = _unusable(track)
    opening = _reach(track, 0, EARLY * step_px)
    taken = [int(np.argmax(scores[: opening + 1]))]
    at = taken[0]
    latest = max(LATE * step_px, min(LATEST * step_px, LATEST_PX))
    while at < count - 1:
        end = _reach(track, at, LATE * step_px)
        window = np.arange(at + 1, end + 1)
        able = window[track.motion_px(at, window) >= EARLY * step_px]
        if len(able) == 0 and end == count - 1:
            break
        if len(able):
            # The camera may only shake, or come back: what was taken lately already shows these.
            new = track.motion_px(np.array(taken[-RECENT:])[:, None], able[None]).min(0) >= EARLY * step_px
            if not new.any():
                at = end
                continue
            able = able[new]
        if len(able) == 0 or unusable[able].all():
            # Nothing in reach is far enough, or all of it is blurred: go on, at least to the next frame there is.
            further = np.arange(end + 1, _reach(track, at, latest) + 1)
            able = np.concatenate([able, further]) if len(able) + len(further) else np.array([min(end + 1, count - 1)])
        away = np.abs(track.motion_px(at, able) / step_px - 1)
        at = int(able[np.argmax(scores[able] - 0.3 * away)])
        taken.append(at)
    return tuple(taken)


def _scores(track: Track) -> npt.NDArray[np.float64]:
    """How much each frame is wanted for itself: sharp beside its neighbours, no more clipped than usual."""
    lost = np.array([look.clipped_dark + look.clipped_bright for look in track.looks])
    scores: npt.NDArray[np.float64] = np.minimum(track.relative, 1.3) - 0.5 * np.maximum(lost - np.median(lost), 0)
    return np.where(lost > BLACK_OR_WHITE, -1.0, scores)


def _unusable(track: Track) -> npt.NDArray[np.bool_]:
    lost = np.array([max(look.clipped_dark, look.clipped_bright) for look in track.looks])
    result: npt.NDArray[np.bool_] = (track.relative < BLURRED_BELOW) | (lost > BLACK_OR_WHITE)
    return result


def _reach(track: Track, at: int, limit_px: float) -> int:
    """The last frame before the motion since frame `at` first exceeds `limit_px`."""
    count = len(track.looks)
    start, size = at + 1, 64
    while start < count:
        end = min(count, start + size)
        beyond = np.flatnonzero(track.motion_px(at, np.arange(start, end)) > limit_px)
        if len(beyond):
            return start + int(beyond[0]) - 1
        start, size = end, size * 2
    return count - 1


def reasons(track: Track, choice: Choice, names: Sequence[str], max_frames: int) -> list[tuple[int, str]]:
    """For every frame that was not taken, why; `names` are those of the frames taken."""
    told = []
    frames = np.array(choice.frames)
    for i in range(len(track.looks)):
        at = int(np.searchsorted(frames, i))
        if at < len(frames) and frames[at] == i:
            continue
        beside = [k for k in (at - 1, at) if 0 <= k < len(frames)]
        away = [float(track.motion_px(i, int(frames[k]))) for k in beside]
        nearest = names[beside[int(np.argmin(away))]]
        look = track.looks[i]
        if max(look.clipped_dark, look.clipped_bright) > BLACK_OR_WHITE:
            reason = "black" if look.clipped_dark > look.clipped_bright else "white: overexposed"
        elif track.relative[i] < BLURRED_BELOW:
            reason = f"blurred: sharpness {track.relative[i]:.2f} of its neighbours"
        elif min(away) < LEAST_STEP_PX:
            reason = f"nearly the same view as {nearest}"
        elif choice.over_budget:
            reason = f"over the budget of {max_frames} frames; {nearest} is nearest"
        else:
            reason = f"not needed: its view lies close to {nearest}"
        told.append((i, reason))
    return told
