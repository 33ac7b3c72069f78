"""`views.json`: what the page saves, read back; anything else is refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diorama.capture.errors import InputError
from diorama.capture.transforms import Sim3
from diorama.viewer.saved_views import SavedViews, read_saved_views, write_saved_views
from diorama.viewer.scene_data import Annotation, SavedView

GOOD: dict[str, Any] = {
    "schema": 1,
    "viewpoints": [{"name": "Door", "position": [1, 2, 3], "target": [0, 0, 1], "up": [0, 0, 1]}],
    "annotations": [{"title": "Crack", "text": "", "point": [0.5, 0, 0]}],
}


def test_what_the_page_saves_is_read(tmp_path: Path) -> None:
    path = tmp_path / "views.json"
    assert read_saved_views(path) == SavedViews()
    path.write_text(json.dumps(GOOD))
    kept = read_saved_views(path)
    assert kept.viewpoints == (SavedView("Door", (1, 2, 3), (0, 0, 1)),)
    assert kept.annotations == (Annotation("Crack", "", (0.5, 0, 0)),)
    write_saved_views(path, kept)
    assert read_saved_views(path) == kept


def test_they_move_with_the_world() -> None:
    """Twice as large, a quarter turn about z, 10 up: (1, 2, 3) goes to (-4, 2, 16)."""
    place = Sim3(2.0, np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), np.array([0.0, 0.0, 10.0]))
    there = SavedViews((SavedView("a", (1, 2, 3), (0, 0, 0), (1, 0, 0)),), (Annotation("b", "c", (1, 2, 3)),)).moved(
        place
    )
    assert there == SavedViews(
        (SavedView("a", (-4, 2, 16), (0, 0, 10), (0, 1, 0)),), (Annotation("b", "c", (-4, 2, 16)),)
    )


@pytest.mark.parametrize(
    "broken",
    [
        "{",
        "[]",
        '{"viewpoints": 3}',
        '{"viewpoints": [{"name": "a"}]}',
        '{"viewpoints": [{"name": "a", "position": [1, 2], "target": [0, 0, 0]}]}',
        '{"annotations": [{"title": 1, "text": "", "point": [0, 0, 0]}]}',
        '{"annotations": [{"title": "a", "text": "", "point": [1e999, 0, 0]}]}',
        json.dumps({"annotations": GOOD["annotations"] * 1001}),
        json.dumps({"annotations": [{**GOOD["annotations"][0], "text": "x" * 4001}]}),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "views.json"
    path.write_text(broken)
    with pytest.raises(InputError, match=r"views\.json"):
        read_saved_views(path)
