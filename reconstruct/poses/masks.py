"""Masks in the place and under the names that COLMAP looks for: `<picture's name>.png` below one folder."""

from __future__ import annotations

from pathlib import Path

from diorama.capture.types import Capture


def lay_out_masks(capture: Capture, folder: Path) -> Path | None:
    """Put every mask of a capture into `folder` under COLMAP's name; None where the capture has no masks."""
    masked = [f for f in capture.frames if f.mask is not None]
    if not masked:
        return None
    for frame in masked:
        source = capture.mask_path(frame)
        assert source is not None
        target = folder / f"{frame.name}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        if source.suffix.lower() == ".png":
            try:
                target.symlink_to(source.resolve())
                continue
            except OSError:
                pass  # a file system or system without symbolic links: copy instead
        _copy_as_png(source, target)
    return folder


def _copy_as_png(source: Path, target: Path) -> None:
    from PIL import Image

    with Image.open(source) as image:
        image.convert("L").save(target)
