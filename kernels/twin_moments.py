"""Adam's moments as bfloat16: the twin of cpu/adam.h's rounding."""

from __future__ import annotations

import torch
from torch import Tensor

from .twin_noise import WORD

SPLAT_FACTOR = 0x9E3779B1
"""2^32 over the golden ratio, a prime: multiples of it (Weyl's sequence) fill the range evenly."""


def dither(count: int, step: int, parameters: int = 59) -> Tensor:
    """Numbers from 0 to 2^16 - 1 (count, parameters) int64, another for every splat, parameter and step.

    A splat's word comes from its index and the step; from parameter to parameter it goes through a linear congruential
    generator (Knuth and Lewis), of which the upper half is used.
    """
    words = (torch.arange(count, dtype=torch.int64) * SPLAT_FACTOR + _mixed(step)) & WORD
    columns = []
    for _ in range(parameters):
        words = (words * 1664525 + 1013904223) & WORD
        columns.append(words >> 16)
    return torch.stack(columns, dim=1)


def _mixed(step: int) -> int:
    """MurmurHash3's last mixing of a 32-bit number (Appleby)."""
    h = step & WORD
    h = ((h ^ h >> 16) * 0x85EBCA6B) & WORD
    h = ((h ^ h >> 13) * 0xC2B2AE35) & WORD
    return h ^ h >> 16


def bfloat16(values: Tensor, extra: Tensor | int = 0x8000) -> Tensor:
    """float32 `values` cut to bfloat16, as float32, after `extra` was added in units of their last place.

    0x8000: to the nearest, halves away from zero; a `dither`: up as often as a value lies near its upper neighbour,
    so that the mean over many steps is the value itself.
    """
    words = (values.to(torch.float32).view(torch.int32).to(torch.int64) + extra) & 0xFFFF0000
    return torch.where(words > 0x7FFFFFFF, words - (1 << 32), words).to(torch.int32).view(torch.float32)
