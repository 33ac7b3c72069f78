"""`diorama convert`: a file of splats into another format, edited on the way."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from diorama.capture.errors import InputError
from diorama.capture.events import Finished, OnEvent, Started

from .console import Console

if TYPE_CHECKING:
    from diorama.render.splats import Splats, Up

    from .commands_convert import Convert, EditOptions

STAGE = "convert"
UPS: dict[str, Up] = {"z": "+z", "y": "+y", "y-down": "-y"}


def convert(command: Convert, console: Console) -> dict[str, Any]:
    """Reads, edits and writes; returns what was done to how many splats."""
    from diorama.render.formats import FORMATS, format_of, read_splats, write_splats

    options = {
        name: value
        for name, value in (("version", command.spz_version), ("palette", command.palette))
        if value is not None
    }
    source, target = _source(command), command.target
    found = format_of(target) if command.format is None else FORMATS.get(command.format)
    if found is None or not found.writes:
        known = ", ".join(name for name, f in FORMATS.items() if f.writes)
        raise InputError(f"{target}: its name says no format that Diorama writes; add --format, one of {known}.")
    for option, owner in (("version", "spz"), ("palette", "sog")):
        if option in options and found.name != owner:
            raise InputError(f"--{'spz-version' if owner == 'spz' else 'palette'} is for {owner}, not {found.name}.")
    check(command.edit)
    started = time.monotonic()
    with console.progress() as tell:
        tell(Started(STAGE))
        splats = read_splats(source, on_event=tell)
        count, before = len(splats), splats.up
        splats, removed = edit(splats, command.edit, source, tell)
        splats = dataclasses.replace(splats, up=before if command.up == "auto" else UPS[command.up])
        write_splats(splats, target, found.name, on_event=tell, **options)
        tell(Finished(STAGE, time.monotonic() - started))
    written = target.stat().st_size
    result = {
        "path": str(target),
        "format": found.name,
        "bytes": written,
        "splats_read": count,
        "splats": len(splats),
        "removed": removed,
        "sh_degree": splats.sh_degree,
        "up": splats.up,
        "seconds": round(time.monotonic() - started, 3),
    }
    gone = "".join(f", {number:,} {what}" for what, number in removed.items() if number)
    console.say(f"{target}: {len(splats):,} splats, {written / 1e6:.1f} MB{gone and f' (left out: {gone[2:]})'}")
    return result


def _source(command: Convert) -> Path:
    """The file to read: of a scene folder the wanted version's splats."""
    from .scene import Scene
    from .versions import find_version, splats_path

    if (command.source / "scene.json").is_file():
        scene = Scene.open(command.source)
        return splats_path(scene, find_version(scene, command.version))
    if command.version is not None:
        raise InputError(f"{command.source} is no scene folder, and only these have versions; leave out --version.")
    return command.source


def check(options: EditOptions) -> None:
    """Refuses numbers that make no sense before anything is read."""
    for name in ("crop_box", "crop_sphere", "rotate", "translate"):
        values = getattr(options, name)
        if values is not None and not all(math.isfinite(v) for v in values):
            raise InputError(f"--{name.replace('_', '-')} holds what is no number.")
    box, sphere = options.crop_box, options.crop_sphere
    if box is not None and not all(low < high for low, high in zip(box[:3], box[3:], strict=True)):
        raise InputError("--crop-box wants the lower corner x y z and then the upper one, each larger than the lower.")
    if sphere is not None and not sphere[3] > 0:
        raise InputError("--crop-sphere wants a centre x y z and a radius above 0.")
    for name, low, high in (
        ("scale", 0, math.inf),
        ("decimate", 0, math.inf),
        ("max_size", 0, math.inf),
        ("isolated", 0, math.inf),
    ):
        value = getattr(options, name)
        if value is not None and not low < value < high:
            raise InputError(f"--{name.replace('_', '-')} wants a number above {low}, not {value}.")
    if options.min_opacity is not None and not 0 <= options.min_opacity <= 1:
        raise InputError(f"--min-opacity is from 0 to 1, not {options.min_opacity}.")


def edit(splats: Splats, options: EditOptions, source: Path, tell: OnEvent) -> tuple[Splats, dict[str, int]]:
    """Crops, filters and thins out in the file's coordinates, then scales, turns and moves what is left."""
    from diorama.render import edit as e
    from diorama.render.operations import apply_operations, read_operations
    from diorama.render.transform import transform_splats

    removed: dict[str, int] = {}
    if options.edits is not None:
        edited = apply_operations(splats, read_operations(options.edits))
        splats, removed["edited out"] = edited.splats, sum(edited.removed)
    box, sphere = options.crop_box, options.crop_sphere
    steps: list[tuple[str, object, Callable[[Splats], Splats]]] = [
        ("outside the box", box, lambda s: e.crop_box(s, box[:3], box[3:]) if box else s),
        ("outside the sphere", sphere, lambda s: e.crop_sphere(s, sphere[:3], sphere[3]) if sphere else s),
        ("faint", options.min_opacity, lambda s: e.without_faint(s, options.min_opacity or 0)),
        ("too large", options.max_size, lambda s: e.without_large(s, options.max_size or 1)),
        ("isolated", options.isolated, lambda s: e.without_isolated(s, options.isolated or 1)),
        ("of least importance", options.decimate, lambda s: e.decimate(s, options.decimate or 1)),
    ]
    for words, wanted, step in steps:
        if wanted is None:
            continue
        left = step(splats)
        removed[words] = len(splats) - len(left)
        splats = left
        if not len(splats):
            raise InputError(f"{source}: nothing is left to write, as every splat is {words}; loosen that option.")
    if options.sh_degree is not None:
        splats = e.with_sh_degree(splats, options.sh_degree)
    place = placement(options)
    return (splats if place is None else transform_splats(splats, place)), removed


def placement(options: EditOptions) -> Any:
    """target_from_source: scaled, then turned about x, y and z in this order, then moved; None where nothing is."""
    from diorama.capture.transforms import Sim3

    if options.scale is None and options.rotate is None and options.translate is None:
        return None
    rotation = np.eye(3)
    for axis, degrees in enumerate(options.rotate or ()):
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        i, j = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = cosine
        turn[i, j], turn[j, i] = -sine, sine
        rotation = turn @ rotation
    return Sim3(options.scale or 1.0, rotation, np.array(options.translate or (0.0, 0.0, 0.0)))
