"""The command `convert`: files of splats from one format to another."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import OmitArgPrefixes, Positional, arg

from .commands import Output, WantedVersion
from .console import Console


def _number(metavar: str, text: str) -> Any:
    return arg(metavar=metavar, help=text, help_behavior_hint="")


@dataclass(frozen=True)
class EditOptions:
    """What is left out and how the rest is placed, in this order; lengths are in the file's units."""

    edits: Annotated[
        Path | None,
        arg(
            metavar="FILE",
            help="First the edits in this JSON file, as the scene's page writes it.",
            help_behavior_hint="",
        ),
    ] = None
    crop_box: Annotated[
        tuple[float, float, float, float, float, float] | None,
        _number("X0 Y0 Z0 X1 Y1 Z1", "Keep splats whose centres lie in this box."),
    ] = None
    crop_sphere: Annotated[
        tuple[float, float, float, float] | None,
        _number("X Y Z R", "Keep splats whose centres lie in this sphere."),
    ] = None
    min_opacity: Annotated[float | None, _number("A", "Leave out splats fainter than this (0 to 1).")] = None
    max_size: Annotated[
        float | None, _number("S", "Leave out splats whose largest standard deviation is above this.")
    ] = None
    isolated: Annotated[
        float | None,
        _number("F", "Leave out splats whose eight nearest are F times as far away as is usual (try 10)."),
    ] = None
    decimate: Annotated[
        int | None,
        _number("N", "Keep the N most important: by opacity squared times the width of their largest face."),
    ] = None
    sh_degree: Annotated[
        Literal[0, 1, 2, 3] | None,
        arg(metavar="0|1|2|3", help="Keep view-dependent colour up to this degree.", help_behavior_hint=""),
    ] = None
    scale: Annotated[float | None, _number("S", "Make everything S times as large about the origin.")] = None
    rotate: Annotated[
        tuple[float, float, float] | None,
        _number("X Y Z", "Turn about the x, then the y, then the z axis, in degrees."),
    ] = None
    translate: Annotated[tuple[float, float, float] | None, _number("X Y Z", "Move by this.")] = None


@dataclass(frozen=True)
class Convert:
    """Convert a file of splats to another format, cropped, thinned out, turned or rid of floaters on the way.

    Reads PLY, compressed PLY, SPZ, SOG (also unzipped), .splat, .ksplat, glTF (KHR_gaussian_splatting) and OpenUSD.
    """

    source: Annotated[Positional[Path], arg(metavar="IN", help="The file to read, or a scene folder for its splats.")]
    target: Annotated[Positional[Path], arg(metavar="OUT", help="The file to write; its name says the format.")]
    format: Annotated[
        str | None,
        arg(
            metavar="ply|compressed.ply|spz|sog|splat|glb|usdz|usd",
            help="The format, where the name of OUT does not say it.",
            help_behavior_hint="",
        ),
    ] = None
    edit: OmitArgPrefixes[EditOptions] = dataclasses.field(default_factory=EditOptions)
    up: Annotated[
        Literal["auto", "z", "y", "y-down"],
        arg(
            help="What points up in the result before a format turns it (glTF and USD have +y up). auto: as IN says, "
            "else y-down, as in most files that are not Diorama's."
        ),
    ] = "auto"
    version: WantedVersion = None
    spz_version: Annotated[
        Literal[3, 4] | None,
        arg(metavar="3|4", help="SPZ file version (default 3, which opens in more programs).", help_behavior_hint=""),
    ] = None
    palette: Annotated[
        int | None,
        _number("N", "SOG: colours to choose view-dependent colour from (default: one for 36 splats)."),
    ] = None
    output: OmitArgPrefixes[Output] = dataclasses.field(default_factory=Output)

    def run(self, console: Console) -> dict[str, Any]:
        from .convert import convert

        return convert(self, console)
