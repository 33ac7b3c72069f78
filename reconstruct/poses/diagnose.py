"""Why frames were not registered, and why nothing was: measured, in words a person can act on."""

from __future__ import annotations

import numpy as np

from diorama.capture.types import Capture, Frame, Rejected

from .evidence import MIN_INLIERS, Evidence
from .gate import Judgement
from .solution import Solution

BLURRED = 0.6  # relative sharpness
CLIPPED = 0.6
FEW_FEATURES = 150
# Inliers that move by less than this share of the picture come from cameras that did not move apart.
NEAR_COPY_SHIFT = 0.006


def unregistered_frames(
    capture: Capture, solution: Solution, evidence: Evidence, outliers: tuple[str, ...]
) -> tuple[Rejected, ...]:
    """Every frame without a camera, with the likely reason."""
    names = [f.name for f in capture.frames]
    registered = {n for n in solution.names if n not in outliers}
    part = {n: len(group) for group in reversed(solution.others) for n in group}
    found = []
    for k, frame in enumerate(capture.frames):
        if frame.name in registered:
            continue
        if frame.name in outliers:
            reason = "its camera came out where its own matches say it cannot be, so it was left out"
        elif frame.name in part:
            reason = (
                f"in another component of {part[frame.name]} frames: too little overlap with the largest one; "
                "take pictures that lead from one to the other"
            )
        else:
            reason = _why_unmatched(frame, k, evidence, names, registered)
        found.append(Rejected(frame.name, reason))
    return tuple(found)


def _why_unmatched(frame: Frame, k: int, evidence: Evidence, names: list[str], registered: set[str]) -> str:
    count = int(evidence.features[k])
    usual = float(np.median(evidence.features)) if len(evidence.features) else 0.0
    look = _what_is_wrong_with(frame)
    if count < max(FEW_FEATURES, 0.1 * usual):
        return f"too few features ({count}, others have {usual:.0f}): {look or _nothing_to_see(frame)}"
    into = np.array([names[j] in registered for j in range(len(names))])
    mine = evidence.pairs_of(k) & (into[evidence.first] | into[evidence.second])
    if not mine.any():
        return f"no overlap with the others was found{f'; {look}' if look else ''}"
    best = int(np.argmax(np.where(mine, evidence.inliers, -1)))
    partner = names[evidence.second[best] if evidence.first[best] == k else evidence.first[best]]
    inliers = int(evidence.inliers[best])
    if inliers < MIN_INLIERS:
        return f"{look or 'no overlap with the others'} (at most {inliers} points match, with {partner})"
    if inliers < 4 * MIN_INLIERS:
        return f"too few matches ({inliers} at best, with {partner}): {look or 'step less between pictures'}"
    return (
        f"its {inliers} matches with {partner} do not fit the other cameras: "
        f"{look or 'repeated or moving things may look alike here'}"
    )


def _what_is_wrong_with(frame: Frame) -> str:
    quality = frame.quality
    if quality is None:
        return ""
    if quality.relative_sharpness < BLURRED:
        return f"blurred ({quality.relative_sharpness:.0%} of its neighbours' sharpness)"
    if quality.clipped_dark > CLIPPED:
        return f"too dark ({quality.clipped_dark:.0%} of it is black)"
    if quality.clipped_bright > CLIPPED:
        return f"overexposed ({quality.clipped_bright:.0%} of it is white)"
    return ""


def _nothing_to_see(frame: Frame) -> str:
    return "masked almost whole" if frame.mask is not None else "blurred, dark or without texture"


def why_nothing(capture: Capture, evidence: Evidence, judgement: Judgement) -> str:
    """One sentence on why the cameras of a capture could not be found, and what to do."""
    what = "frames of the video" if capture.source == "video" else "photos"
    count = len(capture.frames)
    names = [f.name for f in capture.frames]
    if np.median(evidence.features) < FEW_FEATURES:
        return (
            f"The {count} {what} show almost nothing to hold on to (a median of {np.median(evidence.features):.0f} "
            "feature points each): they are blurred, dark, masked or without texture; take sharper ones of a place "
            "with more detail."
        )
    verified = evidence.verified
    if is_near_copies(evidence):
        return (
            f"The {count} {what} are near-copies of one another (things move by {_typical_shift(evidence):.2%} of the "
            "picture between them), so no depth can be seen; move the camera sideways between pictures, by about a "
            "tenth of the distance to the subject."
        )
    if not verified.any() or judgement.connected < 3:
        best = int(np.argmax(evidence.inliers)) if len(evidence.inliers) else None
        closest = (
            f"the best pair, {names[evidence.first[best]]} and {names[evidence.second[best]]}, shares "
            f"{evidence.inliers[best]} points"
            if best is not None
            else "no two share enough points"
        )
        return (
            f"The {count} {what} have no overlap that could be found ({closest}): take pictures that each show at "
            "least half of what the one before shows."
        )
    if np.mean(evidence.turning[verified]) > 0.7:
        return (
            f"The camera only turned on the spot, or all {count} {what} show one flat surface, so no depth can be "
            "seen; walk around the subject while taking pictures."
        )
    return (
        f"Only {judgement.registered} of the {count} {what} could be placed together ({judgement.connected} are "
        "connected by matches): take more pictures, each showing at least half of what the one before shows."
    )


def is_near_copies(evidence: Evidence) -> bool:
    """True when all frames show the same and nothing moves between them."""
    groups = evidence.components()
    linked = bool(groups) and len(groups[0]) > 0.7 * len(evidence.features)
    return linked and bool(evidence.verified.any()) and _typical_shift(evidence) < NEAR_COPY_SHIFT


def _typical_shift(evidence: Evidence) -> float:
    """The upper end of how far things move between matched frames, as a share of the picture."""
    return float(np.quantile(evidence.shift[evidence.verified], 0.9))
