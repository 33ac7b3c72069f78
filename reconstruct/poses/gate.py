"""Is a solution good enough? Registered share, components, reprojection error, cameras that stand where they cannot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .evidence import Evidence
from .job import CameraJob, Job
from .solution import Solution

# Beyond these a result is tried to be bettered. They are wide: a good solution of ordinary footage passes with room.
ENOUGH_SHARE = 0.95
MAX_ERROR_PX = 1.3  # mean reprojection error, at the size at which features were found
MIN_FOCAL, MAX_FOCAL = 0.3, 8.0  # over the longer side: 150 and 7 degrees of view
MAX_PRIOR_RATIO = 1.8  # solved focal over the one the photo's EXIF gives, either way
MAX_CONTRADICTED = 0.35
MIN_OBSERVATIONS = 15
FAR_STEP = 15.0  # a step this many times its neighbours' median is a jump
FAR_DISTANCE = 25.0  # from the cameras' middle, over their median distance from it


@dataclass(frozen=True)
class Judgement:
    """registered, total: frames; connected: frames in the largest group that verified pairs connect.

    outliers: names of cameras that cannot stand where they were put. contradicted: share of pairs with many matches
    that the solved cameras do not explain. reasons: in words, why the gate did not pass; empty when it did.
    """

    registered: int
    total: int
    connected: int
    components: int
    error_px: float
    outliers: tuple[str, ...]
    contradicted: float
    lens_fits: bool
    reasons: tuple[str, ...]

    @staticmethod
    def failed(total: int, reason: str) -> Judgement:
        """Of an attempt that ended without any result."""
        return Judgement(0, total, total, 0, float("nan"), (), 0.0, True, (reason,))

    @property
    def passed(self) -> bool:
        return not self.reasons

    @property
    def score(self) -> tuple[float, int, float]:
        """Larger is better: the share of frames that are registered and believed, few parts, a small error."""
        believed = (self.registered - len(self.outliers)) / max(self.total, 1)
        doubt = 0.5 * max(0.0, self.contradicted - 0.1) + (0.0 if self.lens_fits else 0.1)
        return round(believed - doubt, 3), -self.components, -self.error_px if np.isfinite(self.error_px) else -np.inf

    def describe(self) -> str:
        words = f"{self.registered} of {self.total} frames registered"
        if self.registered:
            words += f", mean reprojection error {self.error_px:.2f} px"
        return words + (f" ({'; '.join(self.reasons)})" if self.reasons else "")


def judge(solution: Solution, evidence: Evidence, names: tuple[str, ...], job: Job, ordered: bool) -> Judgement:
    """Hold a solution against the gate. `ordered`: the frames follow a path, as a video's do."""
    total, registered = len(names), len(solution.names)
    reasons = []
    groups = evidence.components()
    if registered < total and registered < ENOUGH_SHARE * total:
        reasons.append(f"{total - registered} frames not registered")
    strays = [len(o) for o in solution.others]
    if strays and registered:
        reasons.append(f"{len(strays) + 1} separate parts")
    error = _error_as_seen(solution, job)
    if registered and not error <= MAX_ERROR_PX:
        reasons.append(f"reprojection error of {error:.1f} px is high")
    odd = _odd_lens(solution, job.cameras)
    if odd:
        reasons.append(odd)
    contradicted = contradicted_share(evidence)
    if contradicted > MAX_CONTRADICTED:
        reasons.append(f"{contradicted:.0%} of the matched pairs contradict the cameras")
    outliers = outlier_cameras(solution, evidence, names, ordered)
    if outliers:
        reasons.append(f"{len(outliers)} cameras stand where they cannot")
    return Judgement(
        registered=registered,
        total=total,
        connected=len(groups[0]) if groups else 0,
        components=1 + len(strays) if registered else 0,
        error_px=solution.error_px,
        outliers=outliers,
        contradicted=contradicted,
        lens_fits=not odd and (not registered or error <= MAX_ERROR_PX),
        reasons=tuple(reasons),
    )


def _error_as_seen(solution: Solution, job: Job) -> float:
    """Mean reprojection error in pixels of the pictures as features were found in them."""
    return solution.error_px / job.shrink if solution.cameras else float("nan")


def _odd_lens(solution: Solution, cameras: Mapping[int, CameraJob]) -> str:
    for cid, camera in solution.cameras.items():
        focal = camera.fx / max(camera.width_px, camera.height_px)
        if not MIN_FOCAL <= focal <= MAX_FOCAL:
            return f"a focal length of {focal:.2f} image sizes is implausible"
        prior = cameras[cid]
        ratio = camera.fx / prior.params[0]
        if prior.has_prior and not 1 / MAX_PRIOR_RATIO <= ratio <= MAX_PRIOR_RATIO:
            return f"the focal length is {ratio:.2f} times what the photos' EXIF says"
    return ""


def contradicted_share(evidence: Evidence) -> float:
    """Share of the pairs with at least 30 matches that the solved cameras explain for less than a third."""
    strong = (evidence.inliers >= 30) & np.isfinite(evidence.agreement)
    return float(np.mean(evidence.agreement[strong] < 1 / 3)) if strong.any() else 0.0


def outlier_cameras(solution: Solution, evidence: Evidence, names: tuple[str, ...], ordered: bool) -> tuple[str, ...]:
    """Names of registered cameras with next to no points, far from all others, off the path, or contradicted by most
    of the pairs they are in."""
    count = len(solution.names)
    if count < 4:
        return ()
    bad = np.bincount(solution.observed_frame, minlength=count) < MIN_OBSERVATIONS
    centres = solution.centres
    distance = np.linalg.norm(centres - np.median(centres, axis=0), axis=1)
    bad |= distance > FAR_DISTANCE * max(float(np.median(distance)), 1e-12)
    place = {n: k for k, n in enumerate(names)}
    numbers = np.array([place[n] for n in solution.names])
    if ordered:
        bad |= _jumps(centres, numbers)
    for k, frame in enumerate(numbers):
        mine = evidence.pairs_of(int(frame)) & (evidence.inliers >= 30) & np.isfinite(evidence.agreement)
        if mine.sum() >= 3 and np.mean(evidence.agreement[mine] < 1 / 3) > 0.6:
            bad[k] = True
    return tuple(n for n, b in zip(solution.names, bad, strict=True) if b)


def _jumps(centres: npt.NDArray[np.float64], numbers: npt.NDArray[np.int_]) -> npt.NDArray[np.bool_]:
    """True for cameras both of whose steps along the path are many times what is usual around them."""
    bad = np.zeros(len(centres), bool)
    steps = np.linalg.norm(np.diff(centres, axis=0), axis=1) / np.maximum(np.diff(numbers), 1)
    for k in range(1, len(centres) - 1):
        low, high = max(0, k - 8), min(len(steps), k + 8)
        around = np.delete(steps[low:high], [k - 1 - low, k - low])
        if len(around) >= 3 and min(steps[k - 1], steps[k]) > FAR_STEP * max(float(np.median(around)), 1e-12):
            bad[k] = True
    return bad
