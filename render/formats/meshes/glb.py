"""Meshes as GLB: physically based material, tangents, levels of detail, collider. And back.

glTF is right-handed with +y up and metres. Ours is written as x, z, -y; reading turns it back. What the file holds:

- One material: base colour (the photos' light is in it), normal map, metallic 0, roughness 1. Vertex colours become
  COLOR_0 in linear light where there is no texture.
- Levels of detail as `MSFT_lod` (the coarser nodes hang on the first by the extension alone, so that programs which do
  not know it show the finest and nothing twice) or as nodes `NAME_LOD0`, `NAME_LOD1`, ...
- The collider as nodes of the scene under a name that an engine knows, one for each closed part, or in a second scene
  called `collider`, which viewers do not show.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.capture.events import OnEvent, Warned, ignore
from diorama.capture.files import Fields
from diorama.capture.transforms import rotation_from_quaternion

from ...mesh import Mesh, MeshAsset, Texture
from .. import gltf
from ..gltf import ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER, GlbWriter, Gltf, damaged
from .joining import joined, parts
from .pictures import MIME_TYPES, PictureFormat, decoded, encoded, linear_from_srgb, srgb_from_linear
from .placing import Y_UP_FROM_Z_UP, placed
from .tangents import tangents

Array = npt.NDArray[np.float64]

MAX_DEPTH = 64
MAX_ELEMENTS = 30_000_000
"""Vertices and triangles after instancing; more are refused."""
COLLIDER_SCENE = "collider"
SMALLEST_SCREEN_SHARE = 0.005


@dataclass(frozen=True)
class GlbOptions:
    """How an asset is laid out in the file.

    lods: as the `MSFT_lod` extension, as nodes side by side, or the finest alone.
    collider: a name for the collider's nodes with `{name}` and `{part}` in it, or None for a second scene.
    texture: how base colours are kept; normal maps are PNG always.
    """

    lods: Literal["msft", "nodes", "none"] = "msft"
    collider: str | None = None
    texture: PictureFormat = "jpeg"


def write_glb(asset: MeshAsset, path: Path, name: str | None = None, options: GlbOptions | None = None) -> None:
    """Writes the asset, given in our axes (+z up), in glTF's. name: of the nodes, by default the file's.

    Raises InputError when there is nothing to write or the disk is full.
    """
    options = options or GlbOptions()
    if not len(asset.lods[0]):
        raise InputError(f"{path} was not written because the mesh has no faces.")
    maker = _Maker(GlbWriter(), name or path.name.split(".")[0], options)
    nodes = maker.levels(asset.lods)
    scenes: list[dict[str, Any]] = [{"name": maker.name, "nodes": nodes}]
    if asset.collider is not None and len(asset.collider):
        colliders = maker.colliders(asset.collider)
        if options.collider is None:
            scenes.append({"name": COLLIDER_SCENE, "nodes": colliders})
        else:
            nodes += colliders
    maker.writer.document |= {"scene": 0, "scenes": scenes}
    maker.writer.save(path)


class _Maker:
    def __init__(self, writer: GlbWriter, name: str, options: GlbOptions) -> None:
        self.writer, self.name, self.options = writer, name, options
        self.materials: dict[int, int] = {}

    def levels(self, lods: tuple[Mesh, ...]) -> list[int]:
        """Adds the nodes of the levels; returns those that hang in the scene."""
        chosen = [m for m in lods if len(m)] if self.options.lods != "none" else [lods[0]]
        names = [f"{self.name}_LOD{i}" if self.options.lods == "nodes" else self.name for i in range(len(chosen))]
        if self.options.lods == "msft":
            names = [self.name, *(f"{self.name}_LOD{i}" for i in range(1, len(chosen)))]
        nodes = [self._node(m, n) for m, n in zip(chosen, names, strict=True)]
        if self.options.lods == "nodes":
            return nodes
        if len(nodes) > 1:
            self.writer.use("MSFT_lod")
            first = self.writer.document["nodes"][nodes[0]]
            first["extensions"] = {"MSFT_lod": {"ids": nodes[1:]}}
            # A level with a quarter of the faces serves at half the size on screen; the last is never dropped.
            shares = [0.5 * float(np.sqrt(len(m) / len(chosen[0]))) for m in chosen[1:]]
            first["extras"] = {"MSFT_screencoverage": [*(max(s, SMALLEST_SCREEN_SHARE) for s in shares), 0.0]}
        return nodes[:1]

    def colliders(self, collider: Mesh) -> list[int]:
        bare = Mesh(collider.vertices, collider.faces)
        pattern = self.options.collider or "{name}_collider_{part}"
        return [
            self._node(part, pattern.format(name=self.name, part=f"{i:02d}"), material=False)
            for i, part in enumerate(parts(bare))
        ]

    def _node(self, mesh: Mesh, name: str, *, material: bool = True) -> int:
        return self.writer.add("nodes", {"name": name, "mesh": self._mesh(mesh, name, material)})

    def _mesh(self, mesh: Mesh, name: str, material: bool) -> int:
        full = mesh if mesh.normals is not None or not material else mesh.with_normals()
        turned = placed(full, Y_UP_FROM_Z_UP)
        add = self.writer.accessor
        attributes = {"POSITION": add(turned.vertices, bounds=True, target=ARRAY_BUFFER)}
        if turned.normals is not None:
            attributes["NORMAL"] = add(_unit(turned.normals), target=ARRAY_BUFFER)
        if turned.uvs is not None:
            if turned.texture is not None and turned.texture.normal_map is not None:
                attributes["TANGENT"] = add(tangents(turned), target=ARRAY_BUFFER)
            attributes["TEXCOORD_0"] = add(_flipped(turned.uvs), target=ARRAY_BUFFER)
        if turned.colours is not None and turned.texture is None:
            linear = linear_from_srgb(turned.colours)
            attributes["COLOR_0"] = add(linear, normalized=True, target=ARRAY_BUFFER)
        # 65535 itself is reserved (primitive restart)
        indices = turned.faces.reshape(-1).astype(np.uint16 if len(turned.vertices) <= 65535 else np.uint32)
        primitive: dict[str, Any] = {
            "attributes": attributes,
            "indices": add(indices, target=ELEMENT_ARRAY_BUFFER),
            "mode": gltf.TRIANGLES,
        }
        if material:
            primitive["material"] = self._material(turned.texture)
        return self.writer.add("meshes", {"name": name, "primitives": [primitive]})

    def _material(self, texture: Texture | None) -> int:
        """The material of a texture, once, however many levels share it."""
        key = id(texture)
        if key in self.materials:
            return self.materials[key]
        pbr: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
        material: dict[str, Any] = {"name": self.name, "pbrMetallicRoughness": pbr}
        if texture is not None:
            form = self.options.texture
            pbr["baseColorTexture"] = {"index": self._texture(encoded(texture.base_colour, form), form, "base_colour")}
            if texture.normal_map is not None:
                index = self._texture(encoded(texture.normal_map, "png"), "png", "normal")
                material["normalTexture"] = {"index": index}
        self.materials[key] = self.writer.add("materials", material)
        return self.materials[key]

    def _texture(self, data: bytes, form: PictureFormat, name: str) -> int:
        if not self.writer.document.get("samplers"):
            filters = {"magFilter": gltf.LINEAR, "minFilter": gltf.LINEAR_MIPMAP_LINEAR}
            wrapping = {"wrapS": gltf.CLAMP_TO_EDGE, "wrapT": gltf.CLAMP_TO_EDGE}
            self.writer.add("samplers", filters | wrapping)
        image = self.writer.image(data, MIME_TYPES[form], name)
        return self.writer.add("textures", {"source": image, "sampler": 0, "name": name})


def _flipped(uvs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """v counted from the other end of the picture."""
    return np.stack([uvs[:, 0], 1.0 - uvs[:, 1]], axis=1)


def _unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Unit to the last bit of float32, as the validator wants; zero becomes up."""
    wide = vectors.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.where(length > 1e-20, wide / np.maximum(length, 1e-20), [0.0, 1.0, 0.0]).astype(np.float32)


def read_glb(path: str | Path, *, on_event: OnEvent = ignore) -> MeshAsset:
    """The meshes of a .glb or .gltf in our axes: the default scene joined into one, with its levels and its collider
    where the file is laid out as `write_glb` does it. Points, lines, skins and animations are left out.

    Raises InputError when the file is damaged, hostile, holds no triangles or needs an extension that changes how
    triangles are stored (Draco, meshopt).
    """
    return _Reader(gltf.read_gltf(path), on_event).asset()


class _Reader:
    def __init__(self, source: Gltf, on_event: OnEvent) -> None:
        self.source, self.path, self.on_event = source, source.path, on_event
        self.textures: dict[int, Texture | None] = {}
        self.elements = 0

    def asset(self) -> MeshAsset:
        needed, used = (set(self.source.top.texts(f"extensions{word}")) for word in ("Required", "Used"))
        packed = needed & {"KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_meshopt_compression"}
        if packed:
            name = min(packed)
            raise InputError(f"{self.path} is compressed with {name}, which Diorama does not read; export it without.")
        if "KHR_texture_transform" in used:
            self.on_event(Warned("import", f"{self.path.name}: its textures are shifted in a way that is not read."))
        scenes = self.source.entries("scenes")
        if not scenes:
            raise damaged(self.path, "it has no scene")
        main = self.source.top.integer("scene", 0, len(scenes) - 1) if self.source.top.has("scene") else 0
        roots = self._nodes(scenes[main])
        levels = [self._joined(roots)]
        levels += [self._joined([n]) for n in self._coarser(roots)]
        others = [s for i, s in enumerate(scenes) if i != main and s.optional_text("name") == COLLIDER_SCENE]
        collider = self._joined(self._nodes(others[0])) if others else None
        if not len(levels[0]):
            raise InputError(f"{self.path} holds no triangles; give a file with a mesh.")
        return MeshAsset(tuple(m for m in levels if len(m)), collider)

    def _nodes(self, owner: Fields) -> list[int]:
        return [self._index(owner, "nodes", v) for v in owner.items("nodes")]

    def _index(self, owner: Fields, name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < gltf.MAX_ENTRIES:
            raise owner.fail(name, "holds something other than indices")
        return value

    def _coarser(self, roots: list[int]) -> list[int]:
        for root in roots:
            node = self.source.entry("nodes", root)
            extensions = Fields(self.path, node.value.get("extensions") or {}, node.where)
            if extensions.has("MSFT_lod"):
                lod = Fields(self.path, extensions.value["MSFT_lod"], f"{node.where}.MSFT_lod")
                return [self._index(lod, "ids", v) for v in lod.items("ids")]
        return []

    def _joined(self, roots: list[int]) -> Mesh:
        found: list[Mesh] = []
        seen: set[int] = set()
        stack = [(root, np.eye(4), 0) for root in reversed(roots)]
        while stack:
            index, above, depth = stack.pop()
            if index in seen or depth > MAX_DEPTH:
                raise damaged(self.path, f"nodes[{index}] hangs in more than one place or too deep")
            seen.add(index)
            node = self.source.entry("nodes", index)
            placing = above @ _matrix(node)
            if node.has("mesh"):
                found += self._meshes(node.integer("mesh", 0, gltf.MAX_ENTRIES), placing)
            children = [self._index(node, "children", v) for v in node.items("children")]
            stack += [(child, placing, depth + 1) for child in reversed(children)]
        mesh, dropped = joined(found)
        if dropped:
            self.on_event(
                Warned("import", f"{self.path.name}: its meshes have different textures or colours; {dropped}.")
            )
        return mesh

    def _meshes(self, index: int, placing: Array) -> list[Mesh]:
        found = []
        for primitive in self.source.entry("meshes", index).objects("primitives"):
            mode = primitive.integer("mode", 0, 6) if primitive.has("mode") else gltf.TRIANGLES
            if mode == gltf.TRIANGLES:
                found.append(self._triangles(primitive, placing))
        return found

    def _triangles(self, primitive: Fields, placing: Array) -> Mesh:
        attributes = Fields(self.path, primitive.value.get("attributes"), f"{primitive.where}.attributes")
        positions = self._floats(attributes, "POSITION", 3)
        if positions is None:
            raise attributes.fail("POSITION", "is missing")
        if primitive.has("indices"):
            indices = self.source.accessor(primitive.integer("indices", 0, gltf.MAX_ENTRIES))[:, 0].astype(np.int64)
        else:
            indices = np.arange(len(positions))
        self.elements += len(indices) // 3 + len(positions)
        if self.elements > MAX_ELEMENTS:
            raise InputError(
                f"{self.path} shows more than {MAX_ELEMENTS:,} vertices and triangles; give a smaller one."
            )
        if len(indices) and not 0 <= indices.min() <= indices.max() < len(positions):
            raise damaged(self.path, f"{primitive.where} names vertices that it does not have")
        normals = self._floats(attributes, "NORMAL", 3, len(positions))
        uvs = self._floats(attributes, "TEXCOORD_0", 2, len(positions))
        colours = self._floats(attributes, "COLOR_0", (3, 4), len(positions))
        linear = placing[:3, :3]
        world = positions.astype(np.float64) @ linear.T + placing[:3, 3]
        if not np.all(np.abs(world) < 1e30):
            raise damaged(self.path, f"{primitive.where} holds positions that are no finite numbers")
        if normals is not None:
            normals = _unit((normals.astype(np.float64) @ _cofactor(linear).T).astype(np.float32))
        faces = indices[: len(indices) // 3 * 3].reshape(-1, 3).astype(np.int32)
        if np.linalg.det(linear) < 0:
            faces = faces[:, ::-1]
        texture = self._texture_of(primitive) if uvs is not None else None
        mesh = Mesh(
            world.astype(np.float32),
            np.ascontiguousarray(faces),
            normals,
            None if uvs is None else _flipped(uvs),
            None if colours is None else srgb_from_linear(colours[:, :3]),
            texture,
        )
        return placed(mesh, Y_UP_FROM_Z_UP.T)

    def _floats(
        self, attributes: Fields, name: str, width: int | tuple[int, ...], count: int | None = None
    ) -> npt.NDArray[np.float32] | None:
        if not attributes.has(name):
            return None
        values = self.source.accessor(attributes.integer(name, 0, gltf.MAX_ENTRIES))
        if values.shape[1] not in np.atleast_1d(width) or (count is not None and len(values) != count):
            raise attributes.fail(name, "has another size than its mesh")
        floats = values.astype(np.float32)
        if not np.isfinite(floats).all():
            raise attributes.fail(name, "holds values that are no finite numbers")
        return floats

    def _texture_of(self, primitive: Fields) -> Texture | None:
        if not primitive.has("material"):
            return None
        index = primitive.integer("material", 0, gltf.MAX_ENTRIES)
        if index not in self.textures:
            self.textures[index] = self._texture(self.source.entry("materials", index))
        return self.textures[index]

    def _texture(self, material: Fields) -> Texture | None:
        pbr = Fields(self.path, material.value.get("pbrMetallicRoughness") or {}, f"{material.where}.pbr")
        base = self._picture(pbr, "baseColorTexture")
        return None if base is None else Texture(base, self._picture(material, "normalTexture"))

    def _picture(self, owner: Fields, name: str) -> npt.NDArray[np.uint8] | None:
        if not owner.has(name):
            return None
        use = Fields(self.path, owner.value[name], f"{owner.where}.{name}")
        texture = self.source.entry("textures", use.integer("index", 0, gltf.MAX_ENTRIES))
        if not texture.has("source"):  # only in a form that an extension brings, such as KTX2
            self.on_event(Warned("import", f"{self.path.name}: a texture is neither PNG nor JPEG and was left out."))
            return None
        return decoded(self.source.image(texture.integer("source", 0, gltf.MAX_ENTRIES)), self.path)


def _cofactor(linear: Array) -> Array:
    """How normals turn: the inverse transpose but for a positive factor, defined for flat matrices as well."""
    sign = np.sign(np.linalg.det(linear)) or 1.0
    rows = linear
    return sign * np.stack([np.cross(rows[1], rows[2]), np.cross(rows[2], rows[0]), np.cross(rows[0], rows[1])])


def _matrix(node: Fields) -> Array:
    """A node's transform (4, 4)."""
    if node.has("matrix"):
        return np.array(node.numbers("matrix", 16)).reshape(4, 4).T
    matrix = np.eye(4)
    scale = np.array(node.numbers("scale", 3)) if node.has("scale") else np.ones(3)
    if node.has("rotation"):
        x, y, z, w = node.numbers("rotation", 4)
        if not 1e-3 < abs(complex(abs(complex(x, y)), abs(complex(z, w)))) < 1e3:
            raise node.fail("rotation", "is no rotation")
        matrix[:3, :3] = rotation_from_quaternion([w, x, y, z])
    matrix[:3, :3] *= scale
    if node.has("translation"):
        matrix[:3, 3] = node.numbers("translation", 3)
    return matrix
