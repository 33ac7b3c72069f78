"""Pictures of the report as data addresses, within a budget of bytes."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from diorama.capture import Capture
from diorama.reconstruct.evaluate import Evaluation, ViewScore

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Sizes:
    """How large pictures may be: longer sides in pixels, JPEG quality, and how many views are shown side by side."""

    thumb_px: int
    view_px: int
    quality: int
    views: int


STEPS = (Sizes(240, 800, 80, 40), Sizes(200, 640, 74, 24), Sizes(160, 480, 70, 16), Sizes(112, 400, 60, 8))
"""Tried in turn until the pictures fit."""

BUDGET_BYTES = 11_000_000
"""Of base64 text; with drawings and tables the page stays under 15 MB."""

_GREY = "data:image/gif;base64,R0lGODlhAQABAIAAAKqqqgAAACwAAAAAAQABAAACAkQBADs="
"""One grey pixel, for a photo that cannot be read any more."""


@dataclass(frozen=True)
class Shown:
    """Data addresses by frame name: thumbnails, and (truth, ours, error) of held-out views, the worst first."""

    thumbs: dict[str, str]
    views: dict[str, tuple[str, str, str]]


def collect_pictures(capture: Capture | None, evaluation: Evaluation | None, budget: int = BUDGET_BYTES) -> Shown:
    """All pictures of the report at the largest sizes that fit the budget."""
    shown = Shown({}, {})
    large = _thumbnails(capture, STEPS[0].thumb_px) if capture is not None else {}
    for sizes in STEPS:
        shown = Shown(
            thumbs={n: _address(_smaller(j, sizes.thumb_px, sizes.quality)) if j else _GREY for n, j in large.items()},
            views=_views(evaluation, sizes),
        )
        if sum(map(len, shown.thumbs.values())) + sum(len(p) for v in shown.views.values() for p in v) <= budget:
            return shown
    # Thousands of frames: an even choice of them, so that the whole path stays visible.
    names = list(shown.thumbs)
    room = budget - sum(len(p) for v in shown.views.values() for p in v)
    each = max(1, max(map(len, shown.thumbs.values()), default=1))
    step = max(1, -(-len(names) * each // max(each, room)))
    return Shown({n: shown.thumbs[n] for n in names[::step]}, shown.views)


def worst_first(views: Sequence[ViewScore]) -> list[ViewScore]:
    return sorted(views, key=lambda v: (v.psnr_db, v.name))


def _views(evaluation: Evaluation | None, sizes: Sizes) -> dict[str, tuple[str, str, str]]:
    if evaluation is None:
        return {}
    with_pictures = [v for v in worst_first(evaluation.held_out) if v.pictures is not None][: sizes.views]
    found = {}
    for view in with_pictures:
        if view.pictures is not None:
            parts = (view.pictures.truth, view.pictures.ours, view.pictures.error)
            truth, ours, error = (_address(_smaller(p, sizes.view_px, sizes.quality)) for p in parts)
            found[view.name] = (truth, ours, error)
    return found


def _thumbnails(capture: Capture, size_px: int) -> dict[str, bytes]:
    """JPEGs by frame name; empty bytes where a photo cannot be read."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        pictures = pool.map(lambda f: thumbnail(capture.image_path(f), size_px), capture.frames)
        return {f.name: p for f, p in zip(capture.frames, pictures, strict=True)}


def thumbnail(path: Path, size_px: int) -> bytes:
    """A small JPEG of the photo at `path`; empty bytes when it cannot be read: a report must not fail for that."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            picture.draft("RGB", (size_px, size_px))
            small = _flat(picture)
            small.thumbnail((size_px, size_px), Image.Resampling.LANCZOS, reducing_gap=2.0)
            return _encode(small, 82)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return b""


def _flat(picture: Image.Image) -> Image.Image:
    """In RGB; transparency over grey."""
    from PIL import Image

    if "A" not in picture.getbands():
        return picture.convert("RGB")
    rgba = picture.convert("RGBA")
    ground = Image.new("RGBA", rgba.size, (128, 128, 128, 255))
    return Image.alpha_composite(ground, rgba).convert("RGB")


def _smaller(jpeg: bytes, size_px: int, quality: int) -> bytes:
    """The same picture with the longer side at most `size_px`; untouched when it is small enough."""
    from PIL import Image

    with Image.open(io.BytesIO(jpeg)) as picture:
        if max(picture.size) <= size_px:
            return jpeg
        small = picture.convert("RGB")
        small.thumbnail((size_px, size_px), Image.Resampling.LANCZOS)
        return _encode(small, quality)


def _encode(picture: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality, optimize=True)
    return out.getvalue()


def jpeg_address(picture: bytes | Image.Image) -> str:
    """The data address of a JPEG, or of a picture made one."""
    return _address(picture if isinstance(picture, bytes) else _encode(picture, 80))


def _address(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"
