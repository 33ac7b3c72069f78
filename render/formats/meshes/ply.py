"""Meshes as binary PLY: +z up and in our world's units, as Blender, MeshLab and CloudCompare take PLY. And back.

Vertices have normals (`nx`), texture coordinates (`s`, `t`) and colours (`red`) where the mesh has them; a texture lies
beside the file under a `TextureFile` comment, MeshLab's way. Only the finest level is written.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.capture.events import OnEvent, Warned, ignore
from diorama.capture.files import inside, read_bytes

from ...mesh import Mesh, MeshAsset, Texture
from ..common import CHANGES, written_whole
from .pictures import EXTENSIONS, PictureFormat, decoded, encoded

MAX_PLY_BYTES = 4 << 30
MAX_HEADER = 1 << 16
MAX_PICTURE_BYTES = 1 << 30
TEXTURE = "comment TextureFile "

_TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}


def write_mesh_ply(
    asset: MeshAsset, path: Path, name: str | None = None, *, texture_format: PictureFormat = "png"
) -> list[Path]:
    """Writes the finest level, and its base colour beside it; returns the files.

    Raises InputError when there is nothing to write or the disk is full.
    """
    mesh = asset.lods[0]
    if not len(mesh):
        raise InputError(f"{path} was not written because the mesh has no faces.")
    made: list[Path] = []
    head = ["ply", "format binary_little_endian 1.0"]
    if mesh.texture is not None:
        picture = path.with_name(f"{path.stem}_base_colour{EXTENSIONS[texture_format]}")
        with written_whole(picture) as file:
            file.write(encoded(mesh.texture.base_colour, texture_format))
        made.append(picture)
        head.append(TEXTURE + picture.name)
    columns: list[tuple[str, str, npt.NDArray[np.generic]]] = []
    for names, values in ((("x", "y", "z"), mesh.vertices), (("nx", "ny", "nz"), mesh.normals), (("s", "t"), mesh.uvs)):
        columns += [(n, "f4", values[:, i]) for i, n in enumerate(names)] if values is not None else []
    if mesh.colours is not None:
        columns += [(n, "u1", mesh.colours[:, i]) for i, n in enumerate(("red", "green", "blue"))]
    vertices = np.zeros(len(mesh.vertices), [(n, "<" + kind) for n, kind, _ in columns])
    for n, _, column in columns:
        vertices[n] = column
    faces = np.zeros(len(mesh), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.faces
    head.append(f"element vertex {len(vertices)}")
    head += [f"property {'float' if kind == 'f4' else 'uchar'} {n}" for n, kind, _ in columns]
    head += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
    with written_whole(path) as file:
        file.write("\n".join(head).encode() + vertices.tobytes())
        file.write(faces.tobytes())
    return [*made, path]


def read_mesh_ply(path: str | Path, *, on_event: OnEvent = ignore) -> MeshAsset:
    """A PLY with faces, polygons cut into triangles; binary or text.

    Raises InputError when it is damaged, claims more than it holds, has no faces or names a file outside its folder.
    """
    path = Path(path)
    data = read_bytes(path, MAX_PLY_BYTES)
    head = _Head(path, data)
    if head.form == "ascii":
        vertices, faces = _read_text(head, data)
    else:
        vertices, faces = _read_binary(head, data)
    if not len(faces):
        raise InputError(f"{path} holds no faces; give a PLY with a mesh.")
    if not 0 <= faces.min() <= faces.max() < len(vertices["x"]):
        raise head.bad("a face names a vertex that is not there")
    texture = _texture(head, on_event) if "s" in vertices else None
    return MeshAsset((_mesh(head, vertices, faces, texture),))


def _bad(path: Path, problem: str) -> InputError:
    return InputError(f"{path} is not a readable PLY mesh: {problem}; {CHANGES}.")


class _Head:
    """The header: vertex properties (name, type), the list of the faces (types of its count and of its entries)."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path = path
        end = data.find(b"end_header", 0, MAX_HEADER)
        self.body = data.find(b"\n", end, end + 16) + 1 if end >= 0 else 0
        if not data.startswith(b"ply") or not self.body:
            raise self.bad("it has no complete header")
        self.form, self.picture = "", ""
        self.counts: dict[str, int] = {}
        self.properties: dict[str, list[tuple[str, str, str]]] = {}  # name, type, type of the count ("" for a scalar)
        element = ""
        for line in data[:end].decode("latin-1").splitlines()[1:]:
            words = line.split()
            if line.startswith(TEXTURE):
                self.picture = line[len(TEXTURE) :].strip()
            elif words[:1] == ["format"] and len(words) > 1:
                self.form = words[1]
            elif words[:1] == ["element"] and len(words) == 3 and words[2].isdecimal() and len(words[2]) < 13:
                element = words[1]
                self.counts[element], self.properties[element] = int(words[2]), []
            elif words[:1] == ["property"] and element and len(words) in (3, 5):
                kinds = [_TYPES.get(w, "") for w in words[1:-1] if w != "list"]
                if "" in kinds or len(self.properties[element]) > 256 or (len(words) == 5) != (words[1] == "list"):
                    raise self.bad(f"its header line {line[:60]!r} makes no sense")
                self.properties[element].append((words[-1], kinds[-1], kinds[0] if len(kinds) == 2 else ""))
        if self.form not in ("ascii", "binary_little_endian", "binary_big_endian"):
            raise self.bad("its header names no format")
        names = [p[0] for p in self.properties.get("vertex", [])]
        if (
            list(self.counts)[:2] != ["vertex", "face"]
            or not {"x", "y", "z"} <= set(names)
            or len(set(names)) < len(names)
        ):
            raise self.bad("it does not begin with vertices (x, y, z) and faces")
        if any(count for _, _, count in self.properties["vertex"]):
            raise self.bad("its vertices have lists")
        lists = [p for p in self.properties["face"] if p[2]]
        if not lists or lists[0][0] not in ("vertex_indices", "vertex_index") or "f" in lists[0][1] + lists[0][2]:
            raise self.bad("its faces have no vertex_indices")

    def bad(self, problem: str) -> InputError:
        return _bad(self.path, problem)


Columns = dict[str, npt.NDArray[np.float64]]


def _read_binary(head: _Head, data: bytes) -> tuple[Columns, npt.NDArray[np.int64]]:
    order = "<" if head.form == "binary_little_endian" else ">"
    dtype = np.dtype([(n, order + kind) for n, kind, _ in head.properties["vertex"]])
    count = head.counts["vertex"]
    start = head.body + count * dtype.itemsize
    if start > len(data):
        raise head.bad(f"it claims {count:,} vertices, more than its {len(data):,} bytes hold")
    rows = np.frombuffer(data, dtype, count, head.body)
    faces = _triangles_at_once(head, data, start, order)
    if faces is None:
        faces = _polygons(head, data, start, order)
    return {n: rows[n].astype(np.float64) for n, _, _ in head.properties["vertex"]}, faces


def _triangles_at_once(head: _Head, data: bytes, start: int, order: str) -> npt.NDArray[np.int64] | None:
    """The faces where every list has three entries; None where some has not, or would not fit."""
    fields: list[tuple[str, str] | tuple[str, str, int]] = []
    for i, (_, kind, count) in enumerate(head.properties["face"]):
        fields += [(f"n{i}", order + count), (f"p{i}", order + kind, 3)] if count else [(f"p{i}", order + kind)]
    dtype = np.dtype(fields)
    if start + head.counts["face"] * dtype.itemsize > len(data):
        return None
    rows = np.frombuffer(data, dtype, head.counts["face"], start)
    if any((rows[n] != 3).any() for n in dtype.names or () if n.startswith("n")):
        return None
    first = next(i for i, p in enumerate(head.properties["face"]) if p[2])
    return np.asarray(rows[f"p{first}"], np.int64)


def _polygons(head: _Head, data: bytes, at: int, order: str) -> npt.NDArray[np.int64]:
    found: list[npt.NDArray[np.int64]] = []
    kinds = [
        (np.dtype(order + kind), np.dtype(order + count) if count else None)
        for _, kind, count in head.properties["face"]
    ]
    first = next(i for i, p in enumerate(head.properties["face"]) if p[2])
    for _ in range(head.counts["face"]):
        for i, (kind, counted) in enumerate(kinds):
            entries = 1
            if counted is not None:
                if at + counted.itemsize > len(data):
                    raise head.bad("it was cut off")
                entries = int(np.frombuffer(data, counted, 1, at)[0])
                at += counted.itemsize
            if entries < 0 or at + entries * kind.itemsize > len(data):
                raise head.bad("it was cut off, or a face claims more corners than the file holds")
            if i == first and entries >= 3:
                corners = np.frombuffer(data, kind, entries, at).astype(np.int64)
                found.append(_fan(corners))
            at += entries * kind.itemsize
    return np.concatenate(found) if found else np.zeros((0, 3), np.int64)


def _fan(corners: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.stack([np.full(len(corners) - 2, corners[0]), corners[1:-1], corners[2:]], axis=1)


def _read_text(head: _Head, data: bytes) -> tuple[Columns, npt.NDArray[np.int64]]:
    names = [n for n, _, _ in head.properties["vertex"]]
    count, width = head.counts["vertex"], len(names)
    if 2 * count * width + 2 * head.counts["face"] > len(data) - head.body + 2:
        raise head.bad(f"it claims {count:,} vertices and {head.counts['face']:,} faces, more than its text holds")
    lines = iter(data[head.body :].split(b"\n"))
    rows = np.zeros((count, width))
    found: list[npt.NDArray[np.int64]] = []
    try:
        for i in range(count):
            rows[i] = [float(w) for w in next(lines).split()]
        for _ in range(head.counts["face"]):
            words = next(lines).split()
            at = 0
            for _, _, counted in head.properties["face"]:
                entries = int(words[at]) if counted else 1
                at += 1 if counted else 0
                if counted and 3 <= entries <= len(words) - at:
                    found.append(_fan(np.array([int(w) for w in words[at : at + entries]], np.int64)))
                    break
                at += entries
    except StopIteration:
        raise head.bad("it was cut off") from None
    except (ValueError, IndexError, OverflowError):
        raise head.bad("a line holds something other than the numbers that are due") from None
    return dict(zip(names, rows.T, strict=True)), np.concatenate(found) if found else np.zeros((0, 3), np.int64)


def _mesh(head: _Head, columns: Columns, faces: npt.NDArray[np.int64], texture: Texture | None) -> Mesh:
    def stacked(*names: str) -> npt.NDArray[np.float64] | None:
        return np.stack([columns[n] for n in names], axis=1) if set(names) <= set(columns) else None

    vertices, normals, uvs = stacked("x", "y", "z"), stacked("nx", "ny", "nz"), stacked("s", "t")
    assert vertices is not None
    for values in (vertices, normals, uvs):
        if values is not None and not (np.abs(values) < 1e30).all():
            raise head.bad("it holds values that are no finite numbers")
    if normals is not None:
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        normals = np.where(length > 0, normals / np.maximum(length, 1e-300), [0.0, 0.0, 1.0])
    colours = stacked("red", "green", "blue")
    kinds = {n: k for n, k, _ in head.properties["vertex"]}
    if colours is not None:
        factor = 255.0 if kinds["red"].startswith("f") else 1 / 257 if kinds["red"] == "u2" else 1.0
        colours = np.clip(np.rint(np.nan_to_num(colours) * factor), 0, 255)
    return Mesh(
        vertices.astype(np.float32),
        faces.astype(np.int32),
        None if normals is None else normals.astype(np.float32),
        None if uvs is None else uvs.astype(np.float32),
        None if colours is None else colours.astype(np.uint8),
        texture,
    )


def _texture(head: _Head, on_event: OnEvent) -> Texture | None:
    if not head.picture:
        return None
    picture = inside(head.path.parent, head.picture, named_in=head.path)
    if not picture.is_file():
        on_event(Warned("import", f"{head.path.name}: its texture {head.picture[:80]} is not there."))
        return None
    return Texture(decoded(read_bytes(picture, MAX_PICTURE_BYTES), picture))
