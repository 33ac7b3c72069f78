"""Surfaces from distances and depth: marching cubes, fusion, cleaning, holes, against shapes whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose
from diorama.reconstruct.mesh import FusionConfig, tsdf
from diorama.reconstruct.mesh.clean import (
    cropped,
    cut_below,
    edges_of,
    ground_height,
    manifold,
    parts_of,
    smoothed,
    with_faces,
    without_crumbs,
    without_flaps,
)
from diorama.reconstruct.mesh.consistency import confirmed
from diorama.reconstruct.mesh.decimate import decimated
from diorama.reconstruct.mesh.holes import filled, perimeter, rims, triangulated
from diorama.reconstruct.mesh.marching import SIDE, extract
from diorama.reconstruct.mesh.region import Bounds
from diorama.reconstruct.mesh.views import DepthView, pixel_plane, without_grazing
from diorama.render.mesh import Mesh

BLOCKS = np.array([[x, y, z] for x in range(-2, 2) for y in range(-2, 2) for z in range(-2, 2)])


def voxels() -> np.ndarray:
    """(B, 8, 8, 8, 3)"""
    inside = np.stack(np.meshgrid(*[np.arange(SIDE)] * 3, indexing="ij"), -1)
    return (SIDE * BLOCKS[:, None, None, None] + inside).astype(np.float64)


def sphere(radius: float = 11.0, centre: tuple[float, float, float] = (0.3, 0.2, -0.1)) -> Mesh:
    values = np.linalg.norm(voxels() - centre, axis=-1) - radius
    return Mesh(*extract(BLOCKS, values.astype(np.float32)))


def volume_of(mesh: Mesh) -> float:
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(np.float64) for i in range(3))
    return float(np.einsum("fk,fk->f", a, np.cross(b, c)).sum() / 6)


def is_closed(mesh: Mesh) -> bool:
    """Every edge has two faces, which run along it in opposite ways."""
    start, end, edge = edges_of(mesh.faces)
    forward = np.bincount(edge, weights=start < end)
    return bool((np.bincount(edge) == 2).all() and (forward == 1).all())


def test_marching_a_sphere_is_closed_outward_and_where_it_should_be() -> None:
    mesh = sphere()
    assert is_closed(mesh)
    # Linear interpolation of a distance along an edge of one voxel errs by at most 1 / (8 r).
    assert np.abs(np.linalg.norm(mesh.vertices - [0.3, 0.2, -0.1], axis=1) - 11).max() < 1 / (8 * 11) + 1e-4
    assert volume_of(mesh) == pytest.approx(4 / 3 * np.pi * 11**3, rel=0.005)
    outward = (mesh.face_normals() * (mesh.vertices[mesh.faces].mean(1) - [0.3, 0.2, -0.1])).sum(1)
    assert (outward > 0).all()


def test_marching_noise_has_no_open_edge() -> None:
    """All 256 cases occur beside each other; each edge has an even number of faces, as many each way."""
    seed = 4
    values = np.random.default_rng(seed).normal(size=voxels().shape[:4])
    values[np.abs(voxels()).max(-1) > 12] = 1.0
    start, end, edge = edges_of(extract(BLOCKS, values.astype(np.float32))[1])
    uses, forward = np.bincount(edge), np.bincount(edge, weights=start < end)
    assert (2 * forward == uses).all(), f"seed {seed}"


def test_marching_leaves_out_what_is_not_known_and_survives_nothing() -> None:
    values = (voxels()[..., 2] - 0.5).astype(np.float32)
    values[voxels()[..., 0] > 3] = np.nan
    vertices, faces = extract(BLOCKS, values)
    assert vertices[:, 0].max() == 3.0
    np.testing.assert_allclose(vertices[:, 2], 0.5, atol=1e-6)
    assert (Mesh(vertices, faces).face_normals()[:, 2] > 0.999).all()
    for nothing in (np.full_like(values, np.nan), np.ones_like(values)):
        assert len(extract(BLOCKS, nothing)[1]) == 0
    assert len(extract(BLOCKS[:0], values[:0])[1]) == 0


def looking_at_origin(spot: np.ndarray) -> Pose:
    forward = -spot / np.linalg.norm(spot)
    right = np.cross(forward, [0.0, 0.0, 1.0] if abs(forward[2]) < 0.9 else [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return Pose(rotation, -rotation @ spot)


def ball_views(count: int = 14, radius: float = 1.0, distance: float = 4.0) -> list[DepthView]:
    """Exact depth of a ball at the origin, from all around."""
    camera = Camera.pinhole(120, 120, 150.0, 150.0, 60.0, 60.0)
    rays = pixel_plane(camera)
    views = []
    for i in range(count):
        z = 1 - 2 * (i + 0.5) / count
        angle = 2.39996 * i
        spot = distance * np.array([np.sqrt(1 - z * z) * np.cos(angle), np.sqrt(1 - z * z) * np.sin(angle), z])
        pose = looking_at_origin(spot)
        middle = pose.apply(np.zeros(3))
        a, b, c = (rays**2).sum(-1), rays @ middle, middle @ middle - radius**2
        inside = b * b - a * c
        depth = np.where(inside > 0, (b - np.sqrt(np.maximum(inside, 0))) / a, 0)
        views.append(DepthView(f"view{i}", camera, pose, depth.astype(np.float32)))
    return views


BOX = Bounds(np.full(3, -1.3), np.full(3, 1.3))


def test_fusion_of_exact_depth_gives_the_ball() -> None:
    config = FusionConfig()
    views = [DepthView(v.name, v.camera, v.cam_from_world, without_grazing(v.depth, v.camera)) for v in ball_views()]
    voxel = tsdf.voxel_size(views, BOX, config)
    # A pixel covers distance / focal length: from 3 / 150 at the near point to 4 / 150 at the rim, times the factor.
    assert 3 / 150 * config.voxel_factor < voxel < 4 / 150 * config.voxel_factor
    mesh = manifold(tsdf.surface(tsdf.filled(tsdf.fuse(views, BOX, voxel, config, lambda _: None), 2)))
    error = np.abs(np.linalg.norm(mesh.vertices, axis=1) - 1)
    assert error.mean() < 0.004, "a twelfth of a voxel: the distance along a ray is not the distance to the ball"
    assert is_closed(mesh)
    assert volume_of(mesh) == pytest.approx(4 / 3 * np.pi, rel=0.01)


def test_depth_that_neighbours_look_through_does_not_hold() -> None:
    views = ball_views(20)
    floater = views[3].depth.copy()
    floater[50:60, 50:60] = 2.0
    bad = [*views[:3], DepthView("view3", views[3].camera, views[3].cam_from_world, floater), *views[4:]]
    found = confirmed(bad, FusionConfig(), lambda _: None)
    kept = found.depths
    assert found.difference < 0.003, "exact depth, compared at the nearest pixel"
    assert (kept[3][50:60, 50:60] == 0).all()
    away = np.ones_like(floater, bool)
    away[48:62, 48:62] = False
    known = (views[3].depth > 0) & away
    assert (kept[3][known] > 0).mean() > 0.8, "only the rim, which neighbours cannot see, may go"


def test_fusion_outside_the_bounds_is_nothing() -> None:
    views = ball_views(6)
    nowhere = Bounds(np.full(3, 5.0), np.full(3, 6.0))
    volume = tsdf.fuse(views, nowhere, 0.05, FusionConfig(), lambda _: None)
    assert len(volume.blocks) == 0
    assert len(tsdf.surface(tsdf.filled(volume, 2))) == 0


def test_what_is_not_manifold_is_cut_open() -> None:
    """Two tetrahedra that share an edge: four faces on it; and two that share a corner."""
    points = np.array([[0, 0, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]], np.float32)

    def tetrahedron(a: int, b: int, c: int, d: int) -> list[list[int]]:
        return [[a, b, c], [a, c, d], [a, d, b], [b, d, c]]

    by_edge = Mesh(points, np.array(tetrahedron(0, 1, 2, 3) + tetrahedron(0, 1, 4, 5), np.int32))
    found = manifold(by_edge)
    assert parts_of(found)[0] == 2
    assert np.bincount(edges_of(found.faces)[2]).max() == 2
    by_corner = Mesh(
        np.concatenate([points[:4], -points[1:4]]),
        np.array(tetrahedron(0, 1, 2, 3) + [f[::-1] for f in tetrahedron(0, 4, 5, 6)], np.int32),
    )
    found = manifold(by_corner)
    assert len(found.vertices) == 8
    assert is_closed(found)


def test_faces_without_area_and_doubles_go() -> None:
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    mesh = Mesh(square, np.array([[0, 1, 2], [1, 2, 0], [0, 2, 3], [1, 1, 2]], np.int32))
    assert len(manifold(mesh)) == 2
    assert len(manifold(Mesh.empty())) == 0


def test_holes_are_found_and_closed() -> None:
    ball = sphere()
    middle = ball.vertices[ball.faces].mean(1)
    open_ball = manifold(with_faces(ball, (middle[:, 2] < 9) & (np.linalg.norm(middle - [11, 0, 0], axis=1) > 3)))
    found = rims(open_ball)
    assert len(found) == 2
    small, large = sorted(found, key=len)
    # A cap of chord 3 has a rim of about 2 pi 3; its zigzag along faces is up to twice as long.
    assert 2 * np.pi * 2.8 < perimeter(open_ball, small) < 2 * np.pi * 3 * 2
    one = filled(open_ball, lambda rim: perimeter(open_ball, rim) < perimeter(open_ball, large))
    assert len(rims(manifold(one))) == 1
    whole = manifold(filled(open_ball, lambda rim: True))
    assert is_closed(whole)
    assert volume_of(whole) == pytest.approx(volume_of(ball), rel=0.05)


def test_a_rim_that_is_not_convex_is_covered_once() -> None:
    """An L: its area by the shoelace formula is 3, and no face may reach over the notch."""
    corner = np.array([[0, 0, 0], [2, 0, 0], [2, 1, 0], [1, 1, 0], [1, 2, 0], [0, 2, 0]], float)
    faces = np.array(triangulated(corner, range(6)))
    a, b, c = (corner[faces[:, i]] for i in range(3))
    signed = np.cross(b - a, c - a)[:, 2] / 2
    assert (signed > 0).all()
    assert signed.sum() == pytest.approx(3.0)


def test_cutting_a_ball_leaves_a_level_rim() -> None:
    cut = manifold(cut_below(sphere(centre=(0, 0, 0)), 2.0))
    assert cut.vertices[:, 2].min() == 2.0
    (rim,) = rims(cut)
    radius = np.linalg.norm(cut.vertices[rim][:, :2], axis=1)
    np.testing.assert_allclose(radius, np.sqrt(11**2 - 4), atol=0.05)
    capped = manifold(filled(cut, lambda rim: True))
    assert is_closed(capped)
    height = 11 - 2.0
    assert volume_of(capped) == pytest.approx(np.pi * height**2 * (3 * 11 - height) / 3, rel=0.01)


def test_the_ground_is_the_large_level_area_below() -> None:
    grid = np.stack(np.meshgrid(np.arange(21.0), np.arange(21.0), indexing="ij"), -1).reshape(-1, 2)
    index = np.arange(441).reshape(21, 21)
    a, b, c, d = (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:])
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    rng = np.random.default_rng(0)
    floor = Mesh(np.column_stack([grid, 0.3 + rng.normal(0, 0.01, 441)]).astype(np.float32), faces.astype(np.int32))
    ball = sphere(radius=4, centre=(10, 10, 8))
    both = Mesh(np.concatenate([floor.vertices, ball.vertices]), np.concatenate([floor.faces, ball.faces + 441]))
    height = ground_height(both, 0.1)
    assert height is not None
    assert height == pytest.approx(0.3, abs=0.02)
    assert ground_height(ball, 0.1) is None or len(ball) > 0
    assert ground_height(Mesh.empty(), 0.1) is None


def test_crumbs_go_and_crops_keep() -> None:
    large, small = sphere(radius=9, centre=(-3, 0, 0)), sphere(radius=1, centre=(12, 0, 0))
    both = Mesh(
        np.concatenate([large.vertices, small.vertices]),
        np.concatenate([large.faces, small.faces + len(large.vertices)]),
    )
    assert len(without_crumbs(both, 0.02)) == len(large)
    assert len(without_crumbs(both, 0.001)) == len(both)
    half = cropped(both, Bounds(np.array([-20.0, -20, 0]), np.full(3, 20.0)))
    assert half.vertices[:, 2].min() >= 0


def test_a_loose_face_is_no_part_of_a_closed_surface() -> None:
    ball = sphere()
    loose = Mesh(
        np.concatenate([ball.vertices, ball.vertices[:3] + np.float32(40)]),
        np.concatenate([ball.faces, np.arange(3, dtype=np.int32)[None] + len(ball.vertices)]),
    )
    assert len(without_flaps(loose)) == len(ball)
    assert len(without_flaps(Mesh.empty())) == 0


def test_smoothing_takes_noise_and_leaves_volume() -> None:
    ball = sphere()
    rng = np.random.default_rng(1)
    noisy = Mesh((ball.vertices + rng.normal(0, 0.15, ball.vertices.shape)).astype(np.float32), ball.faces)
    smooth = smoothed(noisy, 10)

    def roughness(mesh: Mesh) -> float:
        return float(np.std(np.linalg.norm(mesh.vertices - [0.3, 0.2, -0.1], axis=1)))

    assert roughness(smooth) < 0.5 * roughness(noisy)
    assert volume_of(smooth) == pytest.approx(volume_of(ball), rel=0.01)


def test_fewer_faces_keep_a_ball_closed() -> None:
    ball = sphere()
    less = decimated(ball, 600)
    assert len(less) <= 610
    assert is_closed(less)
    assert np.abs(np.linalg.norm(less.vertices - [0.3, 0.2, -0.1], axis=1) - 11).max() < 0.3
    assert decimated(ball, len(ball)) is ball
