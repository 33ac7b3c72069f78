"""Losses of the twin with their gradients worked out by hand: a few dozen launches on a GPU, where autograd takes some
hundred and keeps every picture between them."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .twin import SSIM_C1, SSIM_C2, SSIM_RADIUS, gaussian_taps


class _PhotoLoss(torch.autograd.Function):
    """The loss of a picture, and its gradient found on the way."""

    @staticmethod
    def forward(
        ctx: Any, rgb: Tensor, photo: Tensor, keep: Tensor | None, weight: Tensor, ssim_weight: float
    ) -> Tensor:
        """`keep` (H, W) is 0 where a pixel is hidden; `weight`, (H, W) or a number, sums to 1 over all channels."""
        planes = torch.empty((5, 3, *rgb.shape[:2]), dtype=rgb.dtype, device=rgb.device)
        x, y = planes[0], planes[1]
        if keep is None:
            x.copy_(rgb.permute(2, 0, 1))
            y.copy_(photo.permute(2, 0, 1))
        else:
            torch.mul(rgb.permute(2, 0, 1), keep, out=x)
            torch.mul(photo.permute(2, 0, 1), keep, out=y)
        torch.mul(x, x, out=planes[2])
        torch.mul(y, y, out=planes[3])
        torch.mul(x, y, out=planes[4])
        gap = x - y
        ssim, by_mean, by_square, by_product = _ssim(*_blur(planes))
        loss = ((1.0 - ssim_weight) * gap.abs() + ssim_weight * (1.0 - ssim)) * weight
        if ctx.needs_input_grad[0]:
            spread = _blur(torch.stack([by_mean, by_square, by_product]) * weight)
            gradient = (1.0 - ssim_weight) * gap.sign() * weight
            gradient -= ssim_weight * (spread[0] + 2.0 * x * spread[1] + y * spread[2])
            if keep is not None:
                gradient *= keep
            ctx.save_for_backward(gradient.permute(1, 2, 0))
        return loss.sum()

    @staticmethod
    def backward(ctx: Any, by_loss: Tensor) -> tuple[Tensor, None, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return by_loss * gradient, None, None, None, None


def photo_loss(
    rgb: Tensor,
    photo_srgb: Tensor,
    mask: Tensor | None = None,
    ssim_weight: float = 0.2,
    row_weights: Tensor | None = None,
) -> Tensor:
    """`twin.photo_loss`, differentiable by `rgb` once.

    Args:
        rgb: (H, W, 3) picture. photo_srgb: (H, W, 3) uint8. mask: (H, W), 0 hides a pixel, None keeps all.
        ssim_weight: 0 to 1. row_weights: (H,) what a pixel of each row counts for, None for 1.
    """
    height, width = rgb.shape[:2]
    photo = torch.div(photo_srgb, 255.0).to(rgb.dtype)
    keep = None if mask is None else (mask != 0).to(rgb.dtype)
    if keep is None and row_weights is None:
        weight = torch.full((), 1.0 / (3 * height * width), dtype=rgb.dtype, device=rgb.device)
    else:
        counts = torch.ones((height, width), dtype=rgb.dtype, device=rgb.device) if keep is None else keep
        counts = counts if row_weights is None else counts * row_weights.to(rgb)[:, None]
        weight = counts / (3.0 * counts.sum()).clamp_min(torch.finfo(rgb.dtype).tiny)
    loss: Tensor = _PhotoLoss.apply(rgb, photo, keep, weight, ssim_weight)  # type: ignore[no-untyped-call]
    return loss


def regularizer_gradients(
    log_scales: Tensor, logit_opacities: Tensor, opacity_reg: float, scale_reg: float
) -> tuple[Tensor, Tensor]:
    """Of `twin.regularizer`, by the log scales (N, 3) and by the logits of opacity (N,)."""
    opacities = torch.sigmoid(logit_opacities)
    by_logits = (opacity_reg / max(1, len(opacities))) * opacities * (1.0 - opacities)
    return torch.exp(log_scales) * (scale_reg / max(1, log_scales.numel())), by_logits


def _ssim(mu_x: Tensor, mu_y: Tensor, xx: Tensor, yy: Tensor, xy: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """SSIM (C, H, W) of windowed means, and its derivatives by those of x, of its square and of the product.

    SSIM is `means * structure` with `means = (2 mu_x mu_y + C1) / below` and `structure = (2 cov + C2) / spread`
    (Wang et al. 2004, eq. 13).
    """
    below = mu_x * mu_x + mu_y * mu_y
    spread = xx + yy - below + SSIM_C2
    below += SSIM_C1
    both = mu_x * mu_y
    means = (2.0 * both + SSIM_C1) / below
    structure = (2.0 * (xy - both) + SSIM_C2) / spread
    ssim = means * structure
    by_mean = 2.0 * (structure * (mu_y - means * mu_x) / below + means * (structure * mu_x - mu_y) / spread)
    return ssim, by_mean, -ssim / spread, 2.0 * means / spread


def _blur(planes: Tensor) -> Tensor:
    """`twin.blur` of planes (K, C, H, W), all at once."""
    taps = _taps(planes.dtype, planes.device)
    flat = planes.reshape(-1, 1, *planes.shape[2:])
    across = functional.conv2d(flat, taps.reshape(1, 1, 1, -1), padding=(0, SSIM_RADIUS))
    return functional.conv2d(across, taps.reshape(1, 1, -1, 1), padding=(SSIM_RADIUS, 0)).reshape(planes.shape)


@functools.cache
def _taps(dtype: torch.dtype, device: torch.device) -> Tensor:
    return gaussian_taps(torch.empty((), dtype=dtype, device=device))
