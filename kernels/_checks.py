"""Checks that come before the native ones, for clear messages."""

from __future__ import annotations

from typing import Any

import numpy as np


def require_array(value: Any, name: str, *, writable: bool = False) -> None:
    """Raises TypeError where `value` is no NumPy array, ValueError where it must be written to and cannot."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name} is a {type(value).__name__}, expected a NumPy array")
    if writable and not value.flags.writeable:
        raise ValueError(f"{name} is read-only, but it is changed in place")
