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

EARLY, LATE, LATEST = 0.5, 1.15, 1.6
"""A frame may be taken from half a step on, should be by 1.15, and up to 1.6 to get past a blurred one."""


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

    to_frame: (F, 2, 3) similarities from the first frame's pixels to each frame's, at 1000 px, centred.
    parallax_px: (F,) gathered leftovers. half_size: (2,) half the picture's width and height at 1000 px.
    cuts: frames that could not be followed from the one before.
    """

    looks: tuple[Look, ...]
    relative: npt.NDArray[np.float64]
    to_frame: npt.NDArray[np.float64]
    parallax_px: npt.NDArray[np.float64]
    half_size: npt.NDArray[np.float64]
    cuts: tuple[int, ...] = ()

    def motion_px(self, i: int, j: int | slice | npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        """Motion from frame i to frames j: median motion of a grid over the picture, and the gathered parallax."""
        to = np.atleast_3d(self.to_frame[j]).reshape(-1, 2, 3)
        turn, shift = self.to_frame[i, :, :2], self.to_frame[i, :, 2]
        axis = np.linspace(-0.8, 0.8, 5)
        grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2) * self.half_size
        origin = (grid - shift) @ np.linalg.inv(turn).T
        moved = np.einsum("kab,nb->kna", to[:, :, :2], origin) + to[:, None, :, 2]
        whole = np.median(np.linalg.norm(moved - grid, axis=2), axis=1)
        gathered = np.abs(np.atleast_1d(self.parallax_px[j]) - self.parallax_px[i])
        result: npt.NDArray[np.float64] = whole + gathered
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
        to_frame = np.tile(np.eye(3), (count, 1, 1))
        parallax = np.zeros(count)
        cuts = []
        for i, j, motion, corners in self.steps:
            step, left = np.eye(3), LOST_STEP_PX if corners >= FEW_CORNERS else PLAIN_STEP_PX * (j - i)
            if motion is None and corners >= FEW_CORNERS:
                cuts.append(j)
            if motion is not None:
                step[:2] = motion.similarity
                left = max(0.0, motion.residual_px - NOISE_PX)
            for k in range(i + 1, j + 1):  # frames that were not tracked lie evenly between those that were
                part = (k - i) / (j - i)
                to_frame[k] = (np.eye(3) * (1 - part) + step * part) @ to_frame[i]
                parallax[k] = parallax[i] + left * part
        last = self.steps[-1][1] if self.steps else 0
        to_frame[last + 1 :] = to_frame[last]
        parallax[last + 1 :] = parallax[last]
        return Track(tuple(self.looks), relative, to_frame[:, :2], parallax, self.half_size, tuple(cuts))


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
    while taken[-1] < count - 1:
        at = taken[-1]
        end = _reach(track, at, LATE * step_px)
        window = np.arange(at + 1, end + 1)
        motion = track.motion_px(at, window) if len(window) else np.zeros(0)
        able = window[motion >= EARLY * step_px]
        for before in taken[-RECENT:-1]:
            able = able[track.motion_px(before, able) >= EARLY * step_px] if len(able) else able
        if len(able) == 0 or unusable[able].all():
            if end == count - 1 and len(able) == 0:
                break
            further = np.arange(end + 1, _reach(track, at, LATEST * step_px) + 1)
            # Nothing in reach is far enough, or all of it is blurred: go on, at least to the next frame there is.
            able = np.concatenate([able, further]) if len(able) + len(further) else np.array([min(end + 1, count - 1)])
        away = np.abs(track.motion_px(at, able) / step_px - 1)
        taken.append(int(able[np.argmax(scores[able] - 0.3 * away)]))
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
        away = [float(track.motion_px(i, int(frames[k]))[0]) for k in beside]
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
