"""Wavefront OBJ with its material file and texture. And back.

OBJ states no axes and no unit. Most programs read it with +y up and -z ahead, in metres, and so it is written: ours as
x, z, -y. Texture coordinates have their origin at the lower left, as ours. Only the finest level is written; a collider
goes into a file of its own, since many programs show all that an OBJ holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.capture.events import OnEvent, Warned, ignore
from diorama.capture.files import inside, read_bytes

from ...mesh import Mesh, MeshAsset, Texture
from ..common import CHANGES, written_whole
from .pictures import EXTENSIONS, PictureFormat, decoded, encoded
from .placing import Y_UP_FROM_Z_UP, placed

MAX_OBJ_BYTES = 2 << 30
MAX_MTL_BYTES = 1 << 20
MAX_CORNERS = 1024
ROWS = 1 << 16


def write_obj(
    asset: MeshAsset, path: Path, name: str | None = None, *, texture_format: PictureFormat = "jpeg"
) -> list[Path]:
    """Writes NAME.obj, NAME.mtl and, where there is a texture, NAME_base_colour.jpg and NAME_normal.png; returns all
    files. The OBJ comes last, so that one which is there has what it names.

    Raises InputError when there is nothing to write or the disk is full.
    """
    mesh = asset.lods[0]
    if not len(mesh):
        raise InputError(f"{path} was not written because the mesh has no faces.")
    name = name or path.stem
    mesh = placed(mesh if mesh.normals is not None else mesh.with_normals(), Y_UP_FROM_Z_UP)
    made = _write_material(mesh.texture, path, name, texture_format)
    _write_geometry(mesh, path, name, path.with_suffix(".mtl").name)
    made.append(path)
    if asset.collider is not None and len(asset.collider):
        collider = path.with_name(f"{path.stem}_collider.obj")
        _write_geometry(placed(asset.collider, Y_UP_FROM_Z_UP), collider, f"{name}_collider", None)
        made.append(collider)
    return made


def _write_material(texture: Texture | None, path: Path, name: str, form: PictureFormat) -> list[Path]:
    made: list[Path] = []
    lines = [f"newmtl {name}", "Ka 0 0 0", "Kd 1 1 1", "Ks 0 0 0", "d 1", "illum 1"]
    pictures: list[tuple[str, str, bytes]] = []
    if texture is not None:
        base = f"{path.stem}_base_colour{EXTENSIONS[form]}"
        pictures.append((base, f"map_Kd {base}", encoded(texture.base_colour, form)))
        if texture.normal_map is not None:
            normal = f"{path.stem}_normal.png"
            pictures.append((normal, f"norm {normal}", encoded(texture.normal_map, "png")))
    for file_name, line, data in pictures:
        with written_whole(path.with_name(file_name)) as file:
            file.write(data)
        made.append(path.with_name(file_name))
        lines.append(line)
    material = path.with_suffix(".mtl")
    with written_whole(material) as file:
        file.write(("\n".join(lines) + "\n").encode())
    return [*made, material]


def _write_geometry(mesh: Mesh, path: Path, name: str, material: str | None) -> None:
    with written_whole(path) as file:
        head = ["# Diorama; +y up, -z ahead, metres where the scene is metric"]
        head += [f"mtllib {material}"] if material else []
        file.write(("\n".join([*head, f"o {name}"]) + "\n").encode())
        rows = mesh.vertices
        if mesh.colours is not None and mesh.texture is None:  # an extension that most programs read
            rows = np.concatenate([rows, mesh.colours.astype(np.float32) / np.float32(255)], axis=1)
        for chunk in _lines("v", rows):
            file.write(chunk)
        for key, values in (("vt", mesh.uvs), ("vn", mesh.normals)):
            for chunk in _lines(key, values) if values is not None else ():
                file.write(chunk)
        if material:
            file.write(f"usemtl {name}\n".encode())
        corner = "%d" + ("/%d" if mesh.uvs is not None else "/" if mesh.normals is not None else "")
        corner += "/%d" if mesh.normals is not None else ""
        line = f"f {corner} {corner} {corner}\n"
        repeats = corner.count("%")
        for start in range(0, len(mesh), ROWS):
            faces = np.repeat(mesh.faces[start : start + ROWS].reshape(-1).astype(np.int64) + 1, repeats)
            file.write((line * (len(faces) // (3 * repeats)) % tuple(faces.tolist())).encode())


def _lines(key: str, values: npt.NDArray[np.float32]) -> Iterator[bytes]:
    """`key` and the numbers of each row as text; nine digits bring every float32 back exactly."""
    line = key + " %.9g" * values.shape[1] + "\n"
    for start in range(0, len(values), ROWS):
        block = values[start : start + ROWS]
        yield (line * len(block) % tuple(block.reshape(-1).tolist())).encode()


def read_obj(path: str | Path, *, on_event: OnEvent = ignore) -> MeshAsset:
    """An OBJ, polygons cut into triangles, with the texture of its material where it has one in its folder.

    Raises InputError when it is missing, damaged, names vertices that are not there or a file outside its folder.
    """
    path = Path(path)
    data = read_bytes(path, MAX_OBJ_BYTES)
    found = _Parsed(path)
    for number, line in enumerate(data.split(b"\n"), start=1):
        try:
            found.take(line)
        except (ValueError, IndexError, OverflowError):
            shown = line[:60].decode("latin-1").strip()
            raise InputError(
                f"{path} is not a readable OBJ: line {number} ({shown!r}) makes no sense; {CHANGES}."
            ) from None
    if not found.corners:
        raise InputError(f"{path} holds no faces; give an OBJ with a mesh.")
    return MeshAsset((placed(found.mesh(on_event), Y_UP_FROM_Z_UP.T),))


class _Parsed:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.v: list[list[float]] = []
        self.vt: list[list[float]] = []
        self.vn: list[list[float]] = []
        self.corners: list[tuple[int, int, int]] = []  # three to a triangle; -1: not given
        self.library: str | None = None

    def take(self, line: bytes) -> None:
        words = line.split()
        if not words or words[0].startswith(b"#"):
            return
        key, rest = words[0], words[1:]
        if key == b"v":
            self.v.append([float(w) for w in (rest[:3] if len(rest) < 6 else rest[:6])])
        elif key == b"vt":
            self.vt.append([float(w) for w in rest[:2]])
        elif key == b"vn":
            self.vn.append([float(w) for w in rest[:3]])
        elif key == b"f":
            if not 3 <= len(rest) <= MAX_CORNERS:
                raise ValueError("a face of too few or too many corners")
            corners = [self._corner(w) for w in rest]
            for i in range(1, len(corners) - 1):
                self.corners += (corners[0], corners[i], corners[i + 1])
        elif key == b"mtllib" and self.library is None:
            self.library = line.split(maxsplit=1)[1].decode("utf-8").strip()

    def _corner(self, word: bytes) -> tuple[int, int, int]:
        numbers = [int(w) if w else 0 for w in word.split(b"/")]
        found = []
        for number, known in zip([*numbers, 0, 0][:3], (self.v, self.vt, self.vn), strict=True):
            index = number - 1 if number > 0 else len(known) + number if number < 0 else -1
            if number and not 0 <= index < len(known):
                raise ValueError("a corner that is not there")
            found.append(index)
        if found[0] < 0:
            raise ValueError("a corner without a vertex")
        return found[0], found[1], found[2]

    def mesh(self, on_event: OnEvent) -> Mesh:
        corners = np.array(self.corners, np.int64)
        unique, index = np.unique(corners, axis=0, return_inverse=True)
        faces = index.reshape(-1, 3).astype(np.int32)
        vertices = self._columns(self.v, 3, "vertices")[unique[:, 0]]
        uvs = self._columns(self.vt, 2, "texture coordinates")[unique[:, 1]] if (unique[:, 1] >= 0).all() else None
        normals = self._columns(self.vn, 3, "normals")[unique[:, 2]] if (unique[:, 2] >= 0).all() else None
        if normals is not None:
            length = np.linalg.norm(normals, axis=1, keepdims=True)
            normals = np.where(length > 0, normals / np.maximum(length, 1e-30), [0.0, 1.0, 0.0]).astype(np.float32)
        colours = None
        if all(len(row) == 6 for row in self.v):
            linear = np.nan_to_num(self._columns([r[3:] for r in self.v], 3, "colours"))[unique[:, 0]]
            colours = np.rint(255 * np.clip(linear, 0, 1)).astype(np.uint8)
        texture = self._texture(on_event) if uvs is not None else None
        return Mesh(vertices, faces, normals, uvs, colours, texture)

    def _columns(self, rows: list[list[float]], width: int, what: str) -> npt.NDArray[np.float32]:
        try:
            array = np.array([row[:width] for row in rows], np.float64).reshape(-1, width)
        except ValueError:
            raise InputError(
                f"{self.path} is not a readable OBJ: some {what} have too few numbers; {CHANGES}."
            ) from None
        if not (np.abs(array) < 1e30).all():
            raise InputError(f"{self.path} holds {what} that are no finite numbers; {CHANGES}.")
        return array.astype(np.float32)

    def _texture(self, on_event: OnEvent) -> Texture | None:
        if self.library is None:
            return None
        library = inside(self.path.parent, self.library, named_in=self.path)
        if not library.is_file():
            on_event(Warned("import", f"{self.path.name}: its material file {self.library[:80]} is not there."))
            return None
        maps: dict[str, str] = {}
        for line in read_bytes(library, MAX_MTL_BYTES).decode("utf-8", "replace").splitlines():
            words = line.split(maxsplit=1)
            if len(words) == 2 and words[0] in ("map_Kd", "norm") and words[0] not in maps:
                maps[words[0]] = words[1].strip()
        if "map_Kd" not in maps:
            return None
        pictures = {}
        for key, file_name in maps.items():
            picture = inside(library.parent, file_name, named_in=library, root=self.path.parent)
            if not picture.is_file():
                on_event(Warned("import", f"{library.name}: its texture {file_name[:80]} is not there."))
                continue
            pictures[key] = decoded(read_bytes(picture, MAX_OBJ_BYTES), picture)
        return Texture(pictures["map_Kd"], pictures.get("norm")) if "map_Kd" in pictures else None
