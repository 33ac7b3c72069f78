"""Losses by geometry: what is known of a photo besides its colours, and the shapes of splats. See twin.py."""

from __future__ import annotations

import math

import torch
from torch import Tensor

KNOWN_ALPHA = 0.5
"""Where less is in the way, a picture's expected depth is that of a fog and not compared with anything."""


def depth_loss(
    depth: Tensor, alpha: Tensor, known: Tensor, confidence: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    """`|log(depth / alpha) - log(known)|`, weighted by confidence, a mean over the pixels whose depth is known.

    It has no unit, takes twice too far and half as far for the same, and to first order is the relative error, so that
    the far end of a scene counts no more than the near one; being a distance and no square it bears wrong depths.

    Args:
        depth: (H, W) the picture's sum of weight times z. alpha: (H, W). Their ratio is the expected depth.
        known: (H, W) z along the optical axis; 0, negative or not a number where it is not known.
        confidence: (H, W) weights, None for 1; 0 or less makes a pixel unknown.
        mask: (H, W), 0 hides a pixel, None keeps all.

    Returns:
        A scalar, 0 where no depth is known. Known pixels where alpha is below `KNOWN_ALPHA` add 0 to it; that threshold
        is not differentiable.
    """
    weight = torch.ones_like(depth) if confidence is None else confidence.to(depth)
    is_known = _is_weight(known) & _is_weight(weight)
    if mask is not None:
        is_known &= mask != 0
    counts = is_known & (alpha.detach() >= KNOWN_ALPHA) & (depth.detach() > 0)
    error = (torch.log(depth[counts] / alpha[counts]) - torch.log(known.to(depth)[counts])).abs()
    return (weight[counts] * error).sum() / is_known.sum().clamp(min=1)


def empty_loss(alpha: Tensor, empty: Tensor) -> Tensor:
    """Mean of alpha (H, W) where `empty` (H, W) is not 0: what stands where a photo says that nothing does."""
    is_empty = empty != 0
    return (alpha * is_empty).sum() / is_empty.sum().clamp(min=1)


def needle_loss(log_scales: Tensor, most: float) -> Tensor:
    """Mean over splats (N, 3) of what log(longest / second longest axis) has beyond log(`most`), 0 without splats.

    The idea is PhysGaussian's anisotropy regularizer (Xie et al. 2024). In logarithms its slope does not grow with the
    needle; discs, which surfaces are made of, are free. Of two equal second axes the first is pulled.
    """
    if not len(log_scales):
        return log_scales.sum()
    ordered = torch.sort(log_scales, dim=1, descending=True).values
    return torch.clamp(ordered[:, 0] - ordered[:, 1] - math.log(most), min=0.0).mean()


def _is_weight(x: Tensor) -> Tensor:
    return (x > 1e-12) & (x < 1e12)
