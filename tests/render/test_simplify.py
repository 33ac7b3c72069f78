"""Merging neighbours: moments kept, light kept, and closer to the whole than leaving splats out."""

from __future__ import annotations

import numpy as np
import pytest

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose
from diorama.render.edit import decimate, with_sh_degree
from diorama.render.metrics import psnr
from diorama.render.rasterize import rasterize
from diorama.render.simplify import _merged, simplify
from diorama.render.splats import Splats


def wall(side: int) -> Splats:
    """A coloured wall of small opaque discs, two units wide, three ahead of the origin along +z."""
    t = (np.arange(side) + 0.5) / side * 2 - 1
    x, y = (a.ravel() for a in np.meshgrid(t, t))
    count = len(x)
    sh = np.zeros((count, 4, 3))
    sh[:, 0] = np.stack([np.sin(3 * x), np.cos(2 * y), x * y], 1)
    scales = np.full((count, 3), np.log(1.2 / side))
    scales[:, 2] = np.log(0.1 / side)
    quats = np.tile([1.0, 0, 0, 0], (count, 1))
    arrays = (np.stack([x, y, np.full(count, 3.0)], 1), quats, scales, np.full(count, 1.0), sh)
    return Splats(*(np.ascontiguousarray(a, np.float32) for a in arrays))


def test_two_alike_become_one_with_their_moments() -> None:
    two = wall(2).select(np.array([0, 1]))  # one unit apart along x, deviations 0.6, 0.6, 0.05
    two.logit_opacities[:] = -1
    one = _merged(with_sh_degree(two, 0), np.array([0, 0]))
    assert len(one) == 1
    assert np.allclose(one.means[0], two.means.mean(0), atol=1e-6)
    # Along x the variance grows by that of the two centres, 0.5 squared; eigenvalues come in rising order.
    assert np.allclose(one.scales[0], [0.05, 0.6, np.sqrt(0.36 + 0.25)], rtol=1e-5)
    # Twice the light over a wider face.
    face, wide = 0.6 * 0.6, 0.6 * np.sqrt(0.61)
    assert one.opacities[0] == pytest.approx(2 * two.opacities[0] * face / wide, rel=1e-5)
    assert np.allclose(one.sh[0, 0], two.sh[:, 0].mean(0), atol=1e-6)
    # Opaque ones would have to stop more than all the light: the one becomes wider instead.
    two.logit_opacities[:] = 5
    opaque = _merged(with_sh_degree(two, 0), np.array([0, 0]))
    assert opaque.opacities[0] == pytest.approx(0.995)
    assert np.allclose(opaque.scales / one.scales, 1.2, rtol=1e-5)


def test_it_is_closer_to_the_whole_than_leaving_splats_out() -> None:
    splats = wall(60)
    few = simplify(splats, 400)
    assert 200 < len(few) <= 400 and few.sh_degree == 0
    assert np.isfinite(few.means).all() and np.allclose(np.linalg.norm(few.quats, axis=1), 1, atol=1e-5)
    camera = Camera.pinhole(120, 120, 180.0, 180.0, 60.0, 60.0)

    def seen(s: Splats) -> np.ndarray:
        return np.clip(rasterize(s, camera, Pose.identity()).rgb, 0, 1)

    whole = seen(with_sh_degree(splats, 0))
    merged, thinned = psnr(seen(few), whole), psnr(seen(with_sh_degree(decimate(splats, 400), 0)), whole)
    assert merged > thinned + 3  # measured 19.3 against 6.1 dB
    assert merged > 15


def test_few_or_broken_splats() -> None:
    splats = wall(4)
    assert len(simplify(splats, 16)) == 16
    broken = wall(6)
    broken.means[3] = np.nan
    broken.logit_opacities[5] = -20
    assert len(simplify(broken, 36)) == 34
    assert np.isfinite(simplify(broken, 8).means).all()
    assert len(simplify(Splats.empty(), 8)) == 0
    with pytest.raises(ValueError, match="at least two"):
        simplify(splats, 1)
    same = splats.select(np.zeros(9, int))  # all at one place: one cell
    assert len(simplify(same, 4)) <= 4


def test_flags_go_along() -> None:
    import dataclasses

    few = simplify(dataclasses.replace(wall(10), is_antialiased=True, up="+y"), 20)
    assert few.is_antialiased and few.up == "+y"
