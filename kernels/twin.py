"""The kernels once more in plain PyTorch: slow, readable, differentiable by autograd on any device and in any dtype.

This file is the definition; the native kernels are tested against it. A picture is made like this (Kerbl et al. 2023,
"3D Gaussian Splatting for Real-Time Radiance Field Rendering"; the projection is Zwicker et al. 2001, EWA splatting):

1. A splat's centre goes to camera coordinates and to pixels. Its covariance `R diag(s^2) R^T` goes through the
   perspective's Jacobian `J`, taken where the ray leaves the picture at most 15 % of its size; `LOW_PASS_PX2` is added
   to the diagonal, so that no splat is thinner than about a pixel. Lenses other than a pinhole: see `twin_lens.py`.
2. A splat is visible when it lies more than `NEAR` in front of the camera, is at least `MIN_ALPHA` opaque somewhere
   in the picture and all its parameters are finite.
3. Its colour is `max(0, 0.5 + sum_j B_j(direction) sh_j)`.
4. Each pixel walks through the visible splats from near to far (equal depths: lower index first) with transmittance
   `T`, 1 at first. A splat's `alpha = min(MAX_ALPHA, opacity * exp(-d^T Sigma^-1 d / 2))`, `d` from its centre to the
   pixel's; below `MIN_ALPHA` it is passed over. The pixel gains `T alpha` of its colour and `T` becomes
   `T (1 - alpha)`. The walk ends when `T` has fallen to `STOP` or below.
5. What is left of `T` shows the background. Alpha is `1 - T`, depth the sum of `T alpha z` (fisheye, equirectangular:
   of `T alpha` times the distance from the camera, and the order goes by `twin_lens.order_by`).

With `antialiased`, step 1's low-pass takes from a splat's opacity what it adds to its area; with `smoothing`, splats
are blurred in the world before step 1 (Yu et al. 2024, "Mip-Splatting"); see `project` and `smoothed`.

3DGS ends the walk one splat earlier, before the one that would take `T` below `STOP`. Where that one is nearly opaque
it leaves out up to a tenth of the pixel, on a condition that rounding decides; here the end changes a pixel by at most
`STOP`, and pictures agree with viewers that blend everything.

Not differentiable, and zero in both implementations: the thresholds, the order, alpha at `MAX_ALPHA`, colour below 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from ._checks import LOW_PASS_PX2
from ._view import View
from .twin_lens import Planes, on_planes, order_by, project_points, sees, unscented

NEAR = 0.01
MIN_ALPHA = 1.0 / 255.0
MAX_ALPHA = 0.999
STOP = 1e-4
MARGIN = 0.3
"""The Jacobian is taken within the picture grown by this share of its half size on each side."""

SSIM_SIGMA = 1.5
SSIM_RADIUS = 5
SSIM_C1 = 0.01**2
SSIM_C2 = 0.03**2

C0 = 0.28209479177387814
C1 = 0.4886025119029199
C2 = (1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792, 0.5462742152960396)
C3 = (
    -0.5900435899266435,
    2.890611442640554,
    -0.4570457994644658,
    0.3731763325901154,
    -0.4570457994644658,
    1.445305721320277,
    -0.5900435899266435,
)


def sh_basis(directions: Tensor, degree: int) -> Tensor:
    """Real spherical harmonics (N, (degree + 1)^2) of unit directions (N, 3), in 3DGS's order and signs."""
    x, y, z = directions.unbind(-1)
    xx, yy, zz = x * x, y * y, z * z
    basis = [torch.full_like(x, C0)]
    if degree >= 1:
        basis += [-C1 * y, C1 * z, -C1 * x]
    if degree >= 2:
        basis += [C2[0] * x * y, C2[1] * y * z, C2[2] * (2 * zz - xx - yy), C2[3] * x * z, C2[4] * (xx - yy)]
    if degree >= 3:
        basis += [
            C3[0] * y * (3 * xx - yy),
            C3[1] * x * y * z,
            C3[2] * y * (4 * zz - xx - yy),
            C3[3] * z * (2 * zz - 3 * xx - 3 * yy),
            C3[4] * x * (4 * zz - xx - yy),
            C3[5] * z * (xx - yy),
            C3[6] * x * (xx - 3 * yy),
        ]
    return torch.stack(basis, -1)


def rotations(quats: Tensor) -> Tensor:
    """Rotation matrices (N, 3, 3) of wxyz quaternions (N, 4) of any length but zero."""
    w, x, y, z = (quats / quats.norm(dim=-1, keepdim=True)).unbind(-1)
    entries = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(entries, -1).reshape(-1, 3, 3)


def smoothed(scales: Tensor, opacities: Tensor, smoothing: Tensor) -> tuple[Tensor, Tensor]:
    """Scales (N, 3) and opacities (N,) blurred by balls of standard deviation `smoothing` (N,), all in world units.

    `scale'^2 = scale^2 + smoothing^2`, `opacity' = opacity prod(scale / scale')`: Mip-Splatting's 3D smoothing filter
    (Yu et al. 2024, eq. 9). Smoothing of 1e-15 and less is none.
    """
    some = (smoothing > 1e-15)[:, None]
    blurred = torch.where(some, scales.square() + smoothing.square()[:, None], 1.0).sqrt()
    kept = torch.where(some, scales / blurred, 1.0).prod(-1)
    return torch.where(some, blurred, scales), opacities * kept


def exp_twist(twist: Tensor) -> Tensor:
    """The rigid motion (4, 4) of a twist (6,) = (v, w): x moves by v + w x x to first order."""
    v, (x, y, z), zero = twist[:3], twist[3:].unbind(), torch.zeros_like(twist[0])
    turn = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).reshape(3, 3)
    rate = torch.cat([torch.cat([turn, v[:, None]], 1), torch.zeros_like(twist[None, :4])])
    motion: Tensor = torch.linalg.matrix_exp(rate)
    return motion


@dataclass(frozen=True, eq=False)
class Projected:
    """The M visible of N splats as a picture sees them, near to far.

    index: (M,) which of the N. means_px: (M, 2) centres. conics: (M, 3) the inverse covariance's xx, xy, yy.
    opacities: (M,). colors: (M, 3). depths: (M,) z in the camera, or the distance from it (see `View`).
    extents_px: (M, 2) half sizes of the box outside of which alpha is below `MIN_ALPHA`.
    planes: of a panorama, whose conics and extents are on these planes instead of in the picture; else None.
    """

    index: Tensor
    means_px: Tensor
    conics: Tensor
    opacities: Tensor
    colors: Tensor
    depths: Tensor
    extents_px: Tensor
    planes: Planes | None = None

    def near(self, x0: int, y0: int, x1: int, y1: int) -> Tensor:
        """Which of the M may reach into a rectangle of pixels; all of them in a panorama."""
        if self.planes is not None:
            return torch.arange(len(self.index), device=self.index.device)
        low, high = (self.means_px - self.extents_px).detach(), (self.means_px + self.extents_px).detach()
        touches = (high[:, 0] > x0) & (low[:, 0] < x1) & (high[:, 1] > y0) & (low[:, 1] < y1)
        return torch.nonzero(touches).squeeze(-1)

    def offsets_px(self, pixels: Tensor, index: Tensor, moves_px: Tensor | float = 0.0) -> Tensor:
        """(P, M', 2) from the centres of the splats `index` (M',) to pixel centres (P, 2); infinite where a panorama's
        pixel looks away from a splat. `moves_px` (P, M', 2): small moves of the centres, apart for each pixel."""
        if self.planes is not None:
            return self.planes.offsets_px(pixels, index, moves_px)
        return pixels[:, None, :] - self.means_px[index] - moves_px


def _jacobian(points: Tensor, view: View) -> Tensor:
    """(N, 2, 3) derivative of pixels by camera coordinates, the ray held within the picture and its margin."""
    x, y, z = points.unbind(-1)
    margin_x, margin_y = MARGIN * 0.5 * view.width / view.fx, MARGIN * 0.5 * view.height / view.fy
    u = torch.clamp(x / z, -view.cx / view.fx - margin_x, (view.width - view.cx) / view.fx + margin_x)
    v = torch.clamp(y / z, -view.cy / view.fy - margin_y, (view.height - view.cy) / view.fy + margin_y)
    zero = torch.zeros_like(z)
    entries = [view.fx / z, zero, -view.fx * u / z, zero, view.fy / z, -view.fy * v / z]
    return torch.stack(entries, -1).reshape(-1, 2, 3)


def _ewa(points: Tensor, axes: Tensor, view: View) -> tuple[Tensor, Tensor, Tensor]:
    """A pinhole's centres (N, 2), halves H (N, 2, 3) of the covariance H H^T before the low-pass, and depths (N,)."""
    focal, centre = points.new_tensor([view.fx, view.fy]), points.new_tensor([view.cx, view.cy])
    return points[:, :2] / points[:, 2:] * focal + centre, _jacobian(points, view) @ axes, points[:, 2]


def _sharp_det(half: Tensor) -> Tensor:
    """det(H H^T) (N,) of H (N, 2, K), without its loss of digits: the sum of all squared 2x2 minors (Cauchy, Binet)."""
    minors = half[:, 0, :, None] * half[:, 1, None, :]
    return (minors - minors.mT).square().sum((-1, -2)) / 2


def project(
    means: Tensor,
    quats: Tensor,
    log_scales: Tensor,
    logit_opacities: Tensor,
    sh: Tensor,
    view: View,
    sh_degree: int = 3,
    shifts_px: Tensor | None = None,
    *,
    antialiased: bool = False,
    low_pass_px2: float = LOW_PASS_PX2,
    smoothing: Tensor | None = None,
    opacity_factors: Tensor | None = None,
    cam_from_world: Tensor | None = None,
) -> Projected:
    """Splats (N, 3), (N, 4), (N, 3), (N,), (N, K, 3) in the world to what `view` sees of them; steps 1 to 3 above.

    `shifts_px` (N, 2) is added to the centres in the picture: its gradient is the gradient by those centres.

    `antialiased`: the opacity is multiplied by `sqrt(det S / det(S + low_pass_px2 I))`, S the covariance in pixels (Yu
    et al. 2024, eq. 10). The paper's low-pass is `MIP_LOW_PASS_PX2`; gsplat's mode of this name keeps `LOW_PASS_PX2`.
    `smoothing` (N,): see `smoothed`. `opacity_factors` (N,) at least 0: of each splat's opacity, 0 leaves it out.
    `cam_from_world` (3, 4): instead of the view's, to be differentiated by.
    """
    count = (sh_degree + 1) ** 2
    if cam_from_world is None:
        cam_from_world = torch.as_tensor(view.cam_from_world).to(means)
    rotation, translation = cam_from_world[:, :3], cam_from_world[:, 3]
    finite = torch.ones(len(means), dtype=torch.bool, device=means.device)
    checked = [means, quats, log_scales, logit_opacities, sh[:, :count]]
    for values in checked if smoothing is None else [*checked, smoothing]:
        finite &= values.detach().reshape(len(means), math.prod(values.shape[1:])).isfinite().all(-1)
    finite &= quats.detach().norm(dim=-1) > 0
    if opacity_factors is not None:
        finite &= (opacity_factors > 0) & opacity_factors.isfinite()
    in_camera = (means @ rotation.T + translation).detach()
    index = torch.nonzero(finite & sees(in_camera, view, NEAR)).squeeze(-1)  # what is dropped never meets a 1 / 0

    in_world = means[index]
    points = in_world @ rotation.T + translation
    scales, opacities = log_scales[index].exp(), torch.sigmoid(logit_opacities[index])
    if smoothing is not None:
        scales, opacities = smoothed(scales, opacities, smoothing[index])
    if opacity_factors is not None:
        opacities = opacities * opacity_factors[index]
    axes = rotation @ rotations(quats[index]) * scales[:, None, :]
    planes = None
    if view.model == "equirectangular":
        means_px, half, depths, planes = on_planes(points, axes, view)
    else:
        means_px, half, depths = (_ewa if view.model == "pinhole" else unscented)(points, axes, view)
    cov = half @ half.mT + low_pass_px2 * torch.eye(2, dtype=means.dtype, device=means.device)
    xx, xy, yy = cov[:, 0, 0], cov[:, 0, 1], cov[:, 1, 1]
    det = xx * yy - xy * xy
    conics = torch.stack([yy / det, -xy / det, xx / det], -1)
    if antialiased:
        opacities = opacities * torch.sqrt(
            torch.clamp(_sharp_det(half) / det, min=1e-12)
        )  # far below MIN_ALPHA; no root of 0
    if shifts_px is not None and planes is not None:
        planes = planes.moved(shifts_px[index])
    elif shifts_px is not None:
        means_px = means_px + shifts_px[index]

    reach = 2.0 * torch.log(torch.clamp(opacities.detach() / MIN_ALPHA, min=1.0))  # d^T Sigma^-1 d where alpha is least
    extents_px = torch.sqrt(reach[:, None] * torch.stack([xx, yy], -1).detach())

    camera_in_world = -rotation.T @ translation
    directions = functional.normalize(in_world - camera_in_world, dim=-1, eps=0.0)
    colors = torch.einsum("nk,nkc->nc", sh_basis(directions, sh_degree), sh[index, :count]) + 0.5
    colors = torch.clamp(colors, min=0.0)

    low_px, high_px = (means_px - extents_px).detach(), (means_px + extents_px).detach()
    inside = (high_px > 0) & (low_px < means.new_tensor([view.width, view.height]))
    inside |= planes is not None
    order = torch.nonzero((reach > 0) & inside.all(-1) & (det.detach() > 0)).squeeze(-1)
    order = order[torch.sort(order_by(points, depths, view)[order].detach(), stable=True).indices]
    return Projected(
        index[order],
        means_px[order],
        conics[order],
        opacities[order],
        colors[order],
        depths[order],
        extents_px[order],
        None if planes is None else planes.chosen(order),
    )


def sampling_intervals(means: Tensor, views: Sequence[View]) -> Tensor:
    """The least distance in the world between two pixels' rays at each centre (N, 3): (N,), infinite where unseen.

    Over the cameras that see a centre, depth over focal length (Yu et al. 2024, eq. 7). A camera sees what lies more
    than `NEAR` in front of it (or from it, see `twin_lens.sees`) and within its picture grown by `MARGIN`.
    """
    least = torch.full_like(means[:, 0], math.inf)
    for view in views:
        matrix = torch.as_tensor(view.cam_from_world).to(means)
        points = means @ matrix[:, :3].T + matrix[:, 3]
        margin_x, margin_y = MARGIN * 0.5 * view.width, MARGIN * 0.5 * view.height
        px, py = project_points(points, view).unbind(-1)
        seen = sees(points, view, NEAR) & (px >= -margin_x) & (px <= view.width + margin_x)
        seen &= (py >= -margin_y) & (py <= view.height + margin_y)
        depth = points.norm(dim=-1) if view.depth_is_distance else points[:, 2]
        least = torch.where(seen, torch.minimum(least, depth / max(view.fx, view.fy)), least)
    return least


def blend(offsets_px: Tensor, conics: Tensor, opacities: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Step 4 for P pixels and M splats near to far, (P, M, 2) from the splats' centres to the pixels': values (M, D) to
    sums (P, D), and T left (P,). Infinite offsets are of splats that a pixel cannot see."""
    there = offsets_px.detach().isfinite().all(-1)
    dx, dy = torch.where(there[..., None], offsets_px, 0.0).unbind(-1)
    power = -0.5 * (conics[:, 0] * dx * dx + conics[:, 2] * dy * dy) - conics[:, 1] * dx * dy
    raw = torch.where(there, opacities * torch.exp(power), 0.0)
    alpha = torch.where(raw >= MIN_ALPHA, torch.clamp(raw, max=MAX_ALPHA), torch.zeros_like(raw))
    goes_on = _before(torch.cumprod(1.0 - alpha.detach(), -1)) > STOP
    alpha = torch.where(goes_on, alpha, torch.zeros_like(alpha))
    after = torch.cumprod(1.0 - alpha, -1)
    return (_before(after) * alpha) @ values, after[:, -1]


def blend_at(seen: Projected, pixels: Tensor, index: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """`blend` of the splats `index` (M',) with their values (M', D) for pixel centres (P, 2)."""
    return blend(seen.offsets_px(pixels, index), seen.conics[index], seen.opacities[index], values)


def _before(after: Tensor) -> Tensor:
    """Transmittance (P, M) in front of each splat from the one behind it."""
    return torch.cat([torch.ones_like(after[:, :1]), after[:, :-1]], -1)


def _tiles(view: View, tile_px: int) -> Iterator[tuple[int, int, int, int]]:
    for y in range(0, view.height, tile_px):
        for x in range(0, view.width, tile_px):
            yield x, y, min(view.width, x + tile_px), min(view.height, y + tile_px)


def rasterize(
    means: Tensor,
    quats: Tensor,
    log_scales: Tensor,
    logit_opacities: Tensor,
    sh: Tensor,
    view: View,
    sh_degree: int = 3,
    background: Sequence[float] | Tensor = (0.0, 0.0, 0.0),
    tile_px: int = 32,
    shifts_px: Tensor | None = None,
    *,
    antialiased: bool = False,
    low_pass_px2: float = LOW_PASS_PX2,
    smoothing: Tensor | None = None,
    opacity_factors: Tensor | None = None,
    cam_from_world: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The picture of N splats.

    Args:
        means: (N, 3) in the world. quats: (N, 4) wxyz, any length but zero. log_scales: (N, 3).
        logit_opacities: (N,). sh: (N, K, 3) with K >= (sh_degree + 1)^2, coefficient 0 the constant one.
        view: the camera. sh_degree: 0 to 3. background: three sRGB values.
        tile_px: pictures are made in tiles of this side, one at a time and once more in the backward pass, so that
            memory grows with a tile's share of splats only.
        shifts_px (N, 2), antialiased, low_pass_px2, smoothing (N,), opacity_factors (N,), cam_from_world (3, 4): see
            `project`.

    Returns:
        rgb (H, W, 3), alpha (H, W) and accumulated depth (H, W), the sum of weight times z. Differentiable by every
        splat tensor, by shifts_px, smoothing and cam_from_world.
    """
    seen = project(
        *(means, quats, log_scales, logit_opacities, sh, view, sh_degree, shifts_px),
        antialiased=antialiased,
        low_pass_px2=low_pass_px2,
        smoothing=smoothing,
        opacity_factors=opacity_factors,
        cam_from_world=cam_from_world,
    )
    back = torch.as_tensor(background).to(means)
    values = torch.cat([seen.colors, seen.depths[:, None]], -1)
    rows: list[Tensor] = []
    row: list[Tensor] = []
    for x0, y0, x1, y1 in _tiles(view, tile_px):
        index = seen.near(x0, y0, x1, y1)
        ys = torch.arange(y0, y1, dtype=means.dtype, device=means.device) + 0.5
        xs = torch.arange(x0, x1, dtype=means.dtype, device=means.device) + 0.5
        pixels = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1).reshape(-1, 2)
        if len(index):
            sums, left = checkpoint(blend_at, seen, pixels, index, values[index], use_reentrant=False)
        else:
            sums, left = means.new_zeros(len(pixels), 4), means.new_ones(len(pixels))
        rgb = sums[:, :3] + left[:, None] * back
        row.append(torch.cat([rgb, 1.0 - left[:, None], sums[:, 3:]], -1).reshape(y1 - y0, x1 - x0, 5))
        if x1 == view.width:
            rows.append(torch.cat(row, 1))
            row = []
    picture = torch.cat(rows, 0)
    return picture[..., :3], picture[..., 3], picture[..., 4]


def gaussian_taps(like: Tensor) -> Tensor:
    """The 11 weights of SSIM's window, sigma 1.5, summing to 1."""
    x = torch.arange(-SSIM_RADIUS, SSIM_RADIUS + 1, dtype=torch.float64)
    taps = torch.exp(-x * x / (2 * SSIM_SIGMA**2))
    return (taps / taps.sum()).to(like)


def blur(planes: Tensor) -> Tensor:
    """SSIM's window over planes (C, H, W); outside of the picture everything is 0."""
    taps = gaussian_taps(planes)
    across = functional.conv2d(planes[:, None], taps.reshape(1, 1, 1, -1), padding=(0, SSIM_RADIUS))
    return functional.conv2d(across, taps.reshape(1, 1, -1, 1), padding=(SSIM_RADIUS, 0))[:, 0]


def ssim_map(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity (C, H, W) of planes (C, H, W) in 0 to 1 (Wang et al. 2004, eq. 13)."""
    mu_x, mu_y = blur(x), blur(y)
    var_x, var_y, cov = blur(x * x) - mu_x * mu_x, blur(y * y) - mu_y * mu_y, blur(x * y) - mu_x * mu_y
    structure = (2 * cov + SSIM_C2) / (var_x + var_y + SSIM_C2)
    return (2 * mu_x * mu_y + SSIM_C1) / (mu_x * mu_x + mu_y * mu_y + SSIM_C1) * structure


def expose(rgb: Tensor, exposure: Tensor) -> Tensor:
    """A picture (H, W, 3) as a photo's exposure and white balance (3, 4) show it.

    `exposure[:, :3] rgb + exposure[:, 3]`: what the loss compares with the photo, hidden pixels hidden in both.
    """
    return rgb @ exposure[:, :3].T + exposure[:, 3]


def photo_loss(
    rgb: Tensor,
    photo: Tensor,
    mask: Tensor | None = None,
    ssim_weight: float = 0.2,
    row_weights: Tensor | None = None,
) -> Tensor:
    """`(1 - ssim_weight) L1 + ssim_weight (1 - SSIM)`, the loss of 3DGS.

    Args:
        rgb: (H, W, 3) picture. photo: (H, W, 3) in 0 to 1. mask: (H, W), 0 hides a pixel, None keeps all.
        ssim_weight: 0 to 1. row_weights: (H,) what a pixel of each row counts for, None for 1.

    Returns:
        A scalar. Both terms are weighted means over the kept pixels and channels. To SSIM's windows a hidden pixel is
        what a pixel outside of the picture is: 0 in both. With no pixel kept the loss is 0.
    """
    x, y = rgb.permute(2, 0, 1), photo.to(rgb).permute(2, 0, 1)
    keep = torch.ones_like(x[0]) if mask is None else (mask != 0).to(rgb)
    weight = keep if row_weights is None else keep * row_weights.to(rgb)[:, None]
    any_kept = (weight.sum() > 0).to(rgb)
    total = 3.0 * torch.where(weight.sum() > 0, weight.sum(), 1.0)
    x, y = x * keep, y * keep
    l1 = ((x - y).abs() * weight).sum() / total
    ssim = (ssim_map(x, y) * weight).sum() / total
    return any_kept * ((1.0 - ssim_weight) * l1 + ssim_weight * (1.0 - ssim))


def adam_step(
    param: Tensor,
    grad: Tensor,
    exp_avg: Tensor,
    exp_avg_sq: Tensor,
    step: int,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-15,
) -> tuple[Tensor, Tensor, Tensor]:
    """New (param, exp_avg, exp_avg_sq) after step number `step`, 1 for the first (Kingma and Ba 2015, algorithm 1)."""
    exp_avg = betas[0] * exp_avg + (1 - betas[0]) * grad
    exp_avg_sq = betas[1] * exp_avg_sq + (1 - betas[1]) * grad * grad
    mean = exp_avg / (1 - betas[0] ** step)
    spread = torch.sqrt(exp_avg_sq / (1 - betas[1] ** step))
    return param - lr * mean / (spread + eps), exp_avg, exp_avg_sq


def regularizer(log_scales: Tensor, logit_opacities: Tensor, opacity_reg: float, scale_reg: float) -> Tensor:
    """What keeps splats from piling up in 3DGS-MCMC (Kheradmand et al. 2024, eq. 11): mean opacity and mean scale."""
    if not len(logit_opacities):
        return logit_opacities.sum()
    return opacity_reg * torch.sigmoid(logit_opacities).mean() + scale_reg * torch.exp(log_scales).mean()


def degree_of(sh: Tensor) -> int:
    """The SH degree that an array (N, K, 3) can hold."""
    return math.isqrt(sh.shape[1]) - 1
