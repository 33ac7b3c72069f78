"""Checks that come before the native ones, for clear messages."""

from __future__ import annotations

from typing import Any

import numpy as np

LOW_PASS_PX2 = 0.3
"""What 3DGS adds to the variances of every ellipse, in square pixels: none is thinner than about a pixel."""

MIP_LOW_PASS_PX2 = 0.1
"""The same in Mip-Splatting (Yu et al. 2024): about the variance of a pixel's own area, 1/12."""


def require_array(value: Any, name: str, *, writable: bool = False) -> None:
    """Raises TypeError where `value` is no NumPy array, ValueError where it must be written to and cannot."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name} is a {type(value).__name__}, expected a NumPy array")
    if writable and not value.flags.writeable:
        raise ValueError(f"{name} is read-only, but it is changed in place")


def require_low_pass(low_pass_px2: float) -> None:
    """Raises ValueError where a pixel's blur is no variance above 0."""
    if not 0.0 < low_pass_px2 < 1e6:
        raise ValueError(f"low_pass_px2 is {low_pass_px2}, expected a variance above 0")
