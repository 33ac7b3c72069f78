"""Straightening lens distortion and resizing without aliasing: what turns a photo into a pinhole camera's picture.

Distortion is undone towards `undistorted_camera(camera)`: the pinhole camera with the same focal length that shows as
much of the photo as it can without blank corners. The map is evaluated exactly on a grid and bilinearly between, in
Pillow's C loops; the grid is as wide as keeps within `GRID_ERROR_PX` of the exact map.
"""

from __future__ import annotations

import functools
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from .camera import Camera

Image = TypeVar("Image", npt.NDArray[np.uint8], npt.NDArray[np.float32])
Array = npt.NDArray[np.float64]

GRID_ERROR_PX = 0.02
CELLS_PX = (64, 32, 16, 8)
"""Spacings of the grid on which the distortion is evaluated exactly: each cell costs as much as some dozens of pixels.
The last serves where none is within `GRID_ERROR_PX`."""

FOLDED = -1e4
"""Where in a photo, in pixels, is what its lens does not show."""

MIN_EXTENT, MAX_EXTENT = 0.5, 2.0
"""Bounds of the undistorted picture, as multiples of the photo's extent on each side of the principal point.

Beyond the upper bound a fisheye's rim would be stretched over more pixels than it was seen with; below the lower one
a crop would lose more than blank corners cost.
"""


@functools.lru_cache(maxsize=64)  # a capture's photos mostly share their camera
def undistorted_camera(camera: Camera) -> Camera:
    """The pinhole camera into which pictures of `camera` are straightened.

    It keeps the focal lengths, hence the resolution at the centre, and crops or widens each side separately so that no
    pixel lies outside the photo; the principal point moves with the sides. Each side stays between half and twice its
    extent in the photo, so extreme fisheyes may leave blank pixels: ask `undistort` of a mask of ones where. Of an
    equirectangular picture it is the view ahead, 90 by 90 degrees.
    """
    if camera.model == "EQUIRECTANGULAR":
        side = max(1, round(camera.width_px / 4))
        return Camera.pinhole(side, side, side / 2, side / 2, side / 2, side / 2)
    if camera.is_pinhole:
        return Camera.pinhole(camera.width_px, camera.height_px, camera.fx, camera.fy, camera.cx, camera.cy)
    extents = np.array([camera.cx, camera.cy, camera.width_px - camera.cx, camera.height_px - camera.cy])
    extents = np.maximum(extents, 1.0)
    directions = np.array([[-1, 0], [0, -1], [1, 0], [0, 1]], dtype=np.float64)
    sides = np.array([_reach(camera, d, e) for d, e in zip(directions, extents, strict=True)])
    shrink = _largest_inside(camera, sides)
    left, top, right, bottom = np.clip(sides * shrink, MIN_EXTENT * extents, MAX_EXTENT * extents)
    width, height = max(1, int(left + right)), max(1, int(top + bottom))
    return Camera.pinhole(width, height, camera.fx, camera.fy, float(left), float(top))


def _reach(camera: Camera, direction: Array, extent_px: float) -> float:
    """How far from the principal point, in undistorted pixels, one axis can be followed before it leaves the photo."""
    distance = np.linspace(0.0, MAX_EXTENT, 1025)[1:] * extent_px
    inside = _is_inside(camera, distance[:, None] * direction)
    first_outside = int(np.argmin(inside)) if not inside.all() else len(inside)
    return float(distance[max(first_outside - 1, 0)])


def _largest_inside(camera: Camera, sides: Array) -> float:
    """The largest factor at most 1 by which the rectangle `sides` (left, top, right, bottom) lies inside the photo."""
    t = np.linspace(0.0, 1.0, 129)
    left, top, right, bottom = sides
    x, y = -left + t * (left + right), -top + t * (top + bottom)
    border = np.concatenate(
        [
            np.stack([x, np.full_like(x, -top)], 1),
            np.stack([x, np.full_like(x, bottom)], 1),
            np.stack([np.full_like(y, -left), y], 1),
            np.stack([np.full_like(y, right), y], 1),
        ]
    )
    low, high = 0.0, 1.0
    if _is_inside(camera, border).all():
        return 1.0
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (middle, high) if _is_inside(camera, border * middle).all() else (low, middle)
    return low


def _is_inside(camera: Camera, offsets_px: Array) -> npt.NDArray[np.bool_]:
    """Whether undistorted offsets (M, 2) from the principal point are seen by the photo.

    A polynomial fitted to the photo may fold back far outside it: a point counts only while the distorted radius
    still grows on the way out from the centre.
    """
    xy = offsets_px / np.array([camera.fx, camera.fy])
    steps = np.linspace(0.0, 1.0, 33)[:, None, None]
    path = camera.distort(steps * xy)
    grows = (np.diff(np.linalg.norm(path, axis=-1), axis=0) > 0).all(axis=0)
    pixel = path[-1] * np.array([camera.fx, camera.fy]) + np.array([camera.cx, camera.cy])
    size = np.array([camera.width_px, camera.height_px])
    inside: npt.NDArray[np.bool_] = grows & (pixel >= 0).all(axis=1) & (pixel <= size).all(axis=1)
    return inside


def undistort(image: Image, camera: Camera, target: Camera, *, nearest: bool = False) -> Image:
    """The picture `target` (pinhole) would have taken, from the `image` that `camera` took, in the same pose.

    Args:
        image: uint8 (H, W, 3) or (H, W), or float32 (H, W), at the size of `camera`.
        nearest: take the nearest pixel (masks, depth) instead of bilinear interpolation.

    Returns:
        An array of the same kind at the size of `target`; pixels outside the photo are 0. The picture is not filtered
        when `target` is smaller: resize with `resize_area`.

    Raises:
        ValueError: `image` is not of the camera's size, or `target` is not a pinhole.
    """
    if image.shape[:2] != (camera.height_px, camera.width_px):
        raise ValueError(f"image {image.shape[:2]} is not of the camera's size {camera.height_px, camera.width_px}")
    if not target.is_pinhole:
        raise ValueError("undistort needs a pinhole target")
    if camera.is_pinhole and undistorted_camera(camera) == target:
        return image.copy()
    import PIL.Image

    picture = PIL.Image.fromarray(np.ascontiguousarray(image))
    method = PIL.Image.Resampling.NEAREST if nearest else PIL.Image.Resampling.BILINEAR
    size = (target.width_px, target.height_px)
    result = picture.transform(size, PIL.Image.Transform.MESH, _mesh(camera, target), method)
    return np.array(result, dtype=image.dtype)


def source_pixels(camera: Camera, target: Camera, pixels: npt.ArrayLike) -> Array:
    """Where in `camera`'s photo the `target`'s pixels (..., 2) are seen; far outside the photo where they are not."""
    xy = (np.asarray(pixels, dtype=np.float64) - [target.cx, target.cy]) / [target.fx, target.fy]
    if camera.model == "EQUIRECTANGULAR":
        return camera.project(np.concatenate([xy, np.ones_like(xy[..., :1])], axis=-1))
    result: Array = camera.distort(xy) * [camera.fx, camera.fy] + [camera.cx, camera.cy]
    result[np.linalg.norm(xy, axis=-1) > _fold_radius(camera)] = FOLDED
    return result


def _fold_radius(camera: Camera) -> float:
    """The ideal radius at which the distortion stops growing; infinite for a lens that never folds."""
    r = np.linspace(0.0, 10.0, 4001)
    along = np.linalg.norm(camera.distort(np.stack([r, np.zeros_like(r)], 1)), axis=1)
    falling = np.flatnonzero(np.diff(along) <= 0)
    return float(r[falling[0]]) if len(falling) else float("inf")


def _bend(halves: Array) -> float:
    """The farthest that the middle between two corners, every other one of `halves` (A, B, 2) along A, is from their
    chord's, in pixels: there a curve is farthest from it."""
    corners, middles = halves[::2], halves[1::2]
    chords = 0.5 * (corners[:-1] + corners[1:])
    return float(np.linalg.norm(chords - middles[: len(chords)], axis=-1).max())


@functools.lru_cache(maxsize=64)
def _cell_px(camera: Camera, target: Camera) -> int:
    """The widest grid whose cells are flat enough. A cell's middle is off by at most what lines along and across it
    bend."""
    for cell in CELLS_PX[:-1]:
        x = np.arange(0, target.width_px + cell, cell // 2)  # every other one a corner
        y = np.arange(0, target.height_px + cell, cell // 2)
        halves = source_pixels(camera, target, np.stack(np.meshgrid(x, y), axis=-1))
        if halves.min() <= FOLDED:
            break
        if _bend(halves) + _bend(halves.swapaxes(0, 1)) <= GRID_ERROR_PX:
            return cell
    return CELLS_PX[-1]


def _mesh(camera: Camera, target: Camera) -> list[tuple[tuple[int, int, int, int], tuple[float, ...]]]:
    """Pillow's mesh: for every grid cell of the target its four corners (NW, SW, SE, NE) in the source."""
    cell = _cell_px(camera, target)
    x = np.append(np.arange(0, target.width_px, cell), target.width_px)
    y = np.append(np.arange(0, target.height_px, cell), target.height_px)
    grid = source_pixels(camera, target, np.stack(np.meshgrid(x, y), axis=-1))
    corners = np.concatenate([grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]], axis=-1).tolist()
    xs, ys = x.tolist(), y.tolist()
    return [
        ((xs[i], ys[j], xs[i + 1], ys[j + 1]), tuple(corners[j][i]))
        for j in range(len(ys) - 1)
        for i in range(len(xs) - 1)
    ]


def resize_area(image: Image, width_px: int, height_px: int) -> Image:
    """`image` (uint8 (H, W, 3) or (H, W), float32 (H, W)) at a smaller size, each pixel the mean of what it covers.

    A whole ratio takes plain means; any other takes a Hamming window as wide as the pixel, because a box would move
    edges by up to half a source pixel.
    """
    if image.shape[:2] == (height_px, width_px):
        return image.copy()
    import PIL.Image

    picture = PIL.Image.fromarray(np.ascontiguousarray(image))
    whole = image.shape[0] % height_px == 0 and image.shape[1] % width_px == 0
    window = PIL.Image.Resampling.BOX if whole else PIL.Image.Resampling.HAMMING
    return np.array(picture.resize((width_px, height_px), window), dtype=image.dtype)
