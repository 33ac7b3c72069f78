"""The twin of what a picture's weights tell beyond its colours: features, median depth, contribution.

All of them walk through a pixel's splats as step 4 of `twin` says: splat i has the weight `w_i = T_i alpha_i`.
Everything starts from `twin.project`'s result, so whatever changes the projection changes these with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from . import twin
from ._view import View


def weights(pixels: Tensor, seen: twin.Projected, index: Tensor) -> tuple[Tensor, Tensor]:
    """w and the transmittance behind, (P, M) each, of the splats `index` (M,), near to far, for pixel centres (P, 2).

    `twin.blend` of one-hot features, so that it is the same walk: memory grows with P M^2.
    """
    w, _ = twin.blend_at(seen, pixels, index, torch.eye(len(index)).to(pixels))
    return w, 1.0 - torch.cumsum(w, -1)


def _by_tiles(view: View, seen: twin.Projected, work: Callable[[Tensor, Tensor], Tensor], tile_px: int = 16) -> Tensor:
    """A picture (H, W, ...) from `work(pixel centres (P, 2), index (M,) of the splats near them) -> (P, ...)`."""
    rows: list[Tensor] = []
    row: list[Tensor] = []
    for x0, y0, x1, y1 in twin._tiles(view, tile_px):
        xs = torch.arange(x0, x1).to(seen.means_px) + 0.5
        ys = torch.arange(y0, y1).to(seen.means_px) + 0.5
        pixels = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1).reshape(-1, 2)
        made = work(pixels, seen.near(x0, y0, x1, y1))
        row.append(made.reshape(y1 - y0, x1 - x0, *made.shape[1:]))
        if x1 == view.width:
            rows.append(torch.cat(row, 1))
            row = []
    return torch.cat(rows, 0)


def render_features(seen: twin.Projected, view: View, features: Tensor) -> Tensor:
    """Sums of weight times value, (H, W, C) for features (N, C) of all N splats; differentiable by both."""

    def work(pixels: Tensor, index: Tensor) -> Tensor:
        if not len(index):
            return pixels.new_zeros(len(pixels), features.shape[1])
        return twin.blend_at(seen, pixels, index, features[seen.index[index]])[0]

    return _by_tiles(view, seen, work)


def median_depth(seen: twin.Projected, view: View) -> Tensor:
    """(H, W): z of the first splat behind which the transmittance is one half or less, 0 where there is none.

    Not differentiable.
    """

    def work(pixels: Tensor, index: Tensor) -> Tensor:
        if not len(index):
            return pixels.new_zeros(len(pixels))
        _, after = weights(pixels, seen, index)
        crossed = after <= 0.5
        return torch.where(crossed.any(-1), seen.depths[index][crossed.to(torch.uint8).argmax(-1)], 0.0)

    with torch.no_grad():
        return _by_tiles(view, seen, work)


def absolute_pulls(seen: twin.Projected, view: View, count: int, background: Tensor, d_rgb: Tensor) -> Tensor:
    """(count, 2): per splat the sums over pixels of |d loss / d centre|, x and y apart, centres in pixels.

    What AbsGS watches (Ye et al. 2024, eq. 5) and gsplat calls `absgrad`; zero for what is out of sight.

    Args:
        background: (3,). d_rgb: (H, W, 3), the loss's gradient by the picture over that background.
    """
    found = torch.zeros(count, 2).to(seen.means_px)

    def work(pixels: Tensor, index: Tensor) -> Tensor:
        if len(index):
            moves = torch.zeros(len(pixels), len(index), 2).to(pixels).requires_grad_()
            conics, opacities, colors = (v[index].detach() for v in (seen.conics, seen.opacities, seen.colors))
            x, y = pixels.long().unbind(-1)
            with torch.enable_grad():
                rgb, left = twin.blend(seen.offsets_px(pixels, index, moves), conics, opacities, colors)
                pulled = ((rgb + left[:, None] * background.to(rgb)) * d_rgb.to(rgb)[y, x]).sum()
            (d_moves,) = torch.autograd.grad(pulled, moves)
            found[seen.index[index]] += d_moves.abs().sum(0)
        return pixels[:, 0]

    with torch.no_grad():
        _by_tiles(view, seen, work)
    return found


@dataclass(frozen=True, eq=False)
class Contribution:
    """total, most (N,) in the splats' dtype and pixels (N,) int64; see `kernels.Contribution`."""

    total: Tensor
    most: Tensor
    pixels: Tensor


def contribution(seen: twin.Projected, view: View, count: int, weight_map: Tensor | None = None) -> Contribution:
    """What each of all `count` splats adds; weight_map (H, W) or None for ones.

    total_i = sum over pixels p of map_p w_ip; most_i and pixels_i are the largest w_ip and the number of w_ip above 0
    among the pixels whose map is not 0. Not differentiable.
    """
    found = Contribution(
        torch.zeros(count).to(seen.means_px),
        torch.zeros(count).to(seen.means_px),
        torch.zeros(count, dtype=torch.int64),
    )
    counts_for = torch.ones(view.height, view.width) if weight_map is None else weight_map

    def work(pixels: Tensor, index: Tensor) -> Tensor:
        if len(index):
            w, _ = weights(pixels, seen, index)
            x, y = pixels.long().unbind(-1)
            factor = counts_for.to(w)[y, x]
            w = torch.where(factor[:, None] != 0, w, 0.0)
            splats = seen.index[index]
            found.total[splats] += factor @ w
            found.most[splats] = torch.maximum(found.most[splats], w.amax(0))
            found.pixels[splats] += (w > 0).sum(0)
        return pixels[:, 0]

    with torch.no_grad():
        _by_tiles(view, seen, work)
    return found
