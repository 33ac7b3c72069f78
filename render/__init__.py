"""What can be rendered, and rendering it."""

from .splats import Splats

__all__ = ["Splats"]
