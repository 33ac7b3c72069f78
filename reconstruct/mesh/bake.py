"""The texture: photos laid onto a surface that has texture coordinates."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from diorama.capture.events import OnEvent, Progressed, ignore
from diorama.capture.types import PosedScene
from diorama.render.formats.meshes.tangents import tangents
from diorama.render.mesh import Mesh, Texture
from diorama.render.mesh_picture import MeshScene, blend, sample_pixels

from ..views import load_views
from .agreement import best_photos, exposure_factors, with_outliers_down
from .atlas import Texels, spread
from .config import TextureConfig
from .photos import UNCLEAR, Cover, Look, Welded, look
from .seams import Patches, patches_of, place_colours
from .views import STAGE, chosen_frames

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

MIN_WEIGHT = 1e-3

AT_ONCE = 1 << 19
"""Texels in one go; the arrays between take about 300 bytes each."""


@dataclasses.dataclass(frozen=True, eq=False)
class Painting:
    """What was decided about a surface and its photos: which photo shows which face, and in which colours.

    colours: (P, 3) 0 to 255 of places. label: (F,) the photo of each face, -1 for none.
    """

    look: Look
    welded: Welded
    label: Ints
    factors: Floats
    patches: Patches
    colours: Floats

    @property
    def exposures(self) -> dict[str, tuple[float, ...]]:
        """By frame name, the factors that bring its photo to the texture's exposure."""
        return {name: tuple(row) for name, row in zip(self.look.names, self.factors.tolist(), strict=True)}

    @property
    def seen_share(self) -> float:
        """Of the surface's area, what some photo shows."""
        areas = self.welded.areas.astype(np.float64)
        return float(areas[self.label >= 0].sum() / max(areas.sum(), 1e-300))


def painting_of(
    scene: PosedScene, mesh: Mesh, rays: MeshScene, config: TextureConfig, views: int, on_event: OnEvent
) -> Painting:
    """Looks at the surface through at most `views` photos and decides.

    Raises InputError when a photo cannot be read.
    """
    welded = Welded.of(mesh)
    names = [frame.name for frame in chosen_frames(scene, views)]
    seen = look(scene, names, mesh, welded, rays, on_event)
    factors = exposure_factors(seen) if config.exposure else np.ones((len(names), 3), np.float32)
    seen = with_outliers_down(seen, welded, factors)
    label = best_photos(seen, welded)
    patches = patches_of(seen, welded, label, factors, level=config.level_seams)
    return Painting(seen, welded, label, factors, patches, place_colours(seen, welded, patches, factors))


def with_vertex_colours(mesh: Mesh, painting: Painting) -> Mesh:
    colours = np.clip(np.round(painting.colours[painting.welded.place]), 0, 255).astype(np.uint8)
    return dataclasses.replace(mesh, colours=colours)


def textured(
    scene: PosedScene,
    mesh: Mesh,
    texels: Texels,
    painting: Painting,
    rays: MeshScene,
    config: TextureConfig,
    on_event: OnEvent,
) -> Mesh:
    """The mesh with a texture of the photos; texels that none of the chosen photos shows take the places' colours.

    Memory: 16 bytes per texel, and one photo.
    """
    total = np.zeros((len(texels.index), 3), np.float32)
    weight = np.zeros(len(texels.index), np.float32)
    by_face = _ByFace.of(texels, len(mesh.faces))
    used = [index for index in range(len(painting.look.names)) if (painting.label == index).any()]
    for done, index in enumerate(used, start=1):
        _paint(scene, index, mesh, texels, by_face, painting, rays, config, (total, weight))
        on_event(Progressed(STAGE, done, len(used), "laying photos onto the surface"))
    known = weight > MIN_WEIGHT
    total[known] /= weight[known, None]
    places = painting.colours[painting.welded.place]
    rest = ~known
    total[rest] = blend(places, mesh.faces, texels.face[rest], texels.weights[rest])
    return dataclasses.replace(mesh, texture=Texture(laid_out(texels, np.clip(np.round(total), 0, 255))))


@dataclasses.dataclass(frozen=True, eq=False)
class _ByFace:
    """Texels sorted by face: those of face f are `order[first[f]:first[f + 1]]`."""

    order: Ints
    first: Ints

    @staticmethod
    def of(texels: Texels, faces: int) -> _ByFace:
        order = np.argsort(texels.face, kind="stable")
        first = np.concatenate([[0], np.cumsum(np.bincount(texels.face, minlength=faces))])
        return _ByFace(order, first)

    def of_faces(self, chosen: npt.NDArray[np.bool_]) -> Ints:
        starts, ends = self.first[:-1][chosen], self.first[1:][chosen]
        counts = ends - starts
        skip = np.repeat(starts - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
        chosen_texels: Ints = self.order[np.arange(int(counts.sum())) + skip]
        return chosen_texels


def _paint(
    scene: PosedScene,
    index: int,
    mesh: Mesh,
    texels: Texels,
    by_face: _ByFace,
    painting: Painting,
    rays: MeshScene,
    config: TextureConfig,
    sums: tuple[Floats, Floats],
) -> None:
    """Adds one photo's colours and weights."""
    welded, patches = painting.welded, painting.patches
    nodes = patches.photo == index
    weight = np.zeros((len(welded.vertices), 1), np.float32)
    weight[patches.place[nodes], 0] = patches.weight[nodes]
    weighed = np.zeros((len(welded.vertices), 3), np.float32)
    weighed[patches.place[nodes]] = patches.weight[nodes, None] * patches.corrections[nodes]
    corners = welded.faces
    wanted = (weight[corners, 0] > 0).any(axis=1) & (painting.look.quality[index] > 0)
    (view,) = load_views(scene, [painting.look.names[index]], config.photo_px)
    cover = Cover.of(view, rays)
    assert mesh.normals is not None
    chosen = by_face.of_faces(wanted)
    for first in range(0, len(chosen), AT_ONCE):
        some = chosen[first : first + AT_ONCE]
        face, at = texels.face[some], texels.weights[some]
        points, normals = blend(mesh.vertices, mesh.faces, face, at), blend(mesh.normals, mesh.faces, face, at)
        sight = cover.sight(points, normals)
        seen = sight.seen
        some, face, at = some[seen], face[seen], at[seen]
        worth = np.where(sight.clear[seen], np.float32(1), np.float32(UNCLEAR))[:, None]
        share = blend(weight, corners, face, at)
        colour = sample_pixels(view.rgb, sight.pixels[seen]) * painting.factors[index]
        sums[0][some] += worth * (share * colour + blend(weighed, corners, face, at))
        sums[1][some] += worth[:, 0] * share[:, 0]


def laid_out(texels: Texels, values: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    picture = np.zeros((texels.size * texels.size, values.shape[1]), np.uint8)
    known = np.zeros(texels.size * texels.size, bool)
    picture[texels.index], known[texels.index] = values.astype(np.uint8), True
    shape = (texels.size, texels.size)
    return spread(picture.reshape(*shape, -1), known.reshape(shape))


def with_normal_map(mesh: Mesh, texels: Texels, dense: Mesh, rays: MeshScene, on_event: OnEvent = ignore) -> Mesh:
    """The mesh's texture with the normals of a denser surface (`rays` is of that one), in tangent space.

    Where the denser surface turns away by more than 70 degrees it is another one's, and the normal is the mesh's own.
    """
    assert mesh.normals is not None and mesh.texture is not None and dense.normals is not None
    frame = tangents(mesh)
    values = np.empty((len(texels.index), 3), np.float32)
    for first in range(0, len(texels.index), AT_ONCE):
        some = slice(first, first + AT_ONCE)
        face, at = texels.face[some], texels.weights[some]
        _, near, where = rays.nearest(blend(mesh.vertices, mesh.faces, face, at))
        fine = _unit(blend(dense.normals, dense.faces, near, where))
        normal = _unit(blend(mesh.normals, mesh.faces, face, at))
        along = blend(frame, mesh.faces, face, at)
        tangent = _unit(along[:, :3] - normal * (normal * along[:, :3]).sum(axis=1, keepdims=True))
        up = np.cross(normal, tangent) * np.sign(along[:, 3:])
        local = np.stack([(fine * axis).sum(axis=1) for axis in (tangent, up, normal)], axis=1)
        values[some] = np.where(local[:, 2:] > 0.34, local, np.array([0, 0, 1], np.float32))
        on_event(Progressed(STAGE, min(first + AT_ONCE, len(texels.index)), len(texels.index), "baking normals"))
    normal_map = laid_out(texels, np.clip(np.round(127.5 * values + 127.5), 0, 255))
    return dataclasses.replace(mesh, texture=dataclasses.replace(mesh.texture, normal_map=normal_map))


def _unit(v: Floats) -> Floats:
    unit: Floats = v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), np.float32(1e-20))
    return unit
