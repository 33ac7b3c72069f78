"""Adam's moments as bfloat16: rounded as the twin says, without drift, and restored to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from diorama.kernels import (
    PARAMETERS,
    GradientSums,
    Photo,
    StepConfig,
    apply_step,
    from_bfloats,
    pack,
    rows_from_blocks,
    to_bfloats,
    train_step,
    twin_moments,
    zero_blocks,
    zero_moments,
)

from .scenes import camera, cloud
from .test_training import some_photo

COUNT = 200
RATES = {f"lr_{name}": 1e-3 for name in ("means", "quats", "log_scales", "opacities", "sh0", "sh_rest")}


def test_bfloats_are_the_nearest_and_come_back_exactly() -> None:
    """1 + 2^-7 is the next bfloat16 after 1; half way goes up; the upper half of a float32 keeps zero and signs."""
    values = np.array([1.0, 1 + 2**-7, 1 + 2**-8, 1 + 0.99 * 2**-8, -3.0, 0.0, 1e-38], np.float32)
    nearest = from_bfloats(to_bfloats(values))
    assert nearest[:6].tolist() == [1.0, 1 + 2**-7, 1 + 2**-7, 1.0, -3.0, 0.0]
    assert abs(nearest[6] / 1e-38 - 1) < 2**-8
    assert np.array_equal(to_bfloats(nearest), to_bfloats(values))
    drawn = torch.tensor(np.random.default_rng(1).standard_normal(1000), dtype=torch.float32)
    assert np.array_equal(from_bfloats(to_bfloats(drawn.numpy())), twin_moments.bfloat16(drawn).numpy())


@pytest.mark.parametrize("apart", [False, True])
def test_moments_are_rounded_as_the_twin_says(level: str, apart: bool) -> None:
    """One step from zeros: the moments of a float32 step, cut. Fused and applied steps round alike. Deterministic, so
    that both see the same gradients; the compiler may fuse them otherwise, which moves a sum's last digit across a
    bfloat16's boundary once in 2^15 times and more often where it cancels."""
    config = StepConfig(step=7, deterministic=True, epsilon=1e-4, opacity_reg=0.01, scale_reg=0.02, **RATES)  # type: ignore[arg-type]
    photo = Photo(some_photo())
    full, half = [zero_blocks(COUNT) for _ in range(2)], [zero_moments(COUNT) for _ in range(2)]
    ours = {"full": pack(*cloud(COUNT)), "half": pack(*cloud(COUNT))}
    for blocks, moments in zip(ours.values(), (full, half), strict=True):
        if apart:
            sums = GradientSums.zeros(COUNT)
            sums.gradients[:] = np.random.default_rng(2).standard_normal(blocks.shape)
            sums.seen[:] = 1
            apply_step(sums, blocks, *moments, COUNT, 1, config)
        else:
            train_step(blocks, *moments, COUNT, camera(), photo, config)
    m, v = (torch.tensor(rows_from_blocks(a, COUNT)) for a in full)
    expected = (twin_moments.bfloat16(moment, twin_moments.dither(COUNT, 7)) for moment in (m, v))
    for name, mine, twins in zip(("m", "v"), half, expected, strict=True):
        same = rows_from_blocks(from_bfloats(mine), COUNT) == twins.numpy()
        assert same.mean() > 0.999, name
    assert np.array_equal(ours["half"], ours["full"]), "the step itself is taken before the moments are cut"


def test_small_changes_add_up(level: str) -> None:
    """200 steps with the same gradient g: v tends to g^2 by a thousandth of the way a step, a quarter of its last
    digit, m to g by a tenth. To the nearest v would stand still after some steps, and m two hundredths short. Means
    over 11,800 parameters are known to a hundredth of the last digit, 2^-7."""
    blocks, m, v = pack(*cloud(COUNT)), zero_moments(COUNT), zero_moments(COUNT)
    steps, gradient = 200, 0.7
    for step in range(1, steps + 1):
        sums = GradientSums.zeros(COUNT)
        sums.gradients[:], sums.seen[:] = gradient, 1
        apply_step(sums, blocks, m, v, COUNT, 1, StepConfig(step=step, **dict.fromkeys(RATES, 0.0)))  # type: ignore[arg-type]
    for moment, exact in ((m, gradient), (v, (1 - 0.999**steps) * gradient**2)):
        found = rows_from_blocks(from_bfloats(moment), COUNT)
        assert found.shape == (COUNT, PARAMETERS)
        assert abs(found.mean() / exact - 1) < 1e-3
        assert 0 < found.std() / exact < 0.02, "every splat and parameter is rounded by a number of its own"


def test_dither_is_even() -> None:
    """A million numbers: their mean is known to 2^16 / sqrt(12 n) = 17, correlations to 1 / sqrt(n) = 0.001. Splats
    that follow each other in one step are spread more evenly than by chance, which does no harm."""
    drawn = torch.stack([twin_moments.dither(500, step) for step in range(1, 41)]).double()
    assert abs(drawn.mean() - (2**16 - 1) / 2) < 6 * 17
    even = (drawn - drawn.mean()) / drawn.std()
    for steps_apart in (1, 2, 5):
        assert abs((even[steps_apart:] * even[:-steps_apart]).mean()) < 0.006
    assert abs((even[:, :, 1:] * even[:, :, :-1]).mean()) < 0.006


def test_moments_of_two_kinds_are_refused() -> None:
    with pytest.raises(TypeError, match="exp_avg_sq is float32"):
        train_step(
            pack(*cloud(COUNT)),
            zero_moments(COUNT),
            zero_blocks(COUNT),
            COUNT,
            camera(),
            Photo(some_photo()),
            StepConfig(step=1),
        )
