"""Random splats for the kernel tests, and how close two results must be."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from diorama.kernels import SplatArrays, View

Floats = npt.NDArray[np.float32]

SEED = 20261120


def cloud(count: int, seed: int = SEED, *, log_scale: float = -3.0, sh_degree: int = 3) -> SplatArrays:
    """Splats in a box in front of `camera`, opacities and colours all over the range."""
    rng = np.random.default_rng(seed)
    f = np.float32
    return SplatArrays(
        (rng.random((count, 3)) * [4, 3, 4] - [2, 1.5, -2]).astype(f),
        rng.standard_normal((count, 4)).astype(f),
        (rng.standard_normal((count, 3)) * 0.5 + log_scale).astype(f),
        rng.standard_normal(count).astype(f),
        (rng.standard_normal((count, (sh_degree + 1) ** 2, 3)) * 0.2).astype(f),
    )


def camera(width: int = 101, height: int = 83) -> View:
    """Off-centre, unequal focal lengths, rotated and moved a little; sizes that no tile divides."""
    angle = 0.1
    rotation = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    matrix = np.concatenate([rotation, [[0.1], [-0.2], [0.3]]], axis=1).astype(np.float32)
    return View(width, height, 0.8 * width, 0.9 * width, width / 2 + 1, height / 2 - 2, matrix)


def one_splat(opacity: float = 0.5, scale: float = 0.1, depth: float = 2.0) -> SplatArrays:
    """A grey ball on the optical axis of a camera at the origin."""
    f = np.float32
    return SplatArrays(
        np.array([[0, 0, depth]], f),
        np.array([[1, 0, 0, 0]], f),
        np.full((1, 3), np.log(scale), f),
        np.array([np.log(opacity / (1 - opacity))], f),
        np.zeros((1, 1, 3), f),
    )


def axis_view(width: int, height: int, focal: float = 50.0) -> View:
    return View(width, height, focal, focal, width / 2, height / 2, np.eye(3, 4, dtype=np.float32))


def tensors(splats: SplatArrays, *, requires_grad: bool = False) -> list[torch.Tensor]:
    """The five arrays in float64."""
    return [torch.tensor(a, dtype=torch.float64, requires_grad=requires_grad) for a in splats]


def assert_close_where(actual: npt.ArrayLike, expected: npt.ArrayLike, atol: float, *, reason: str) -> None:
    """Fails with the worst difference and its place. `reason` says where the tolerance comes from."""
    a, b = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert a.shape == b.shape, f"{a.shape} against {b.shape}"
    assert np.isfinite(a).all(), "values that are not finite"
    difference = np.abs(a - b)
    if difference.size and difference.max() > atol:
        at = tuple(int(i) for i in np.unravel_index(difference.argmax(), difference.shape))
        raise AssertionError(f"{a[at]} against {b[at]} at {at}: off by {difference.max():.3g} > {atol:.3g} ({reason})")


def assert_gradients_match(actual: SplatArrays, expected: list[torch.Tensor], rtol: float, *, reason: str) -> None:
    """Compares each kind of parameter relative to its largest gradient."""
    for name, a, tensor in zip(SplatArrays._fields, actual, expected, strict=True):
        b = np.zeros_like(a, dtype=np.float64) if tensor.grad is None else tensor.grad.numpy()
        scale = float(np.abs(b).max(initial=0.0))
        assert_close_where(a, b, rtol * scale + 1e-12, reason=f"{name}: {reason}")


def assert_slopes(value: Callable[[], torch.Tensor], parameters: list[torch.Tensor]) -> None:
    """Holds the gradient of `value` (a float64 scalar of `parameters`) against central differences.

    Each tensor is moved along one random direction of unit variance by a step of 1e-6: the differences' own error is of
    the order of 1e-12 by the curve and, for values up to 1e3, of 1e-7 by rounding.
    """
    value().backward()  # type: ignore[no-untyped-call]
    rng, h = np.random.default_rng(1), 1e-6
    for tensor in parameters:
        assert tensor.grad is not None
        direction = torch.tensor(rng.standard_normal(tensor.shape))
        with torch.no_grad():
            tensor.add_(h * direction)
            above = value()
            tensor.sub_(2 * h * direction)
            below = value()
            tensor.add_(h * direction)
        expected, slope = float((above - below) / (2 * h)), float((tensor.grad * direction).sum())
        assert abs(slope - expected) < 1e-5 * max(1.0, abs(expected)), "central differences of step 1e-6"
