"""What every splat format shares: opening hostile files, refusing bad splats, 8-bit opacities, whole writes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, get_args

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.capture.events import OnEvent, Warned

from ..splats import Floats, Splats, Up

Bytes = npt.NDArray[np.uint8]

MAX_COORDINATE = 1e12
"""A centre further out than this is as useless as one at infinity: its square overflows in float32."""

LOG_SCALE_RANGE = (-60.0, 60.0)
"""exp() of these is still a normal float32. Flat splats (log-scale -inf) are raised to the lower end."""

OPACITY_MARGIN = 1e-6
"""How far an 8-bit opacity of 0 or 255 is read from 0 and 1, whose logits are infinite."""

OPAQUE_LOGIT = float(np.log((1 - OPACITY_MARGIN) / OPACITY_MARGIN))
SH_DEGREES = {0: 0, 3: 1, 8: 2, 15: 3, 24: 4}
"""SH degree by the number of view-dependent coefficients per channel."""

BLOCK = 1 << 16
"""Splats handled at once: temporaries stay small beside the scene."""

UP_IN_FILES: Up = "-y"
"""What points up in a splat file that does not say: most hold the frame of COLMAP's first camera."""

CHANGES = "export it again, or open it in the program that made it"


@dataclass(frozen=True)
class Format:
    """One file format of splats.

    name: what `--format` calls it. extension: with its dot, `also` further ones. description: one line for people.
    max_loss_db: PSNR against the photos that a file may cost before something is wrong; None where the format leaves
        view-dependent colour out, and it depends on how much there is.
    matches: whether a file's first bytes can only be this format.
    read: `(path, on_event) -> Splats`, or None. write: `(splats, path, on_event, **options)`, or None.
    """

    name: str
    extension: str
    description: str
    matches: Callable[[bytes], bool]
    read: Callable[[Path, OnEvent], Splats] | None
    write: Callable[..., None] | None
    also: tuple[str, ...] = ()
    max_loss_db: float | None = None

    @property
    def extensions(self) -> tuple[str, ...]:
        return (self.extension, *self.also)

    @property
    def reads(self) -> bool:
        return self.read is not None

    @property
    def writes(self) -> bool:
        return self.write is not None


def os_reason(error: OSError) -> str:
    """The system's words for an error, without its number and path."""
    return (error.strerror or str(error)).lower()


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """A regular, non-empty file opened for reading, and its size in bytes; anything else is an InputError."""
    if path.is_dir():
        raise InputError(f"{path} is a folder, not a splat file; name the file inside it.")
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is not a regular file; copy its contents to a file first.")
    try:
        file = path.open("rb")
    except ValueError as error:  # a zero byte in the path
        raise InputError(f"{str(path)!r} cannot be read: {error}.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {os_reason(error)}.") from error
    try:
        with file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise InputError(f"{path} is empty; {CHANGES}.")
            yield file, size
    except OSError as error:
        raise InputError(f"{path} cannot be read: {os_reason(error)}.") from error


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file opened beside `path` that takes its place when the block ends well and vanishes when it does not.

    Raises InputError when the disk is full or the place cannot be written; whatever was at `path` stays.
    """
    if path.is_dir() or not path.name:
        raise InputError(f"{path} is a folder; name the file to write.")
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            with beside.open("wb") as file:
                yield file
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(f"{path} was not written because the disk is full; free some space and repeat.") from error
        raise InputError(f"{path} cannot be written: {os_reason(error)}.") from error


def opacity_logits(alpha: Bytes) -> Floats:
    """Logits of 8-bit opacities; 0 and 255 become finite (`OPACITY_MARGIN`)."""
    a = np.clip(np.arange(256) / 255.0, OPACITY_MARGIN, 1 - OPACITY_MARGIN)
    table: Floats = np.log(a / (1 - a)).astype(np.float32)
    return table[alpha]


def opacity_bytes(logits: Floats) -> Bytes:
    """8-bit opacities, rounded to nearest."""
    opacity = 0.5 + 0.5 * np.tanh(0.5 * logits.astype(np.float64))
    result: Bytes = np.rint(255.0 * opacity).astype(np.uint8)
    return result


def to_byte(values: npt.NDArray[Any]) -> Bytes:
    """Rounded to nearest and clipped to 0..255."""
    result: Bytes = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return result


def empty_splats(count: int, rest: int, *, is_antialiased: bool = False, up: Up = UP_IN_FILES) -> Splats:
    """Splats whose arrays are to be filled; `rest` view-dependent coefficients per channel."""
    return Splats(
        np.empty((count, 3), np.float32),
        np.empty((count, 4), np.float32),
        np.empty((count, 3), np.float32),
        np.empty(count, np.float32),
        np.empty((count, 1 + rest, 3), np.float32),
        is_antialiased=is_antialiased,
        up=up,
    )


def up_named(word: object, otherwise: Up = UP_IN_FILES) -> Up:
    """The up axis that a file names, if it names one that there is."""
    return next((up for up in get_args(Up) if up == word), otherwise)


def require_splats(path: Path, count: int) -> None:
    if count == 0:
        raise InputError(f"{path} holds no splats; {CHANGES}.")


def cleaned(splats: Splats, path: Path, on_event: OnEvent, stage: str = "import") -> Splats:
    """Splats that can be rendered: what a file may hold and a renderer may not is repaired or dropped.

    Dropped, with a warning that counts them: NaN anywhere, centres or sizes at infinity. Repaired silently: infinite
    opacity logits become `OPAQUE_LOGIT`, log-scales of -inf the lower end of `LOG_SCALE_RANGE`, quaternions of length
    zero the identity. Works in place on the arrays given.

    Raises InputError when nothing is left.
    """
    count = len(splats)
    require_splats(path, count)
    keep = np.empty(count, np.bool_)
    low, high = LOG_SCALE_RANGE
    for start in range(0, count, BLOCK):
        part = slice(start, start + BLOCK)
        quats, scales, logits = splats.quats[part], splats.log_scales[part], splats.logit_opacities[part]
        with np.errstate(invalid="ignore"):  # comparing with NaN is what this is about
            ok = (np.abs(splats.means[part]) <= MAX_COORDINATE).all(1)  # False for NaN
            ok &= (scales <= high).all(1) & ~np.isnan(logits) & np.isfinite(quats).all(1)
            ok &= np.isfinite(splats.sh[part]).all((1, 2))
            keep[part] = ok
            np.maximum(scales, low, out=scales)
            logits[np.isposinf(logits)] = OPAQUE_LOGIT
            logits[np.isneginf(logits)] = -OPAQUE_LOGIT
            quats[(quats == 0).all(1)] = (1.0, 0.0, 0.0, 0.0)
    kept = int(np.count_nonzero(keep))
    if kept == count:
        return splats
    if kept == 0:
        raise InputError(f"{path}: no splat is usable, as every one has a position, size or colour that is no number.")
    on_event(Warned(stage, f"{path.name}: {count - kept} of {count} splats hold no finite numbers and were left out."))
    return splats.select(keep)
