"""The twin of PatchMatch stereo: what one sweep does, on whole pictures at once.

The planes, the costs and the order of what is tried are those of cpu/patchmatch.h; see there for the papers. All
arithmetic is float32, as what is kept hangs on comparisons of costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._stereo import MISSING, Bytes, Floats, Ints, StereoField, StereoView, SweepConfig, padded

MOST_DISAGREEMENT = 3.0
VIEW_SIGMA = 0.3
LEAST_SAY = 1e-3
TOO_LITTLE = 0.03
STEEPEST = 6.0

F = np.float32


@dataclass(frozen=True, eq=False)
class Window:
    """Weights and weight times (grey - mean), (K, H, W) each; one over the sum of the weights and the variance."""

    weight: Floats
    detail: Floats
    per_weight: Floats
    variance: Floats


@dataclass(frozen=True, eq=False)
class Sight:
    """Where pixels are seen, one over z there, and whether that is inside the picture and in front; (H, W) each."""

    u: Floats
    v: Floats
    per_z: Floats
    seen: npt.NDArray[np.bool_]


def grid(height: int, width: int) -> tuple[Floats, Floats]:
    y, x = np.meshgrid(np.arange(height, dtype=F), np.arange(width, dtype=F), indexing="ij")
    return x, y


def open_window(gray: Bytes, keep: Bytes | None, samples: Ints, config: SweepConfig) -> Window:
    """w_k = exp(-|I_k - I_0| / color_sigma - |o_k|^2 / (2 space_sigma^2)), 0 where hidden."""
    height, width = gray.shape
    wide, pad = padded(gray, keep, samples)
    values = np.stack([wide[pad + dy : pad + dy + height, pad + dx : pad + dx + width] for dx, dy in samples])
    centre = wide[pad : pad + height, pad : pad + width]
    apart = (samples.astype(F) ** 2).sum(1)[:, None, None]
    exponent = -np.abs(values - centre) / F(config.color_sigma) - apart * F(0.5 / config.space_sigma_px**2)
    weight = np.where(values > 0, np.exp(exponent), F(0)).astype(F)
    per_weight = 1 / np.maximum(weight.sum(0), F(1e-6))
    mean = (weight * values).sum(0) * per_weight
    variance = np.maximum((weight * values * values).sum(0) * per_weight - mean * mean, F(0))
    return Window(weight, weight * (values - mean), per_weight, variance)


def look(matrix: npt.NDArray[np.float32], x: Floats, y: Floats, rho: Floats, shape: tuple[int, int] | None) -> Sight:
    """`matrix @ (x, y, 1, rho)`, divided by its last."""
    u, v, z = (row[0] * x + row[1] * y + row[2] + row[3] * rho for row in matrix.astype(F))
    with np.errstate(divide="ignore", invalid="ignore"):
        per_z = 1 / z
        u, v = u * per_z, v * per_z
    inside = z > F(1e-6)
    if shape is not None:
        inside &= (u >= -0.5) & (u <= shape[1] - 0.5) & (v >= -0.5) & (v <= shape[0] - 0.5)
    return Sight(u, v, per_z, inside)


def sample(gray: Bytes, u: Floats, v: Floats) -> Floats:
    """Grey between pixels, bilinear, the rim's beyond it."""
    height, width = gray.shape
    u = np.clip(np.nan_to_num(u), 0, width - 1).astype(F)
    v = np.clip(np.nan_to_num(v), 0, height - 1).astype(F)
    u0, v0 = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    u1, v1 = np.minimum(u0 + 1, width - 1), np.minimum(v0 + 1, height - 1)
    values = gray.astype(F)
    right, down = u - u0, v - v0
    above = values[v0, u0] + right * (values[v0, u1] - values[v0, u0])
    below = values[v1, u0] + right * (values[v1, u1] - values[v1, u0])
    mixed: Floats = (above + down * (below - above)).astype(F)
    return mixed


def disagreement(view: StereoView, sight: Sight, x: Floats, y: Floats) -> Floats:
    """Pixels between where one started and where the view's own depth leads back to, at most 3; 3 where unknown."""
    assert view.inverse_depth is not None and view.back is not None
    height, width = view.gray.shape
    row = np.clip(np.rint(np.nan_to_num(sight.v)), 0, height - 1).astype(np.int64)
    column = np.clip(np.rint(np.nan_to_num(sight.u)), 0, width - 1).astype(np.int64)
    rho = view.inverse_depth[row, column]
    back = look(np.asarray(view.back), sight.u, sight.v, rho, None)
    with np.errstate(invalid="ignore"):
        apart = np.minimum(np.hypot(back.u - x, back.v - y), F(MOST_DISAGREEMENT))
        return np.where((rho > 0) & (back.per_z > 0), apart, F(MOST_DISAGREEMENT)).astype(F)


def view_cost(
    view: StereoView, window: Window, planes: Floats, x: Floats, y: Floats, samples: Ints, config: SweepConfig
) -> Floats:
    """1 - cov / sqrt((var_r + noise^2) (var_s + noise^2)), the homography linear around the window's centre."""
    rho, gx, gy = planes
    m = np.asarray(view.warp).astype(F)
    s = look(m, x, y, rho, view.gray.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        zx, zy = m[2, 0] + m[2, 3] * gx, m[2, 1] + m[2, 3] * gy
        ux, uy = (m[0, 0] + m[0, 3] * gx - s.u * zx) * s.per_z, (m[0, 1] + m[0, 3] * gy - s.u * zy) * s.per_z
        vx, vy = (m[1, 0] + m[1, 3] * gx - s.v * zx) * s.per_z, (m[1, 1] + m[1, 3] * gy - s.v * zy) * s.per_z
        total = square = product = F(0)
        for k, (dx, dy) in enumerate(samples.astype(F)):
            gray = sample(view.gray, s.u + dx * ux + dy * uy, s.v + dx * vx + dy * vy)
            total = total + window.weight[k] * gray
            square = square + window.weight[k] * gray * gray
            product = product + window.detail[k] * gray
    mean = total * window.per_weight
    variance = np.maximum(square * window.per_weight - mean * mean, F(0))
    noise = F(config.noise) ** 2
    ncc = product * window.per_weight / np.sqrt((window.variance + noise) * (variance + noise))
    cost = 1 - np.clip(ncc, -1, 1)
    missing = MISSING
    if view.inverse_depth is not None and config.geometric_weight > 0:
        missing += config.geometric_weight * MOST_DISAGREEMENT
        cost = cost + F(config.geometric_weight) * disagreement(view, s, x, y)
    return np.where(s.seen, cost, F(missing)).astype(F)


def random_field(shape: tuple[int, int], config: SweepConfig, place: int) -> Floats:
    """In [-1, 1): murmur's last mix of seed, pixel, sweep and place."""
    with np.errstate(over="ignore"):
        y, x = np.meshgrid(*(np.arange(n, dtype=np.uint32) for n in shape), indexing="ij")
        tick = np.uint32(config.sweep & 0x3FFFFFF) * np.uint32(64) + np.uint32(place)
        h = np.uint32(config.seed & 0xFFFFFFFF) + y * np.uint32(0x85EBCA77) + tick * np.uint32(0xC2B2AE3D)
        h = h + x * np.uint32(0x9E3779B1)
        h ^= h >> np.uint32(16)
        h *= np.uint32(0x85EBCA6B)
        h ^= h >> np.uint32(13)
        h *= np.uint32(0xC2B2AE35)
        h ^= h >> np.uint32(16)
    return (h >> np.uint32(8)).astype(F) * F(2.0**-23) - F(1)


def at_offset(x: Floats, y: Floats, offset: Ints) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    height, width = x.shape
    column = np.clip(x.astype(np.int64) + int(offset[0]), 0, width - 1)
    return np.clip(y.astype(np.int64) + int(offset[1]), 0, height - 1), column


def weigh_views(view_costs: Floats, x: Floats, y: Floats) -> Floats:
    """(V, H, W), summing to 1: the mean of exp(-c^2 / (2 sigma^2)) over a pixel and the four around it.

    Views of less than `TOO_LITTLE` of the sum have none: the native code does not look at them.
    """
    say = np.zeros_like(view_costs)
    for offset in np.array([(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)]):
        row, column = at_offset(x, y, offset)
        say += np.exp(view_costs[:, row, column] ** 2 * F(-0.5 / VIEW_SIGMA**2))
    say = say * F(0.2) + F(LEAST_SAY)
    say = np.where(say >= F(TOO_LITTLE) * say.sum(0), say, F(0))
    shares: Floats = say / say.sum(0)
    return shares


def held(planes: Floats, config: SweepConfig) -> Floats:
    """Within the range of inverse depths, and no steeper than `STEEPEST`."""
    rho = np.clip(planes[0], F(config.rho_low), F(config.rho_high))
    slope = np.hypot(planes[1], planes[2])
    factor = np.minimum(F(STEEPEST) * rho / (np.maximum(slope, F(1e-20)) * F(config.focal_px)), F(1))
    return np.stack([rho, planes[1] * factor, planes[2] * factor])


def taken_over(before: StereoField, region: Ints, x: Floats, y: Floats, config: SweepConfig) -> Floats:
    """The plane of the region's pixel of least cost, continued: rho = rho_n - g . o."""
    places = [at_offset(x, y, offset) for offset in region]
    costs = np.stack([before.cost[place] for place in places])
    chosen = costs.argmin(0)
    row, column = (np.take_along_axis(np.stack(axis), chosen[None], 0)[0] for axis in zip(*places, strict=True))
    rho, gx, gy = before.planes[:, row, column]
    return held(np.stack([rho - gx * (column - x).astype(F) - gy * (row - y).astype(F), gx, gy]), config)


def stepped(planes: Floats, k: int, config: SweepConfig) -> Floats:
    """0: another depth, 1: another slope, 2: both, 3: any plane; then again."""
    rho, gx, gy = planes
    a, b, c = (random_field((rho.shape[0], rho.shape[1]), config, 3 * k + i) for i in range(3))
    kind = k % 4
    if kind == 3:
        rho = F(config.rho_low) + F(config.rho_high - config.rho_low) * (F(0.5) * a + F(0.5))
        per = rho * F(1 / config.focal_px)
        return held(np.stack([rho, b * per, c * per]), config)
    if kind != 1:
        rho = rho + F(config.step_rho) * a
    if kind != 0:
        gx, gy = gx + F(config.step_slope) * b, gy + F(config.step_slope) * c
    return held(np.stack([rho, gx, gy]), config)


def stereo_sweep(
    gray: Bytes,
    keep: Bytes | None,
    views: list[StereoView],
    before: StereoField,
    config: SweepConfig,
    *,
    samples: Ints,
    regions: Ints,
) -> StereoField:
    """As `kernels.stereo_sweep`, within float32 rounding wherever two tries do not cost the same."""
    x, y = grid(*gray.shape)
    window = open_window(gray, keep, samples, config)
    say = weigh_views(before.view_costs, x, y)

    def costs_of(planes: Floats) -> tuple[Floats, Floats]:
        each = np.stack([view_cost(view, window, planes, x, y, samples, config) for view in views])
        return (say * each).sum(0), each

    planes = held(before.planes, config)
    cost, each = costs_of(planes) if config.fresh else ((say * before.view_costs).sum(0), before.view_costs)

    def attempt(tried: Floats) -> None:
        nonlocal planes, cost, each
        its_cost, its_each = costs_of(tried)
        better = its_cost < cost
        planes, cost = np.where(better, tried, planes), np.where(better, its_cost, cost)
        each = np.where(better, its_each, each)

    for region in regions:
        attempt(taken_over(before, region, x, y, config))
    for k in range(config.refinements):
        attempt(stepped(planes, k, config))
    if keep is not None:
        wanted = keep > 0
        planes, cost = np.where(wanted, planes, before.planes), np.where(wanted, cost, before.cost)
        each = np.where(wanted, each, before.view_costs)
    return StereoField(planes.astype(F), cost.astype(F), each.astype(F))
