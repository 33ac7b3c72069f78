"""What can be rendered, and rendering it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .splats import Splats

if TYPE_CHECKING:
    from .rasterization import rasterization

__all__ = ["Splats", "rasterization"]


def __getattr__(name: str) -> Any:
    """`rasterization` on first use: it imports torch, which takes a second."""
    if name == "rasterization":
        from .rasterization import rasterization

        globals()[name] = rasterization  # importing the file has put the module under this name
        return rasterization
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
