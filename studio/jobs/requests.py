"""What may be asked of a job: options by kind, checked when it is submitted, and the command that does it.

A job is one of the commands of the command line, built from the same dataclasses: no second way of saying what a scan
is. Options that name files of this machine are not taken: requests come from a page.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from diorama.capture.errors import InputError
from diorama.capture.files import writing
from diorama.viewer.jobs import KINDS, JobKind

from .. import commands as c
from ..commands_depth import Depth, DepthOptions
from ..commands_export import Export, MeshExportOptions
from ..commands_mesh import Mesh, MeshOptions, mesh_config

MAX_TEXT = 200
MAX_PATH_CHARS = 1 << 20
NAME = "name"


@dataclass(frozen=True)
class Part:
    """Options of one dataclass, and where its object goes in the command: "" for fields of the command itself."""

    of: type
    into: str
    fields: tuple[str, ...]


def _all_but(of: type, *left_out: str) -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(of) if f.name not in left_out)


PARTS: dict[JobKind, tuple[Part, ...]] = {
    "scan": (
        Part(c.IngestOptions, "ingest", _all_but(c.IngestOptions)),
        Part(c.PoseOptions, "pose", _all_but(c.PoseOptions)),
        Part(c.TrainOptions, "train", _all_but(c.TrainOptions)),
        Part(c.Scan, "", ("depth",)),
    ),
    "depth": (Part(DepthOptions, "depth", _all_but(DepthOptions, "network_file", "models")),),
    "mesh": (Part(MeshOptions, "mesh", _all_but(MeshOptions)),),
    "export": (
        Part(Export, "", ("format", "what", "engine", "origin", "spz_version", "version")),
        Part(MeshExportOptions, "mesh", _all_but(MeshExportOptions)),
    ),
    "video": (Part(c.Render, "", ("path", "seconds", "fps", "size", "version")),),
}


def checked(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as they are kept: known, of the right type, and such as the stages take.

    Raises InputError with one sentence.
    """
    known = _known(kind)
    clean: dict[str, Any] = {}
    for name, value in options.items():
        if kind == "video" and name == NAME:
            clean[name] = _file_stem(value)
        elif kind == "video" and name == "path" and isinstance(value, Mapping):
            clean[name] = dict(value)
        elif name not in known:
            raise InputError(f"A {kind} has no option {str(name)[:40]!r}; it has {', '.join(known)}.")
        elif value is not None:
            clean[name] = _fitting(name, value, known[name])
    _check_meaning(known_kind(kind), clean)
    return clean


def known_kind(kind: str) -> JobKind:
    for name in KINDS:
        if name == kind:
            return name
    raise InputError(f"There are no jobs of the kind {str(kind)[:40]!r}, only {', '.join(KINDS)}.")


def title(kind: JobKind, options: Mapping[str, Any]) -> str:
    """A job in a few words."""
    if kind == "scan":
        return f"Scan ({options.get('preset', 'standard')})"
    if kind == "export":
        what = options.get("what")
        return (
            f"Export{f' {what}' if what else ''} for {options['engine'] if 'engine' in options else options['format']}"
        )
    return {"depth": "Depth maps", "mesh": "Mesh", "video": "Video"}[kind]


def command(kind: JobKind, options: Mapping[str, Any], scene: Path, footage: tuple[str, ...], folder: Path) -> Any:
    """The command of the command line that does the job on a scene folder; `folder` is the job's own."""
    parts = {part.into: _build(part, options) for part in PARTS[kind] if part.into}
    own = {n: options[n] for part in PARTS[kind] if not part.into for n in part.fields if n in options}
    if kind == "scan":
        return c.Scan(footage, scene, **parts, **own)
    if kind == "depth":
        return Depth(scene, **parts)
    if kind == "mesh":
        return Mesh(scene, **parts)
    if kind == "export":
        return Export(scene, **parts, **own)
    if isinstance(own.get("path"), Mapping):
        own["path"] = str(_path_file(own["path"], folder))
    clip = scene / "exports" / "videos" / f"{options.get(NAME, 'clip')}.mp4"
    clip.parent.mkdir(parents=True, exist_ok=True)
    return c.Render(scene, clip=clip, **own)


def _build(part: Part, options: Mapping[str, Any]) -> Any:
    return part.of(**{name: options[name] for name in part.fields if name in options})


def _known(kind: str) -> dict[str, Any]:
    """Types of the options by their names."""
    return {name: typing.get_type_hints(p.of)[name] for p in PARTS[known_kind(kind)] for name in p.fields}


def _check_meaning(kind: JobKind, options: Mapping[str, Any]) -> None:
    """Lets the stages' own configurations judge the values."""
    try:
        if kind == "scan":
            train = next(p for p in PARTS["scan"] if p.into == "train")
            c.train_config(_build(train, options))
            if (most := options.get("max_frames")) is not None and most < 2:
                raise InputError("max_frames must be at least 2: one picture has no depth.")
        elif kind == "mesh":
            mesh_config(_build(PARTS["mesh"][0], options))
        elif kind == "export" and ("format" in options) == ("engine" in options):
            raise InputError("Say what to export: either a format or an engine.")
        elif kind == "video":
            _check_film(options)
    except ValueError as error:
        raise InputError(f"{str(error)[:300].rstrip('.')}.") from error


def _check_film(options: Mapping[str, Any]) -> None:
    import tempfile

    from diorama.render.paths import MAX_FPS, MAX_FRAMES, MAX_SIDE_PX, MIN_FPS, MIN_SIDE_PX, read_path

    path, size, fps, seconds = (options.get(n) for n in ("path", "size", "fps", "seconds"))
    if isinstance(path, Mapping):
        with tempfile.TemporaryDirectory() as folder:
            read_path(_path_file(path, Path(folder)))
    elif path not in (None, "orbit", "capture"):
        raise InputError("path is orbit, capture or a camera path.")
    if size is not None and not MIN_SIDE_PX <= size <= MAX_SIDE_PX:
        raise InputError(f"size is {MIN_SIDE_PX} to {MAX_SIDE_PX} pixels.")
    if fps is not None and not MIN_FPS <= fps <= MAX_FPS:
        raise InputError(f"fps is {MIN_FPS} to {MAX_FPS} pictures a second.")
    if seconds is not None and not 0 < seconds * (fps or 30.0) <= MAX_FRAMES:
        raise InputError(f"seconds is above 0, and a film has at most {MAX_FRAMES:,} pictures.")


def _path_file(path: Mapping[str, Any], folder: Path) -> Path:
    import json

    try:
        text = json.dumps(path, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        raise InputError("path is no camera path: it holds something that is no number.") from None
    if len(text) > MAX_PATH_CHARS:
        raise InputError(f"path is a camera path of {len(text):,} characters; at most {MAX_PATH_CHARS:,} are taken.")
    file = folder / "path.json"
    with writing(file) as beside:
        beside.write_text(text, encoding="utf-8")
    return file


def _file_stem(value: Any) -> str:
    from .names import slug

    if not isinstance(value, str):
        raise InputError("name is not a text.")
    return slug(value, "clip")


def _fitting(name: str, value: Any, hint: Any) -> Any:
    found = _fit(value, hint)
    if found is _NOT:
        raise InputError(f"{name} is {str(value)[:60]!r}; it takes {_words(hint)}.")
    return found


_NOT = object()


def _fit(value: Any, hint: Any) -> Any:
    """The value as the type means it, or `_NOT`."""
    origin = get_origin(hint)
    if origin is Literal:
        return next((a for a in get_args(hint) if a == value and type(a) is type(value)), _NOT)
    if origin in (Union, types.UnionType):
        fits = [_fit(value, a) for a in get_args(hint) if a is not type(None)]
        return next((f for f in fits if f is not _NOT), _NOT)
    if origin is tuple:
        wanted = get_args(hint)
        if not isinstance(value, list | tuple) or len(value) != len(wanted):
            return _NOT
        items = tuple(_fit(v, a) for v, a in zip(value, wanted, strict=True))
        return _NOT if any(i is _NOT for i in items) else items
    if hint is bool:
        return value if isinstance(value, bool) else _NOT
    if hint is int:
        return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53 else _NOT
    if hint is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return float(value) if is_number and abs(value) < 1e300 and math.isfinite(value) else _NOT
    if hint is str:
        return value if isinstance(value, str) and len(value) <= MAX_TEXT and value.isprintable() else _NOT
    raise TypeError(f"options of type {hint} are not known here")


def _words(hint: Any) -> str:
    origin = get_origin(hint)
    if origin is Literal:
        return ", ".join(map(str, get_args(hint)))
    if origin in (Union, types.UnionType):
        return " or ".join(_words(a) for a in get_args(hint) if a is not type(None))
    if origin is tuple:
        return f"a list of {len(get_args(hint))}"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "a short text"}[hint]
