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
- A panorama shows all, and needs no sigma points: an ellipse in its pixels would be far from what a splat near a pole
  looks like, so splats are drawn on planes of their own, which pixels look at along their rays (`Planes`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ._view import View

SIGMA_SHARE = 0.15
AHEAD = 1e-3
"""Cosine of the angle to a splat's direction from which a panorama's pixel sees its plane."""

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
            offsets.append(project_points(around, view) - at_base)
    d = torch.stack(offsets, -1)
    m = d.mean(-1)
    return at_centre + m, torch.cat([d / 6**0.5, m[:, :, None]], -1) / share[:, :, None], depths


def _held(points: Tensor, view: View) -> Tensor:
    """Points (N, 3) brought to `hold` from the axis at most, at their depth."""
    z = points[:, 2]
    r = torch.sqrt(points[:, :2].square().sum(-1) + _TINY)
    factor = torch.clamp(view.limits[1] * z / r, max=1.0)
    return torch.cat([points[:, :2] * factor[:, None], z[:, None]], -1)


@dataclass(frozen=True, eq=False)
class Planes:
    """Where M splats of a panorama are drawn: planes that touch the sphere around the camera in their directions.

    Splats look there as in a pinhole that looks straight at them. A pixel of direction r is `focal (r east, r south) /
    (r out)` away from a splat's centre; where r points away (`AHEAD`), it does not see the splat.

    axes: (M, 3, 3), rows east, south and out in the camera. view: the panorama. focal: pixels of the plane per radian.
    """

    axes: Tensor
    view: View
    focal: float

    def offsets_px(self, pixels: Tensor, index: Tensor, moves_px: Tensor | float = 0.0) -> Tensor:
        """(P, M', 2) from the splats `index` (M',) to pixel centres (P, 2), infinite for those that a pixel cannot see.

        As a plane rolls on by `moves_px` m, an offset q changes by -m - q (q m) / focal^2, to first order.
        """
        view = self.view
        azimuth, latitude = (pixels[:, 0] - view.cx) / view.fx, (pixels[:, 1] - view.cy) / view.fy
        level = torch.cos(latitude)
        rays = torch.stack([level * torch.sin(azimuth), torch.sin(latitude), level * torch.cos(azimuth)], -1)
        there = torch.einsum("pi,mji->pmj", rays, self.axes[index])
        out = there[..., 2:]
        ahead = out.detach() > AHEAD
        offsets = self.focal * there[..., :2] / torch.where(ahead, out, 1.0)
        along = (offsets * moves_px).sum(-1, keepdim=True) / self.focal**2
        return torch.where(ahead, offsets - moves_px - along * offsets, math.inf)

    def chosen(self, index: Tensor) -> Planes:
        return Planes(self.axes[index], self.view, self.focal)

    def moved(self, shifts_px: Tensor) -> Planes:
        """With splats moved on their planes by (M, 2), to first order."""
        east, south, out = self.axes.unbind(1)
        x, y = (shifts_px / self.focal)[:, :, None].unbind(1)
        return Planes(
            torch.stack([east - x * out, south - y * out, out + x * east + y * south], 1), self.view, self.focal
        )


def on_planes(points: Tensor, axes: Tensor, view: View) -> tuple[Tensor, Tensor, Tensor, Planes]:
    """`unscented` for a panorama, H (N, 2, 3) being on the splats' planes; and these.

    One pixel of a plane is one of the finer of the panorama's two sides. East is constant along the way that a splat's
    centre is differentiated: the plane rolls without turning, which keeps the gradient finite at the poles.
    """
    depths = points.norm(dim=-1)
    out = points / depths[:, None]
    x, y, z = out.detach().unbind(-1)
    level = torch.hypot(x, z)
    at_pole, safe = level < 1e-7, torch.clamp(level, min=_TINY)
    sine, cosine = torch.where(at_pole, 0.0, x / safe), torch.where(at_pole, 1.0, z / safe)
    east = torch.stack([cosine, torch.zeros_like(y), -sine], -1)
    south = torch.stack([-y * sine, level, -y * cosine], -1)
    rolled = [a - (a * out).sum(-1, keepdim=True) * out.detach() for a in (east, south)]
    planes = Planes(torch.stack([*rolled, out], 1), view, max(view.fx, view.fy))
    half = planes.focal * planes.axes[:, :2] @ axes / depths[:, None, None]
    return project_points(points, view), half, depths, planes


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
