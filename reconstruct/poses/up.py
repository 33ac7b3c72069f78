"""Which way is up, and where the ground is, from cameras and points alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

MAX_POINTS = 4000
TRIALS = 400
PLANES = 4
# Half thickness of a plane, over the usual distance of points from cameras.
PLANE_BAND = 0.012
MIN_PLANE_SHARE = 0.08
# A surface stands out: this many times the points of an equally thick slab beside it. A cut through bushes does not.
PLANE_CONTRAST = 1.6
MIN_WALL_SHARE = 0.15
MAX_SHARE_BELOW = 0.15
# Second smallest eigenvalue of the cameras' x axes from which those alone fix the vertical: they fan out by 8 degrees.
FANNED_OUT = np.sin(np.radians(8.0)) ** 2


@dataclass(frozen=True, eq=False)
class Plane:
    """Points x with normal . x = offset; `inliers` (P,) marks the points on it."""

    normal: Array
    offset: float
    inliers: npt.NDArray[np.bool_]

    @property
    def share(self) -> float:
        return float(np.mean(self.inliers))


@dataclass(frozen=True, eq=False)
class Up:
    """A unit up direction (3,) in the frame of the cameras. sure: it is fixed about every axis, not only guessed."""

    direction: Array
    source: str
    sure: bool


def up_from_cameras(rotations: Array) -> Up:
    """The vertical that makes the pictures level. rotations: (C, 3, 3) cam_from_input.

    People and drones keep the horizon level, so every camera's x axis is horizontal: the vertical is what is most
    perpendicular to all of them (robustly), which pitching the camera does not disturb. Where the x axes are all
    alike, the cameras' own up decides what is left open. Cameras whose ups cancel one another look straight down.
    """
    x, up, forward = rotations[:, 0], -rotations[:, 1], rotations[:, 2]
    mean_up, mean_forward = up.mean(0), forward.mean(0)
    looks_down = bool(np.linalg.norm(mean_up) < 0.5 and np.linalg.norm(mean_forward) > 0.7)
    hint = _unit(-mean_forward) if looks_down else _unit(mean_up)
    u, weights = hint, np.ones(len(x))
    spread = np.eye(3)
    for _ in range(20):
        spread = (x * weights[:, None]).T @ x / weights.sum()
        # A light pull towards the hint: it decides only what the x axes leave open.
        u = np.linalg.eigh(spread - 0.002 * np.outer(hint, hint))[1][:, 0]
        weights = 1 / np.maximum(np.abs(x @ u), 0.02)
    u = u if u @ hint >= 0 else -u
    fanned = float(np.linalg.eigvalsh(spread)[1]) > FANNED_OUT
    return Up(u, "cameras", fanned)


def find_planes(points: Array, scale: float, seed: int = 0) -> list[Plane]:
    """Up to four planes that hold many of the points (P, 3), one after the other by RANSAC, largest first.

    scale: the usual distance of points from cameras, which sets how thick a plane may be.
    """
    rng = np.random.default_rng(seed)
    sample = points[rng.permutation(len(points))[:MAX_POINTS]]
    left, found = np.ones(len(sample), bool), []
    for _ in range(PLANES):
        plane = _one_plane(sample[left], PLANE_BAND * scale, rng)
        if plane is None:
            break
        normal, offset = plane
        height = (sample @ normal - offset) / (PLANE_BAND * scale)
        on_it = np.abs(height) < 1
        if np.mean(on_it) < MIN_PLANE_SHARE:
            break
        beside = max(int(np.sum((height > 1) & (height < 3))), int(np.sum((height < -1) & (height > -3))))
        if on_it.sum() > PLANE_CONTRAST * beside:
            found.append(Plane(normal, offset, np.abs(points @ normal - offset) < PLANE_BAND * scale))
        left &= ~on_it
    return found


def _one_plane(points: Array, band: float, rng: np.random.Generator) -> tuple[Array, float] | None:
    if len(points) < 30:
        return None
    triples = points[rng.integers(0, len(points), (TRIALS, 3))]
    normals = np.cross(triples[:, 1] - triples[:, 0], triples[:, 2] - triples[:, 0])
    length = np.linalg.norm(normals, axis=1)
    triples, normals = triples[length > 1e-12], normals[length > 1e-12] / length[length > 1e-12, None]
    if not len(normals):
        return None
    offsets = np.sum(normals * triples[:, 0], axis=1)
    counts = np.sum(np.abs(points @ normals.T - offsets) < band, axis=0)
    best = int(np.argmax(counts))
    normal, offset = normals[best], float(offsets[best])
    for _ in range(5):
        near = points[np.abs(points @ normal - offset) < band]
        if len(near) < 10:
            return None
        middle = near.mean(0)
        normal = np.linalg.svd(near - middle, full_matrices=False)[2][2]
        offset = float(normal @ middle)
    return normal, offset


def ground_among(planes: list[Plane], up: Array, points: Array, centres: Array, max_angle_rad: float) -> Plane | None:
    """The largest plane that can be the ground: its normal (turned upwards) is near `up`, nearly all points and the
    cameras are above it."""
    for plane in sorted(planes, key=lambda p: -p.share):
        sign = 1.0 if plane.normal @ up >= 0 else -1.0
        normal, offset = sign * plane.normal, sign * plane.offset
        if normal @ up < np.cos(max_angle_rad):
            continue
        on_it = np.abs(points @ normal - offset)[plane.inliers]
        margin = 3 * float(on_it.max(initial=0.0))
        if np.mean(points @ normal < offset - margin) > MAX_SHARE_BELOW:
            continue
        if np.mean(centres @ normal > offset) < 0.9:
            continue
        return Plane(normal, offset, plane.inliers)
    return None


def refine_up(up: Up, planes: list[Plane], points: Array, centres: Array) -> tuple[Up, Plane | None]:
    """Take the ground's normal for up where a ground is near the guess; else make up lie within the largest plane that
    is nearly upright, which is a wall; how nearly depends on how sure the guess is. Returns the ground with it, if
    there is one."""
    limit = np.radians(10.0 if up.sure else 25.0)
    ground = ground_among(planes, up.direction, points, centres, limit)
    if ground is not None:
        return Up(ground.normal, "ground plane", True), ground
    lean = np.sin(np.radians(5.0) if up.sure else limit)
    for wall in sorted(planes, key=lambda p: -p.share):
        if wall.share >= MIN_WALL_SHARE and abs(wall.normal @ up.direction) < lean:
            level = up.direction - (up.direction @ wall.normal) * wall.normal
            return Up(_unit(level), up.source, True), None
    return up, None


def _unit(v: Array) -> Array:
    length = float(np.linalg.norm(v))
    return v / length if length > 1e-12 else np.array([0.0, 0.0, 1.0])
