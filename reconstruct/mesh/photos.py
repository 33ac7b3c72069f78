"""What each photo shows of a surface: which vertices it sees, how well each face, and in which colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diorama.capture.events import OnEvent, Progressed
from diorama.capture.types import PosedScene
from diorama.render.mesh import Mesh
from diorama.render.mesh_picture import MeshScene, pixel_rays, sample_pixels

from ..views import TrainingView, load_views
from .views import STAGE

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

LOOK_PX = 640
"""Longer side of the photos that choices are made by."""

BORDER = 0.01
"""Of the picture's width at its rim is not used: there lenses are least known."""

MIN_COS = 0.15

UNCLEAR = 0.02
"""What a face or texel is worth, as a share, that is not seen clearly: something else shows through its pixels."""

SLACK = 0.004
"""How far behind the surface that a ray meets, relative to the distance, a vertex still counts as seen."""


@dataclass(frozen=True, eq=False)
class Welded:
    """A mesh whose vertices in one place are one: texture seams split vertices, but not the surface.

    place: (V,) for each vertex of the mesh, its place. vertices, normals: (P, 3) of places. faces: (F, 3) of places.
    """

    place: npt.NDArray[np.int64]
    vertices: Floats
    normals: Floats
    faces: npt.NDArray[np.int64]
    face_normals: Floats
    areas: Floats

    @staticmethod
    def of(mesh: Mesh) -> Welded:
        vertices, first, place = np.unique(mesh.vertices, axis=0, return_index=True, return_inverse=True)
        place = place.reshape(-1)
        normals = mesh.with_normals().normals
        assert normals is not None
        faces = place[mesh.faces]
        a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(np.float64) for i in range(3))
        areas = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
        return Welded(place, vertices, normals[first], faces, mesh.face_normals(), areas.astype(np.float32))


@dataclass(frozen=True, eq=False)
class Look:
    """What C photos show of a surface.

    names: of the frames. sees: (C, P) whether a photo sees a place clearly. colours: (C, P, 3) uint8 sRGB, of a small,
    slightly blurred photo; 0 where not seen. quality: (C, F) how many of its pixels a face covers, by distance and
    angle; 0 where not all its vertices are seen, little where not all are seen clearly.
    """

    names: tuple[str, ...]
    sees: npt.NDArray[np.bool_]
    colours: Bytes
    quality: Floats


def look(
    scene: PosedScene, names: Sequence[str], mesh: Mesh, welded: Welded, rays: MeshScene, on_event: OnEvent
) -> Look:
    """Looks at the surface through each photo once. Photos are decoded one at a time.

    Raises InputError when a photo cannot be read.
    """
    sees = np.zeros((len(names), len(welded.vertices)), bool)
    colours = np.zeros((len(names), len(welded.vertices), 3), np.uint8)
    quality = np.zeros((len(names), len(welded.faces)), np.float32)
    for index, name in enumerate(names):
        (view,) = load_views(scene, [name], LOOK_PX)
        cover = Cover.of(view, rays)
        sight = cover.sight(welded.vertices, welded.normals)
        sees[index] = sight.clear
        at = np.flatnonzero(sight.clear)
        colours[index, at] = np.round(sample_pixels(_blurred(view.rgb), sight.pixels[at]))
        quality[index] = _quality(view, welded, sight)
        on_event(Progressed(STAGE, index + 1, len(names), "looking at the surface through the photos"))
    return Look(tuple(names), sees, colours, quality)


@dataclass(frozen=True, eq=False)
class Sight:
    """Of P points: whether each is seen at all, and clearly, with nothing behind it showing in the pixels around; its
    pixel (P, 2), NaN outside the lens; its distance."""

    seen: npt.NDArray[np.bool_]
    clear: npt.NDArray[np.bool_]
    pixels: npt.NDArray[np.float64]
    distance: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cover:
    """How far a photo sees: `nearest` and `furthest` (h, w), at most `LOOK_PX` a side, the distance of the surface
    along each pixel's ray, of each pixel and its neighbours the least and the most, infinite where nothing is;
    `usable`, at the photo's own size, where neither a mask nor the rim hides it."""

    view: TrainingView
    nearest: Floats
    furthest: Floats
    usable: npt.NDArray[np.bool_]

    @staticmethod
    def of(view: TrainingView, rays: MeshScene) -> Cover:
        from scipy.ndimage import maximum_filter, minimum_filter

        small = view.camera.fitted(LOOK_PX)
        _, along = pixel_rays(small, view.cam_from_world)
        t = rays.cast(view.cam_from_world.origin_in_source, along).t.reshape(small.height_px, small.width_px)
        shape = view.rgb.shape[:2]
        usable = np.ones(shape, bool) if view.mask is None else view.mask > 0
        rim = max(1, round(BORDER * max(shape)))
        usable[:rim] = usable[-rim:] = usable[:, :rim] = usable[:, -rim:] = False
        return Cover(view, minimum_filter(t, size=3), maximum_filter(t, size=3), usable)

    def sight(self, points: Floats, normals: Floats) -> Sight:
        """Of points (P, 3) with normals.

        Strict at silhouettes: a point beside a nearer surface's edge counts as hidden, as photo and surface do not
        agree to the pixel there, and one at the edge of what is in front is not seen clearly.
        """
        camera, pose = self.view.camera, self.view.cam_from_world
        in_cam = pose.apply(points)
        pixels = camera.project(in_cam)
        distance = np.linalg.norm(in_cam, axis=1)
        towards = (pose.origin_in_source - points) / np.maximum(distance, 1e-12)[:, None]
        cosine = np.clip((towards * normals).sum(axis=1), 0, 1)
        with np.errstate(invalid="ignore"):
            inside = (pixels >= 0).all(axis=1) & (pixels[:, 0] < camera.width_px) & (pixels[:, 1] < camera.height_px)
        whole = np.where(inside[:, None], pixels, 0)
        column, row = whole.astype(np.int64).T
        height, width = self.nearest.shape
        small = (whole * [width / camera.width_px, height / camera.height_px]).astype(np.int64)
        place = (np.minimum(small[:, 1], height - 1), np.minimum(small[:, 0], width - 1))
        tangent = np.sqrt(1 - cosine**2) / np.maximum(cosine, MIN_COS)
        per_pixel = camera.width_px / (width * camera.fx)
        slack = distance * (SLACK + 1.5 * tangent * per_pixel)
        seen = inside & self.usable[row, column] & (cosine > MIN_COS) & (distance <= self.nearest[place] + slack)
        return Sight(seen, seen & (self.furthest[place] <= distance + slack), pixels, distance)


def _blurred(rgb: Bytes) -> Floats:
    from scipy.ndimage import uniform_filter

    smooth: Floats = uniform_filter(rgb.astype(np.float32), size=(3, 3, 1))
    return smooth


def _quality(view: TrainingView, welded: Welded, sight: Sight) -> Floats:
    a, b, c = welded.faces.T
    whole = sight.seen[a] & sight.seen[b] & sight.seen[c]
    clear = sight.clear[a] & sight.clear[b] & sight.clear[c]
    found = np.zeros(len(whole), np.float32)
    faces = welded.faces[whole]
    centre = welded.vertices[faces].mean(axis=1)
    towards = view.cam_from_world.origin_in_source - centre
    cosine = (towards * welded.face_normals[whole]).sum(axis=1) / np.maximum(np.linalg.norm(towards, axis=1), 1e-12)
    per_unit = view.camera.fx / sight.distance[faces].mean(axis=1)
    # The angle counts twice: once for the pixels covered, once as a surface seen aslant is where its errors show.
    covered = welded.areas[whole] * per_unit**2 * np.clip(cosine, 0, 1) ** 2
    found[whole] = np.where(cosine > MIN_COS, covered, 0) * np.where(clear[whole], 1.0, UNCLEAR)
    return found
