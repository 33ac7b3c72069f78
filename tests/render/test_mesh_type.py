"""The mesh type: what it refuses, and normals by hand."""

from __future__ import annotations

import numpy as np
import pytest

from diorama.render.mesh import Mesh, MeshAsset, Texture

SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
TWO = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def test_a_square_has_its_area_and_faces_up() -> None:
    mesh = Mesh(SQUARE, TWO)
    assert mesh.area() == pytest.approx(1.0)
    np.testing.assert_array_equal(mesh.face_normals(), [[0, 0, 1], [0, 0, 1]])
    np.testing.assert_array_equal(mesh.bounds, [[0, 0, 0], [1, 1, 0]])


def test_vertices_in_one_place_share_a_normal() -> None:
    """Two walls of a right angle that meet at a seam: along it the normal is the mean of both."""
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    mesh = Mesh(vertices, np.array([[0, 1, 2], [3, 4, 5]], np.int32)).with_normals()
    half = np.sqrt(0.5)
    expected = [[half, 0, half], [0, 0, 1], [half, 0, half], [half, 0, half], [half, 0, half], [1, 0, 0]]
    np.testing.assert_allclose(mesh.normals, expected, atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"vertices": SQUARE.astype(np.float64)},
        {"faces": TWO + 2},
        {"faces": TWO - 1},
        {"colours": np.zeros((3, 3), np.uint8)},
        {"uvs": np.full((4, 2), np.nan, np.float32)},
        {"texture": Texture(np.zeros((2, 2, 3), np.uint8))},
    ],
)
def test_what_does_not_fit_is_refused(change: dict) -> None:
    with pytest.raises(ValueError, match=r"expected|face|finite|uvs"):
        Mesh(**({"vertices": SQUARE, "faces": TWO} | change))


def test_refuses_pictures_and_assets_that_are_none() -> None:
    with pytest.raises(ValueError, match="base_colour"):
        Texture(np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="at least one"):
        MeshAsset(())
    assert len(Mesh.empty().with_normals()) == 0
