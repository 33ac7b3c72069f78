"""The glTF 2.0 container: GLB and .gltf written and read. What the accessors mean is up to the modules that use it.

A GLB is a 12-byte header, a chunk of JSON and a chunk of binary data, little-endian, both padded to four bytes
(glTF 2.0, section 4). Writing streams the arrays it was given without copying them. Reading allocates the file twice
at most, and for each accessor no more than four times the bytes that the file holds for it.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, unquote

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.capture.files import Fields, inside, read_bytes

from .common import CHANGES, written_whole

AnyArray = npt.NDArray[Any]

MAX_GLB_BYTES = (1 << 32) - 1
MAX_JSON_BYTES = 64 << 20
MAX_ENTRIES = 1 << 20

POINTS, TRIANGLES = 0, 4
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
LINEAR, LINEAR_MIPMAP_LINEAR = 9729, 9987
REPEAT, CLAMP_TO_EDGE = 10497, 33071

COMPONENTS = {5120: "i1", 5121: "u1", 5122: "i2", 5123: "u2", 5125: "u4", 5126: "f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_COMPONENT_OF = {kind: number for number, kind in COMPONENTS.items()}
_TYPE_OF = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}

_MAGIC = b"glTF"
_JSON_CHUNK, _BIN_CHUNK = 0x4E4F534A, 0x004E4942


class GlbWriter:
    """Collects a glTF document and its binary data, and writes both as one GLB.

    `document` is the JSON: append to its lists with `add`. Buffers, views and accessors are made by `accessor` and
    `image`; the arrays given must not change before `save`.
    """

    def __init__(self) -> None:
        self.document: dict[str, Any] = {"asset": {"version": "2.0", "generator": "Diorama"}}
        self._chunks: list[AnyArray | bytes] = []
        self._bytes = 0

    def add(self, kind: str, value: dict[str, Any]) -> int:
        """Appends to a top-level list such as `nodes`; returns the index."""
        entries: list[dict[str, Any]] = self.document.setdefault(kind, [])
        entries.append(value)
        return len(entries) - 1

    def use(self, extension: str, *, required: bool = False) -> None:
        """Declares an extension in `extensionsUsed`, and in `extensionsRequired` when the file is senseless without."""
        for name in ("extensionsUsed", "extensionsRequired")[: 2 if required else 1]:
            used: list[str] = self.document.setdefault(name, [])
            if extension not in used:
                used.append(extension)

    def accessor(
        self,
        values: npt.ArrayLike,
        *,
        normalized: bool = False,
        bounds: bool = False,
        target: int | None = None,
        name: str | None = None,
    ) -> int:
        """An accessor of (count,) scalars or (count, 1 to 4) vectors, float32 or integers of up to 4 bytes.

        Rows are padded to four bytes as vertex attributes have to be. normalized: integers stand for 0..1 or -1..1.
        bounds: state minimum and maximum (required of POSITION and of animation times).
        """
        array = np.asarray(values)
        array = array[:, None] if array.ndim == 1 else array
        kind = array.dtype.newbyteorder("=").str[1:]
        if array.ndim != 2 or kind not in _COMPONENT_OF or array.shape[1] not in _TYPE_OF or not len(array):
            raise ValueError(f"{array.dtype}{array.shape} cannot be a glTF accessor")
        size = array.dtype.itemsize * array.shape[1]
        padding = -size % 4 if target == ARRAY_BUFFER else 0
        if padding:
            padded = np.zeros((len(array), array.shape[1] + padding // array.dtype.itemsize), array.dtype)
            padded[:, : array.shape[1]] = array
            view = self._view(padded, target, stride=size + padding)
        else:
            view = self._view(np.ascontiguousarray(array, array.dtype.newbyteorder("<")), target)
        entry: dict[str, Any] = {
            "bufferView": view,
            "componentType": _COMPONENT_OF[kind],
            "count": len(array),
            "type": _TYPE_OF[array.shape[1]],
        }
        if normalized:
            entry["normalized"] = True
        if bounds:
            entry |= {"min": array.min(0).tolist(), "max": array.max(0).tolist()}
        if name:
            entry["name"] = name
        return self.add("accessors", entry)

    def image(self, data: bytes, mime_type: str, name: str) -> int:
        """An image kept inside the file: whole PNG or JPEG data and its `image/...` type."""
        return self.add("images", {"bufferView": self._view(data, None), "mimeType": mime_type, "name": name})

    def save(self, path: Path) -> None:
        """Writes the GLB whole or not at all; under a name that ends in .gltf, JSON with its data in a .bin beside it.

        Raises InputError when it does not fit into the 4 GiB of a GLB or cannot be written.
        """
        document = dict(self.document)
        if path.suffix.lower() == ".gltf":
            self._save_apart(path, document)
            return
        if self._bytes:
            document["buffers"] = [{"byteLength": self._bytes}]
        text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        binary = self._bytes + -self._bytes % 4
        total = 12 + 8 + len(text) + (8 + binary if binary else 0)
        if total > MAX_GLB_BYTES:
            raise InputError(f"{path} would have {total:,} bytes, and a GLB holds 4 GiB at most; export less into it.")
        with written_whole(path) as file:
            file.write(struct.pack("<4sII", _MAGIC, 2, total) + struct.pack("<II", len(text), _JSON_CHUNK) + text)
            if binary:
                file.write(struct.pack("<II", binary, _BIN_CHUNK))
                self._write_chunks(file)
                file.write(b"\0" * (binary - self._bytes))

    def _save_apart(self, path: Path, document: dict[str, Any]) -> None:
        if self._bytes:
            data = path.with_suffix(".bin")
            document["buffers"] = [{"byteLength": self._bytes, "uri": quote(data.name)}]
            with written_whole(data) as file:
                self._write_chunks(file)
        with written_whole(path) as file:  # last: without it nothing refers to the data
            file.write(json.dumps(document, indent=1, allow_nan=False).encode())

    def _write_chunks(self, file: BinaryIO) -> None:
        for chunk in self._chunks:
            file.write(chunk if isinstance(chunk, bytes) else chunk.reshape(-1).view(np.uint8).data)

    def _view(self, data: AnyArray | bytes, target: int | None, stride: int | None = None) -> int:
        size = len(data) if isinstance(data, bytes) else data.nbytes
        gap = -self._bytes % 4
        if gap:
            self._chunks.append(b"\0" * gap)
        entry: dict[str, Any] = {"buffer": 0, "byteOffset": self._bytes + gap, "byteLength": size}
        if stride:
            entry["byteStride"] = stride
        if target:
            entry["target"] = target
        self._chunks.append(data)
        self._bytes += gap + size
        return self.add("bufferViews", entry)


@dataclass(frozen=True, eq=False)
class Gltf:
    """A glTF document that was read, with access to its arrays that holds to the file's bounds.

    Every method raises InputError, naming the file and the entry, where the document is not what glTF allows.
    """

    path: Path
    top: Fields
    binary: bytes
    _external: dict[int, bytes] = field(default_factory=dict)

    @property
    def data_bytes(self) -> int:
        """How much binary data has been read: in the file, and so far beside it."""
        return len(self.binary) + sum(len(data) for data in self._external.values())

    def entry(self, kind: str, index: int) -> Fields:
        """Entry `index` of a top-level list such as `meshes`."""
        entries = self.top.items(kind)
        if not 0 <= index < len(entries):
            raise damaged(self.path, f"it refers to {kind}[{index}], and there are {len(entries)}")
        return Fields(self.path, entries[index], f"{kind}[{index}]")

    def entries(self, kind: str) -> Sequence[Fields]:
        if len(self.top.items(kind)) > MAX_ENTRIES:
            raise damaged(self.path, f"it lists more than {MAX_ENTRIES:,} {kind}")
        return list(self.top.objects(kind))

    def buffer_view(self, index: int) -> memoryview:
        """The bytes of a buffer view."""
        view = self.entry("bufferViews", index)
        data = self._buffer(view.integer("buffer", 0, MAX_ENTRIES))
        offset = view.integer("byteOffset", 0, MAX_GLB_BYTES) if view.has("byteOffset") else 0
        length = view.integer("byteLength", 1, MAX_GLB_BYTES)
        if offset + length > len(data):
            raise damaged(self.path, f"bufferViews[{index}] ends beyond its data, which has {len(data):,} bytes")
        return memoryview(data)[offset : offset + length]

    def accessor(self, index: int) -> AnyArray:
        """The values (count, width) of an accessor in native byte order, read-only where they need no change;
        normalized integers come as float32. Sparse accessors are refused."""
        item = self.entry("accessors", index)
        where = f"accessors[{index}]"
        kind = COMPONENTS.get(item.integer("componentType", 0, 1 << 16))
        width = WIDTHS.get(item.text("type"))
        if kind is None or width is None:
            raise damaged(self.path, f"{where} is of a type that glTF does not know")
        if item.has("sparse") or not item.has("bufferView"):
            raise InputError(f"{self.path}: {where} is sparse, which Diorama does not read; export it without.")
        count = item.integer("count", 1, MAX_GLB_BYTES)
        offset = item.integer("byteOffset", 0, MAX_GLB_BYTES) if item.has("byteOffset") else 0
        view_index = item.integer("bufferView", 0, MAX_ENTRIES)
        data, view = self.buffer_view(view_index), self.entry("bufferViews", view_index)
        size = int(kind[1]) * width
        stride = view.integer("byteStride", 4, 252) if view.has("byteStride") else size
        if stride < size or offset + stride * (count - 1) + size > len(data):
            raise damaged(self.path, f"{where} claims {count:,} values, more than its {len(data):,} bytes hold")
        rows = np.ndarray((count, width), np.dtype(f"<{kind}"), data, offset, (stride, int(kind[1])))
        if item.flag("normalized") and kind != "f4":
            top = float(np.iinfo(rows.dtype).max)
            values: AnyArray = np.maximum(rows.astype(np.float32) / np.float32(top), np.float32(-1.0))
            return values
        return rows if rows.dtype.isnative else rows.astype(rows.dtype.newbyteorder("="))

    def image(self, index: int) -> bytes:
        """The encoded data of an image, from inside the file or from a file beside it."""
        item = self.entry("images", index)
        if item.has("bufferView"):
            return bytes(self.buffer_view(item.integer("bufferView", 0, MAX_ENTRIES)))
        return self._resource(item.text("uri"))

    def _buffer(self, index: int) -> bytes:
        item = self.entry("buffers", index)
        uri = item.optional_text("uri")
        if uri is None:
            if index != 0 or not self.binary:
                raise damaged(self.path, f"the data of buffers[{index}] is missing")
            return self.binary
        if index not in self._external:
            self._external[index] = self._resource(uri)
        return self._external[index]

    def _resource(self, uri: str) -> bytes:
        if uri.startswith("data:"):
            head, _, body = uri.partition(",")
            try:
                return base64.b64decode(body, validate=True) if head.endswith(";base64") else b""
            except (binascii.Error, ValueError):
                raise damaged(self.path, "a data URI is not base64") from None
        if "://" in uri:
            raise InputError(
                f"{self.path} wants {uri[:80]!r} from elsewhere; nothing is fetched, export it as one .glb."
            )
        return read_bytes(inside(self.path.parent, unquote(uri), named_in=self.path), MAX_GLB_BYTES)


def damaged(path: Path, problem: str) -> InputError:
    return InputError(f"{path} is not a readable glTF: {problem}; {CHANGES}.")


def is_glb(head: bytes) -> bool:
    """Whether a file that begins with `head` can only be a GLB."""
    return head.startswith(_MAGIC)


def read_gltf(path: str | Path) -> Gltf:
    """A .glb, or a .gltf with its data inside it or in files of its folder.

    Raises InputError when the file is missing, cut off, no glTF 2, or needs what lies outside its folder.
    """
    path = Path(path)
    data = read_bytes(path, MAX_GLB_BYTES)
    text, binary = _chunks(path, data) if is_glb(data) else (data, b"")
    if len(text) > MAX_JSON_BYTES:
        raise damaged(path, f"its JSON has {len(text):,} bytes, more than the {MAX_JSON_BYTES:,} that are read")
    try:
        value = json.loads(text.decode("utf-8-sig"))
    except RecursionError:
        raise damaged(path, "its brackets are nested without end") from None
    except ValueError:
        raise damaged(path, "its JSON is broken or there is none") from None
    top = Fields(path, value)
    asset = Fields(path, top.value.get("asset"), "asset")
    if not asset.text("version").startswith("2."):
        raise InputError(f"{path} is glTF of version {asset.text('version')[:20]!r}; Diorama reads 2.0.")
    return Gltf(path, top, binary)


def _chunks(path: Path, data: bytes) -> tuple[bytes, bytes]:
    """JSON and binary data of a GLB; further chunks are skipped as the specification says."""
    if len(data) < 20:
        raise damaged(path, "it was cut off")
    _, version, total = struct.unpack_from("<4sII", data)
    if version != 2:
        raise InputError(f"{path} is a GLB of version {version}; Diorama reads version 2.")
    if total > len(data):
        raise damaged(path, f"it was cut off: {len(data):,} of {total:,} bytes are there")
    found: dict[int, bytes] = {}
    at = 12
    while at + 8 <= total:
        size, kind = struct.unpack_from("<II", data, at)
        if at + 8 + size > total:
            raise damaged(path, "a chunk ends beyond the file")
        if kind in (_JSON_CHUNK, _BIN_CHUNK):
            found.setdefault(kind, data[at + 8 : at + 8 + size])
        at += 8 + size + -size % 4
    return found.get(_JSON_CHUNK, b""), found.get(_BIN_CHUNK, b"")
