"""The first splats: one round one at each sparse point, as large as the gap to its neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from diorama.capture.transforms import Pose
from diorama.render.splats import SH_C0

from .backends import Target
from .config import TrainConfig
from .cover import Cover, cover_views
from .schedule import random_numbers
from .sky import is_open_above, sky_shell
from .table import COLUMNS, LOG_SCALE, LOGIT_OPACITY, MEAN, QUAT, SH, Floats

Array = npt.NDArray[np.float64]

NEIGHBOURS = 3
"""As in 3DGS: the root mean square distance to this many nearest points."""


def first_rows(
    points: Array,
    rgb_srgb: npt.NDArray[np.uint8],
    cameras: Sequence[Pose],
    config: TrainConfig,
    targets: Iterable[Target] = (),
    up: Array | None = None,
    seeds: Cover | None = None,
) -> Floats:
    """Rows (N, 59) of the first splats, 1 <= N <= `config.max_splats`.

    Args:
        points: (P, 3) sparse points in the training frame, P >= 0. rgb_srgb: (P, 3) their colours.
        cameras: `cam_from_train` of every training view; they bound the scene where points do not.
        targets: the photos, whose parts without points are covered (see `cover_views`); may be empty.
        seeds: more places known from depth maps (see `seed_from_depth`), which count as points.
        up: (3,) unit, away from the ground; None where nobody knows, and no sky is looked for.
    """
    start, generator = config.start, random_numbers(config.seed, "start", 0)
    finite = np.isfinite(points).all(axis=1)
    points, colors = points[finite], rgb_srgb[finite].astype(np.float64) / 255.0
    if len(points) > config.max_splats:
        chosen = np.sort(generator.choice(len(points), config.max_splats, replace=False))
        points, colors = points[chosen], colors[chosen]
    shell = None if up is None or start.sky == "off" else sky_shell(points, cameras, up)
    if shell is not None and start.sky == "auto" and not is_open_above(points, shell):
        shell = None
    if seeds is not None:  # after the sky was looked for: a depth map may know something there, too
        points, colors = np.concatenate([points, seeds.points]), np.concatenate([colors, seeds.colors])
    cover = cover_views(points, targets, start.cover_cells, config.max_splats - len(points), shell)
    wanted = min(max(start.min_points, 1), config.max_splats - len(cover.points)) - len(points)
    if wanted > 0:
        low, high = _bounds(points, cameras)
        points = np.concatenate([points, generator.uniform(low, high, (wanted, 3))])
        colors = np.concatenate([colors, _colors_of(wanted, colors, generator)])

    radii = np.concatenate([start.scale * _spacing(points), cover.radii])
    points, colors = np.concatenate([points, cover.points]), np.concatenate([colors, cover.colors])
    rows = np.zeros((len(points), COLUMNS), np.float32)
    rows[:, MEAN] = points
    rows[:, QUAT.start] = 1.0
    rows[:, LOG_SCALE] = np.log(radii)[:, None]
    rows[:, LOGIT_OPACITY] = np.log(start.opacity / (1.0 - start.opacity))
    rows[:, SH.start : SH.start + 3] = (colors - 0.5) / SH_C0
    return rows


def _spacing(points: Array) -> Array:
    """Root mean square distance (N,) of each point to its nearest neighbours, within a sane range."""
    if len(points) < 2:
        return np.full(len(points), 0.1)
    from scipy.spatial import cKDTree

    count = min(NEIGHBOURS + 1, len(points))
    distance, _ = cKDTree(points).query(points, k=count)
    spacing: Array = np.sqrt((distance[:, 1:] ** 2).mean(axis=1))
    middle = float(np.median(spacing))
    # Equal points have no gap and lone outliers a huge one: neither makes a useful splat.
    return np.clip(spacing, max(1e-2 * middle, 1e-7), max(10.0 * middle, 1e-7))


def _bounds(points: Array, cameras: Sequence[Pose]) -> tuple[Array, Array]:
    """A box around the scene: around the points but for outliers, or in front of the cameras where there are few."""
    if len(points) >= 20:
        low, high = np.percentile(points, [2, 98], axis=0)
        margin = 0.1 * (high - low)
        return low - margin, high + margin
    centres = np.array([pose.origin_in_source for pose in cameras]).reshape(-1, 3)
    ahead = centres + np.array([pose.rotation[2] for pose in cameras]).reshape(-1, 3)
    around = np.concatenate([centres, ahead, points])
    middle, radius = around.mean(axis=0), max(float(np.ptp(around, axis=0).max()), 1e-3)
    return middle - radius, middle + radius


def _colors_of(count: int, known: Array, generator: np.random.Generator) -> Array:
    """Colours (count, 3) for random points: drawn from the known ones, else mid grey."""
    if len(known):
        return known[generator.integers(len(known), size=count)]
    return np.full((count, 3), 0.5)
