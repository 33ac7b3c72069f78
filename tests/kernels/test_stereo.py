"""PatchMatch stereo: by hand, native against twin, any thread count, inputs that are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from diorama import kernels
from diorama.kernels import StereoField, StereoView, SweepConfig, _native, stereo_sweep, twin_stereo
from diorama.kernels._stereo import quads, regions, window

Floats = npt.NDArray[np.float32]
WIDTH, HEIGHT, FOCAL = 61, 37, 50.0
CONFIG = SweepConfig(0.05, 1.0, FOCAL, step_rho=0.05, step_slope=0.005, refinements=4, seed=7, sweep=3)


def picture(u: npt.NDArray[Any], v: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """A texture without end, smooth enough to be sampled."""
    value = 128 + 50 * np.sin(0.45 * u + 0.2 * v) + 40 * np.sin(0.17 * u - 0.5 * v + 1) + 20 * np.cos(0.9 * v - 0.3 * u)
    return np.rint(np.clip(value, 0, 255)).astype(np.uint8)


def sideways(baseline: float) -> npt.NDArray[np.float64]:
    """A camera `baseline` to the right: disparity is focal * baseline * rho."""
    return np.array([[1, 0, 0, -FOCAL * baseline], [0, 1, 0, 0], [0, 0, 1, 0.0]])


def slanted(height: int = HEIGHT, width: int = WIDTH) -> Floats:
    """Inverse depth of a plane, its slopes beside."""
    y, x = np.mgrid[0:height, 0:width]
    rho = 0.3 + 0.002 * x - 0.001 * y
    return np.stack([rho, np.full_like(rho, 0.002), np.full_like(rho, -0.001)]).astype(np.float32)


def scene(height: int = HEIGHT, width: int = WIDTH, *, depth: bool = False) -> tuple[Any, list[StereoView]]:
    """The slanted plane in a reference picture and in two others."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    rho = slanted(height, width)[0]
    gray = picture(x, y)
    views = []
    for baseline in (0.4, -0.3):
        # The pixel u of the view shows the plane's point x: u = x - f b (0.3 + 0.002 x - 0.001 y).
        shift = FOCAL * baseline
        seen = (x + shift * (0.3 - 0.001 * y)) / (1 - shift * 0.002)
        its_rho = (0.3 + 0.002 * seen - 0.001 * y).astype(np.float32)
        more = (its_rho, sideways(-baseline)) if depth else (None, None)
        views.append(StereoView(picture(seen, y), sideways(baseline), *more))
    assert rho.min() > CONFIG.rho_low
    return gray, views


def random_start(shape: tuple[int, int], views: int, seed: int = 0) -> StereoField:
    rng = np.random.default_rng(seed)
    planes = np.stack([rng.uniform(0.05, 1, shape), *rng.normal(0, 0.002, (2, *shape))]).astype(np.float32)
    cost = rng.uniform(0, 1.5, shape).astype(np.float32)
    return StereoField(planes, cost, rng.uniform(0, 1.2, (views, *shape)).astype(np.float32))


def sweep(gray: Any, views: Any, before: StereoField, config: SweepConfig, keep: Any = None) -> StereoField:
    return stereo_sweep(gray, keep, views, before, config, samples=window(), regions=regions())


def test_true_planes_cost_nothing_and_others_do(level: str) -> None:
    gray, views = scene()
    still = replace(CONFIG, fresh=True, refinements=0)
    nowhere = np.zeros((0, 1, 2), np.int32)
    field = StereoField.start(slanted(), 2)
    right = stereo_sweep(gray, None, views, field, still, samples=window(), regions=nowhere)
    inner = np.s_[6:-6, 16:-16]  # where both views see the whole window
    # Bilinear sampling dampens the texture's shortest wave, of 6.6 pixels, by up to a tenth.
    assert right.view_costs[(slice(None), *inner)].max() < 0.05 and np.array_equal(right.planes, slanted())
    wrong = slanted()
    wrong[0] += 0.05  # a pixel of disparity in the first view, 0.75 in the other
    off = stereo_sweep(gray, None, views, StereoField.start(wrong, 2), still, samples=window(), regions=nowhere)
    assert (off.cost > right.cost)[inner].all() and np.median(off.cost[inner]) > 5 * np.median(right.cost[inner])


def test_from_random_planes_to_the_slanted_one(level: str) -> None:
    gray, views = scene()
    field = random_start(gray.shape, 2)
    for i, step in enumerate(np.geomspace(0.2, 0.002, 10)):
        config = replace(CONFIG, step_rho=float(step), step_slope=float(step) / 10, fresh=i == 0, sweep=i)
        field = sweep(gray, views, field, config)
    error = np.abs(field.planes[0] / slanted()[0] - 1)[6:-6, 16:-16]
    assert np.median(error) < 0.002 and (error < 0.02).mean() > 0.99


@pytest.mark.parametrize("variant", ["plain", "fresh", "masked", "depth"])
def test_native_is_the_twin(level: str, variant: str) -> None:
    gray, views = scene(depth=variant == "depth")
    before = random_start(gray.shape, 2, seed=5)
    config = replace(CONFIG, fresh=variant != "plain", geometric_weight=0.2 if variant == "depth" else 0.0)
    keep = None
    if variant == "masked":
        keep = (np.random.default_rng(2).random(gray.shape) > 0.2).astype(np.uint8)
        keep[:, :20] = 0
    native = sweep(gray, views, before, config, keep)
    twin = twin_stereo.stereo_sweep(gray, keep, views, before, config, samples=window(), regions=regions())
    # Which of two tries is kept hangs on a comparison: where they cost the same to 1e-4 either may be, and a view's
    # cost jumps at its border. Elsewhere the two differ by float32 and the degree 4 exponential, 3e-6.
    same = np.isclose(native.planes, twin.planes, rtol=1e-4, atol=1e-6).all(axis=0)
    assert same.mean() > 0.985, f"{same.mean():.4f}"
    assert np.abs(native.cost - twin.cost)[same].max() < 2e-3
    assert np.median(np.abs(native.cost - twin.cost)) < 2e-5
    assert np.abs(native.view_costs - twin.view_costs)[:, same].max() < 5e-3
    if keep is not None:
        hidden = keep == 0
        assert np.array_equal(native.planes[:, hidden], before.planes[:, hidden])
        assert np.array_equal(native.cost[hidden], before.cost[hidden])


def test_threads_do_not_matter(threads: None) -> None:
    gray, views = scene()
    before = random_start(gray.shape, 2)
    results = []
    for count in (1, 2, 5):
        kernels.set_thread_count(count)
        results.append(sweep(gray, views, before, CONFIG))
    for other in results[1:]:
        for name in ("planes", "cost", "view_costs"):
            assert np.array_equal(getattr(results[0], name), getattr(other, name))
    other_seed = sweep(gray, views, before, replace(CONFIG, seed=8))
    assert not np.array_equal(results[0].planes, other_seed.planes)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 17)])
def test_tiny_pictures(level: str, shape: tuple[int, int]) -> None:
    gray, views = scene(*shape)
    before = random_start(shape, 2)
    native = sweep(gray, views, before, CONFIG)
    twin = twin_stereo.stereo_sweep(gray, None, views, before, CONFIG, samples=window(), regions=regions())
    assert np.isfinite(native.planes).all() and np.isfinite(native.cost).all()
    assert np.isclose(native.planes, twin.planes, rtol=1e-4, atol=1e-6).all(axis=0).mean() > 0.8


def test_nonsense_stays_within_the_range(level: str) -> None:
    gray, views = scene()
    before = random_start(gray.shape, 2)
    before.planes[0, :5] = np.nan
    before.planes[1, 5:9] = np.inf
    before.planes[0, 9:12] = -3
    before.cost[20:24] = np.nan
    before.view_costs[:, 24:28] = np.nan
    behind = StereoView(views[0].gray, np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 0.0]]))
    broken = StereoView(views[0].gray, np.full((3, 4), np.nan))
    after = sweep(gray, [*views, behind, broken], random_start(gray.shape, 4), replace(CONFIG, fresh=True))
    assert (after.view_costs[2:] == 1).all() and np.isfinite(after.planes).all()
    after = sweep(gray, views, before, replace(CONFIG, fresh=True))
    assert (after.planes[0] >= np.float32(CONFIG.rho_low)).all() and (after.planes[0] <= CONFIG.rho_high).all()


def test_flat_pictures_are_like_nothing(level: str) -> None:
    gray = np.full((20, 30), 90, np.uint8)
    after = sweep(gray, [StereoView(gray, sideways(0.1))], random_start(gray.shape, 1), replace(CONFIG, fresh=True))
    assert np.allclose(after.view_costs, 1, atol=1e-3)


def test_quads_hold_a_pixel_and_three_of_its_neighbours() -> None:
    gray = np.array([[1, 2], [3, 4]], np.uint8)
    assert quads(gray).tolist() == [[0x04030201, 0x04040202], [0x04030403, 0x04040404]]


def test_what_is_refused() -> None:
    gray, views = scene()
    start = random_start(gray.shape, 2)
    with pytest.raises(ValueError, match="view_costs"):
        sweep(gray, views[:1], start, CONFIG)
    with pytest.raises(ValueError, match="1 to 16 views"):
        sweep(gray, [], start, CONFIG)
    with pytest.raises(ValueError, match="range"):
        sweep(gray, views, start, replace(CONFIG, rho_low=0.0))
    with pytest.raises(ValueError, match="refinements"):
        sweep(gray, views, start, replace(CONFIG, refinements=17))
    with pytest.raises(ValueError, match="keep"):
        sweep(gray, views, start, CONFIG, np.ones((3, 3), np.uint8))
    with pytest.raises(TypeError, match="inverse_depth"):
        StereoView(gray, sideways(1), np.ones(gray.shape), sideways(1))
    with pytest.raises(ValueError, match="both"):
        StereoView(gray, sideways(1), np.ones(gray.shape, np.float32))
    with pytest.raises(ValueError, match="write over"):
        wide, pad = kernels._stereo.padded(gray, None, window())
        arrays = (start.planes, start.cost, start.view_costs)
        native = [v.native for v in views]
        _native.stereo_sweep(wide, pad, None, native, window(), regions(), CONFIG.native(), *arrays, *arrays)
