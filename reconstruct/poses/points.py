"""Which triangulated points are believed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from diorama.capture.types import SparsePoints

from .solution import Solution

MAX_ERROR_FACTOR = 4.0
MIN_ANGLE_RAD = np.radians(0.6)
# Beyond this many times the usual distance of points from cameras, a position is a guess along a ray.
MAX_DISTANCE_FACTOR = 100.0


def clean_points(
    solution: Solution, keep_names: frozenset[str]
) -> tuple[SparsePoints, dict[str, npt.NDArray[np.int32]]]:
    """Points of the solution worth keeping, and for each of the kept frames the indices of those it sees.

    Left out are points seen by fewer than two kept frames, with an error many times the usual, seen under almost no
    angle, or absurdly far. Far background seen under a fair angle stays: training wants it.
    """
    frame_kept = np.array([n in keep_names for n in solution.names], bool)
    use = frame_kept[solution.observed_frame] if len(frame_kept) else np.zeros(0, bool)
    frame, point = solution.observed_frame[use], solution.observed_point[use]
    count = len(solution.points)
    track = np.bincount(point, minlength=count).astype(np.int32)
    error = solution.points.error_px
    good = (track >= 2) & np.all(np.isfinite(solution.points.xyz), axis=1)
    if good.any():
        usual = float(np.median(error[good]))
        good &= error <= max(MAX_ERROR_FACTOR * usual, 1.0)
        angle, distance = _angle_and_distance(solution, frame, point, track)
        good &= angle >= MIN_ANGLE_RAD
        if good.any():
            good &= distance <= MAX_DISTANCE_FACTOR * float(np.median(distance[good]))
    new_index = np.full(count, -1, np.int32)
    new_index[good] = np.arange(int(good.sum()), dtype=np.int32)
    seen = new_index[point]
    visible = {
        name: np.unique(seen[(frame == k) & (seen >= 0)]).astype(np.int32)
        for k, name in enumerate(solution.names)
        if frame_kept[k]
    }
    p = solution.points
    return SparsePoints(p.xyz[good], p.rgb_srgb[good], error[good], track[good]), visible


def _angle_and_distance(
    solution: Solution, frame: npt.NDArray[np.int32], point: npt.NDArray[np.int32], track: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """For each point, twice the largest angle between a ray to it and their mean (about the widest angle between two
    of its rays), and its mean distance from the cameras that see it."""
    rays = solution.points.xyz[point] - solution.centres[frame]
    length = np.linalg.norm(rays, axis=1)
    rays = rays / np.maximum(length, 1e-12)[:, None]
    mean = np.zeros((len(track), 3))
    np.add.at(mean, point, rays)
    mean /= np.maximum(np.linalg.norm(mean, axis=1), 1e-12)[:, None]
    off = np.arccos(np.clip(np.sum(rays * mean[point], axis=1), -1, 1))
    angle = np.zeros(len(track))
    np.maximum.at(angle, point, 2 * off)
    distance = np.zeros(len(track))
    np.add.at(distance, point, length)
    return angle, distance / np.maximum(track, 1)


def depths_of(
    centres: Mapping[str, npt.NDArray[np.float64]], points: SparsePoints, visible: Mapping[str, npt.NDArray[np.int32]]
) -> npt.NDArray[np.float64]:
    """Median distance of each frame's visible points from its camera, for frames that see any."""
    found = [
        float(np.median(np.linalg.norm(points.xyz[visible[n]] - c, axis=1)))
        for n, c in centres.items()
        if len(visible.get(n, ()))
    ]
    return np.array(found, np.float64)
