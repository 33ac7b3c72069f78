"""Normals and median depth of pictures, by hand and on both backends."""

from __future__ import annotations

import numpy as np
import pytest

from diorama.capture.camera import Camera
from diorama.capture.errors import InputError
from diorama.capture.transforms import Pose
from diorama.render.outputs import outputs, splat_normals
from diorama.render.rasterize import available_backends, rasterize
from diorama.render.splats import Splats

CAMERA = Camera.pinhole(24, 16, 30.0, 30.0, 12.0, 8.0)
TILTED = np.array([np.cos(0.3), np.sin(0.3), 0.0, 0.0])
"""wxyz: turned by 0.6 about x, so that the flat axis z points to (0, -sin 0.6, cos 0.6)."""
BACKENDS = [name for name in ("cpu", "torch") if name in available_backends()]


def discs(opacities: tuple[float, ...] = (0.99,)) -> Splats:
    """Wide flat discs at depths 2, 3, ..., tilted about the x axis."""
    n, f = len(opacities), np.float32
    logits = np.log(np.array(opacities) / (1 - np.array(opacities)))
    return Splats(
        np.stack([np.zeros(n), np.zeros(n), 2.0 + np.arange(n)], 1).astype(f),
        np.tile(TILTED, (n, 1)).astype(f),
        np.tile(np.log([20.0, 20.0, 0.01]), (n, 1)).astype(f),
        logits.astype(f),
        np.zeros((n, 1, 3), f),
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_tilted_disc(backend: str) -> None:
    drawn = outputs(discs(), CAMERA, Pose.identity(), backend=backend)
    assert drawn.normals is not None
    assert drawn.median_depth is not None
    # The axis points away from the camera, so it is turned round.
    assert np.allclose(drawn.normals[8, 12], [0, np.sin(0.6), -np.cos(0.6)], atol=1e-5)
    assert np.allclose(drawn.median_depth, 2.0)
    plain = rasterize(discs(), CAMERA, Pose.identity(), backend=backend)
    assert np.allclose(plain.rgb, drawn.rgb, atol=1e-6)
    assert np.allclose(plain.depth, drawn.depth, atol=1e-6)
    assert plain.normals is None
    assert plain.median_depth is None


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_median_lies_behind_what_is_faint(backend: str) -> None:
    """0.3 is taken first, 0.7 * 0.5 then: 0.35 is left behind the second."""
    drawn = outputs(discs((0.3, 0.5, 0.9)), CAMERA, Pose.identity(), backend=backend)
    assert drawn.median_depth is not None
    assert drawn.median_depth[8, 12] == pytest.approx(3.0)
    nothing = outputs(discs((0.3,)), CAMERA, Pose.identity(), backend=backend)
    assert nothing.median_depth is not None
    assert not nothing.median_depth.any()


def test_normals_turn_with_the_camera_and_broken_splats_have_none() -> None:
    splats = discs((0.9, 0.9))
    splats.quats[1] = np.nan
    turned = Pose(np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), np.zeros(3))
    normals = splat_normals(splats, turned)
    assert np.allclose(normals[0], [-np.sin(0.6), 0, -np.cos(0.6)], atol=1e-6)
    assert not normals[1].any()


def test_no_splats_show_nothing() -> None:
    drawn = outputs(discs(()), CAMERA, Pose.identity(), background=(0.2, 0.3, 0.4))
    assert drawn.normals is not None
    assert drawn.normals.shape == (16, 24, 3)
    assert not drawn.normals.any()


def test_gsplat_has_no_median() -> None:
    with pytest.raises(InputError, match="gsplat"):
        outputs(discs(), CAMERA, Pose.identity(), backend="gsplat")
