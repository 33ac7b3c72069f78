"""Pictures of meshes, against what geometry says by hand."""

from __future__ import annotations

import numpy as np
import pytest

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose
from diorama.render.mesh import Mesh, Texture
from diorama.render.mesh_picture import MeshScene, sample_picture, sample_pixels

CAMERA = Camera.pinhole(8, 8, 8.0, 8.0, 4.0, 4.0)
WALL = np.array([[-1, -1, 4], [1, -1, 4], [1, 1, 4], [-1, 1, 4]], np.float32)
FACES = np.array([[0, 2, 1], [0, 3, 2]], np.int32)  # seen from the origin, y down: counter-clockwise
UVS = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32)


def quarters(side: int = 64) -> np.ndarray:
    """Red upper left, green upper right, blue lower left, white lower right."""
    picture = np.zeros((side, side, 3), np.uint8)
    half = side // 2
    picture[:half, :half, 0] = picture[:half, half:, 1] = picture[half:, :half, 2] = 255
    picture[half:, half:] = 255
    return picture


def test_a_textured_wall_stands_where_it_should_and_upright() -> None:
    """A wall of 2 by 2 at z = 4 covers tangents of a quarter each way: pixels 2 to 5 of 8."""
    drawn = MeshScene(Mesh(WALL, FACES, uvs=UVS, texture=Texture(quarters()))).picture(
        CAMERA, Pose.identity(), samples=4, background=0.25
    )
    inside = np.zeros((8, 8), bool)
    inside[2:6, 2:6] = True
    np.testing.assert_array_equal(drawn.alpha, inside)
    np.testing.assert_allclose(drawn.depth[inside], 4.0, atol=1e-5)
    assert (drawn.depth[~inside] == 0).all()
    assert (drawn.face >= 0).sum() == 16
    np.testing.assert_allclose(drawn.normals[inside], np.broadcast_to([0, 0, -1], (16, 3)), atol=1e-6)
    np.testing.assert_allclose(drawn.distance[2, 2], 4 * np.linalg.norm([1.5 / 8, 1.5 / 8, 1]), rtol=1e-5)
    for (row, column), colour in {(2, 2): [1, 0, 0], (2, 5): [0, 1, 0], (5, 2): [0, 0, 1], (5, 5): [1, 1, 1]}.items():
        np.testing.assert_allclose(drawn.rgb[row, column], colour, atol=0.02)
    np.testing.assert_allclose(drawn.rgb[~inside], 0.25)


def test_vertex_colours_are_blended_and_bare_faces_shaded() -> None:
    colours = np.array([[0, 0, 0], [255, 255, 255], [255, 255, 255], [0, 0, 0]], np.uint8)
    drawn = MeshScene(Mesh(WALL, FACES, colours=colours)).picture(CAMERA, Pose.identity())
    np.testing.assert_allclose(drawn.rgb[3, 2:6, 0], [0.125, 0.375, 0.625, 0.875], atol=1e-3)
    bare = MeshScene(Mesh(WALL, FACES)).picture(CAMERA, Pose.identity())
    assert bare.rgb[3, 3, 0] > 0.8


def test_a_panorama_sees_a_wall_behind_it() -> None:
    behind = Mesh(WALL * np.float32([1, 1, -1]), FACES)
    drawn = MeshScene(behind).picture(Camera.equirectangular(32, 16), Pose.identity())
    # A quarter is 14 degrees, a pixel 11.25: one column on each side of straight behind.
    assert (np.flatnonzero(drawn.face[8] >= 0) == [0, 31]).all()
    assert drawn.distance[8, 0] == pytest.approx(4.0, rel=0.02)


def test_nothing_is_met_where_nothing_is() -> None:
    empty = MeshScene(Mesh.empty())
    assert (empty.picture(CAMERA, Pose.identity()).face == -1).all()
    with pytest.raises(ValueError, match="no nearest"):
        empty.nearest(np.zeros((1, 3)))
    met = MeshScene(Mesh(WALL, FACES)).cast([0, 0, 0], [[np.nan, 0, 1], [0.0, 0, 1]])
    assert met.face[0] == -1
    assert met.face[1] >= 0


def test_sampling_is_bilinear_with_middles_at_a_half() -> None:
    picture = np.array([[[0], [100]], [[200], [40]]], np.uint8)
    pixels = np.array([[0.5, 0.5], [1.5, 0.5], [1.0, 1.0], [-9, 9]])
    np.testing.assert_allclose(sample_pixels(picture, pixels)[:, 0], [0, 100, 85, 200])
    np.testing.assert_allclose(sample_picture(picture, np.float32([[0.25, 0.75]]))[:, 0], [0.0])


def test_the_nearest_point_of_a_wall() -> None:
    near, _, weights = MeshScene(Mesh(WALL, FACES)).nearest([[0.3, -0.2, 3.0], [5.0, 0.0, 4.0]])
    np.testing.assert_allclose(near, [[0.3, -0.2, 4.0], [1.0, 0.0, 4.0]], atol=1e-6)
    assert ((weights >= -1e-6) & (weights <= 1 + 1e-6)).all()
