"""What surfaces are made of: functions from a patch to its albedo, linear RGB (rows, columns, 3).

Fine detail stays faint and coarse detail strong, as on real stone and wood: feature detectors find plenty, and
splats of a few centimetres still come close.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .noise import Floats, cells, fractal, smoothstep
from .scene import linear_from_srgb
from .solids import Material, Patch

FINE_M = 0.022


def rgb(code: str) -> Floats:
    """The linear colour (3,) of a hexadecimal sRGB code such as "c8b89a"."""
    return linear_from_srgb(np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)], np.float32) / 255)


def grain(patch: Patch, coarse_m: float, fine_m: float = FINE_M, *, slope: float = 0.0, along: float = 1.0) -> Floats:
    """Fractal noise on a patch; `along` stretches it in v when above 1, in u when below."""
    rows, columns = patch.points.shape[:2]
    step = (patch.size_m[1] / (rows - 1), patch.size_m[0] / (columns - 1))
    stretch = (along, 1.0) if along >= 1 else (1.0, 1 / along)
    return fractal(patch.rng, (rows, columns), step, coarse_m, fine_m, slope=slope, stretch=stretch)


def solid_grain(patch: Patch, coarse_m: float, fine_m: float = FINE_M) -> Floats:
    """Fractal noise carved out of a block: no stretching at the poles of a ball."""
    from scipy.ndimage import map_coordinates

    side, step = 64, fine_m / 2.2
    block = _block(int(patch.rng.integers(4)), side, step, coarse_m, fine_m)
    at = np.moveaxis(patch.points / step + patch.rng.random(3, dtype=np.float32) * side, -1, 0)
    result: Floats = map_coordinates(block, at, order=1, mode="grid-wrap")
    return result


@lru_cache(maxsize=16)
def _block(seed: int, side: int, step: float, coarse_m: float, fine_m: float) -> Floats:
    return fractal(np.random.default_rng(seed), (side,) * 3, (step,) * 3, coarse_m, fine_m)


def metres(patch: Patch) -> tuple[Floats, Floats]:
    """Distances along u (rows, columns) and along v, from the patch's first corner."""
    rows, columns = patch.points.shape[:2]
    u = np.linspace(0, patch.size_m[0], columns, dtype=np.float32)
    v = np.linspace(0, patch.size_m[1], rows, dtype=np.float32)
    across, up = np.meshgrid(u, v)
    return across, up


def mix(a: Floats, b: Floats, share: Floats) -> Floats:
    """`a` where `share` (rows, columns) is 0, `b` where it is 1."""
    blended: Floats = a + (b - a) * share[..., None]
    return blended


def varied(colour: Floats, *amounts: Floats) -> Floats:
    """A colour made lighter and darker by the sum of `amounts` (rows, columns), about natural logarithms."""
    result: Floats = colour * np.exp(sum(amounts, start=np.float32(0)))[..., None]
    return result


def _per_tile(patch: Patch, column: Floats, row: Floats, count: int = 1) -> list[Floats]:
    """`count` random numbers 0 to 1 for every tile with an integer column and row."""
    table = patch.rng.random((count, 64, 64), dtype=np.float32)
    j, i = column.astype(np.int32) % 64, row.astype(np.int32) % 64
    return [t[i, j] for t in table]


def masonry(
    colours: tuple[str, ...], joint: str, length_m: float, height_m: float, joint_m: float, *, rough: float = 1.0
) -> Material:
    """Courses of bricks or stones, every second one shifted by half, with joints and a life of stains."""

    def material(patch: Patch) -> Floats:
        u, v = metres(patch)
        u = u + 0.004 * rough * grain(patch, 0.4, 0.06)
        v = v + 0.004 * rough * grain(patch, 0.4, 0.06)
        row = np.floor(v / height_m)
        shifted = u / length_m + 0.5 * (row % 2) + 20
        column = np.floor(shifted)
        edge_u = (0.5 - np.abs(shifted - column - 0.5)) * length_m
        edge_v = (0.5 - np.abs(v / height_m - row - 0.5)) * height_m
        tone, pick = _per_tile(patch, column, row, 2)
        palette = np.stack([rgb(c) for c in colours])
        stone = palette[(pick * len(palette)).astype(np.int32)]
        stone = varied(stone, 0.5 * (tone - 0.5), 0.10 * rough * grain(patch, 0.30), 0.16 * grain(patch, 2.5, 0.3))
        inside = smoothstep(0.3 * joint_m, joint_m, np.minimum(edge_u, edge_v))
        return mix(varied(rgb(joint), 0.08 * grain(patch, 0.3)), stone, inside)

    return material


def plaster(colour: str, under: Material | None = None) -> Material:
    """Painted render: clouds of dirt, streaks running down, and patches where it fell off."""

    def material(patch: Patch) -> Floats:
        _, v = metres(patch)
        damp = smoothstep(0.9, 0.0, v + 0.25 * grain(patch, 1.5, 0.1))
        streaks = smoothstep(0.4, 2.0, grain(patch, 0.5, 0.06, along=7.0))
        wall = varied(rgb(colour), 0.13 * grain(patch, 2.0, 0.12), 0.085 * grain(patch, 0.12))
        wall = varied(wall, -0.28 * streaks, -0.40 * damp)
        if under is None:
            return wall
        depth = grain(patch, 2.2, 0.05, slope=0.6) + 0.7 * damp - 0.2
        bare = smoothstep(1.05, 1.15, depth)
        rim = smoothstep(0.85, 1.05, depth) * (1 - bare)
        return mix(varied(wall, 0.30 * rim), under(patch), bare)

    return material


def ivy(below: Material, reach: float = 0.0) -> Material:
    """Leaves over another material, thicker where a slow noise says so; a larger `reach` covers more."""

    def material(patch: Patch) -> Floats:
        u, v = metres(patch)
        warped = np.stack([u + 0.02 * grain(patch, 0.3, 0.08), v + 0.02 * grain(patch, 0.3, 0.08)], -1) / 0.085
        near, _, value = cells(patch.rng, warped.astype(np.float32))
        cover = smoothstep(-0.05, 0.15, grain(patch, 2.6, 0.12, slope=0.5) + reach + 0.5 * (value - 0.5) - 0.25 * near)
        return mix(below(patch), _leaves(near, value, grain(patch, 0.5)), cover)

    return material


def foliage(size_m: float = 0.07) -> Material:
    """A clipped bush: leaves of different greens with dark gaps."""

    def material(patch: Patch) -> Floats:
        near, _, value = cells(patch.rng, patch.points / np.float32(size_m))
        return _leaves(near, value, solid_grain(patch, 0.6, 0.05))

    return material


def _leaves(near: Floats, value: Floats, noise: Floats) -> Floats:
    greens = np.stack([rgb(c) for c in ("5d7f38", "7f9a48", "4c6b31", "93a457", "6f8a3c")])
    leaf = greens[(value * len(greens)).astype(np.int32) % len(greens)]
    return varied(leaf, -1.1 * smoothstep(0.35, 0.75, near), 0.14 * noise)


def planks(colour: str, width_m: float = 0.13, *, upright: bool = True, worn: float = 0.6) -> Material:
    """Boards side by side with grain along them; painted boards are worn less."""

    def material(patch: Patch) -> Floats:
        u, v = metres(patch)
        across = u if upright else v
        stretch = 9.0 if upright else 1 / 9.0
        board = np.floor(across / width_m + 0.37)
        edge = (0.5 - np.abs(across / width_m + 0.37 - board - 0.5)) * width_m
        tone, shift = _per_tile(patch, board, np.zeros_like(board), 2)
        fibre = grain(patch, 0.25, 0.02, along=stretch)
        rings: Floats = np.sin(40 * across + 6 * shift + 2.5 * grain(patch, 0.5, 0.15, along=stretch))
        wood = varied(rgb(colour), 0.5 * worn * (tone - 0.5), 0.20 * worn * fibre, 0.10 * worn * rings)
        wood = varied(wood, 0.13 * grain(patch, 0.7, 0.05))
        return varied(wood, -0.9 * smoothstep(0.011, 0.003, edge))

    return material


def crate(colour: str) -> Material:
    """One side of a box of boards with a frame around it and nails in the frame."""

    def material(patch: Patch) -> Floats:
        u, v = metres(patch)
        inset = np.minimum(np.minimum(u, patch.size_m[0] - u), np.minimum(v, patch.size_m[1] - v))
        inner = planks(colour, 0.11, upright=False, worn=1.0)(patch)
        frame = varied(
            rgb(colour) * np.float32(1.25), 0.16 * grain(patch, 0.3, along=3.0), 0.1 * grain(patch, 0.8, 0.1)
        )
        result = mix(frame, inner * np.float32(0.86), smoothstep(0.062, 0.070, inset))
        seam = smoothstep(0.016, 0.006, np.abs(inset - 0.066))
        u_nail, v_nail = (np.abs(np.mod(a, 0.15) - 0.075) for a in (u, v))
        nail = smoothstep(0.016, 0.009, np.hypot(np.minimum(u_nail, v_nail), inset - 0.033))
        return varied(result, -0.7 * seam, -0.8 * nail)

    return material


def marble(colour: str, vein: str) -> Material:
    """Polished stone with soft veins."""

    def material(patch: Patch) -> Floats:
        ridge = np.abs(grain(patch, 0.7, 0.06, slope=0.5))
        veins = smoothstep(0.16, 0.0, ridge)
        body = varied(rgb(colour), 0.06 * grain(patch, 0.5, 0.1), 0.055 * grain(patch, 0.1))
        return mix(body, varied(rgb(vein), 0.1 * grain(patch, 0.3)), 0.55 * veins)

    return material


def stone(colour: str, strength: float = 1.0) -> Material:
    """Weathered stone with pits, lichen and rain marks."""

    def material(patch: Patch) -> Floats:
        body = varied(rgb(colour), strength * 0.12 * grain(patch, 0.5, 0.05), strength * 0.08 * grain(patch, 0.08))
        lichen = smoothstep(1.1, 1.7, grain(patch, 0.6, 0.04, slope=0.3))
        pits = smoothstep(1.2, 2.0, grain(patch, 0.10, 0.03))
        body = varied(body, -0.35 * strength * pits)
        return mix(body, np.broadcast_to(rgb("b9ac6a"), body.shape), 0.55 * lichen)

    return material


def clay(colour: str, bands: str | None = None) -> Material:
    """Fired clay with throwing rings, lime bloom and, when `bands` names a colour, painted stripes and dots."""

    def material(patch: Patch) -> Floats:
        u, v = metres(patch)
        rings = grain(patch, 0.12, 0.02, along=1 / 12.0)
        body = varied(rgb(colour), 0.07 * rings, 0.13 * grain(patch, 0.5, 0.04), 0.07 * grain(patch, 0.08))
        bloom = smoothstep(0.8, 2.0, grain(patch, 0.35, 0.05))
        body = mix(body, np.broadcast_to(rgb("d8c3ae"), body.shape), 0.5 * bloom)
        if bands is None:
            return body
        height = v / patch.size_m[1]
        stripe = smoothstep(0.030, 0.022, np.abs(height - 0.40)) + smoothstep(0.030, 0.022, np.abs(height - 0.78))
        count = max(6, round(patch.size_m[0] / 0.16))
        phase = u / patch.size_m[0] * count
        dot = np.hypot((phase - np.floor(phase) - 0.5) / count * patch.size_m[0], (height - 0.59) * patch.size_m[1])
        paint = np.clip(stripe + smoothstep(0.052, 0.042, dot) - smoothstep(0.030, 0.020, dot), 0, 1)
        return mix(body, varied(rgb(bands), 0.12 * grain(patch, 0.3)), 0.9 * paint)

    return material


def glazed(colours: tuple[str, str], stripes: int) -> Material:
    """A ball of two colours in slices that swirl towards the poles."""

    def material(patch: Patch) -> Floats:
        u, v = metres(patch)
        turn = u / patch.size_m[0] + 0.25 * v / patch.size_m[1]
        wave = np.sin(2 * np.pi * stripes * turn) + 0.25 * solid_grain(patch, 0.3, 0.03)
        share = smoothstep(-0.15, 0.15, wave)
        noise = 0.10 * solid_grain(patch, 0.25)
        return mix(varied(rgb(colours[0]), noise), varied(rgb(colours[1]), noise), share)

    return material


def floor(radius_m: float) -> Material:
    """Flagstones, with a round mosaic of coloured stones in the middle of the world out to a radius."""

    def material(patch: Patch) -> Floats:
        x, y = patch.points[..., 0], patch.points[..., 1]
        flags = masonry(("b9ad98", "a89b86", "c5b9a2", "9d9384", "b3a184"), "7a6f60", 0.62, 0.62, 0.016)(patch)
        flags = varied(flags, 0.07 * grain(patch, 0.09), -0.30 * smoothstep(0.9, 2.2, grain(patch, 1.6, 0.08)))
        rho, angle = np.hypot(x, y), np.arctan2(y, x)
        inside = smoothstep(radius_m + 0.012, radius_m - 0.012, rho)
        return mix(flags, _mosaic(patch, rho, angle, radius_m), inside)

    return material


def _mosaic(patch: Patch, rho: Floats, angle: Floats, radius_m: float) -> Floats:
    """Rings of small stones about 6 cm wide, coloured by a star of rays and by bands."""
    width = 0.075
    ring = np.floor(rho / width)
    count = np.maximum(np.round(2 * np.pi * (ring + 0.5)), 4)
    sector = (angle / (2 * np.pi) + 0.5) * count + 0.5 * (ring % 2)
    index = np.floor(sector)
    tone, pick = _per_tile(patch, index, ring, 2)
    centre = (index + 0.5) / count * 2 * np.pi
    reach = (ring + 0.5) * width / radius_m
    ray = np.abs(np.mod(centre * 16 / (2 * np.pi), 2) - 1)
    band = np.select([reach > 0.93, reach > 0.85, (reach < 0.85) & (ray > 0.25 + 0.7 * reach)], [1, 2, 3], default=0)
    palette = np.stack([rgb(c) for c in ("d9cdb4", "566a73", "b5613f", "c79a4e")])
    colour = varied(palette[band], 0.55 * (tone - 0.5), 0.09 * grain(patch, 0.25), 0.12 * grain(patch, 1.2, 0.2))
    colour = mix(colour, np.broadcast_to(rgb("8d8474"), colour.shape), smoothstep(0.90, 0.97, pick))
    edge = np.minimum(
        (0.5 - np.abs(rho / width - ring - 0.5)) * width,
        (0.5 - np.abs(sector - index - 0.5)) / count * 2 * np.pi * np.maximum(rho, 0.02),
    )
    return mix(np.broadcast_to(rgb("9a8d78"), colour.shape), colour, smoothstep(0.002, 0.010, edge))


def sky() -> Material:
    """An afternoon sky with fields of small clouds over far hills with trees; colours are light, ready to be seen.

    The clouds are small on purpose: a sky without detail gives photogrammetry nothing to hold on to.
    """

    def material(patch: Patch) -> Floats:
        radius = np.linalg.norm(patch.points[0, 0])
        elevation = np.arcsin(np.clip(patch.points[..., 2] / radius, -1, 1))
        longitude = np.arctan2(patch.points[..., 1], patch.points[..., 0])
        blue = mix(rgb("d3dfe8") + np.zeros_like(patch.points), rgb("86abd0"), smoothstep(0.0, 0.6, elevation))
        puffs = 0.8 * grain(patch, 1.5, 0.30, slope=0.2, along=0.6)
        cloud = smoothstep(-0.6, 1.6, grain(patch, 7.0, 1.5, slope=0.5, along=0.5) + puffs)
        colour = mix(blue, rgb("f2efe8"), 0.8 * cloud)
        for level, code, seed in ((0.12, "8c9fa6", 1.0), (0.08, "74896f", 2.6), (0.035, "5f7448", 4.1)):
            line = level + 0.02 * np.sin(3 * longitude + seed) + 0.012 * np.sin(7 * longitude + 2 * seed)
            line = line + 0.004 * grain(patch, 3.0, 0.5)
            hill = varied(rgb(code), 0.17 * grain(patch, 0.8, 0.25), 0.12 * grain(patch, 3.0, 0.8, along=0.3))
            colour = mix(colour, hill, smoothstep(0.006, -0.006, elevation - line))
        return colour

    return material
