"""`views.json`: views and notes that somebody made in the page, kept with the scene for everybody's page."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diorama.capture.errors import InputError
from diorama.capture.files import read_json, write_json
from diorama.capture.transforms import Sim3

from .scene_data import Annotation, SavedView, Vec3

SCHEMA = 1

FILE = "views.json"
MAX_BYTES = 4 << 20
MOST = 1000
MAX_TEXT = 4000


@dataclass(frozen=True)
class SavedViews:
    """The views and notes of one scene, in one world."""

    viewpoints: tuple[SavedView, ...] = ()
    annotations: tuple[Annotation, ...] = ()

    def moved(self, place: Sim3) -> SavedViews:
        """The same in the world that `place` leads to."""

        def point(at: Vec3) -> Vec3:
            x, y, z = (float(v) for v in place.apply(np.array([at]))[0])
            return x, y, z

        def view(v: SavedView) -> SavedView:
            x, y, z = (float(c) for c in place.rotation @ np.array(v.up))
            return SavedView(v.name, point(v.position), point(v.target), (x, y, z))

        return SavedViews(
            tuple(view(v) for v in self.viewpoints),
            tuple(Annotation(n.title, n.text, point(n.point)) for n in self.annotations),
        )


def write_saved_views(path: Path, kept: SavedViews) -> None:
    """Replaces the file whole."""
    write_json(path, {"schema": SCHEMA, **asdict(kept)})


def read_saved_views(path: Path) -> SavedViews:
    """Views and notes of a file, none when there is no such file.

    Raises InputError when it is not what the page saves.
    """
    if not path.is_file():
        return SavedViews()
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path} is no file of views and notes (it is larger than 4 MB): save it again from the page.")
    try:
        told = read_json(path)
        views = tuple(_view(entry) for entry in _list(told, "viewpoints"))
        notes = tuple(_note(entry) for entry in _list(told, "annotations"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is no file of views and notes ({error}): save it again from the page's sheet Views, or delete it."
        ) from error
    return SavedViews(views, notes)


def _list(told: Any, name: str) -> list[dict[str, Any]]:
    entries = told.get(name, [])
    if not isinstance(entries, list) or len(entries) > MOST:
        raise ValueError(f"{name} is not a list of at most {MOST}")
    return entries


def _view(entry: dict[str, Any]) -> SavedView:
    up = _point(entry["up"]) if "up" in entry else (0.0, 0.0, 1.0)
    return SavedView(_text(entry["name"]), _point(entry["position"]), _point(entry["target"]), up)


def _note(entry: dict[str, Any]) -> Annotation:
    return Annotation(_text(entry["title"]), _text(entry["text"]), _point(entry["point"]))


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError(f"a text is missing or longer than {MAX_TEXT}")
    return value


def _point(value: Any) -> Vec3:
    import math

    x, y, z = (float(v) for v in value)
    if not all(math.isfinite(v) for v in (x, y, z)):
        raise ValueError("a point is not finite")
    return x, y, z
