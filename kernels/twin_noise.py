"""The random walk of 3DGS-MCMC: the twin of cpu/noise.cpp."""

from __future__ import annotations

import math

import torch
from torch import Tensor

WORD = 0xFFFFFFFF


def normals(count: int, seed: int, step: int, device: torch.device | str = "cpu") -> Tensor:
    """Three numbers of unit normal distribution (count, 3) float32 for each splat: the native ones to rounding.

    Philox-4x32-10 (Salmon et al. 2011) on (index, 0, step) with the seed as key, then Box and Muller.
    """
    index = torch.arange(count, dtype=torch.int64, device=device)
    constant = torch.zeros_like(index)
    words = _philox([index, constant, constant + (step & WORD), constant + (step >> 32)], seed)
    uniform = [(word >> 8).to(torch.float32) * 2.0**-24 for word in words]
    radius = [torch.sqrt(-2.0 * torch.log(u + 2.0**-24)) for u in uniform]
    angle = [2.0 * math.pi * u for u in uniform]
    pair = (radius[0] * torch.cos(angle[1]), radius[0] * torch.sin(angle[1]))
    return torch.stack([*pair, radius[2] * torch.cos(angle[3])], dim=1)


def _philox(counter: list[Tensor], key: int) -> list[Tensor]:
    """Four random words from four, each int64 (N,) in 0 to 2^32 - 1. Products wrap at 2^64, which keeps their bits."""
    c0, c1, c2, c3 = counter
    k0, k1 = key & WORD, (key >> 32) & WORD
    for _ in range(10):
        a, b = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1, c2, c3 = ((b >> 32) & WORD) ^ c1 ^ k0, b & WORD, ((a >> 32) & WORD) ^ c3 ^ k1, a & WORD
        k0, k1 = (k0 + 0x9E3779B9) & WORD, (k1 + 0xBB67AE85) & WORD
    return [c0, c1, c2, c3]


def mcmc_noise(quats: Tensor, log_scales: Tensor, logit_opacities: Tensor, normals: Tensor, amount: float) -> Tensor:
    """What 3DGS-MCMC adds to the means (Kheradmand et al. 2024, eq. 9): (N, 3).

    `amount * sigmoid(-100 (opacity - 0.005)) * Sigma @ normals`, with normals (N, 3) of unit variance: splats that are
    nearly transparent wander within their own extent, opaque ones stay.
    """
    gate = torch.sigmoid(-100.0 * (torch.sigmoid(logit_opacities) - 0.005))
    unit = quats / quats.norm(dim=-1, keepdim=True)
    along_axes = _turned(-unit[:, :1], unit[:, 1:], normals) * torch.exp(2.0 * log_scales)
    step: Tensor = (amount * gate)[:, None] * _turned(unit[:, :1], unit[:, 1:], along_axes)
    return step


def _turned(w: Tensor, u: Tensor, vectors: Tensor) -> Tensor:
    """Vectors (N, 3) turned by the unit quaternions (w, u) of (N, 1) and (N, 3); by their inverses for (-w, u)."""
    turned: Tensor = vectors + 2.0 * torch.linalg.cross(u, torch.linalg.cross(u, vectors) + w * vectors)
    return turned
