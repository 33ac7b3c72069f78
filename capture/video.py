"""Video files: decoding by PyAV, upright, at their own times, in sRGB.

Only known containers are opened and only local files: a playlist that calls itself .mp4 cannot make us read others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .footage import VIDEO_EXTENSIONS
from .photos import MAX_PIXELS
from .tonemap import Primaries, Transfer, to_srgb8

if TYPE_CHECKING:
    import av.container
    import av.video.frame
    import av.video.stream

CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"

# Numbers of ITU-T H.273, which FFmpeg uses: colour primaries, transfer characteristics, matrix coefficients.
_PRIMARIES: dict[int, Primaries] = {9: "bt2020", 11: "p3", 12: "p3"}
_TRANSFERS: dict[int, Transfer] = {16: "pq", 18: "hlg"}
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
FULL_RANGE, LIMITED_RANGE = 2, 1


@dataclass
class Decoding:
    """What came of decoding a video so far."""

    frames: int = 0
    damaged: int = 0
    promised: int = 0
    interlaced: bool = False
    last_time_s: float = 0.0
    duration_s: float = 0.0
    cut_off: bool = False

    @property
    def is_truncated(self) -> bool:
        """Whether clearly less could be decoded than the file promises, in frames (where it counts them) and time.

        Frames alone would accuse phones, whose trimmed videos keep frames that are not shown.
        """
        fewer = self.promised == 0 or self.frames < 0.95 * self.promised - 2
        shorter = self.last_time_s < 0.9 * self.duration_s - 0.25
        return self.cut_off or (fewer and shorter)


@contextmanager
def open_video(path: Path) -> Iterator[tuple[av.container.InputContainer, av.video.stream.VideoStream]]:
    """A container and its first video stream that is no cover picture. Raises InputError when there is none."""
    import av

    options = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
    try:
        container = av.open(str(path), options=options, metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        detail = _reason(path, error)
        raise InputError(f"{path} is no video that can be read: {detail}.") from error
    with container:
        streams = [s for s in container.streams.video if not _is_cover(s)]
        if not streams:
            raise InputError(f"{path} holds no video; a video file of {' '.join(VIDEO_EXTENSIONS)} is needed.")
        stream = streams[0]
        if stream.codec_context.width * stream.codec_context.height > MAX_PIXELS:
            raise InputError(f"{path} has more than {MAX_PIXELS // 10**6} megapixels per frame.")
        stream.thread_type = "AUTO"
        yield container, stream


def _is_cover(stream: Any) -> bool:
    import av.stream

    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _reason(path: Path, error: Exception) -> str:
    """Why a file cannot be opened, in words a person can act on."""
    with path.open("rb") as file:
        head = file.read(4096)
        file.seek(0)
        has_index, at, length = False, 0, path.stat().st_size
        while True:  # walk over the top-level boxes of an MP4: without `moov` it has no index
            file.seek(at)
            box = file.read(16)
            if len(box) < 8:
                break
            size = int.from_bytes(box[:4], "big")
            size = int.from_bytes(box[8:16], "big") if size == 1 and len(box) == 16 else size
            has_index |= box[4:8] == b"moov"
            at += size
            if size < 8 or at >= length:
                break
    if not head:
        return "it is empty"
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free") and not has_index:
        return "it was cut off before its index (a recording or a copy that did not finish); copy or record it again"
    if b"\0" not in head:
        return "it is a text file, not a video"
    return "it is damaged or of a kind that is not read" if "Invalid data" in str(error) else str(error)[:120]


def decode(path: Path, state: Decoding) -> Iterator[tuple[int, float, av.video.frame.VideoFrame]]:
    """All frames that decode, in order of presentation: index, presentation time in seconds, frame.

    Damaged parts are passed over and counted in `state`. The same file gives the same indices again.
    """
    import av

    with open_video(path) as (container, stream):
        state.promised = stream.frames
        if stream.duration is not None and stream.time_base is not None:
            state.duration_s = float(stream.duration * stream.time_base)
        elif container.duration:
            state.duration_s = container.duration / 1e6
        rate = float(stream.average_rate or 25)
        start: float | None = None
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
                frames = packet.decode()
            except StopIteration:
                return
            except av.error.EOFError:
                return
            except (av.error.FFmpegError, OSError):
                state.damaged += 1
                state.cut_off = True
                if state.damaged > 1000:
                    return
                continue
            for frame in frames:
                if getattr(frame, "is_corrupt", False):
                    state.damaged += 1
                time_s = float(frame.pts * frame.time_base) if frame.pts is not None and frame.time_base else None
                start = (time_s or 0.0) if start is None else start
                state.interlaced |= bool(frame.interlaced_frame)
                state.last_time_s = time_s - start if time_s is not None else state.frames / rate
                yield state.frames, state.last_time_s, frame
                state.frames += 1


def quarter_turns(frame: av.video.frame.VideoFrame) -> int:
    """Quarter turns counter-clockwise that set a frame upright (its display matrix)."""
    return round(float(frame.rotation) / 90) % 4


def grey(frame: av.video.frame.VideoFrame, longer_px: int) -> npt.NDArray[np.uint8]:
    """The upright frame's luma, full range, with a longer side of at most `longer_px`."""
    factor = min(1.0, longer_px / max(frame.width, frame.height))
    small = frame.reformat(
        width=max(2, round(frame.width * factor)),
        height=max(2, round(frame.height * factor)),
        format="gray",
        interpolation="AREA",
        src_color_range=_range(frame),
        dst_color_range=FULL_RANGE,
        threads=1,
    )
    return np.ascontiguousarray(np.rot90(small.to_ndarray(), quarter_turns(frame)))


def _range(frame: av.video.frame.VideoFrame) -> int:
    full = frame.color_range == FULL_RANGE or frame.format.name.startswith("yuvj")
    return FULL_RANGE if full or frame.format.is_rgb else LIMITED_RANGE


def _matrix(frame: av.video.frame.VideoFrame) -> int:
    """swscale's number of the YCbCr matrix; where the file is silent, BT.709 for HD and BT.601 below, as players do."""
    known = _MATRICES.get(int(frame.colorspace))
    return known if known is not None else (1 if max(frame.width, frame.height) >= 1280 or frame.height >= 720 else 5)


def color_kind(frame: av.video.frame.VideoFrame) -> tuple[Transfer, Primaries]:
    return _TRANSFERS.get(int(frame.color_trc), "sdr"), _PRIMARIES.get(int(frame.color_primaries), "bt709")


def to_srgb(frame: av.video.frame.VideoFrame, aspect: Fraction | None = None) -> npt.NDArray[np.uint8]:
    """The upright frame as sRGB (H, W, 3) uint8 with square pixels (`aspect` is the sample aspect ratio)."""
    transfer, primaries = color_kind(frame)
    plain = transfer == "sdr" and primaries == "bt709"
    width = frame.width if not aspect or not 0.1 < aspect < 10 else max(2, round(frame.width * float(aspect)))
    if frame.format.is_rgb and plain and width == frame.width:
        rgb: Any = frame.to_ndarray(format="rgb24")
    else:
        rgb = frame.reformat(
            width=width,
            format="rgb24" if plain else "rgb48le",
            interpolation=_FLAGS,
            src_colorspace=_matrix(frame),
            dst_colorspace=_matrix(frame),
            src_color_range=_range(frame),
            dst_color_range=FULL_RANGE,
            threads=1,
        ).to_ndarray()
    if not plain:
        rgb = to_srgb8(rgb, transfer, primaries)
    return np.ascontiguousarray(np.rot90(rgb, quarter_turns(frame)))


_BICUBIC, _FULL_CHROMA, _ACCURATE = 4, 0x2000 | 0x4000, 0x40000
_FLAGS = _BICUBIC | _FULL_CHROMA | _ACCURATE
