"""What would be seen from a proposed place, as far as the scene knows it, with what is weak marked."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt

from diorama.capture.transforms import Pose

from ..mesh.views import pixel_plane
from .looks import Bools, known_depth
from .plan import Proposal, ReshootPlan
from .quality import Kind
from .surface import look_at_points

Bytes = npt.NDArray[np.uint8]

KIND_COLOURS: dict[Kind, tuple[int, int, int]] = {
    Kind.WELL: (74, 163, 112),
    Kind.NEVER: (214, 64, 58),
    Kind.ONE: (238, 123, 48),
    Kind.NARROW: (240, 180, 62),
    Kind.GLANCING: (191, 109, 208),
    Kind.FAR: (86, 142, 219),
    Kind.UNSURE: (155, 160, 168),
}
"""sRGB; the page's legend and the report's have the same."""

MARK = 0.55
"""How much of a weak place's colour lies over the picture."""

JPEG_QUALITY = 82


def thumbnail(plan: ReshootPlan, proposal: Proposal, size_px: int = 480) -> bytes:
    """A JPEG of the scene from a proposal, weak surfaces in their kind's colour, what nobody saw in that of `NEVER`."""
    from PIL import Image

    level = plan.level
    camera = proposal.camera.fitted(size_px)
    pose = proposal.cam_from_world @ Pose(level.turn.T, np.zeros(3))
    drawn = level.draw(camera, pose, median=True)
    depth = known_depth(drawn)
    picture = np.clip(np.nan_to_num(drawn.rgb), 0, 1) * 255
    points = pose.inverse().apply(pixel_plane(camera) * np.maximum(depth, 1e-6)[..., None])
    sample = plan.surface.at(points)
    kind = np.where(sample >= 0, plan.kinds[sample], int(Kind.WELL))
    kind[(depth <= 0) | ((sample < 0) & _away_from_surface(plan, points))] = Kind.NEVER
    kind[_unknown_before(plan, proposal, pose, depth)] = Kind.NEVER
    for value, colour in KIND_COLOURS.items():
        if value != Kind.WELL:
            hit = kind == value
            picture[hit] = (1 - MARK) * picture[hit] + MARK * np.array(colour)
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture.astype(np.uint8)), "RGB").save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()


def _away_from_surface(plan: ReshootPlan, points: npt.NDArray[np.float64]) -> Bools:
    """(h, w): within the grid, but not beside any surface that a camera saw: something that training made up."""
    from scipy.ndimage import binary_dilation

    grid = plan.surface.grid
    near = np.zeros(grid.size, bool)
    near[plan.surface.cells] = True
    near = binary_dilation(near.reshape(grid.shape), np.ones((3, 3, 3), bool), iterations=2).reshape(-1)
    flat, inside = grid.index(points)
    away: Bools = inside & ~near[flat]
    return away


def _unknown_before(plan: ReshootPlan, proposal: Proposal, pose: Pose, depth: npt.NDArray[np.float32]) -> Bools:
    """(h, w): where space that nobody saw lies before what is drawn."""
    from scipy.ndimage import binary_closing

    from .looks import Look

    height, width = depth.shape
    look = Look(0, proposal.camera.fitted(max(height, width)), pose, depth, 1.0)
    unknown = ~plan.surface.is_known & (plan.weights > 0.1)
    points = plan.surface.points[unknown]
    z, column, row = look_at_points(look, points)
    inside = np.flatnonzero(column >= 0)
    mask = np.zeros(depth.shape, bool)
    for index in inside:
        c, r = column[index], row[index]
        if 0 < depth[r, c] < z[index]:
            continue
        reach = max(1, int(0.5 * plan.surface.grid.cell * look.camera.fx / z[index]))
        mask[max(0, r - reach) : r + reach + 1, max(0, c - reach) : c + reach + 1] = True
    closed: Bools = binary_closing(mask, iterations=2)
    return closed
