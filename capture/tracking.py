"""How pictures of one video move against each other: corners and their optical flow, in NumPy, at small size.

Corners after Shi and Tomasi 1994, flow after Lucas and Kanade 1981 in pyramids (Bouguet 2000) with the template's
gradients (inverse compositional, Baker and Matthews 2004), started from a phase correlation of the coarse pictures so
that large steps between frames are followed too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.float32]
Points = npt.NDArray[np.float32]

TRACK_PX = 320
"""Longer side at which features are tracked; motions are told in pixels of a picture of 1000."""

UNIT_PX = 1000.0
LEVELS = 4
RADIUS = 4
CELL_PX = 18
ITERATIONS = 7
MIN_CORRELATION = 0.75
"""Normalised correlation of the patches below which a feature counts as lost."""

SURE_SHARE = 0.5
LEAST_SHARE = 0.15
"""Share of features found below which they are chance hits: pictures that have nothing in common give up to 0.1."""


@dataclass(frozen=True, eq=False)
class View:
    """A small grey picture made ready for tracking: a pyramid, fine to coarse, and its corners (N, 2) as x, y."""

    pyramid: tuple[Grey, ...]
    corners: Points

    @property
    def scale(self) -> float:
        """Pixels of a picture of 1000 per pixel of this one."""
        return float(UNIT_PX / max(self.pyramid[0].shape))


@dataclass(frozen=True, eq=False)
class Motion:
    """From one view to a later one.

    similarity: (2, 3), takes pixels of the first to the second, both scaled to a longer side of 1000 and centred on
        the picture's middle; the motion of the picture as a whole (turn, zoom, shift).
    median_px: median length of the features' motion; residual_px: median of what the similarity leaves of it, which
        is parallax, deformation and noise. Both at 1000 px. share: of the first view's corners found in the second.
    """

    similarity: npt.NDArray[np.float64]
    median_px: float
    residual_px: float
    share: float


def make_view(grey: npt.NDArray[np.uint8]) -> View:
    """From a grey picture (H, W) of about `TRACK_PX`."""
    levels = [np.ascontiguousarray(grey, dtype=np.float32)]
    while len(levels) < LEVELS and min(levels[-1].shape) >= 4 * (2 * RADIUS + 1):
        levels.append(_halved(_blurred(levels[-1])))
    return View(tuple(levels), find_corners(levels[0]))


def _blurred(grey: Grey) -> Grey:
    p = np.pad(grey, 1, mode="edge")
    rows = p[:-2] + 2 * p[1:-1] + p[2:]
    result: Grey = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) * np.float32(1 / 16)
    return result


def _halved(grey: Grey) -> Grey:
    h, w = grey.shape[0] // 2 * 2, grey.shape[1] // 2 * 2
    g = grey[:h, :w]
    half: Grey = (g[0::2, 0::2] + g[1::2, 0::2] + g[0::2, 1::2] + g[1::2, 1::2]) * np.float32(0.25)
    return half


def _box5(values: Grey) -> Grey:
    """Sums over 5x5 pixels; beyond the border is nothing."""
    p = np.pad(values, 2)
    rows = p[:-4] + p[1:-3] + p[2:-2] + p[3:-1] + p[4:]
    result: Grey = rows[:, :-4] + rows[:, 1:-3] + rows[:, 2:-2] + rows[:, 3:-1] + rows[:, 4:]
    return result


def find_corners(grey: Grey) -> Points:
    """The best corner of each cell of the picture where it has one; (N, 2) as x, y."""
    gy, gx = np.zeros_like(grey), np.zeros_like(grey)
    gx[:, 1:-1] = (grey[:, 2:] - grey[:, :-2]) * 0.5
    gy[1:-1] = (grey[2:] - grey[:-2]) * 0.5
    xx, yy, xy = _box5(gx * gx), _box5(gy * gy), _box5(gx * gy)
    least = 0.5 * (xx + yy - np.sqrt((xx - yy) ** 2 + 4 * xy * xy))
    margin = RADIUS + 2
    h, w = ((s - 2 * margin) // CELL_PX for s in grey.shape)
    if h < 1 or w < 1:
        return np.zeros((0, 2), np.float32)
    inner = least[margin : margin + h * CELL_PX, margin : margin + w * CELL_PX]
    cells = inner.reshape(h, CELL_PX, w, CELL_PX).transpose(0, 2, 1, 3).reshape(h * w, -1)
    best = cells.argmax(1)
    strength = cells[np.arange(h * w), best]
    # 25 pixels with a gradient of 2 grey levels in the weaker direction; less is noise.
    good = strength > max(100.0, 0.002 * float(strength.max(initial=0)))
    cy, cx = np.divmod(np.arange(h * w), w)
    y, x = np.divmod(best, CELL_PX)
    points = np.stack([cx * CELL_PX + x + margin, cy * CELL_PX + y + margin], 1)
    corners: Points = points[good].astype(np.float32)
    return corners


def _patches(grey: Grey, centres: Points, radius: int = RADIUS) -> Grey:
    """(N, size, size) bilinear patches about positions x, y; beyond the border the border goes on.

    All pixels of a patch share one fraction, so each patch is one gather of whole pixels and one blend.
    """
    h, w = grey.shape
    floor = np.floor(centres)
    fx, fy = ((centres[:, k] - floor[:, k]).astype(np.float32)[:, None, None] for k in (0, 1))
    reach = np.arange(-radius, radius + 2)
    x = np.clip(floor[:, 0].astype(np.int32)[:, None] + reach, 0, w - 1)
    y = np.clip(floor[:, 1].astype(np.int32)[:, None] + reach, 0, h - 1)
    whole = grey.ravel()[(y * w)[:, :, None] + x[:, None, :]]
    rows = whole[:, :-1] + (whole[:, 1:] - whole[:, :-1]) * fy
    result: Grey = rows[:, :, :-1] + (rows[:, :, 1:] - rows[:, :, :-1]) * fx
    return result


def coarse_shift(a: Grey, b: Grey) -> npt.NDArray[np.float32]:
    """The shift (x, y) from `a` to `b` by phase correlation, or zero where that explains the pictures no better."""
    window = np.outer(np.hanning(a.shape[0] + 2)[1:-1], np.hanning(a.shape[1] + 2)[1:-1])
    fa, fb = np.fft.rfft2((a - a.mean()) * window), np.fft.rfft2((b - b.mean()) * window)
    cross = fb * np.conj(fa)
    surface = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-6), a.shape)
    dy, dx = (int(v) for v in np.unravel_index(int(surface.argmax()), surface.shape))
    dy -= a.shape[0] if dy > a.shape[0] // 2 else 0
    dx -= a.shape[1] if dx > a.shape[1] // 2 else 0

    def difference(x: int, y: int) -> float:
        h, w = a.shape
        one = a[max(0, -y) : h - max(0, y), max(0, -x) : w - max(0, x)]
        two = b[max(0, y) : h + min(0, y), max(0, x) : w + min(0, x)]
        return float(np.abs(one - two).mean())

    shift = (dx, dy) if difference(dx, dy) < 0.9 * difference(0, 0) else (0, 0)
    return np.array(shift, np.float32)


def track(first: View, second: View) -> tuple[Points, npt.NDArray[np.bool_]]:
    """Where the corners of `first` are in `second`, (N, 2), and which were found."""
    points = first.corners
    if len(points) == 0 or first.pyramid[0].shape != second.pyramid[0].shape:
        return points.copy(), np.zeros(len(points), bool)
    top = len(first.pyramid) - 1
    start = coarse_shift(first.pyramid[top - 1], second.pyramid[top - 1]) if top > 0 else np.zeros(2, np.float32)
    flow = np.repeat((start * 2 ** (top - 1) / 2**top)[None].astype(np.float32), len(points), 0)
    for level in range(top, -1, -1):
        a, b = first.pyramid[level], second.pyramid[level]
        centre = (points + 0.5) / 2**level - 0.5
        flow = _refine(a, b, centre, flow)
        if level:
            flow = flow * 2
    moved = points + flow
    h, w = first.pyramid[0].shape
    inside = (moved >= 0).all(1) & (moved[:, 0] <= w - 1) & (moved[:, 1] <= h - 1)
    return moved, inside & (_correlation(first.pyramid[0], second.pyramid[0], points, moved) > MIN_CORRELATION)


def _refine(a: Grey, b: Grey, centres: Points, flow: Points) -> Points:
    """Gauss-Newton steps of all patches at once; each patch's brightness may differ by a constant."""
    around = _patches(a, centres, RADIUS + 1)
    count = len(centres)
    template = around[:, 1:-1, 1:-1].reshape(count, -1)
    gx = ((around[:, 1:-1, 2:] - around[:, 1:-1, :-2]) * np.float32(0.5)).reshape(count, -1)
    gy = ((around[:, 2:, 1:-1] - around[:, :-2, 1:-1]) * np.float32(0.5)).reshape(count, -1)
    gx -= gx.mean(1, keepdims=True)
    gy -= gy.mean(1, keepdims=True)
    xx, yy, xy = (gx * gx).sum(1) + 1, (gy * gy).sum(1) + 1, (gx * gy).sum(1)
    determinant = np.maximum(xx * yy - xy * xy, 1e-3)
    for _ in range(ITERATIONS):
        error = _patches(b, centres + flow).reshape(count, -1) - template
        ex, ey = (gx * error).sum(1), (gy * error).sum(1)
        step = np.stack([yy * ex - xy * ey, xx * ey - xy * ex], 1) / determinant[:, None]
        flow = flow - np.clip(step, -RADIUS, RADIUS).astype(np.float32)
        if float(np.mean(np.abs(step) < 0.03)) > 0.95:
            break
    return flow


def _correlation(a: Grey, b: Grey, p: Points, q: Points) -> Grey:
    x, y = (_patches(g, c).reshape(len(c), -1) for g, c in ((a, p), (b, q)))
    x = x - x.mean(1, keepdims=True)
    y = y - y.mean(1, keepdims=True)
    norms = np.sqrt((x * x).sum(1) * (y * y).sum(1))
    result: Grey = (x * y).sum(1) / np.maximum(norms, 1e-3)
    return result


def measure_motion(first: View, second: View) -> Motion | None:
    """The motion between two views, or None when too few features were followed to tell."""
    moved, found = track(first, second)
    if 0 < int(found.sum()) < SURE_SHARE * len(found):  # some may be chance hits: those do not find the way back
        back, again = track(View(second.pyramid, moved[found]), first)
        found[found] = again & (np.abs(back - first.corners[found]).max(1) < 1)
    if int(found.sum()) < 8 or float(found.mean()) < LEAST_SHARE:
        return None
    h, w = first.pyramid[0].shape
    middle = np.array([w - 1, h - 1]) / 2
    p = (first.corners[found].astype(np.float64) - middle) * first.scale
    q = (moved[found].astype(np.float64) - middle) * first.scale
    similarity, residual = fit_similarity(p, q)
    median = float(np.median(np.linalg.norm(q - p, axis=1)))
    return Motion(similarity, median, float(np.median(residual)), float(found.mean()))


def fit_similarity(
    p: npt.NDArray[np.float64], q: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The similarity (2, 3) from points `p` to `q` (N, 2), and each point's distance from it.

    Least squares in complex numbers, repeated with weights that fall off beyond twice the median distance.
    """
    zp, zq = p[:, 0] + 1j * p[:, 1], q[:, 0] + 1j * q[:, 1]
    weight = np.ones(len(p))
    residual = np.zeros(len(p))
    turn, shift = 1 + 0j, 0j
    for _ in range(6):
        total = weight.sum()
        mp, mq = (weight * zp).sum() / total, (weight * zq).sum() / total
        variance = float((weight * np.abs(zp - mp) ** 2).sum())
        turn = (weight * (zq - mq) * np.conj(zp - mp)).sum() / variance if variance > 1e-9 else 1 + 0j
        shift = mq - turn * mp
        residual = np.abs(zq - turn * zp - shift)
        weight = 1 / (1 + (residual / max(2 * float(np.median(residual)), 1e-3)) ** 2)
    matrix = np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
    return matrix, residual
