"""Pictures that show the very same thing, and which of too many photos to leave out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]

THUMB_PX = 160
BLOCK_PX = 10

SAME_WITHIN_LEVELS, SAME_WITHIN_CONTRAST = 5.0, 0.2
"""Largest mean difference of any block of two copies of one picture, in grey levels after matching brightness and
contrast, or as a share of the block's own contrast. Recoding and resizing leave 1 to 2 levels or a tenth of the
contrast; half a pixel of motion at this size (3 px at 1000) leaves 8 levels and more on any visible edge."""


def fingerprint(thumb: Grey) -> npt.NDArray[np.float32]:
    """(1024,) unit vector of a picture's coarse look, whatever its brightness and contrast."""
    h, w = thumb.shape
    rows = np.linspace(0, h, 33).astype(int)
    columns = np.linspace(0, w, 33).astype(int)
    cells = np.add.reduceat(np.add.reduceat(thumb.astype(np.float64), rows[:-1], 0), columns[:-1], 1)
    cells /= np.outer(np.maximum(np.diff(rows), 1), np.maximum(np.diff(columns), 1))
    cells -= cells.mean()
    norm = float(np.linalg.norm(cells))
    unit: npt.NDArray[np.float32] = (cells / norm if norm > 1e-6 else cells).astype(np.float32).ravel()
    return unit


def same_picture(a: Grey, b: Grey) -> bool:
    """Whether two thumbnails are copies of one picture: no block of them differs by more than recoding would."""
    if max(abs(a.shape[0] - b.shape[0]), abs(a.shape[1] - b.shape[1])) > 1:
        return False
    if a.shape != b.shape:  # two sizes of one picture may round differently
        from PIL import Image

        b = np.asarray(Image.fromarray(b).resize(a.shape[::-1], Image.Resampling.BILINEAR))
    x, y = a.astype(np.float32), b.astype(np.float32)
    spread = float(y.std())
    y = (y - y.mean()) * (float(x.std()) / spread if spread > 1 else 1.0) + x.mean()
    h, w = x.shape[0] // BLOCK_PX * BLOCK_PX, x.shape[1] // BLOCK_PX * BLOCK_PX
    shape = (h // BLOCK_PX, BLOCK_PX, w // BLOCK_PX, BLOCK_PX)
    difference = np.abs(x - y)[:h, :w].reshape(shape).mean(axis=(1, 3))
    contrast = x[:h, :w].reshape(shape).std(axis=(1, 3))
    return bool(np.all(difference < np.maximum(SAME_WITHIN_LEVELS, SAME_WITHIN_CONTRAST * contrast)))


def find_copies(thumbs: Sequence[Grey], pixels: Sequence[int]) -> dict[int, int]:
    """By index of each picture that is a copy, the index of the one to keep: that with most pixels, then the first."""
    prints = np.stack([fingerprint(t) for t in thumbs]) if thumbs else np.zeros((0, 1024), np.float32)
    kept: list[int] = []
    copies: dict[int, int] = {}
    for i in sorted(range(len(thumbs)), key=lambda i: (-pixels[i], i)):
        similar = prints[kept] @ prints[i] if kept else np.zeros(0)
        original = next(
            (k for k, s in zip(kept, similar, strict=True) if s > 0.98 and same_picture(thumbs[k], thumbs[i])), None
        )
        if original is None:
            kept.append(i)
        else:
            copies[i] = original
    return copies


def most_redundant(thumbs: Sequence[Grey], sharpness: Sequence[float], count: int) -> dict[int, int]:
    """`count` pictures to leave out, each with the one that shows most of the same.

    Again and again the two most alike are taken and the less sharp of them left out, so what goes is what the others
    show anyway.
    """
    prints = np.stack([fingerprint(t) for t in thumbs])
    alike = prints @ prints.T
    np.fill_diagonal(alike, -np.inf)
    dropped: dict[int, int] = {}
    for _ in range(min(count, len(thumbs) - 1)):
        i, j = (int(k) for k in np.unravel_index(int(np.argmax(alike)), alike.shape))
        out, stays = (i, j) if sharpness[i] < sharpness[j] else (j, i)
        dropped[out] = stays
        alike[out, :] = alike[:, out] = -np.inf
    return dropped
