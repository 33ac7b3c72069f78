"""The glTF container: what is written is read back, by trimesh as well, and bad files are refused in one sentence."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path

import numpy as np
import pytest

from diorama.capture.errors import InputError
from diorama.render.formats.gltf import ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER, TRIANGLES, GlbWriter, read_gltf

CORNERS = np.array([[0, 0, 0], [2, 0, 0], [0, 1, 0]], np.float32)


def triangle(path: Path) -> Path:
    writer = GlbWriter()
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 128]], np.uint8)
    attributes = {
        "POSITION": writer.accessor(CORNERS, bounds=True, target=ARRAY_BUFFER),
        "COLOR_0": writer.accessor(colours, normalized=True, target=ARRAY_BUFFER),
    }
    indices = writer.accessor(np.array([0, 1, 2], np.uint16), target=ELEMENT_ARRAY_BUFFER)
    primitive = {"attributes": attributes, "indices": indices, "mode": TRIANGLES}
    mesh = writer.add("meshes", {"primitives": [primitive]})
    writer.add("scenes", {"nodes": [writer.add("nodes", {"mesh": mesh})]})
    writer.save(path)
    return path


def test_arrays_come_back_and_rows_are_padded(tmp_path: Path) -> None:
    path = triangle(tmp_path / "t.glb")
    gltf = read_gltf(path)
    np.testing.assert_array_equal(gltf.accessor(0), CORNERS)
    np.testing.assert_allclose(gltf.accessor(1)[2], [0, 0, 128 / 255], rtol=1e-6)
    np.testing.assert_array_equal(gltf.accessor(2)[:, 0], [0, 1, 2])
    assert gltf.entry("bufferViews", 1).value["byteStride"] == 4  # three bytes of colour on a four byte grid
    assert all(view["byteOffset"] % 4 == 0 for view in gltf.top.items("bufferViews"))
    total = struct.unpack_from("<I", path.read_bytes(), 8)[0]
    assert total == path.stat().st_size and total % 4 == 0


def test_trimesh_reads_it(tmp_path: Path) -> None:
    import trimesh

    mesh = trimesh.load(triangle(tmp_path / "t.glb"), force="mesh")
    np.testing.assert_array_equal(mesh.vertices, CORNERS)
    assert mesh.visual.vertex_colors[1].tolist() == [0, 255, 0, 255]


def test_bad_accessors_are_refused() -> None:
    for values in (np.zeros((0, 3), np.float32), np.zeros((2, 5), np.float32), np.zeros((2, 3))):
        with pytest.raises(ValueError, match="accessor"):
            GlbWriter().accessor(values)


def rewrite(path: Path, change: dict[str, object]) -> None:
    """Changes one accessor's JSON in a GLB."""
    data = path.read_bytes()
    size = struct.unpack_from("<I", data, 12)[0]
    value = json.loads(data[20 : 20 + size])
    value["accessors"][0] |= change
    text = json.dumps(value).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + size :]
    path.write_bytes(
        struct.pack("<4sIIII", b"glTF", 2, 20 + len(text) + len(rest), len(text), 0x4E4F534A) + text + rest
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"count": 10**9}, "claims 1,000,000,000 values"),
        ({"count": -1}, "count"),
        ({"componentType": 1}, "type"),
        ({"byteOffset": 8}, "claims"),
        ({"bufferView": 77}, r"bufferViews\[77\]"),
        ({"sparse": {}, "bufferView": None}, "sparse"),
    ],
)
def test_lies_are_refused(tmp_path: Path, change: dict[str, object], words: str) -> None:
    path = triangle(tmp_path / "t.glb")
    rewrite(path, change)
    with pytest.raises(InputError, match=words):
        read_gltf(path).accessor(0)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.gltf"
    buffers = [{"uri": "../../etc/passwd", "byteLength": 4}]
    path.write_text(
        json.dumps({"asset": {"version": "2.0"}, "buffers": buffers, "bufferViews": [{"buffer": 0, "byteLength": 4}]})
    )
    with pytest.raises(InputError, match="outside"):
        read_gltf(path).buffer_view(0)
    path.write_text("[" * 100_000)
    with pytest.raises(InputError, match="nested"):
        read_gltf(path)
    path.write_text('{"asset": {"version": "1.0"}}')
    with pytest.raises(InputError, match=r"2\.0"):
        read_gltf(path)


def test_fuzzed_files_give_a_sentence_or_arrays(tmp_path: Path) -> None:
    good = triangle(tmp_path / "t.glb").read_bytes()
    path = tmp_path / "bad.glb"
    for seed in range(400):
        draw = random.Random(seed)
        data = bytearray(good[: draw.randrange(len(good))] if seed % 4 == 0 else good)
        for _ in range(draw.randrange(1, 6)):
            data[draw.randrange(len(data))] = draw.randrange(256) if data else 0
        path.write_bytes(data)
        try:
            gltf = read_gltf(path)
            for i in range(len(gltf.entries("accessors"))):
                gltf.accessor(i)
        except InputError as error:
            assert "\n" not in str(error) and str(path) in str(error), f"seed {seed}"
