"""Photos on a surface: a box in a painted world, of which every colour is known; and what goes wrong in photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from diorama.capture.camera import Camera
from diorama.capture.types import Capture, Frame, PosedScene, PoseSummary, SparsePoints
from diorama.reconstruct.mesh import TextureConfig
from diorama.reconstruct.mesh.agreement import best_photos, exposure_factors, with_outliers_down
from diorama.reconstruct.mesh.atlas import spread, texels_of, unwrapped
from diorama.reconstruct.mesh.bake import Painting, painting_of, textured, with_normal_map, with_vertex_colours
from diorama.reconstruct.mesh.check import against_photos
from diorama.reconstruct.mesh.collider import convex_hull, convex_parts
from diorama.reconstruct.mesh.lod import levels
from diorama.reconstruct.mesh.photos import Look, Welded
from diorama.reconstruct.mesh.seams import patches_of
from diorama.render.formats.meshes.joining import parts
from diorama.render.mesh import Mesh
from diorama.render.mesh_picture import MeshScene, blend, sample_picture
from diorama.render.synthetic import cameras_around

SIDE = 12


def cube(side: int = SIDE) -> Mesh:
    """From -1 to 1, `side` squares along an edge, closed, no vertex twice."""
    at = np.linspace(-1, 1, side + 1)
    u, v = (a.reshape(-1) for a in np.meshgrid(at, at, indexing="ij"))
    index = np.arange((side + 1) ** 2).reshape(side + 1, side + 1)
    a, b, c, d = (x.reshape(-1) for x in (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]))
    quad = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    vertices, faces = [], []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            points = np.empty((len(u), 3))
            points[:, axis], points[:, (axis + 1) % 3], points[:, (axis + 2) % 3] = sign, u, v
            faces.append((quad if sign > 0 else quad[:, ::-1]) + len(vertices) * len(u))
            vertices.append(points)
    found, place = np.unique(np.round(np.concatenate(vertices), 9), axis=0, return_inverse=True)
    return Mesh(found.astype(np.float32), place.reshape(-1)[np.concatenate(faces)].astype(np.int32))


def painted(points: np.ndarray) -> np.ndarray:
    """(P, 3) sRGB 0 to 1: a smooth colour for every place of the world."""
    return 0.5 + 0.3 * np.sin(np.asarray(points) * [2.0, 2.5, 3.0] + [0.0, 1.0, 2.0])


def photographed(folder: Path, factors: np.ndarray | None = None, count: int = 14) -> PosedScene:
    camera = Camera.pinhole(128, 128, 150.0, 150.0, 64.0, 64.0)
    rays, poses, frames = MeshScene(cube()), {}, []
    (folder / "images").mkdir()
    for index, pose in enumerate(cameras_around((0, 0, 0), 4.5, count)):
        name = f"photo_{index:02d}.png"
        drawn = rays.picture(camera, pose)
        along = (camera.rays(np.stack(np.meshgrid(np.arange(128) + 0.5, np.arange(128) + 0.5), -1))) @ pose.rotation
        rgb = painted(pose.origin_in_source + along * drawn.distance[..., None]) * (drawn.face >= 0)[..., None]
        if factors is not None:
            rgb = rgb * factors[index]
        PIL.Image.fromarray(np.round(np.clip(rgb, 0, 1) * 255).astype(np.uint8)).save(folder / "images" / name)
        frames.append(Frame(name, 1))
        poses[name] = pose
    capture = Capture(folder / "images", folder / "masks", "synthetic", {1: camera}, {1: True}, tuple(frames))
    return PosedScene(capture, {1: camera}, poses, SparsePoints.empty(), PoseSummary("truth", 0.0, 1))


def texture_error(mesh: Mesh) -> np.ndarray:
    """Of points of the surface: the texture's colour against the painted one's."""
    assert mesh.texture is not None and mesh.uvs is not None
    rng = np.random.default_rng(2)
    face = rng.integers(len(mesh), size=4000)
    weights = rng.dirichlet((1, 1, 1), 4000)[:, 1:].astype(np.float32)
    shown = sample_picture(mesh.texture.base_colour, blend(mesh.uvs, mesh.faces, face, weights))
    return np.abs(shown - painted(blend(mesh.vertices, mesh.faces, face, weights))).max(axis=1)


def painting_and_mesh(scene: PosedScene, size: int = 256) -> tuple[Painting, Mesh]:
    mesh, config = unwrapped(cube(), size), TextureConfig(size_px=size)
    rays = MeshScene(mesh)
    painting = painting_of(scene, mesh, rays, config, 100, lambda _: None)
    return painting, textured(scene, mesh, texels_of(mesh, size), painting, rays, config, lambda _: None)


def test_a_texture_shows_the_painted_world_on_all_sides(tmp_path: Path) -> None:
    scene = photographed(tmp_path)
    painting, mesh = painting_and_mesh(scene)
    assert painting.seen_share == pytest.approx(1.0, abs=0.01)
    error = texture_error(mesh)
    # Colours change by 0.9 a unit at most and a photo's pixel covers 0.03: half of one is 0.015, rounding the rest.
    assert np.median(error) < 0.01
    assert np.quantile(error, 0.99) < 0.05
    drawn = against_photos(scene, mesh, frames=4, size_px=128)
    assert drawn.mean_db is not None
    assert drawn.mean_db > 34
    assert all(picture.shape == (128, 384, 3) for picture in drawn.pictures.values())
    colours = with_vertex_colours(mesh, painting).colours
    assert colours is not None
    error = np.abs(colours / 255 - painted(mesh.vertices)).max(axis=1)
    assert np.median(error) < 0.01
    assert np.quantile(error, 0.95) < 0.1, "on an edge of the box no photo sees clearly: neighbours say"


def test_photos_metered_differently_are_brought_to_one_exposure(tmp_path: Path) -> None:
    true = np.exp(np.random.default_rng(5).normal(0, 0.12, (14, 1))) * np.ones(3)
    scene = photographed(tmp_path, true)
    mesh = unwrapped(cube(), 128)
    painting = painting_of(scene, mesh, MeshScene(mesh), TextureConfig(size_px=128), 100, lambda _: None)
    left = np.log(true * painting.factors)
    before, after = np.std(np.log(true), axis=0).max(), np.std(left, axis=0).max()
    assert after < 0.35 * before, "what a photo's hold on its own exposure leaves is about a quarter, 0.3 / 1.3"


def test_charts_do_not_overlap_and_are_not_mirrored() -> None:
    mesh = unwrapped(cube(), 256)
    assert mesh.uvs is not None
    a, b, c = (mesh.uvs[mesh.faces[:, i]].astype(np.float64) for i in range(3))
    (x1, y1), (x2, y2) = (b - a).T, (c - a).T
    area = (x1 * y2 - x2 * y1) / 2
    assert (area > 0).all()
    texels = texels_of(mesh, 256)
    assert len(np.unique(texels.index)) == len(texels.index)
    # No texel lost to a face above another: as many as the charts' area says, but for their rims.
    assert len(texels.index) == pytest.approx(area.sum() * 256**2, rel=0.02)
    np.testing.assert_array_equal(
        np.sort(mesh.vertices[mesh.faces].sum((1, 2))), np.sort(cube().vertices[cube().faces].sum((1, 2)))
    )


def test_the_normal_map_holds_what_the_dense_surface_knows(tmp_path: Path) -> None:
    """The dense surface is the same box, its normals bent: in the map they come back, in the world's axes."""
    scene = photographed(tmp_path, count=6)
    _, mesh = painting_and_mesh(scene)
    dense = cube().with_normals()
    flat = with_normal_map(mesh, texels_of(mesh, 256), dense, MeshScene(dense))
    assert flat.texture is not None and flat.texture.normal_map is not None
    assert np.abs(np.linalg.norm(flat.texture.normal_map / 127.5 - 1, axis=2) - 1).max() < 0.02
    assert (flat.texture.normal_map[..., 2] > 127).all()


def test_a_face_is_taken_from_the_photo_that_shows_it_best_and_not_from_a_liar() -> None:
    mesh = cube(4)
    welded = Welded.of(mesh)
    places, faces = len(welded.vertices), len(welded.faces)
    colours = np.full((4, places, 3), 100, np.uint8)
    colours[3] = 220  # a passer-by, in the photo that shows most
    quality = np.ones((4, faces), np.float32) * np.float32([[1.0], [2.0], [1.5], [3.0]])
    look = Look(("a", "b", "c", "d"), np.ones((4, places), bool), colours, quality)
    assert (best_photos(look, welded) == 3).all()
    checked = with_outliers_down(look, welded, np.ones((4, 3), np.float32))
    assert (best_photos(checked, welded) == 1).all()


def test_patches_are_large() -> None:
    """Of two equally good photos, with noise in how good they are, neighbours take the same."""
    mesh = cube()
    welded = Welded.of(mesh)
    rng = np.random.default_rng(0)
    quality = np.exp(rng.normal(0, 0.2, (2, len(mesh)))).astype(np.float32)
    seen = np.ones((2, len(welded.vertices)), bool)
    look = Look(("a", "b"), seen, np.full((2, len(welded.vertices), 3), 90, np.uint8), quality)

    def borders(label: np.ndarray) -> int:
        from diorama.reconstruct.mesh.agreement import neighbours_of

        return int((label[neighbours_of(welded)] != label[:, None]).sum())

    assert borders(best_photos(look, welded)) < 0.4 * borders(quality.argmax(axis=0))


def test_seams_are_levelled() -> None:
    """Left half from a photo that is 20 darker than the other's: the step at the seam goes, over some distance."""
    mesh = cube()
    welded = Welded.of(mesh)
    left = welded.vertices[welded.faces].mean(axis=1)[:, 0] < 0
    label = np.where(left, 0, 1)
    colours = np.full((2, len(welded.vertices), 3), 100, np.uint8)
    colours[1] = 120
    seen = np.ones((2, len(welded.vertices)), bool)
    look = Look(("a", "b"), seen, colours, np.ones((2, len(mesh)), np.float32))
    one = np.ones((2, 3), np.float32)
    for level, most, least in ((False, 20.001, 19.999), (True, 3.0, -3.0)):
        patches = patches_of(look, welded, label, one, level=level)
        shown = patches.colours + patches.corrections
        twice = np.flatnonzero(patches.place[:-1] == patches.place[1:])
        step = shown[twice + 1] - shown[twice]
        assert len(twice) > 20
        assert least < step.min() <= step.max() < most
    np.testing.assert_allclose(np.bincount(patches.place, patches.weight), 1.0, atol=1e-6)


def test_photos_that_share_nothing_keep_their_exposure() -> None:
    look = Look(("a", "b"), np.zeros((2, 50), bool), np.zeros((2, 50, 3), np.uint8), np.zeros((2, 10), np.float32))
    np.testing.assert_array_equal(exposure_factors(look), np.ones((2, 3)))


def test_unknown_texels_take_the_nearest_known() -> None:
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[0, 0], picture[3, 5] = 50, 200
    known = picture.any(axis=2)
    found = spread(picture, known)
    assert (found[0, 1] == 50).all()
    assert (found[2, 5] == 200).all()
    assert spread(picture, np.zeros((4, 6), bool)) is picture


def test_coarser_levels_keep_shape_and_colours(tmp_path: Path) -> None:
    _, mesh = painting_and_mesh(photographed(tmp_path, count=8))
    dense = cube(24).with_normals()
    found = levels(mesh, dense, MeshScene(dense), 3)
    assert [len(m) for m in found][1:] == [pytest.approx(len(mesh) / 4, abs=8)], "200 faces are the least"
    coarse = found[1]
    assert coarse.texture is not None
    assert coarse.texture.base_colour.shape == (128, 128, 3)
    assert np.abs(np.abs(coarse.vertices).max(axis=1) - 1).max() < 1e-3, "every vertex is on a side of the box"
    assert np.median(texture_error(coarse)) < 0.03


def volume_of(mesh: Mesh) -> float:
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(np.float64) for i in range(3))
    return float(np.einsum("fk,fk->f", a, np.cross(b, c)).sum() / 6)


def test_colliders_are_convex_and_hold_the_surface() -> None:
    box = cube()
    one = convex_hull(box)
    assert volume_of(one) == pytest.approx(8.0, rel=0.03)
    away = Mesh(
        np.concatenate([box.vertices, box.vertices + np.float32([5, 0, 0])]),
        np.concatenate([box.faces, box.faces + len(box.vertices)]),
    )
    assert volume_of(convex_hull(away)) == pytest.approx(4 * 7, rel=0.05)
    two = convex_parts(away, 8)
    assert volume_of(two) == pytest.approx(16.0, rel=0.05), "not what lies between the boxes"
    for part in parts(two):
        middle = part.vertices.mean(axis=0)
        normals, centres = part.face_normals(), part.vertices[part.faces].mean(axis=1)
        ahead = np.einsum("fvk,fk->fv", part.vertices[None] - centres[:, None], normals)
        assert ahead.max() < 1e-4, "no vertex is in front of any face: convex, and faces look outward"
        assert ((centres - middle) * normals).sum(axis=1).min() > 0
    assert len(convex_parts(Mesh.empty(), 4)) == 0


def test_a_floor_gets_a_slab() -> None:
    corners = np.array([[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]], np.float32)
    slab = convex_parts(Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]], np.int32)), 4)
    assert slab.vertices[:, 2].max() == pytest.approx(0.0, abs=1e-6)
    assert -0.05 < slab.vertices[:, 2].min() < -0.01
