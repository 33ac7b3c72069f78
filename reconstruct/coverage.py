"""Where the cameras stood and what they saw: the geometry behind the advice to a scan technician.

Everything is in the world frame (+z up), angles in degrees where a name ends in `_deg`. Azimuth is counter-clockwise
seen from above, 0 along +x.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from diorama.capture import Frame, PosedScene, Sim3

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Kind = Literal["orbit", "arc", "front", "overhead", "walk", "spin", "few"]
"""orbit: around something, closed or nearly. arc: something seen from one side, cameras turned towards it. front: side
by side, looking the same way. overhead: looking down from above (or up at a ceiling).
walk: through a place. spin: from one spot. few: too few cameras to say."""

OVERHEAD_COS = 0.82
"""A median axis within 35 degrees of straight down is a survey from above; azimuths mean nothing there."""

ARC_GAP_DEG = 150.0
"""A camera sees surfaces up to about 75 degrees off its axis of view; where nobody stood for twice that, a side of
the subject is missing altogether, which is a choice (a wall, a relief) and not a slip."""

INWARD_DEG = 25.0
"""Cameras that look at one thing point at it to within about a third of a usual field of view (75 degrees)."""

SPIN_RATIO = 0.03
"""Positions spread over less than a thirtieth of the distance give under 2 degrees of parallax: no depth."""

SAMPLE_POINTS = 4000
"""Angles are measured on this many points, evenly taken; medians over regions of 100 and more hardly move."""

REGION_POINTS = 150
"""Sparse points per region: enough for a median, small enough to be a place one can point at."""

FAR_FACTOR = 3.0
"""Points further than this many times the scene's median distance are background, which always has little parallax."""


@dataclass(frozen=True)
class AzimuthGap:
    """Nobody stood between these two cameras, `degrees` apart around the centre; `middle_deg` is where to stand."""

    before: str
    after: str
    degrees: float
    middle_deg: float


@dataclass(frozen=True)
class Region:
    """A place of the scene: sparse points that lie together.

    cameras: median number of cameras that see a point of it. angle_deg: median over points of the largest angle
    between two rays. frames: those that see most of it, best first. edge: it lies beside what the cameras surround.
    """

    centre_in_world: tuple[float, float, float]
    points: int
    cameras: float
    angle_deg: float
    frames: tuple[str, ...]
    edge: bool


@dataclass(frozen=True)
class Link:
    """How firmly one frame hangs on the rest: the points it sees, and those it shares with its best partner."""

    name: str
    points: int
    shared: int
    partner: str | None


@dataclass(frozen=True)
class Joint:
    """A group of frames that hangs on the others by few points: `shared` at best, between `inside` and `outside`."""

    frames: tuple[str, ...]
    shared: int
    inside: str
    outside: str


@dataclass(frozen=True, eq=False)
class Coverage:
    """What the cameras cover.

    centre_in_world: what they look at. distance: median distance of cameras from it, world units.
    azimuth_deg, elevation_deg: by frame name, around the centre.
    span_deg, step_deg: 360 less the largest gap, and the median azimuth step between neighbours; 0 where the cameras
        do not stand round something.
    gaps: all steps between neighbours around the centre, largest first (for orbits and arcs; arcs leave out their
        open side).
    angle_deg: median over points of the largest angle between two rays. track_length: mean cameras per point.
    pair_share: share of the points seen by two cameras only.
    links: by frame, weakest first.
    joints: groups of frames, other than the largest, that no chain of `PART_LINK` shared points ties to the rest.
    measured: True when what each frame sees is known; else regions and angles come from fields of view alone.
    """

    kind: Kind
    cameras: int
    centre_in_world: tuple[float, float, float]
    distance: float
    azimuth_deg: Mapping[str, float] = field(default_factory=dict)
    elevation_deg: Mapping[str, float] = field(default_factory=dict)
    span_deg: float = 0.0
    step_deg: float = 0.0
    gaps: tuple[AzimuthGap, ...] = ()
    angle_deg: float | None = None
    track_length: float | None = None
    pair_share: float | None = None
    regions: tuple[Region, ...] = ()
    links: tuple[Link, ...] = ()
    joints: tuple[Joint, ...] = ()
    measured: bool = False


PART_LINK = 30
"""Two frames that share fewer points than this are held together by luck: COLMAP's own minimum for registering an
image is 30 inliers."""


def level_scene(scene: PosedScene) -> tuple[PosedScene, Array]:
    """The scene turned upright for looking at, and `level_from_world`, the rotation (3, 3) that turned it.

    Imported scenes keep their world as it came, and there +z may point anywhere; "round", "above" and a top view need
    an up. Others are upright already and come back as they are.
    """
    from .poses.world import transformed, upright

    if scene.up_source not in ("import", "input") or len(scene.registered) < 3:
        return scene, np.eye(3)
    placed = upright(scene).world_from_input @ scene.world_from_input.inverse()
    turn = _turn_to_z(placed.rotation[2])
    return transformed(scene, Sim3(1.0, turn, np.zeros(3))), turn


def _turn_to_z(up: Array) -> Array:
    """The smallest rotation (3, 3) that takes the unit vector `up` to +z."""
    x, y, z = up
    if z < -1 + 1e-9:
        return np.diag([1.0, -1.0, -1.0])
    skew = np.array([[0, 0, -x], [0, 0, -y], [x, y, 0]])
    turn: Array = np.eye(3) + skew + skew @ skew / (1 + z)
    return turn


def measure_coverage(scene: PosedScene) -> Coverage:
    """Measure positions, directions, regions and links of an upright scene; never raises on sparse or odd scenes."""
    frames = scene.registered
    centres, axes = _cameras(scene, frames)
    if len(frames) < 3:
        where = centres.mean(0) if len(frames) else np.zeros(3)
        return Coverage("few", len(frames), _triple(where), 0.0)
    centre = find_centre(centres, axes, scene.points.xyz)
    offset = centres - centre
    distance = float(np.median(np.linalg.norm(offset, axis=1)))
    names = [f.name for f in frames]
    azimuth = np.degrees(np.arctan2(offset[:, 1], offset[:, 0]))
    elevation = np.degrees(np.arctan2(offset[:, 2], np.hypot(offset[:, 0], offset[:, 1])))
    gaps = azimuth_gaps(names, azimuth, np.hypot(offset[:, 0], offset[:, 1]))
    kind = _kind(centres, axes, centre, distance, gaps)
    largest = gaps[0].degrees if gaps and kind in ("orbit", "arc") else 360.0
    sees = _visibility(scene, frames)
    regions, angles = _regions(scene, centres, names, sees, kind, centre, distance)
    links, joints = _links(names, sees, scene) if scene.has_tracks else ((), ())
    tracks = scene.points.track_length
    tracks = tracks[tracks > 0]
    return Coverage(
        kind=kind,
        cameras=len(frames),
        centre_in_world=_triple(centre),
        distance=distance,
        azimuth_deg=dict(zip(names, azimuth.tolist(), strict=True)),
        elevation_deg=dict(zip(names, elevation.tolist(), strict=True)),
        span_deg=360.0 - largest,
        step_deg=float(np.median([g.degrees for g in gaps])) if gaps and kind in ("orbit", "arc") else 0.0,
        gaps=tuple(gaps if kind == "orbit" else gaps[1:] if kind == "arc" else ()),
        angle_deg=float(np.median(angles)) if len(angles) else None,
        track_length=float(tracks.mean()) if len(tracks) else None,
        pair_share=float((tracks <= 2).mean()) if len(tracks) else None,
        regions=regions,
        links=links,
        joints=joints,
        measured=scene.has_tracks,
    )


def _cameras(scene: PosedScene, frames: Sequence[Frame]) -> tuple[Array, Array]:
    """Centres (C, 3) and optical axes (C, 3), unit, in the world."""
    poses = [scene.cam_from_world[f.name] for f in frames]
    centres = np.array([p.origin_in_source for p in poses]).reshape(-1, 3)
    axes = np.array([p.rotation[2] for p in poses]).reshape(-1, 3)
    return centres, axes


def find_centre(centres: Array, axes: Array, points: Array) -> Array:
    """The point (3,) nearest to all optical axes, pulled gently to the middle of the sparse points.

    Least squares with weights 1 / distance, repeated, so that a few cameras that look away do not drag it. The pull
    decides only where axes are parallel.
    """
    inside = points[np.isfinite(points).all(1)] if len(points) else points
    anchor = np.median(inside, axis=0) if len(inside) else centres.mean(0) + axes.mean(0)
    weights = np.ones(len(centres))
    centre = anchor
    for _ in range(10):
        projectors = np.eye(3) - axes[:, :, None] * axes[:, None, :]
        pull = 1e-2 * weights.sum()
        left = (weights[:, None, None] * projectors).sum(0) + pull * np.eye(3)
        right = (weights[:, None] * np.einsum("cij,cj->ci", projectors, centres)).sum(0) + pull * anchor
        centre = np.linalg.solve(left, right)
        miss = np.linalg.norm(np.einsum("cij,cj->ci", projectors, centre - centres), axis=1)
        weights = 1.0 / np.maximum(miss, 0.25 * np.median(miss) + 1e-12)
    result: Array = centre
    return result


def azimuth_gaps(names: Sequence[str], azimuth_deg: Array, radius: Array) -> list[AzimuthGap]:
    """Steps between neighbours around the centre, largest first; they sum to 360 degrees.

    Cameras nearly above the centre have no azimuth worth the name and are left out.
    """
    keep = np.flatnonzero(radius > 0.2 * np.median(radius))
    if len(keep) < 2:
        return []
    order = keep[np.argsort(azimuth_deg[keep], kind="stable")]
    gaps = []
    for here, there in zip(order, np.roll(order, -1), strict=True):
        degrees = float((azimuth_deg[there] - azimuth_deg[here]) % 360.0)
        middle = float((azimuth_deg[here] + degrees / 2 + 180.0) % 360.0 - 180.0)
        gaps.append(AzimuthGap(names[here], names[there], degrees, middle))
    return sorted(gaps, key=lambda g: -g.degrees)


def _kind(centres: Array, axes: Array, centre: Array, distance: float, gaps: Sequence[AzimuthGap]) -> Kind:
    spread = float(np.sqrt(((centres - centres.mean(0)) ** 2).sum(1).mean()))
    if spread < SPIN_RATIO * max(distance, 1e-12):
        return "spin"
    if abs(float(np.median(axes[:, 2]))) > OVERHEAD_COS:
        return "overhead"
    to_centre = centre - centres
    cosines = np.einsum("ci,ci->c", to_centre, axes) / np.maximum(np.linalg.norm(to_centre, axis=1), 1e-12)
    aims = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    parallel = float(np.linalg.norm(axes.mean(0))) > OVERHEAD_COS
    if float(np.quantile(aims, 0.8)) > INWARD_DEG:
        return "front" if parallel else "walk"
    return "orbit" if not parallel and gaps and gaps[0].degrees < ARC_GAP_DEG else "arc"


def _visibility(scene: PosedScene, frames: Sequence[Frame]) -> list[Ints]:
    """For each frame the indices of the points that it sees; from fields of view where tracks are not known."""
    xyz = scene.points.xyz
    if scene.has_tracks:
        none = np.zeros(0, np.int64)
        found = [np.unique(np.asarray(scene.visible.get(f.name, none), np.int64)) for f in frames]
        return [v[(v >= 0) & (v < len(xyz))] for v in found]
    sees = []
    for frame in frames:
        camera = scene.camera(frame)
        in_cam = scene.cam_from_world[frame.name].apply(xyz)
        if camera.lens in ("fisheye", "equirectangular"):
            u, v = camera.project(in_cam).T
        else:
            z = np.where(in_cam[:, 2] > 0, in_cam[:, 2], np.nan)
            # Distortion is left out: far outside the picture it can fold points back in.
            u = camera.fx * in_cam[:, 0] / z + camera.cx
            v = camera.fy * in_cam[:, 1] / z + camera.cy
        with np.errstate(invalid="ignore"):
            sees.append(np.flatnonzero((u > 0) & (u < camera.width_px) & (v > 0) & (v < camera.height_px)))
    return sees


def _regions(
    scene: PosedScene,
    centres: Array,
    names: Sequence[str],
    sees: Sequence[Ints],
    kind: Kind,
    centre: Array,
    distance: float,
) -> tuple[tuple[Region, ...], Array]:
    """Places of the scene and the angles (M,) of the points sampled."""
    xyz = scene.points.xyz
    near = np.flatnonzero(np.linalg.norm(xyz - centre, axis=1) < FAR_FACTOR * max(distance, 1e-12))
    if len(near) < REGION_POINTS:
        near = np.arange(len(xyz))
    sample = near[:: max(1, len(near) // SAMPLE_POINTS)]
    row = np.full(len(xyz), -1, np.int64)
    row[sample] = np.arange(len(sample))
    seen_by = np.zeros((len(sample), len(names)), bool)
    for column, indices in enumerate(sees):
        rows = row[indices]
        seen_by[rows[rows >= 0], column] = True
    kept = seen_by.sum(1) >= 1
    sample, seen_by = sample[kept], seen_by[kept]
    angles = np.array([largest_angle_deg(xyz[i], centres[s]) for i, s in zip(sample, seen_by, strict=True)])
    regions = []
    for members in _split(xyz[sample], REGION_POINTS):
        votes = seen_by[members].sum(0)
        best = [names[c] for c in np.argsort(-votes, kind="stable")[:4] if votes[c] > 0]
        middle = np.median(xyz[sample[members]], axis=0)
        regions.append(
            Region(
                centre_in_world=_triple(middle),
                points=len(members),
                cameras=float(np.median(seen_by[members].sum(1))),
                angle_deg=float(np.median(angles[members])),
                frames=tuple(best),
                edge=_is_edge(middle, centres, kind, centre, distance),
            )
        )
    return tuple(regions), angles


def largest_angle_deg(point: Array, centres: Array) -> float:
    """The largest angle between the rays from `point` (3,) to camera `centres` (C, 3); 0 for one camera."""
    rays = centres - point
    rays = rays / np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-12)
    return math.degrees(math.acos(float(np.clip((rays @ rays.T).min(), -1, 1)))) if len(rays) > 1 else 0.0


def _split(xyz: Array, most: int) -> list[Ints]:
    """Halve at the median of the widest axis until no part holds more than `most` points (a k-d tree's leaves)."""
    parts: list[Ints] = [np.arange(len(xyz))] if len(xyz) else []
    done: list[Ints] = []
    while parts:
        part = parts.pop()
        if len(part) <= most:
            done.append(part)
            continue
        low, high = np.quantile(xyz[part], [0.05, 0.95], axis=0)
        order = part[np.argsort(xyz[part, int(np.argmax(high - low))], kind="stable")]
        parts += [order[len(order) // 2 :], order[: len(order) // 2]]
    return done


def _is_edge(place: Array, centres: Array, kind: Kind, centre: Array, distance: float) -> bool:
    """Whether a place lies beside what was aimed at, where few cameras are natural."""
    if kind in ("orbit", "arc", "spin"):
        return float(np.linalg.norm(place - centre)) > distance
    if kind == "walk":
        return False
    low, high = centres[:, :2].min(0), centres[:, :2].max(0)
    return bool(((place[:2] < low) | (place[:2] > high)).any())


def _links(names: Sequence[str], sees: Sequence[Ints], scene: PosedScene) -> tuple[tuple[Link, ...], tuple[Joint, ...]]:
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    counts = np.array([len(s) for s in sees])
    columns = np.concatenate(sees) if len(sees) else np.zeros(0, np.int64)
    incidence = csr_matrix(
        (np.ones(len(columns), np.int32), columns, np.concatenate([[0], np.cumsum(counts)])),
        shape=(len(names), max(1, len(scene.points))),
    )
    shared = (incidence @ incidence.T).toarray()
    np.fill_diagonal(shared, 0)
    links = []
    for i, name in enumerate(names):
        j = int(np.argmax(shared[i]))
        links.append(Link(name, int(counts[i]), int(shared[i, j]), names[j] if shared[i, j] > 0 else None))
    _, labels = connected_components(csr_matrix(shared >= PART_LINK), directed=False)
    sizes = np.bincount(labels)
    joints = []
    for group in np.argsort(-sizes, kind="stable")[1:]:
        rows, others = np.flatnonzero(labels == group), np.flatnonzero(labels != group)
        best = divmod(int(np.argmax(shared[np.ix_(rows, others)])), len(others))
        inside, outside = int(rows[best[0]]), int(others[best[1]])
        members = tuple(names[int(r)] for r in rows)
        joints.append(Joint(members, int(shared[inside, outside]), names[inside], names[outside]))
    return tuple(sorted(links, key=lambda x: x.shared)), tuple(joints)


def side_words(coverage: Coverage, azimuth_deg: float, first: str) -> str:
    """Where around the centre a direction lies, as seen by somebody who stands where `first` was taken and looks at
    the centre: "front", "right side", "back" or "left side"."""
    front = coverage.azimuth_deg.get(first, 0.0)
    # Facing the centre from azimuth 0, the right hand points to +90: forward x up = (-x) x z = +y.
    turn = (azimuth_deg - front + 180.0) % 360.0 - 180.0
    if abs(turn) <= 45:
        return "front"
    if abs(turn) >= 135:
        return "back"
    return "right side" if turn > 0 else "left side"


def compass_words(azimuth_deg: float) -> str:
    """The side of the world an azimuth points to where +x is east and +y is north."""
    names = ("east", "north-east", "north", "north-west", "west", "south-west", "south", "south-east")
    return f"{names[round(azimuth_deg / 45.0) % 8]} side"


def nearest_cameras(scene: PosedScene, place: npt.ArrayLike, count: int = 2) -> tuple[str, ...]:
    """Names of the frames whose cameras stood nearest to a place (3,) in the world, nearest first."""
    frames = scene.registered
    centres, _ = _cameras(scene, frames)
    order = np.argsort(np.linalg.norm(centres - np.asarray(place, np.float64), axis=1), kind="stable")
    return tuple(frames[i].name for i in order[:count])


def _triple(vector: Array) -> tuple[float, float, float]:
    return (float(vector[0]), float(vector[1]), float(vector[2]))
