"""Tiny footage made by hand: a textured plane seen through a moving window, as photos and as video."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

Rgb = npt.NDArray[np.uint8]


@pytest.fixture(scope="session")
def plane() -> Rgb:
    """(1200, 1600, 3): random squares of 6 px, nothing repeats and every cell has corners."""
    cells = np.random.default_rng(5).integers(28, 228, (200, 267, 3), dtype=np.uint8)
    return np.repeat(np.repeat(cells, 6, 0), 6, 1)[:1200, :1600]


@pytest.fixture(scope="session")
def window(plane: Rgb) -> Callable[..., Rgb]:
    """`window(x, y, width, height)`: what a camera over the plane sees."""

    def cut(x: float, y: float, width: int = 320, height: int = 240) -> Rgb:
        return np.ascontiguousarray(plane[int(y) : int(y) + height, int(x) : int(x) + width])

    return cut


@pytest.fixture
def photo_folder(tmp_path: Path, window: Callable[..., Rgb]) -> Callable[..., Path]:
    """`photo_folder(count, extension, **save)`: a folder of photos that step over the plane."""
    from PIL import Image

    def make(count: int, extension: str = ".jpg", folder: str = "photos", **save: Any) -> Path:
        root = tmp_path / folder
        root.mkdir(parents=True, exist_ok=True)
        for i in range(count):
            Image.fromarray(window(40 * i, 20 * i)).save(root / f"shot{i}{extension}", **save)
        return root

    return make


@pytest.fixture(scope="session")
def write_video() -> Callable[..., Path]:
    """`write_video(path, frames)`: frames (H, W, 3) as a video; codec and stream options as PyAV takes them."""
    import av

    def write(
        path: Path,
        frames: Iterable[Rgb],
        *,
        codec: str = "libx264",
        pixels: str = "yuv420p",
        times_ms: Sequence[int] | None = None,
        options: dict[str, str] | None = None,
        container_options: dict[str, str] | None = None,
        color: tuple[int, int, int, int] | None = None,
    ) -> Path:
        with av.open(str(path), "w", options=container_options or {}) as container:
            stream = container.add_stream(codec, rate=30)
            stream.pix_fmt = pixels
            stream.options = {"crf": "12", **(options or {})}
            for i, rgb in enumerate(frames):
                if i == 0:
                    stream.height, stream.width = rgb.shape[:2]
                frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
                if color is not None:  # matrix, range, transfer, primaries
                    context = stream.codec_context
                    context.colorspace, context.color_range, context.color_trc, context.color_primaries = color
                if times_ms is not None:
                    frame.pts, frame.time_base = times_ms[i], Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    return write
