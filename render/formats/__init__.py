"""Files that hold splats: one module per format, all listed in `FORMATS`.

Every file is taken to be hostile, and every file is written whole or not at all. Coordinates: the numbers in a PLY or a
.splat are our world's, unchanged (+z up when Diorama wrote them); other formats agree with the PLY of the same scene.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from diorama.capture.errors import InputError
from diorama.capture.events import OnEvent, ignore

from ..splats import Splats
from . import compressed, dotsplat, gltf_splats, ksplat, ply, sog, spz, usd_splats
from .common import Format, cleaned, opened

__all__ = ["FORMATS", "Format", "format_of", "read_splats", "write_splats"]

FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        ply.FORMAT,
        compressed.FORMAT,
        spz.FORMAT,
        sog.FORMAT,
        dotsplat.FORMAT,
        ksplat.FORMAT,
        gltf_splats.FORMAT,
        usd_splats.PACKAGE,
        usd_splats.FORMAT,
    )
}
"""By the name that `--format` takes."""

HEAD = 256
"""Bytes by which a file is recognised."""


def _list(formats: list[Format]) -> str:
    return ", ".join(f.extension for f in formats)


def format_of(path: str | Path) -> Format | None:
    """The format that a file's name promises; the longest extension wins."""
    name = Path(path).name.lower()
    found = [(len(e), f) for f in FORMATS.values() for e in f.extensions if name.endswith(e)]
    return max(found, key=lambda pair: pair[0], default=(0, None))[1]


def read_splats(path: str | Path, *, on_event: OnEvent = ignore) -> Splats:
    """The splats in a file, recognised by what it begins with, else by its name.

    Splats that hold no finite numbers are left out, with a `Warned` that counts them.

    Raises InputError when the file is missing, damaged, hostile, of an unknown format or without usable splats.
    """
    path = Path(path)
    if (path / "meta.json").is_file():
        path = path / "meta.json"
    with opened(path) as (file, _):
        head = file.read(HEAD)
    found = next((f for f in FORMATS.values() if f.matches(head)), None) or format_of(path)
    if found is None or found.read is None:
        known = _list([f for f in FORMATS.values() if f.reads])
        raise InputError(f"{path} is not a splat file that Diorama reads; give one of {known}.")
    return found.read(path, on_event)


def write_splats(
    splats: Splats, path: str | Path, format: str | None = None, *, on_event: OnEvent = ignore, **options: Any
) -> None:
    """Writes splats in the named format, else in the one that the file's name promises.

    Splats that hold no finite numbers are left out, as on reading. Options are the format's own: `version`, `sh1_bits`
    and `sh_rest_bits` of SPZ, `palette` of SOG.

    Raises InputError when the format is unknown, there is nothing to write, or the disk is full; a file that was there
    before is then still whole.
    """
    path = Path(path)
    found = format_of(path) if format is None else FORMATS.get(format)
    if found is None or found.write is None:
        known = ", ".join(f.name for f in FORMATS.values() if f.writes)
        raise InputError(
            f"{path}: {format or 'its extension'} is no format that Diorama writes; choose one of {known}."
        )
    if len(splats) == 0:
        raise InputError(f"{path} was not written because there are no splats to write; train some first.")
    # cleaned() repairs in place, and these are the caller's arrays
    repairable = {name: getattr(splats, name).copy() for name in ("quats", "log_scales", "logit_opacities")}
    usable = cleaned(dataclasses.replace(splats, **repairable), path, on_event, "export")
    found.write(usable, path, on_event, **options)
