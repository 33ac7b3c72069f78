"""Films: pictures to an H.264 file or to a folder of PNGs, and a flight through splats."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.capture.events import Finished, OnEvent, Progressed, Started, ignore

from .paths import CameraPath
from .rasterize import choose_backend, rasterize
from .splats import Splats

Bytes = npt.NDArray[np.uint8]

_BT709 = 1  # the number of BT.709 among matrices, primaries and transfer curves alike (ITU-T H.273)
_LIMITED_RANGE = 1


def write_video(frames: Iterable[Bytes], path: str | Path, fps: float, *, quality: int = 18) -> Path:
    """Write sRGB pictures (H, W, 3) uint8, all of one size, as a film.

    path: `NAME.mp4` for H.264 (yuv420p, BT.709, index first, so that it plays everywhere and while it loads; odd
        sides grow by one repeated row or column), or a name without suffix for a new folder of PNG files.
    quality: x264's constant rate factor; 18 is hardly to be told from the pictures, larger is smaller.
    The file appears when it is whole. Returns its path.
    Raises InputError for another suffix or a place that cannot be written, ValueError for frames that are no film.
    """
    path = check_video_path(path)
    pictures = _checked(frames)
    scratch: Path | None = None
    try:
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        partial = scratch / path.name
        if path.suffix:
            _write_h264(pictures, partial, fps, quality)
        else:
            _write_pngs(pictures, partial)
        if path.is_dir():
            path.rmdir()
        partial.replace(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}; make room or give another place."
        ) from error
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
    return path


def check_video_path(path: str | Path) -> Path:
    """The path if a film can be written there; to be asked before hours of rendering. Raises InputError."""
    path = Path(path)
    if path.suffix.lower() not in (".mp4", ""):
        raise InputError(f"{path} cannot be written: films are .mp4, or a folder of PNG files (no suffix).")
    if not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: the folder {path.parent} does not exist.")
    if path.is_dir() and (path.suffix or any(path.iterdir())):
        raise InputError(f"{path} is a folder that holds other things; give a new name.")
    return path


def render_path(
    splats: Splats,
    path: CameraPath,
    out: str | Path,
    *,
    backend: str = "auto",
    background: Sequence[float] = (0.0, 0.0, 0.0),
    on_event: OnEvent = ignore,
) -> Path:
    """Film a flight through splats and write it as `write_video` does. Returns the file."""
    began = monotonic()
    out = check_video_path(out)
    backend = choose_backend(backend)
    poses = path.frames()
    on_event(Started("render", len(poses)))

    def draw() -> Iterator[Bytes]:
        for done, pose in enumerate(poses, start=1):
            rgb = rasterize(splats, path.camera, pose, background=background, backend=backend).rgb
            yield np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
            on_event(Progressed("render", done, len(poses)))

    written = write_video(draw(), out, path.fps)
    on_event(Finished("render", monotonic() - began))
    return written


def _checked(frames: Iterable[Bytes]) -> Iterator[Bytes]:
    """The frames, each checked; looks at the first one at once."""
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise ValueError("a film needs at least one frame")

    def check(frame: Bytes) -> Bytes:
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.shape != first.shape:
            raise ValueError(f"frames must be uint8 (H, W, 3) of one size, got {frame.dtype}{frame.shape}")
        return frame

    return map(check, chain([first], iterator))


def _write_h264(pictures: Iterator[Bytes], path: Path, fps: float, quality: int) -> None:
    import av
    from av.video.reformatter import ColorRange, Colorspace

    rate = Fraction(fps).limit_denominator(1001)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream: Any = None
        for number, picture in enumerate(pictures):
            height, width = picture.shape[:2]
            even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            if stream is None:
                stream = container.add_stream("libx264", rate=rate, options={"crf": str(quality), "preset": "medium"})
                stream.width, stream.height, stream.pix_fmt = even.shape[1], even.shape[0], "yuv420p"
                context = stream.codec_context
                context.colorspace = context.color_primaries = context.color_trc = _BT709
                context.color_range = _LIMITED_RANGE
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            limited = frame.reformat(
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
            )
            limited.pts, limited.time_base = number, 1 / rate
            container.mux(stream.encode(limited))
        container.mux(stream.encode(None))


def _write_pngs(pictures: Iterator[Bytes], folder: Path) -> None:
    from PIL import Image

    folder.mkdir()
    for number, picture in enumerate(pictures, start=1):
        Image.fromarray(picture).save(folder / f"frame_{number:05d}.png")
