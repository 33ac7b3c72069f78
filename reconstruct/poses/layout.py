"""Pictures and masks in the places and under the names that COLMAP needs.

COLMAP's lists of pairs are split at spaces, so it gets names of our own: `000001.jpg` for the first frame, and its mask
as `000001.jpg.png` below another folder.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from diorama.capture.types import Capture


def colmap_names(capture: Capture) -> tuple[str, ...]:
    """The names COLMAP knows the frames by, in order."""
    return tuple(f"{k:06d}{Path(f.name).suffix.lower()}" for k, f in enumerate(capture.frames, 1))


def lay_out_images(capture: Capture, folder: Path) -> Path:
    """Put every frame into `folder` under COLMAP's name, without copying where the system can link."""
    folder.mkdir(parents=True, exist_ok=True)
    for frame, name in zip(capture.frames, colmap_names(capture), strict=True):
        _put(capture.image_path(frame), folder / name)
    return folder


def lay_out_masks(capture: Capture, folder: Path) -> Path | None:
    """Put every mask into `folder` under COLMAP's name, as PNG; None where the capture has no masks."""
    masks = [capture.mask_path(f) for f in capture.frames]
    if not any(masks):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    for mask, name in zip(masks, colmap_names(capture), strict=True):
        if mask is None:
            continue
        if mask.suffix.lower() == ".png":
            _put(mask, folder / f"{name}.png")
        else:
            _copy_as_png(mask, folder / f"{name}.png")
    return folder


def _put(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        target.symlink_to(source.resolve())
    except OSError:  # a file system or system without symbolic links
        shutil.copyfile(source, target)


def _copy_as_png(source: Path, target: Path) -> None:
    from PIL import Image

    with Image.open(source) as image:
        image.convert("L").save(target)
