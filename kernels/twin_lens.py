"""Lenses beyond the pinhole, for `twin.py`: the unscented transform of 3DGUT.

Wu et al. 2025, "3DGUT: Enabling Distorted Cameras and Secondary Rays in Gaussian Splatting", section 4.1, with its
alpha = 1, beta = 2, kappa = 0, so that lambda = 0. A splat's sigma points are its centre and the six points
`+- sqrt(3) scale_k axis_k` from it. With `d_i` the offset of the projected point i from the projected centre, the
ellipse in the picture is at

    centre + m,  m = sum d_i / 6,  and has the covariance  sum d_i d_i^T / 6 + (beta - alpha^2) m m^T.

Unlike there the ellipse is all that is drawn, so sigma points beside or behind the camera must not lead it astray:

- A splat that is large for its depth is projected as if it were smaller, `SIGMA_SHARE` of its depth, and the covariance
  grown again. In the limit that is the lens's linear map at the centre.
- opencv: offsets are taken around the point at the same depth that is `hold` from the axis at most, as a pinhole's
  Jacobian is: what is far outside of the picture does not smear into it.

Seen is what has a place in the picture:

- opencv and fisheye: the centre must lie within `limits`, where the distortion has not folded back; a pinhole's rule, z
  above `NEAR`, holds for opencv, the distance instead for the others, so a fisheye may see what is behind its plane.
- Equirectangular: sigma points' azimuths are taken relative to the centre's; the picture's left border continues the
  right one (`turns_px`). A splat at a pole is a band across the picture in truth; here it is one wide ellipse, cut half
  a picture from its centre, so what is straight above and below the camera looks smeared.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ._view import View

SIGMA_SHARE = 0.15
WRAP_STRIP_PX = 8
"""Which period of a splat a pixel sees is decided per strip of this many columns, by its middle."""

_REACH = 3.0**0.5  # sqrt(3 + lambda)
_TINY = 1e-30


def sees(points: Tensor, view: View, near: float) -> Tensor:
    """(N,): whether the lens has a place for points (N, 3) in the camera."""
    x, y, z = points.unbind(-1)
    far = (points.norm(dim=-1) if view.depth_is_distance else z) > near
    if view.model == "opencv":
        far = far & (x * x + y * y < view.limits[0] ** 2 * z * z)
    if view.model == "fisheye":
        far = far & (torch.atan2(torch.hypot(x, y), z) < view.limits[0])
    return far


def unscented(points: Tensor, axes: Tensor, view: View) -> tuple[Tensor, Tensor, Tensor]:
    """Splats' centres (N, 3) and axes (N, 3, 3, as columns) in the camera to centres in the picture (N, 2), halves H
    (N, 2, 7) of the covariances H H^T before the low-pass, and depths (N,)."""
    at_centre = project_points(points, view)
    depths = points.norm(dim=-1) if view.depth_is_distance else points[:, 2]
    share = torch.clamp(SIGMA_SHARE * depths / axes.square().sum((1, 2)).sqrt(), max=1.0)[:, None]
    base = _held(points, view) if view.model == "opencv" else points
    at_base = project_points(base, view)
    offsets = []
    for k in range(3):
        for reach in (_REACH, -_REACH):
            around = base + reach * share * axes[:, :, k]
            offset = project_points(around, view) - at_base
            if view.wraps:
                offset = torch.stack([view.fx * _azimuth_from(base, around), offset[:, 1]], -1)
            offsets.append(offset)
    d = torch.stack(offsets, -1)
    m = d.mean(-1)
    centre = at_centre + m
    if view.wraps:
        centre = centre - view.width * torch.floor(centre.detach() / view.width) * centre.new_tensor([1.0, 0.0])
    return centre, torch.cat([d / 6**0.5, m[:, :, None]], -1) / share[:, :, None], depths


def _held(points: Tensor, view: View) -> Tensor:
    """Points (N, 3) brought to `hold` from the axis at most, at their depth."""
    z = points[:, 2]
    r = torch.sqrt(points[:, :2].square().sum(-1) + _TINY)
    factor = torch.clamp(view.limits[1] * z / r, max=1.0)
    return torch.cat([points[:, :2] * factor[:, None], z[:, None]], -1)


def _azimuth_from(centre: Tensor, points: Tensor) -> Tensor:
    """(N,) in -pi to pi: how far around the vertical axis points are from their centres."""
    x, z, cx, cz = points[:, 0], points[:, 2], centre[:, 0], centre[:, 2]
    return torch.atan2(x * cz - z * cx, x * cx + z * cz)


def order_by(points: Tensor, depths: Tensor, view: View) -> Tensor:
    """(N,): what splats at points (N, 3) in the camera are blended in the order of.

    Depth, but where that is the distance the largest of |x|, |y|, |z|: the z of the cube's face that a point is behind,
    so that pinholes looking along an axis of the camera blend in the same order. Along one ray it is the same.
    """
    return points.abs().amax(-1) if view.depth_is_distance else depths


def project_points(points: Tensor, view: View) -> Tensor:
    """Points (N, 3) in the camera, none at its centre, to pixels (N, 2)."""
    x, y, z = points.unbind(-1)
    if view.model == "opencv":
        u, v = _opencv(x / z, y / z, view)
    elif view.model == "fisheye":
        u, v = _fisheye(x, y, z, view)
    elif view.model == "equirectangular":
        u, v = torch.atan2(x, z), torch.atan2(y, torch.sqrt(x * x + z * z + _TINY))
    else:
        u, v = x / z, y / z
    return torch.stack([view.fx * u + view.cx, view.fy * v + view.cy], -1)


def _opencv(u: Tensor, v: Tensor, view: View) -> tuple[Tensor, Tensor]:
    """OpenCV's radial and tangential distortion, as far as `hold`; beyond, the radial factor stays and the tangential
    shift grows with the radius instead of its square."""
    k1, k2, p1, p2, k3, k4, k5, k6 = view.distortion
    hold = view.limits[1]
    r2 = u * u + v * v
    s = torch.clamp(r2, max=hold**2)
    factor = (1 + s * (k1 + s * (k2 + s * k3))) / (1 + s * (k4 + s * (k5 + s * k6)))
    share = torch.where(r2 < hold**2, torch.ones_like(r2), hold / torch.sqrt(r2 + _TINY))
    du = 2 * p1 * u * v + p2 * (r2 + 2 * u * u)
    dv = 2 * p2 * u * v + p1 * (r2 + 2 * v * v)
    return u * factor + share * du, v * factor + share * dv


def _fisheye(x: Tensor, y: Tensor, z: Tensor, view: View) -> tuple[Tensor, Tensor]:
    """OpenCV's fisheye (Kannala and Brandt 2006): the radius is a polynomial of the angle from the axis."""
    k1, k2, k3, k4 = view.distortion
    r = torch.sqrt(x * x + y * y + _TINY)
    angle = torch.atan2(r, z)
    s = torch.clamp(angle, max=view.limits[1]) ** 2
    stretch = angle * (1 + s * (k1 + s * (k2 + s * (k3 + s * k4)))) / r
    return x * stretch, y * stretch


def turns_px(x_px: Tensor, means_x: Tensor, period_px: float) -> Tensor:
    """What to add to splats' centres (M,) for pixels (P, 1) of a picture that wraps around: whole widths, (P, M)."""
    middle = torch.floor(x_px / WRAP_STRIP_PX) * WRAP_STRIP_PX + WRAP_STRIP_PX / 2
    return period_px * torch.floor((middle - means_x) / period_px + 0.5)
