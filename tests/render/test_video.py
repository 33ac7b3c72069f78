"""Films: decoded again they are what was written."""

from __future__ import annotations

import math
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from diorama.capture.camera import Camera
from diorama.capture.errors import InputError
from diorama.capture.events import Event, Finished, Progressed, Started
from diorama.render.metrics import psnr
from diorama.render.paths import CameraPath, look_at
from diorama.render.splats import SH_C0, Splats
from diorama.render.video import check_video_path, render_path, write_video

COLOURS = [(200, 40, 40), (40, 180, 60), (30, 60, 200), (230, 220, 40), (128, 128, 128), (250, 250, 250), (8, 8, 8)]


def bars(height: int = 48, width: int = 70) -> np.ndarray:
    """Upright bars of 10 px in known colours."""
    row = np.repeat(np.array(COLOURS, np.uint8), width // len(COLOURS), 0)
    return np.tile(row, (height, 1, 1))


def test_a_film_decodes_to_its_frames(tmp_path: Path) -> None:
    frames = [np.roll(bars(), 2 * i, axis=1) for i in range(12)]
    path = write_video(iter(frames), tmp_path / "clip.mp4", 25)
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.codec.name, stream.pix_fmt) == (70, 48, "h264", "yuv420p")
        assert stream.average_rate == 25
        context = stream.codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
        decoded = list(container.decode(video=0))
    assert len(decoded) == 12
    assert [round(float(f.time) * 25) for f in decoded] == list(range(12))
    for frame, expected in zip(decoded, frames, strict=True):
        rgb = frame.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray()
        # Colour is halved in resolution at the bars' edges; inside a bar only quantisation is left.
        assert psnr(rgb, expected) > 24
    inside = decoded[0].reformat(format="rgb24", src_colorspace="ITU709").to_ndarray()[24, 5::10]
    assert np.abs(inside.astype(int) - np.array(COLOURS)).max() <= 6


def test_the_index_comes_first(tmp_path: Path) -> None:
    data = write_video([bars()] * 3, tmp_path / "clip.mp4", 30).read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_odd_sides_grow_by_one(tmp_path: Path) -> None:
    path = write_video([bars(47, 70)[:, :69]] * 2, tmp_path / "clip.MP4", 29.97)
    with av.open(str(path)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (70, 48)
        assert float(container.streams.video[0].average_rate) == pytest.approx(29.97, abs=0.01)


def test_a_folder_of_pictures_is_exact(tmp_path: Path) -> None:
    frames = [bars(), bars()[:, ::-1]]
    folder = write_video(frames, tmp_path / "clip", 30)
    assert sorted(p.name for p in folder.iterdir()) == ["frame_00001.png", "frame_00002.png"]
    assert np.array_equal(np.asarray(Image.open(folder / "frame_00002.png")), frames[1])
    with pytest.raises(InputError, match="other things"):
        write_video(frames, folder, 30)
    (tmp_path / "empty").mkdir()
    assert len(list(write_video(frames, tmp_path / "empty", 30).iterdir())) == 2


def test_what_cannot_be_written_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"clip\.gif cannot be written: films are \.mp4"):
        write_video([bars()], tmp_path / "clip.gif", 30)
    with pytest.raises(InputError, match="does not exist"):
        check_video_path(tmp_path / "nowhere" / "clip.mp4")
    (tmp_path / "dir.mp4").mkdir()
    with pytest.raises(InputError, match="folder"):
        check_video_path(tmp_path / "dir.mp4")
    for frames in ([], [bars().astype(float)], [bars(), bars(50)]):
        with pytest.raises(ValueError, match="frame"):
            write_video(frames, tmp_path / "clip.mp4", 30)
    assert [p.name for p in tmp_path.iterdir()] == ["dir.mp4"]


def test_an_interrupted_film_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"the film before")

    def frames():  # type: ignore[no-untyped-def]
        yield bars()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(frames(), tmp_path / "clip.mp4", 30)
    assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]
    assert (tmp_path / "clip.mp4").read_bytes() == b"the film before"


def test_a_flight_through_splats(tmp_path: Path) -> None:
    """One opaque red ball at the origin stays in the middle of each frame of an orbit."""
    red = np.array([[[(0.9 - 0.5) / SH_C0, (0.1 - 0.5) / SH_C0, (0.1 - 0.5) / SH_C0]]], np.float32)
    splats = Splats(
        np.zeros((1, 3), np.float32),
        np.array([[1, 0, 0, 0]], np.float32),
        np.full((1, 3), math.log(0.3), np.float32),
        np.array([8.0], np.float32),
        red,
    )
    poses = tuple(look_at([3 * math.cos(a), 3 * math.sin(a), 1], [0, 0, 0]) for a in (0.0, 1.0, 2.0))
    path = CameraPath(np.arange(3) / 10, poses, Camera.pinhole(64, 48, 60.0, 60.0, 32.0, 24.0), 10)
    heard: list[Event] = []
    folder = render_path(splats, path, tmp_path / "clip", background=(0.0, 0.0, 1.0), on_event=heard.append)
    for file in sorted(folder.iterdir()):
        picture = np.asarray(Image.open(file)).astype(int)
        assert np.abs(picture[24, 32] - [229, 26, 26]).max() <= 6
        assert np.abs(picture[0, 0] - [0, 0, 255]).max() <= 1
    assert isinstance(heard[0], Started) and heard[0].total == 3 and isinstance(heard[-1], Finished)
    assert sum(isinstance(e, Progressed) for e in heard) == 3
