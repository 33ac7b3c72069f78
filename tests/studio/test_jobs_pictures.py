"""Pictures that a job shows of its work: how many, how dear, and what is in them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from diorama.capture.events import Mapped, MapSnapshot, Pictured
from diorama.studio.jobs import pictures
from diorama.studio.jobs.diary import DiaryWriter, read_lines
from diorama.studio.jobs.layout import JobFolder
from diorama.studio.jobs.listener import JobListener
from diorama.studio.jobs.pictures import Budget, PictureWriter, snapshot_json


def grey(size_px: int) -> np.ndarray:
    return np.full((size_px // 2, size_px, 3), 90, np.uint8)


def test_pictures_take_a_hundredth_of_the_time_at_most() -> None:
    """An hour in which somebody offers a picture every tenth of a second that takes half a second to make."""
    budget, now, made = Budget(free_s=1.0, every_s=2.0), 0.0, 0
    while now < 3600.0:
        if budget.allows(now):
            budget.spend(now, now + 0.5)
            made += 1
            now += 0.5
        now += 0.1
    # The free second and the one that it may overdraw by.
    assert made >= 60 and 0.5 * made <= 1.0 + 0.01 * 3601 + 0.5


def test_frames_are_written_with_their_reasons_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_REFUSED_ALIKE", 3)
    writer = PictureWriter(tmp_path)
    made = [
        writer.frame(Pictured("ingest", "refused", f"f{i}.jpg", grey, f"blurred: sharpness 0.{i}")) for i in range(9)
    ]
    assert [m is not None for m in made] == [True] * 3 + [False] * 6
    other = writer.frame(Pictured("ingest", "refused", "g.jpg", grey, "black"))
    assert other is not None and (other.title, other.reason) == ("g.jpg", "black")
    chosen = writer.frame(Pictured("ingest", "chosen", "h.jpg", grey))
    assert chosen is not None
    with PIL.Image.open(tmp_path / chosen.name) as image:
        assert image.size == (256, 128)


def test_a_picture_that_fails_stops_nothing(tmp_path: Path) -> None:
    def broken(size_px: int) -> np.ndarray:
        raise ValueError("gone")

    folder = JobFolder(tmp_path)
    listener = JobListener(folder, DiaryWriter(folder.events))
    listener(Pictured("train", "training", "a.jpg", broken, step=100))
    listener(Mapped("pose", 2, 3, lambda: None))
    folder.pictures.write_text("no folder")
    listener(Pictured("ingest", "chosen", "a.jpg", grey))
    assert read_lines(folder.events, 0) == ([], 0)


def test_cameras_are_shown_upright(tmp_path: Path) -> None:
    """Cameras whose up is -y, as COLMAP often has it, on a circle in the plane y = 0: in the picture z is 0."""
    angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    ring = np.stack([np.cos(angles), np.zeros(8), np.sin(angles)], 1)
    points = np.concatenate([np.zeros((20, 3)), [[0.0, -0.5, 0.0]], [[np.nan, 0, 0]]])
    snapshot = MapSnapshot(
        tuple(f"{i}.jpg" for i in range(8)), 5 * ring, -ring, np.tile([0.0, -1.0, 0.0], (8, 1)), 5 * points,
        np.full((22, 3), 7, np.uint8),
    )  # fmt: skip
    value = json.loads(snapshot_json(snapshot, 9))
    assert (value["registered"], value["total"], len(value["points"]), len(value["colors"])) == (8, 9, 20, 20)
    places = np.array([c["position"] for c in value["cameras"]])
    np.testing.assert_allclose(places[:, 2], 0.0, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), np.linalg.norm(places[0]), atol=1e-3)
    forwards = np.array([c["forward"] for c in value["cameras"]])
    np.testing.assert_allclose(forwards, -places / np.linalg.norm(places[0]), atol=1e-3)  # inwards
    made = PictureWriter(tmp_path).cameras(Mapped("pose", 8, 9, lambda: snapshot))
    assert made is not None and made.step == 8
    assert json.loads((tmp_path / made.name).read_text()) == value


def test_a_picture_is_a_jpeg() -> None:
    with PIL.Image.open(io.BytesIO(pictures.jpeg(grey(64)))) as image:
        assert (image.format, image.size) == ("JPEG", (64, 32))
