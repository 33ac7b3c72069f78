"""What a training answers when it is asked to be shown: splats in a compact form, and pictures.

Runs on the training's thread. A snapshot has 32 bytes per splat, as a `.splat` file (see render/formats/dotsplat.py),
which the page's renderer reads fastest; the view-dependent part of colours is not in it. Pictures are JPEG.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose
from diorama.render.splats import SH_C0, Splats

from .wire import WireError

if TYPE_CHECKING:
    from diorama.reconstruct.train import Box, Watched

Answer = tuple[dict[str, Any], bytes]

RECORD = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)])
MOST_SPLATS = 1_000_000
MAX_SIDE_PX = 4096
MAX_PIXELS = 4_000_000
JPEG_QUALITY = 85
WORST = 0.25
"""A difference, 0 to 1, that the error picture shows in its strongest colour."""


def answer_to(request: Mapping[str, Any], training: Watched, box: Box | None) -> Answer:
    """Header and payload. Raises WireError when the request is none."""
    kind = request.get("ask")
    if kind == "snapshot":
        most = request.get("most")
        if not isinstance(most, int) or isinstance(most, bool) or not 1 <= most <= MOST_SPLATS:
            raise WireError(f"most is a number from 1 to {MOST_SPLATS:,}")
        splats = training.splats(box=box, most=most)
        facts = {"count": len(splats), "of": training.count, "is_antialiased": training.is_antialiased}
        return {"step": training.step, **facts}, splat_rows(splats)
    if kind == "view":
        camera, pose = camera_from(request.get("camera"))
        return {"step": training.step}, jpeg(training.picture(camera, pose, box))
    if kind == "photo":
        return _at_photo(request, training)
    raise WireError("unknown request")


def _at_photo(request: Mapping[str, Any], training: Watched) -> Answer:
    """A training photo, what the splats look like from its camera, or how the two differ."""
    name, show = request.get("name"), request.get("show")
    if show not in ("photo", "rendering", "error"):
        raise WireError("show is photo, rendering or error")
    if name not in training.photos:
        return {"error": "The trainer does not have this photo: it is held out to measure the result by."}, b""
    index = training.photos.index(name)
    photo, mask = training.photo(index)
    facts: dict[str, Any] = {"step": training.step, "name": name, "show": show}
    if show == "photo":
        return facts, jpeg(photo)
    picture = np.clip(training.rendering(index), 0.0, 1.0)
    if show == "rendering":
        return facts, jpeg(picture)
    error = np.abs(picture - photo / np.float32(255.0)).mean(axis=2)
    kept = np.ones(error.shape, bool) if mask is None else mask > 0
    square = float(np.mean((picture - photo / np.float32(255.0))[kept] ** 2)) if kept.any() else 0.0
    facts |= {
        "psnr_db": -10.0 * math.log10(max(square, 10**-9.9)),
        "mean": float(error[kept].mean() if kept.any() else 0),
    }
    return facts, jpeg(error_colours(np.where(kept, error, 0.0)))


def splat_rows(splats: Splats) -> bytes:
    """32 bytes per splat, in the order given."""
    records = np.zeros(len(splats), RECORD)
    records["mean"] = splats.means
    records["scale"] = np.exp(np.minimum(splats.log_scales, 80.0))
    records["rgba"][:, :3] = _bytes(255.0 * (0.5 + SH_C0 * splats.sh[:, 0]))
    records["rgba"][:, 3] = _bytes(255.0 / (1.0 + np.exp(np.clip(-splats.logit_opacities, -80.0, 80.0))))
    norm = np.linalg.norm(splats.quats, axis=1, keepdims=True)
    records["quat"] = _bytes(128.0 + 128.0 * splats.quats / np.maximum(norm, 1e-12))
    return records.tobytes()


def _bytes(values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    result: npt.NDArray[np.uint8] = np.clip(values + 0.5, 0.0, 255.0).astype(np.uint8)
    return result


def error_colours(error: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """From black (0) over violet and orange to white (`WORST` and more), (H, W) to (H, W, 3)."""
    stops = np.array([[0.0, 0.0, 0.0], [0.35, 0.08, 0.5], [0.95, 0.4, 0.15], [1.0, 0.95, 0.8]], np.float32)
    place = np.clip(error / WORST, 0.0, 1.0) * (len(stops) - 1)
    below = np.minimum(place.astype(np.int64), len(stops) - 2)
    share = (place - below)[..., None].astype(np.float32)
    mixed: npt.NDArray[np.float32] = stops[below] * (1 - share) + stops[below + 1] * share
    return mixed


def jpeg(picture: npt.NDArray[Any]) -> bytes:
    """Of uint8 or of float 0 to 1, (H, W, 3)."""
    import PIL.Image

    if picture.dtype != np.uint8:
        picture = (np.clip(picture, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(np.ascontiguousarray(picture)).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


def camera_from(value: Any) -> tuple[Camera, Pose]:
    """A pinhole and `cam_from_world` from what a page sends. Raises WireError for what is no camera or too large."""
    if not isinstance(value, Mapping):
        raise WireError("camera is missing")
    width, height = value.get("width_px"), value.get("height_px")
    for side in (width, height):
        if not isinstance(side, int) or isinstance(side, bool) or not 1 <= side <= MAX_SIDE_PX:
            raise WireError("a picture's sides are whole numbers of pixels")
    assert isinstance(width, int) and isinstance(height, int)
    if width * height > MAX_PIXELS:
        raise WireError(f"a picture has at most {MAX_PIXELS:,} pixels")
    fx, fy, cx, cy = _numbers([value.get(name) for name in ("fx", "fy", "cx", "cy")], 4, 1e6)
    if fx <= 0.0 or fy <= 0.0:
        raise WireError("a focal length is above 0")
    rows = value.get("cam_from_world")
    if not isinstance(rows, Sequence) or isinstance(rows, str) or len(rows) != 3:
        raise WireError("cam_from_world has three rows")
    matrix = np.array([_numbers(row, 4, 1e9) for row in rows])
    if np.abs(matrix[:, :3] @ matrix[:, :3].T - np.eye(3)).max() > 1e-3 or np.linalg.det(matrix[:, :3]) < 0:
        raise WireError("cam_from_world is no rigid transform")
    return Camera.pinhole(width, height, fx, fy, cx, cy), Pose.from_matrix(matrix)


def _numbers(values: Any, count: int, largest: float) -> list[float]:
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != count:
        raise WireError(f"{count} numbers are expected")
    if not all(isinstance(x, int | float) and not isinstance(x, bool) and abs(x) <= largest for x in values):
        raise WireError(f"{count} numbers are expected")
    return [float(x) for x in values]
