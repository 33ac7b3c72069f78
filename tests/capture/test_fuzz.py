"""Readers of files from elsewhere: whatever the bytes, an InputError or a result, soon, and in bounded memory."""

from __future__ import annotations

import contextlib
import json
import struct
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diorama.capture import Camera, InputError, Pose, load_capture
from diorama.capture.colmap import ColmapImage, ColmapModel, read_model, write_model
from diorama.capture.nerfstudio import read_transforms
from diorama.capture.points_ply import read_points

quick = settings(max_examples=120, deadline=5000, suppress_health_check=list(HealthCheck), derandomize=True)

MEMORY_FACTOR = 60
"""Peak memory of a reader over the size of its files; text and JSON cost most: an empty list takes 56 bytes."""

SLACK_BYTES = 2_000_000


def within_bounds(read: Callable[[], Any], size: int) -> Any:
    """The result, or None after an InputError of one line; other exceptions and large allocations fail."""
    tracemalloc.start()
    try:
        return read()
    except InputError as problem:
        assert "\n" not in str(problem)
        return None
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MEMORY_FACTOR * size + SLACK_BYTES, f"{peak:,} bytes for {size:,}"


def model_files() -> dict[str, bytes]:
    image = ColmapImage(1, "a.jpg", 1, Pose.identity(), np.ones((3, 2)), np.array([5, -1, 6]))
    camera = Camera("PINHOLE", 64, 48, (50.0, 50.0, 32.0, 24.0))
    model = ColmapModel(
        {1: camera}, (image,), np.array([5, 6]), np.ones((2, 3)), np.zeros((2, 3), np.uint8), np.ones(2)
    )
    with tempfile.TemporaryDirectory() as folder:
        write_model(model, Path(folder))
        return {p.name: p.read_bytes() for p in sorted(Path(folder).iterdir())}


FILES = model_files()
edits = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.one_of(st.binary(max_size=9), st.sampled_from([b"\xff" * 8, bytes(8), b"\0\0\0\0\0\0\1\0"])),
    ),
    max_size=6,
)


def edited(data: bytes, changes: list[tuple[int, bytes]], cut: int) -> bytes:
    result = bytearray(data)
    for place, new in changes:
        at = place % (len(result) + 1)
        result[at : at + len(new)] = new
    return bytes(result[: max(0, len(result) - cut)])


@quick
@given(st.sampled_from(sorted(FILES)), edits, st.integers(0, 20))
def test_colmap_binaries(name: str, changes: list[tuple[int, bytes]], cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for other, data in FILES.items():
            (Path(folder) / other).write_bytes(edited(data, changes, cut) if other == name else data)
        model = within_bounds(lambda: read_model(Path(folder)), 600)
        if model is not None:
            assert all(np.isfinite(i.cam_from_world.matrix()).all() for i in model.images)
            assert np.isfinite(model.xyz).all()
            model.visible()


@quick
@given(
    st.text(alphabet="0123456789.- e+\nPINHOLEa#nx", max_size=300), st.sampled_from(["cameras", "images", "points3D"])
)
def test_colmap_texts(text: str, name: str) -> None:
    good = {
        "cameras": "1 PINHOLE 64 48 50 51 32 24\n",
        "images": "1 1 0 0 0 0 0 5 1 a.jpg\n1 2 9\n",
        "points3D": "9 0 0 0 0 0 0 1\n",
    }
    with tempfile.TemporaryDirectory() as folder:
        for other, content in good.items():
            (Path(folder) / f"{other}.txt").write_text(content + text if other == name else content)
        within_bounds(lambda: read_model(Path(folder)), 400)


@pytest.mark.parametrize(("records", "filler"), [("images", b"\1"), ("points", b"\1"), ("keypoints", b"\1")])
def test_large_models_stay_within_their_factor(tmp_path: Path, records: str, filler: bytes) -> None:
    """The densest files there are: hundreds of kilobytes of the smallest records."""
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    if records == "images":
        count = 4_000
        body = b"".join(
            struct.pack("<I7dI", i, 1, 0, 0, 0, 0, 0, 0, 1) + b"%x\0" % i + struct.pack("<Q", 0) for i in range(count)
        )
        (tmp_path / "images.bin").write_bytes(struct.pack("<Q", count) + body)
    elif records == "points":
        count = 20_000
        body = b"".join(struct.pack("<Q3d3BdQ", i, 0, 0, 0, 0, 0, 0, 0, 0) for i in range(count))
        (tmp_path / "points3D.bin").write_bytes(struct.pack("<Q", count) + body)
    else:
        head = struct.pack("<QI7dI", 1, 1, 1, 0, 0, 0, 0, 0, 0, 1) + b"a\0" + struct.pack("<Q", 40_000)
        (tmp_path / "images.bin").write_bytes(head + filler * 40_000 * 24)
    size = sum(p.stat().st_size for p in tmp_path.iterdir())
    assert within_bounds(lambda: read_model(tmp_path), size) is not None


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["OPENCV", "a.png", "../a.png", "./a", 1e308, -1.0, 0]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
matrices = st.lists(st.lists(st.floats() | st.integers(-2, 2), min_size=4, max_size=4), min_size=3, max_size=4)
FRAME_FIELDS = ["file_path", "transform_matrix", "fl_x", "camera_angle_x", "w", "k1", "mask_path", "camera_model"]
TOP_FIELDS = [*FRAME_FIELDS, "frames", "applied_transform", "applied_scale", "ply_file_path"]
EYE = np.eye(4).tolist()


@quick
@given(
    st.dictionaries(st.sampled_from(TOP_FIELDS), json_values | matrices, max_size=4),
    st.lists(st.dictionaries(st.sampled_from(FRAME_FIELDS), json_values | matrices, max_size=4), max_size=3),
)
def test_transforms_json(top: dict[str, Any], frames: list[dict[str, Any]]) -> None:
    base = {"fl_x": 50, "frames": [{"file_path": "a.png", "transform_matrix": EYE} | f for f in frames]}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.png").write_bytes(b"x")
        path = Path(folder) / "transforms.json"
        path.write_text(json.dumps(base | top))
        read = within_bounds(lambda: read_transforms(path), path.stat().st_size)
        for frame in read.frames if read else ():
            assert np.isfinite(frame.cam_from_world.matrix()).all()
            assert frame.path.parent == Path(folder).resolve()
            with contextlib.suppress(ValueError, OverflowError):
                frame.intrinsics.camera(64, 48)


@quick
@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:0e1-truefalsn ', max_size=200).map(str.encode))
def test_json_bytes(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("transforms.json", "capture.json"):
            (Path(folder) / name).write_bytes(data)
        within_bounds(lambda: read_transforms(Path(folder) / "transforms.json"), len(data))
        within_bounds(lambda: load_capture(Path(folder)), len(data))


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"a":' * 200_000, "[" + "[]," * 200_000 + "[]]", '{"a": ' + "9" * 10**6 + "}"]
)
def test_json_that_is_dense_or_deep(tmp_path: Path, text: str) -> None:
    (tmp_path / "transforms.json").write_text(text)
    assert within_bounds(lambda: read_transforms(tmp_path / "transforms.json"), len(text)) is None


CAPTURE = {
    "schema": 1,
    "source": "photos",
    "given": 2,
    "cameras": [
        {"id": 1, "model": "PINHOLE", "width_px": 64, "height_px": 48, "params": [50, 50, 32, 24], "has_prior": True}
    ],
    "frames": [
        {
            "name": "a.jpg",
            "camera_id": 1,
            "mask": None,
            "time_s": None,
            "source": "a",
            "exif": {"make": "m", "gps": {"latitude_deg": 1.0, "longitude_deg": 2.0}},
            "quality": {"sharpness": 1.0, "relative_sharpness": 1.0, "clipped_dark": 0.0, "clipped_bright": 0.0},
        }
    ],
    "rejected": [{"name": "b.jpg", "reason": "blurred"}],
    "warnings": ["careful"],
}


def paths_into(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(p for key, v in inner for p in paths_into(v, (*at, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def test_the_capture_that_is_fuzzed_is_good(tmp_path: Path) -> None:
    (tmp_path / "capture.json").write_text(json.dumps(CAPTURE))
    assert load_capture(tmp_path).frames[0].exif.make == "m"


@quick
@given(st.sampled_from(paths_into(CAPTURE)), json_values)
def test_capture_json(path: tuple[Any, ...], new: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "capture.json").write_text(json.dumps(replaced(CAPTURE, path, new)))
        capture = within_bounds(lambda: load_capture(Path(folder)), 1000)
        for frame in capture.frames if capture else ():
            assert Path(folder).resolve() in capture.image_path(frame).resolve().parents


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/passwd", "a/../../b", "", "a\\..\\b", "C:/a", "a\nb", "."])
def test_frames_may_not_lie_outside_their_capture(tmp_path: Path, name: str) -> None:
    for field in ("name", "mask"):
        value = replaced(CAPTURE, ("frames", 0, field), name)
        (tmp_path / "capture.json").write_text(json.dumps(value))
        with pytest.raises(InputError, match="no path inside"):
            load_capture(tmp_path)


def test_a_capture_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "capture.json").write_text(json.dumps(CAPTURE | {"schema": 2}))
    with pytest.raises(InputError, match=r"newer Diorama .*update Diorama"):
        load_capture(tmp_path)


@quick
@given(edits, st.integers(0, 30), st.sampled_from(["ascii", "binary_little_endian", "binary_big_endian"]))
def test_point_clouds(changes: list[tuple[int, bytes]], cut: int, form: str) -> None:
    header = f"ply\nformat {form} 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    body = b"1 2 3\n" * 3 if form == "ascii" else np.ones((3, 3), "<f4").tobytes()
    data = edited(header.encode() + b"property uchar red\nend_header\n" + body, changes, cut)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.ply"
        path.write_bytes(data)
        points = within_bounds(lambda: read_points(path), len(data))
        assert points is None or np.isfinite(points.xyz).all()
