"""Photos as the trainers and the evaluation see them: straightened or not, resized, masked, decoded once.

`LensMode` says which: `straight` removes the lens's distortion, so that pictures are a pinhole's; `original` leaves
the pixels where the lens put them, and whoever draws must know the lens; `auto` straightens what is nearly straight
(radial and tangential distortion) and leaves fisheyes and panoramas as they are, of which a pinhole shows a part only.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from diorama.capture.camera import Camera
from diorama.capture.errors import InputError
from diorama.capture.transforms import Pose
from diorama.capture.types import Frame, PosedScene
from diorama.capture.undistort import resize_area, undistort, undistorted_camera

if TYPE_CHECKING:
    import PIL.Image

Bytes = npt.NDArray[np.uint8]
LensMode = Literal["auto", "straight", "original"]

MIN_TRAINING_VIEWS = 3
"""`every:N` holds nothing out where it would leave fewer views than this to train on."""

_OVERSAMPLING = 2
"""Distortion is undone at up to this multiple of the final size and then area-filtered, to lose no sharpness."""


@dataclass(frozen=True, eq=False)
class TrainingView:
    """One photo as a camera's picture.

    name: of the frame in the capture.
    rgb: uint8 (H, W, 3), sRGB.
    mask: uint8 (H, W), 0 hides a pixel from loss and metrics, 255 keeps it; None keeps all.
    camera: of the picture's size; a pinhole where the photo was straightened.
    empty: uint8 (H, W), 255 where the frame's mask or alpha channel hides a whole pixel, else 0; None where neither
        hides anything. Unlike `mask` it says nothing of the rim that undistortion leaves.
    cam_from_world: the pose.
    """

    name: str
    rgb: Bytes
    mask: Bytes | None
    camera: Camera
    cam_from_world: Pose
    empty: Bytes | None = None


def load_views(
    scene: PosedScene, names: Sequence[str], max_size_px: int | None = None, lens: LensMode = "auto"
) -> list[TrainingView]:
    """The registered frames `names`, in that order, at most `max_size_px` on the longer side, straightened or not.

    A mask file, an alpha channel (below one half), the blank rim left by undistortion and the corners beyond a
    fisheye's range hide pixels. Memory: 3 to 4 bytes per pixel kept; decoding runs on as many threads as there are
    cores.

    Raises:
        InputError: a picture or mask is missing, unreadable or not of the size its camera says.
        KeyError: a name is not a registered frame.
    """
    frames = {f.name: f for f in scene.registered}
    chosen = [frames[name] for name in names]
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(lambda frame: _load_view(scene, frame, max_size_px, lens), chosen))


def keeps_lens(camera: Camera, lens: LensMode) -> bool:
    """Whether `load_views` leaves the pictures of `camera` as the lens drew them."""
    return lens == "original" or (lens == "auto" and camera.lens in ("fisheye", "equirectangular"))


def view_camera(camera: Camera, max_size_px: int | None = None, lens: LensMode = "auto") -> Camera:
    """The camera that `load_views` gives pictures taken by `camera`."""
    shown = camera if keeps_lens(camera, lens) else undistorted_camera(camera)
    return shown if max_size_px is None else shown.fitted(max_size_px)


def _load_view(scene: PosedScene, frame: Frame, max_size_px: int | None, lens: LensMode) -> TrainingView:
    camera = scene.camera(frame)
    final = view_camera(camera, max_size_px, lens)
    straightens = not (camera.is_pinhole or keeps_lens(camera, lens))
    straight = undistorted_camera(camera) if straightens else camera
    # The size at which distortion is undone: never larger than the photo itself.
    factor = final.width_px / straight.width_px
    if straightens:
        factor = min(1.0, _OVERSAMPLING * factor)
    source = camera.scaled(max(1, round(camera.width_px * factor)), max(1, round(camera.height_px * factor)))
    target = straight.scaled(max(1, round(straight.width_px * factor)), max(1, round(straight.height_px * factor)))

    rgb, alpha = _read_picture(scene.capture.image_path(frame), camera, source)
    mask = _read_mask(scene.capture.mask_path(frame), camera, source)
    visible = None
    for layer in (alpha, mask):
        if layer is not None:
            visible = layer if visible is None else np.minimum(visible, layer)
    empty = None if visible is None else 255 - visible
    if straightens:
        empty = None if empty is None else undistort(empty, source, target, nearest=True)
        rgb = undistort(rgb, source, target)
        seen = np.full((source.height_px, source.width_px), 255, np.uint8) if visible is None else visible
        visible = undistort(seen, source, target, nearest=True)
    rgb = resize_area(rgb, final.width_px, final.height_px)
    if visible is not None:
        # A pixel that is hidden in part holds some of what is hidden: keep only whole ones (up to rounding).
        visible = resize_area(visible, final.width_px, final.height_px)
        visible = np.where(visible >= 250, 255, 0).astype(np.uint8)
    if final.lens == "fisheye":
        reached = _reached(final)
        visible = reached if visible is None else np.minimum(visible, reached)
    if visible is not None and visible.all():
        visible = None
    if empty is not None:
        empty = np.where(resize_area(empty, final.width_px, final.height_px) >= 250, 255, 0).astype(np.uint8)
    return TrainingView(frame.name, rgb, visible, final, scene.cam_from_world[frame.name], empty)


@lru_cache(maxsize=8)
def _reached(camera: Camera) -> Bytes:
    """255 (H, W) where a fisheye's polynomial has an angle for the pixel, else 0: nothing can be drawn there."""
    y, x = np.mgrid[0 : camera.height_px, 0 : camera.width_px] + 0.5
    return np.where(np.isfinite(camera.rays(np.stack([x, y], axis=-1))[..., 2]), 255, 0).astype(np.uint8)


def _read_picture(path: Path, camera: Camera, size: Camera) -> tuple[Bytes, Bytes | None]:
    """The picture at `path` brought to the size of `size`: (rgb, alpha thresholded to 0 or 255, or None)."""
    picture = _open(path, camera, draft=(size.width_px, size.height_px))
    alpha = None
    if "A" in picture.getbands() or "transparency" in picture.info:
        rgba = np.asarray(picture.convert("RGBA"))
        alpha = np.where(rgba[..., 3] >= 128, 255, 0).astype(np.uint8)
        alpha = resize_area(alpha, size.width_px, size.height_px)
        rgb = np.ascontiguousarray(rgba[..., :3])
    else:
        rgb = np.asarray(picture.convert("RGB"))
    return resize_area(rgb, size.width_px, size.height_px), alpha


def _read_mask(path: Path | None, camera: Camera, size: Camera) -> Bytes | None:
    if path is None:
        return None
    mask = np.asarray(_open(path, camera).convert("L"))
    return resize_area(np.where(mask > 0, 255, 0).astype(np.uint8), size.width_px, size.height_px)


def _open(path: Path, camera: Camera, draft: tuple[int, int] | None = None) -> PIL.Image.Image:
    """Decodes a file whose size must be the camera's; a JPEG straight at a smaller size that still covers `draft`."""
    import PIL.Image

    try:
        with PIL.Image.open(path) as picture:
            size = picture.size
            if draft is not None:
                picture.draft("RGB", draft)
            picture.load()
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing: put the picture back or run ingest again.") from error
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be read as a picture ({error}): replace it or run ingest again.") from error
    if size != (camera.width_px, camera.height_px):
        raise InputError(
            f"{path} is {size[0]}x{size[1]} pixels but its camera is {camera.width_px}x{camera.height_px}: "
            "give the picture that the poses were made from."
        )
    return picture


def hold_out_names(names: Sequence[str], spec: str) -> list[str]:
    """The frames that training must not see, in the order of `names`.

    `every:N` takes the first and every Nth after it (the field's custom, N = 8), but none where fewer than
    `MIN_TRAINING_VIEWS` would be left; `none` takes none; otherwise names separated by commas, with or without their
    folder and ending.

    Raises:
        InputError: the text is none of these, a name does not exist, is ambiguous, or nothing is left to train on.
    """
    text = spec.strip()
    if text.lower() in ("none", ""):
        return []
    if match := re.fullmatch(r"every:(\d+)", text, re.IGNORECASE):
        step = int(match[1])
        if step < 2:
            raise InputError(
                f"--hold-out {spec} would leave nothing to train on; use every:2 or more, usually every:8."
            )
        held = list(names[::step])
        return held if len(names) - len(held) >= MIN_TRAINING_VIEWS else []
    wanted = {_find_name(part.strip(), names) for part in text.split(",") if part.strip()}
    if len(wanted) == len(names):
        raise InputError(f"--hold-out {spec} leaves no frame to train on; hold out fewer frames.")
    return [name for name in names if name in wanted]


def _find_name(wanted: str, names: Sequence[str]) -> str:
    if wanted in names:
        return wanted
    short = [n for n in names if wanted in (Path(n).name, Path(n).stem, str(Path(n).with_suffix("")))]
    if len(short) == 1:
        return short[0]
    if len(short) > 1:
        raise InputError(f"--hold-out {wanted} could be {', '.join(short[:4])}; give the whole name.")
    stems = {Path(n).stem: n for n in names} | {n: n for n in names}
    near = list(dict.fromkeys(stems[n] for n in difflib.get_close_matches(wanted, stems, n=4, cutoff=0.3)))
    hint = (
        f"the nearest names are {', '.join(near[:3])}" if near else f"frames are named like {names[0]}" if names else ""
    )
    raise InputError(f"--hold-out {wanted} is not a registered frame of this scene; {hint or 'the scene has none'}.")
