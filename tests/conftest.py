"""Shared fixtures."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def footage() -> Path:
    """The folder of real footage: `DIORAMA_FOOTAGE`, else `../shared/footage` beside the checkout."""
    folder = Path(os.environ.get("DIORAMA_FOOTAGE", ROOT.parent / "shared" / "footage"))
    if not folder.is_dir():
        pytest.skip(f"real footage is not at {folder} (set DIORAMA_FOOTAGE)")
    return folder


@pytest.fixture(scope="session")
def onnx_file() -> Callable[..., Path]:
    """`onnx_file(path)` writes a network that answers with the mean of its picture's channels (see onnx_files.py)."""
    from .onnx_files import mean_network

    return mean_network
