"""What the database says about frames and pairs: how many features, which pairs match, and whether the solved cameras
agree with those matches. Collected in the worker, judged in the parent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from diorama.capture.transforms import Pose

if TYPE_CHECKING:
    import pycolmap

    from .solution import Solution

EVIDENCE = "evidence.npz"

# Fewer inliers than this prove nothing; COLMAP's own bound.
MIN_INLIERS = 15
# A match fits the solved cameras when its Sampson error is below this, in pixels at 1000 px of image size.
AGREES_PX = 6.0


@dataclass(frozen=True, eq=False)
class Evidence:
    """Frames are numbers in the job's order.

    features: (F,) feature points found in each frame.
    first, second: (P,) the frames of each compared pair.
    matches, inliers: (P,) matches before and after the check against one two-view geometry.
    turning: (P,) True where the pair is explained by turning the camera on the spot, or by one flat surface.
    shift: (P,) median motion of the inliers as a share of the image's longer side; NaN without inliers.
    agreement: (P,) share of the inliers that fit the solved cameras; NaN where one of the two is not solved.
    """

    features: npt.NDArray[np.int32]
    first: npt.NDArray[np.int32]
    second: npt.NDArray[np.int32]
    matches: npt.NDArray[np.int32]
    inliers: npt.NDArray[np.int32]
    turning: npt.NDArray[np.bool_]
    shift: npt.NDArray[np.float64]
    agreement: npt.NDArray[np.float64]

    @property
    def verified(self) -> npt.NDArray[np.bool_]:
        """(P,) True for pairs with enough inliers."""
        return self.inliers >= MIN_INLIERS

    def components(self) -> list[list[int]]:
        """Groups of frames that verified pairs connect, largest first; lone frames included."""
        parent = list(range(len(self.features)))

        def root(i: int) -> int:
            while parent[i] != i:
                parent[i] = parent[parent[i]]
                i = parent[i]
            return i

        for i, j in zip(self.first[self.verified], self.second[self.verified], strict=True):
            parent[root(int(i))] = root(int(j))
        groups: dict[int, list[int]] = {}
        for i in range(len(parent)):
            groups.setdefault(root(i), []).append(i)
        return sorted(groups.values(), key=lambda g: (-len(g), g))

    def pairs_of(self, frame: int) -> npt.NDArray[np.bool_]:
        """(P,) True for the pairs that a frame is part of."""
        mine: npt.NDArray[np.bool_] = (self.first == frame) | (self.second == frame)
        return mine

    def save(self, path: Path) -> None:
        beside = path.with_name(path.name + ".part")
        with beside.open("wb") as file:
            np.savez(file, **vars(self))
        beside.replace(path)

    @staticmethod
    def load(path: Path) -> Evidence:
        with np.load(path, allow_pickle=False) as a:
            return Evidence(**{name: a[name] for name in Evidence.__dataclass_fields__})


def collect_evidence(database: pycolmap.Database, names: tuple[str, ...], solution: Solution) -> Evidence:
    """Read the database and hold its matches against the solution. Runs in the worker; image ids are 1 to F."""
    import pycolmap

    count = len(names)
    features = np.array([database.num_keypoints_for_image(i) for i in range(1, count + 1)], np.int32)
    raw = dict(_raw_matches(database))
    cache = _Rays(database, names, solution)
    rows = []
    for (i, j), geometry in _geometries(database):
        if max(i, j) > count:
            continue
        inliers = np.asarray(geometry.inlier_matches)
        kind = pycolmap.TwoViewGeometryConfiguration(geometry.config).name
        turning = kind in ("PANORAMIC", "PLANAR_OR_PANORAMIC")
        if kind in ("UNDEFINED", "DEGENERATE", "WATERMARK"):
            inliers = inliers[:0]
        shift, agreement = np.nan, np.nan
        if len(inliers):
            shift = cache.shift(i, j, inliers)
            agreement = cache.agreement(i, j, inliers)
        rows.append((i - 1, j - 1, raw.get((i, j), 0), len(inliers), turning, shift, agreement))
    rows.sort()
    table = np.array(rows, np.float64).reshape(-1, 7)
    first, second, matches, inlier_counts = table[:, :4].astype(np.int32).T
    return Evidence(features, first, second, matches, inlier_counts, table[:, 4].astype(bool), table[:, 5], table[:, 6])


def _raw_matches(database: pycolmap.Database) -> Iterator[tuple[tuple[int, int], int]]:
    import pycolmap

    pair_ids, counts = database.read_num_matches()
    for pair_id, n in zip(pair_ids, counts, strict=True):
        i, j = pycolmap.pair_id_to_image_pair(pair_id)
        yield (i, j), int(n)


def _geometries(database: pycolmap.Database) -> Iterator[tuple[tuple[int, int], pycolmap.TwoViewGeometry]]:
    import pycolmap

    pair_ids, geometries = database.read_two_view_geometries()
    for pair_id, geometry in zip(pair_ids, geometries, strict=True):
        yield pycolmap.pair_id_to_image_pair(pair_id), geometry


class _Rays:
    """Key points of each image, in pixels and on the ideal image plane of the solved cameras, read once."""

    def __init__(self, database: pycolmap.Database, names: tuple[str, ...], solution: Solution) -> None:
        self._database = database
        self._places = {i + 1: k for i, n in enumerate(names) for k in [_place(solution, n)] if k is not None}
        self._solution = solution
        self._pixels: dict[int, npt.NDArray[np.float64]] = {}
        self._ideal: dict[int, npt.NDArray[np.float64]] = {}
        self._size: dict[int, int] = {}

    def pixels(self, image_id: int) -> npt.NDArray[np.float64]:
        if image_id not in self._pixels:
            keypoints = np.asarray(self._database.read_keypoints(image_id), np.float64)
            self._pixels[image_id] = keypoints[:, :2]
        return self._pixels[image_id]

    def shift(self, i: int, j: int, inliers: npt.NDArray[np.uint32]) -> float:
        size = max(self._longer_side(i), self._longer_side(j))
        motion = self.pixels(i)[inliers[:, 0]] - self.pixels(j)[inliers[:, 1]]
        return float(np.median(np.linalg.norm(motion, axis=1)) / size)

    def agreement(self, i: int, j: int, inliers: npt.NDArray[np.uint32]) -> float:
        if i not in self._places or j not in self._places:
            return float("nan")
        a, b = self._places[i], self._places[j]
        j_from_i = self._solution.cam_from_input[b] @ self._solution.cam_from_input[a].inverse()
        error = sampson_error(j_from_i, self.ideal(i)[inliers[:, 0]], self.ideal(j)[inliers[:, 1]])
        camera = self._solution.cameras[self._solution.camera_of[a]]
        bound = AGREES_PX / 1000 * max(camera.width_px, camera.height_px) / camera.fx
        return float(np.mean(error < bound))

    def ideal(self, image_id: int) -> npt.NDArray[np.float64]:
        if image_id not in self._ideal:
            camera = self._solution.cameras[self._solution.camera_of[self._places[image_id]]]
            self._ideal[image_id] = camera.unproject(self.pixels(image_id))
        return self._ideal[image_id]

    def _longer_side(self, image_id: int) -> int:
        if image_id not in self._size:
            camera = self._database.read_camera(self._database.read_image(image_id).camera_id)
            self._size[image_id] = max(camera.width, camera.height)
        return self._size[image_id]


def _place(solution: Solution, name: str) -> int | None:
    return solution.names.index(name) if name in solution.names else None


def sampson_error(b_from_a: Pose, xy_in_a: npt.ArrayLike, xy_in_b: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Distance (M,) of matched image-plane points (M, 2) from the epipolar geometry, to first order, in focal lengths.

    Hartley and Zisserman, Multiple View Geometry, equation 11.9, its square root.
    """
    xa, xb = np.asarray(xy_in_a, np.float64), np.asarray(xy_in_b, np.float64)
    t = b_from_a.translation
    cross = np.array([[0, -t[2], t[1]], [t[2], 0, -t[0]], [-t[1], t[0], 0]])
    essential = cross @ b_from_a.rotation
    one = np.ones((len(xa), 1))
    ha, hb = np.hstack([xa, one]), np.hstack([xb, one])
    line_b, line_a = ha @ essential.T, hb @ essential
    residual = np.abs(np.sum(hb * line_b, axis=1))
    scale = np.sqrt(np.sum(line_a[:, :2] ** 2, axis=1) + np.sum(line_b[:, :2] ** 2, axis=1))
    error: npt.NDArray[np.float64] = residual / np.maximum(scale, 1e-300)
    return error
