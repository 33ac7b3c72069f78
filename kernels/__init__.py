"""Native code: arrays in, arrays out. C++ for the CPU; `diorama.kernels.twin` is a readable torch twin of every op."""

from .view import View

__all__ = ["View"]
