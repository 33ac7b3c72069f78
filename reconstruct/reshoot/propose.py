"""Which photos to take: the best next view, again and again.

Every place is looked from once, all round (a small panorama of distances); which samples it sees does not depend on
where the camera then points, so all directions are compared at the price of one picture. The photo with the largest
gain is taken, the samples it would show are counted as seen by it, and the search goes on. Gains only shrink, so that
most of them need not be worked out again (lazy greedy, Minoux 1978).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diorama.capture.camera import Camera
from diorama.capture.events import OnEvent, Progressed
from diorama.capture.transforms import Pose

from .config import ReshootConfig
from .looks import STAGE, Array, Bools, LevelScene, Look
from .places import Places, directions
from .quality import Quality, score_of, view_worth
from .surface import Ints, Surface, sphere_pose

KNOWN_SHARE = 0.3
"""Of a new photo, so much should show what is well known, or its camera will not be found."""

KNOWN_CAMERAS = 3

WALK_COST = 0.15
"""How much a usual distance of walking takes from the gain: of two like places the nearer."""

NO_NORMAL_COS = 0.7
"""Unknown surfaces may face anywhere in front; they count as seen at 45 degrees."""


@dataclass(frozen=True, eq=False)
class Sight:
    """What can be seen from a place.

    rows: (V,) samples. rays: (V, 3) unit, to them. worth: (V,) of a photo of each. angle_sr: (V,) that each fills.
    """

    rows: Ints
    rays: Array
    worth: Array
    angle_sr: Array


@dataclass(frozen=True, eq=False)
class Choice:
    """A photo worth taking: cam_from_level, its gain, how far to walk, and what it adds to which samples."""

    cam_from_level: Pose
    gain: float
    walk: float
    rows: Ints
    gains: Array


class Chooser:
    """The state of the search: what has been seen so far, with the photos chosen counted in."""

    def __init__(
        self,
        level: LevelScene,
        surface: Surface,
        quality: Quality,
        looks: Sequence[Look],
        places: Places,
        lens: Camera,
        config: ReshootConfig,
        distance: float,
    ) -> None:
        self._level, self._surface, self._config, self._lens = level, surface, config, lens
        self._places, self._distance, self._quality = places, distance, quality
        self._turns = directions(looks)
        self._views, self._angle, self._ends = quality.views.copy(), quality.angle_deg.copy(), quality.ends.copy()
        self._cameras = quality.cameras.copy()
        self._weight = surface.weight * quality.interest
        self._sights: list[Sight] = []
        left, top = lens.cx / lens.fx, lens.cy / lens.fy
        right, bottom = (lens.width_px - lens.cx) / lens.fx, (lens.height_px - lens.cy) / lens.fy
        self._edges = np.array([[1, 0, left], [-1, 0, right], [0, 1, top], [0, -1, bottom]])

    def look_round(self, on_event: OnEvent) -> None:
        """Draws the panorama of every place."""
        for done, place in enumerate(self._places.points, start=1):
            self._sights.append(self._sight(place))
            if done % 20 == 0 or done == len(self._places.points):
                on_event(Progressed(STAGE, done, len(self._places.points), "looking round from possible places"))

    def choose(self, most: int) -> list[Choice]:
        """The best photos, best first."""
        heap: list[tuple[float, int, int, int]] = []
        for index in range(len(self._sights)):
            gain, turn = self._best_turn(index)
            heapq.heappush(heap, (-gain, index, turn, 0))
        chosen: list[Choice] = []
        while heap and len(chosen) < most:
            negative, index, turn, at = heapq.heappop(heap)
            if at < len(chosen):
                gain, turn = self._best_turn(index)
                heapq.heappush(heap, (-gain, index, turn, len(chosen)))
                continue
            if negative >= 0 or (chosen and -negative < self._config.min_gain * chosen[0].gain):
                break
            chosen.append(self._take(index, turn, -negative))
            gain, turn = self._best_turn(index)
            heapq.heappush(heap, (-gain, index, turn, len(chosen)))
        return chosen

    def random(self, many: int, seed: int) -> list[Choice]:
        """As many photos at random out of those that show enough of what is known: what choosing is compared with."""
        rng = np.random.default_rng([seed, 23])
        found: list[Choice] = []
        for _ in range(100 * many):
            if len(found) == many:
                break
            index, turn = int(rng.integers(len(self._sights))), int(rng.integers(len(self._turns)))
            _, share = self._totals(index)
            if share[turn] >= 1.0:
                found.append(self._choice(index, turn, 0.0))
        return found

    def _sight(self, place: Array) -> Sight:
        from scipy.ndimage import maximum_filter

        surface, wide = self._surface, self._config.sphere_px
        camera, pose = Camera.equirectangular(wide, wide // 2), sphere_pose(place)
        drawn = self._level.draw(camera, pose, colours=False)
        depth = np.where(drawn.alpha > 0.5, drawn.depth, np.float32(np.inf))
        depth = maximum_filter(depth, 3, mode=("nearest", "wrap"))
        away = surface.points - place
        far = np.linalg.norm(away, axis=1)
        rays = away / np.maximum(far, 1e-9)[:, None]
        cosine = np.where(surface.is_known, -(rays * surface.normals).sum(1), NO_NORMAL_COS)
        faces = np.where(surface.is_known, cosine > 0.02, (rays * surface.normals).sum(1) < 0.3)
        rows = np.flatnonzero(faces & (far > surface.grid.cell))
        pixel = np.floor(camera.project(pose.apply(surface.points[rows]))).astype(np.int64)
        column, row = np.clip(pixel[:, 0], 0, wide - 1), np.clip(pixel[:, 1], 0, wide // 2 - 1)
        rows = rows[far[rows] <= 1.03 * depth[row, column] + surface.grid.cell]
        worth = view_worth(cosine[rows], self._lens.fx / far[rows], self._quality.target_px)
        angle = surface.grid.cell**2 * np.maximum(cosine[rows], 0.0) / far[rows] ** 2
        return Sight(rows, rays[rows], worth, angle)

    def _inside(self, sight: Sight, turns: Array) -> Bools:
        """(D, V): which samples a camera turned so (D, 3, 3) has in its picture: between the planes of its edges."""
        planes = (self._edges @ turns).astype(np.float32)
        sides = planes.reshape(-1, 3) @ sight.rays.T.astype(np.float32)
        inside: Bools = np.all(sides.reshape(len(turns), 4, -1) > 0, axis=1)
        return inside

    def _gains(self, sight: Sight) -> Array:
        """(V,): what one more photo adds to each sample, weighted."""
        rows, config = sight.rows, self._config
        confidence = self._quality.confidence[rows]
        before = score_of(self._views[rows], self._angle[rows], confidence, config)
        after = score_of(self._views[rows] + sight.worth, self._angle_with(sight), confidence, config)
        gains: Array = self._weight[rows] * np.where(sight.worth > 0, after - before, 0.0)
        return gains

    def _angle_with(self, sight: Sight) -> Array:
        """(V,) degrees between the outermost rays when one from here joins them."""
        ends = self._ends[sight.rows]
        has = (np.abs(ends).sum((1, 2)) > 0) & (sight.worth > 0)
        cosines = np.clip(-np.einsum("vki,vi->vk", ends, sight.rays), -1, 1)
        widest = np.degrees(np.arccos(cosines)).max(1, initial=0.0)
        return np.maximum(self._angle[sight.rows], np.where(has, widest, 0.0))

    def _totals(self, index: int) -> tuple[Array, Array]:
        """For every direction (D,): the gain, and how much of what is known is shown, 1 for enough."""
        sight, lens = self._sights[index], self._lens
        inside = self._inside(sight, self._turns).astype(np.float32)
        known = sight.angle_sr * (self._cameras[sight.rows] >= KNOWN_CAMERAS)
        sums = inside @ np.stack([self._gains(sight), known], -1).astype(np.float32)
        picture = lens.width_px * lens.height_px / (lens.fx * lens.fy)
        share = np.minimum(1.0, sums[:, 1] / (KNOWN_SHARE * picture))
        return sums[:, 0] / (1 + WALK_COST * self._places.walk[index] / self._distance), share

    def _best_turn(self, index: int) -> tuple[float, int]:
        """The best direction of a place, and what it gains."""
        total, share = self._totals(index)
        best = int((total * share).argmax())
        return float(total[best] * share[best]), best

    def _choice(self, index: int, turn: int, gain: float) -> Choice:
        sight, rotation = self._sights[index], self._turns[turn]
        inside = self._inside(sight, rotation[None])[0]
        place = self._places.points[index]
        pose = Pose(rotation, -rotation @ place)
        return Choice(pose, gain, float(self._places.walk[index]), sight.rows[inside], self._gains(sight)[inside])

    def _take(self, index: int, turn: int, gain: float) -> Choice:
        """Counts the photo as taken."""
        choice = self._choice(index, turn, gain)
        sight = self._sights[index]
        inside = self._inside(sight, self._turns[turn, None])[0] & (sight.worth > 0)
        part = Sight(sight.rows[inside], sight.rays[inside], sight.worth[inside], sight.angle_sr[inside])
        rows, ends = part.rows, self._ends[part.rows]
        widest = self._angle_with(part)
        first = np.abs(ends).sum((1, 2)) == 0
        ends[first] = -part.rays[first, None]
        cosines = np.einsum("vki,vi->vk", ends, -part.rays)
        grows = widest > self._angle[rows]
        keep = np.take_along_axis(ends, cosines.argmin(1)[:, None, None], 1)[:, 0]
        ends[grows] = np.stack([keep, -part.rays], 1)[grows]
        self._ends[rows], self._angle[rows] = ends, widest
        self._views[rows] += part.worth
        self._cameras[rows] += 1
        return choice
