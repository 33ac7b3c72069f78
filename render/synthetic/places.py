"""The places: what stands where."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from . import materials as m
from .light import Light
from .scene import SyntheticScene, bake
from .solids import Solid, ball, box, dome, lathe, rotation_z

URN = (
    (0.00, 0.00), (0.17, 0.00), (0.17, 0.05), (0.10, 0.10), (0.075, 0.16), (0.13, 0.22), (0.215, 0.31), (0.255, 0.42),
    (0.245, 0.52), (0.19, 0.60), (0.16, 0.65), (0.20, 0.71), (0.24, 0.73), (0.24, 0.75), (0.18, 0.75), (0.0, 0.70),
)  # fmt: skip
POT = ((0.0, 0.0), (0.20, 0.0), (0.24, 0.18), (0.29, 0.40), (0.32, 0.40), (0.32, 0.48), (0.27, 0.48), (0.0, 0.45))
AMPHORA = (
    (0.0, 0.0), (0.09, 0.0), (0.10, 0.04), (0.17, 0.16), (0.22, 0.30), (0.225, 0.40), (0.18, 0.52), (0.10, 0.60),
    (0.075, 0.66), (0.09, 0.72), (0.115, 0.74), (0.08, 0.74), (0.0, 0.70),
)  # fmt: skip
BALUSTER = (
    (0.075, 0.0), (0.075, 0.06), (0.045, 0.10), (0.09, 0.26), (0.085, 0.34), (0.045, 0.52), (0.045, 0.58),
    (0.075, 0.62), (0.075, 0.68),
)  # fmt: skip
COLUMN = (
    (0.21, 0.0), (0.21, 0.10), (0.16, 0.14), (0.155, 0.9), (0.135, 2.05), (0.17, 2.12), (0.17, 2.16), (0.22, 2.24),
    (0.22, 2.34), (0.0, 2.34),
)  # fmt: skip
STUB = ((0.24, 0.0), (0.24, 0.06), (0.20, 0.10), (0.19, 0.62), (0.0, 0.62))
CYPRESS = ((0.0, 0.0), (0.13, 0.02), (0.27, 0.30), (0.31, 0.75), (0.25, 1.35), (0.14, 1.95), (0.0, 2.45))


@lru_cache(maxsize=2)
def synthetic_scene(name: str = "terrace", seed: int = 0) -> SyntheticScene:
    """A place by name: "terrace", a walled court with a view; "minimal", small and quick, for tests; or "things",
    closed bodies in the air, for measuring surfaces (see surface.py).

    Raises ValueError for another name.
    """
    if name not in PLACES:
        raise ValueError(f"no synthetic place is called {name!r}; there are {', '.join(PLACES)}")
    build, focus, stand_m, heights_m = PLACES[name]
    solids, light = build()
    first, atlas = bake(solids, light, seed)
    return SyntheticScene(name, seed, focus, stand_m, heights_m, tuple(solids), first, atlas)


def _terrace() -> tuple[list[Solid], Light]:
    solids: list[Solid] = [dome(16.0, m.sky(), 0.07)]
    solids.append(box((-4.8, -4.8, -0.2), (4.8, 4.8, 0.0), m.floor(1.75), 0.007, seen="+z"))
    solids += _walls() + _balustrade() + _centrepiece() + _things() + _corners()
    sun = np.array([-0.50, -0.62, 0.78])
    x, y, z = sun / np.linalg.norm(sun)
    return solids, Light((float(x), float(y), float(z)))


def _walls() -> list[Solid]:
    brick = m.masonry(("a5573e", "b0664b", "96503b", "b77a5b", "8a4e3e"), "a98f78", 0.30, 0.10, 0.016)
    ashlar = m.masonry(("c2b08c", "b5a27f", "ccbd9c", "a99878"), "8c7e66", 0.72, 0.36, 0.02)
    coping, trim = m.stone("c9bfa9"), m.stone("d6cbb3", 0.7)
    shutter, door = m.planks("4f7d8c", 0.12), m.planks("47694b", 0.15, worn=0.8)
    solids: list[Solid] = [
        box((-4.8, 4.5, 0), (4.8, 4.8, 2.75), brick, 0.008, seen="-y"),
        box((4.5, -4.5, 0), (4.8, 4.5, 2.45), m.plaster("d9a35f", brick), 0.008, seen="-x"),
        box((-4.8, -4.5, 0), (-4.5, 4.5, 2.30), m.ivy(ashlar, 0.15), 0.008, seen="+x"),
        box((-4.85, 4.42, 2.75), (4.85, 4.88, 2.88), coping, 0.01, seen="-y -z"),
        box((4.42, -4.6, 2.45), (4.88, 4.42, 2.57), coping, 0.01, seen="-x -y -z"),
        box((-4.88, -4.6, 2.30), (-4.42, 4.42, 2.42), coping, 0.01, seen="+x -y -z"),
        box((-1.55, 4.44, 0), (-0.45, 4.52, 2.05), door, 0.007, seen="-y"),
        box((-1.75, 4.38, 0), (-1.55, 4.55, 2.05), trim, 0.008, seen="-x +x -y"),
        box((-0.45, 4.38, 0), (-0.25, 4.55, 2.05), trim, 0.008, seen="-x +x -y"),
        box((-1.80, 4.36, 2.05), (-0.20, 4.55, 2.27), trim, 0.008, seen="-x +x -y +z -z"),
        box((-2.0, 4.0, 0), (0.0, 4.5, 0.14), m.stone("bcb2a0"), 0.008, seen="-x +x -y +z"),
    ]
    for y in (-1.9, 1.7):
        solids += [
            box((4.45, y - 0.36, 0.95), (4.55, y + 0.36, 2.0), m.plaster("5d5a58"), 0.009, seen="-x"),
            box((4.42, y - 0.78, 0.92), (4.52, y - 0.36, 2.03), shutter, 0.007, seen="-x -y +y"),
            box((4.42, y + 0.36, 0.92), (4.52, y + 0.78, 2.03), shutter, 0.007, seen="-x -y +y"),
            box((4.32, y - 0.5, 0.84), (4.55, y + 0.5, 0.93), trim, 0.009, seen="-x -y +y +z"),
        ]
    return solids


def _balustrade() -> list[Solid]:
    pale, rail = m.stone("cfc6b2", 0.8), m.stone("c4b9a2")
    solids: list[Solid] = [
        box((-4.5, -4.75, 0), (4.5, -4.45, 0.16), rail, 0.009, seen="+y +z"),
        box((-4.5, -4.78, 0.84), (4.5, -4.42, 0.97), rail, 0.009, seen="+y +z -z"),
    ]
    for x in (-4.5, -1.5, 1.5, 4.5):
        solids.append(box((x - 0.2, -4.82, 0), (x + 0.2, -4.38, 1.06), rail, 0.009, seen="-x +x +y +z"))
        solids.append(ball((x, -4.6, 1.24), 0.19, pale, 0.009))
    for start in (-4.1, -1.1, 1.9):
        solids += [lathe((start + 0.37 * i, -4.6, 0.16), BALUSTER, pale, 0.012) for i in range(7)]
    return solids


def _centrepiece() -> list[Solid]:
    marble = m.marble("e3ddd0", "8f8a86")
    step = ((0.78, 0.0), (0.78, 0.13), (0.58, 0.13), (0.58, 0.26), (0.0, 0.26))
    return [
        lathe((0, 0, 0), step, m.stone("bdb19b"), 0.007),
        box((-0.30, -0.30, 0.26), (0.30, 0.30, 0.36), marble, 0.006, turn=0.4),
        box((-0.24, -0.24, 0.36), (0.24, 0.24, 0.86), marble, 0.006, turn=0.4),
        box((-0.30, -0.30, 0.86), (0.30, 0.30, 0.94), marble, 0.006, turn=0.4, seen="-x +x -y +y +z -z"),
        lathe((0, 0, 0.94), URN, m.clay("b4623f", "2f4858"), 0.005),
        ball((0, 0, 1.80), (0.25, 0.25, 0.22), m.foliage(0.055), 0.006),
    ]


def _things() -> list[Solid]:
    crate, dark = m.crate("b98a57"), m.crate("8f6a48")
    solids: list[Solid] = [
        box((1.15, 0.75, 0), (1.75, 1.30, 0.50), crate, 0.005, turn=0.35),
        box((0.72, 1.42, 0), (1.22, 1.92, 0.46), dark, 0.005, turn=-0.2),
        box((0.95, 1.05, 0.50), (1.40, 1.45, 0.86), crate, 0.005, turn=0.9),
        box((-1.60, -0.50, 0.38), (-1.20, 0.80, 0.46), m.planks("9a7650", 0.1, worn=1.0), 0.005, turn=0.25),
        box((-1.46, -0.34, 0), (-1.20, -0.16, 0.38), m.stone("b5a992"), 0.006, turn=0.25),
        box((-1.60, 0.48, 0), (-1.34, 0.66, 0.38), m.stone("b5a992"), 0.006, turn=0.25),
        ball((-1.32, -0.10, 0.58), 0.12, m.glazed(("a8382f", "e4d9c0"), 5), 0.005),
        ball((-1.39, 0.20, 0.565), 0.105, m.glazed(("2f5f7d", "d8cfae"), 4), 0.005),
        ball((-1.45, 0.45, 0.55), 0.09, m.glazed(("d29a3a", "6f3b2a"), 3), 0.005),
        ball((1.05, -0.35, 0.20), 0.20, m.glazed(("e0d6c3", "3f6b52"), 4), 0.006),
        ball((1.38, -0.62, 0.14), 0.14, m.glazed(("c66a3d", "e8dcc0"), 6), 0.005),
        lathe((0.35, -1.35, 0), POT, m.clay("b8643f"), 0.006),
        ball((0.35, -1.35, 0.78), (0.38, 0.38, 0.36), m.foliage(0.07), 0.007),
        lathe((-0.80, -1.25, 0), AMPHORA, m.clay("c08a5a", "5a2f26"), 0.005),
        lathe((-0.60, 1.35, 0), STUB, m.stone("cabfa9"), 0.006),
        ball((-0.60, 1.35, 0.81), 0.19, m.marble("b9c4bd", "5b6f66"), 0.006),
    ]  # fmt: skip
    lying = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]).T @ rotation_z(-0.5)
    drum = ((0.0, 0.0), (0.17, 0.0), (0.19, 0.03), (0.19, 0.62), (0.17, 0.65), (0.0, 0.65))
    solids.append(lathe((-1.30, 1.30, 0.19), drum, m.stone("c6baa2"), 0.006, lying))
    return solids


def _corners() -> list[Solid]:
    solids: list[Solid] = []
    for x, y in ((3.95, 3.9), (-3.95, 3.9)):
        solids.append(lathe((x, y, 0), POT, m.clay("ad5f41"), 0.008))
        solids.append(lathe((x, y, 0.44), CYPRESS, m.foliage(0.08), 0.009))
    for x in (-4.12, 4.12):
        solids.append(lathe((x, -3.75, 0), COLUMN, m.stone("cfc4ac", 0.9), 0.008))
        solids.append(ball((x, -3.75, 2.52), 0.19, m.stone("c3b79f"), 0.009))
    for y, size in ((-2.9, 0.26), (2.6, 0.30), (0.2, 0.24)):
        solids.append(ball((-4.15, y, size * 0.9), (size, size * 1.2, size), m.foliage(0.08), 0.009))
    solids.append(box((3.85, -0.35, 0), (4.45, 0.35, 0.42), m.crate("94744f"), 0.007, turn=0.08))
    solids.append(box((2.2, 3.85, 0), (3.2, 4.4, 0.55), m.planks("a98358", 0.12, upright=False, worn=1.0), 0.007))
    return solids


def _minimal() -> tuple[list[Solid], Light]:
    wall = m.masonry(("a5553b", "bb7a58", "86493a"), "b9a993", 0.40, 0.2, 0.03)
    solids: list[Solid] = [
        box((-2.5, -2.5, -0.2), (2.5, 2.5, 0.0), m.floor(0.8), 0.02, seen="+z"),
        box((-2.5, 2.3, 0), (2.5, 2.5, 1.8), wall, 0.02, seen="-y"),
        box((2.3, -2.5, 0), (2.5, 2.3, 1.6), m.plaster("d9a35f"), 0.02, seen="-x"),
        box((-2.5, -2.5, 0), (-2.3, 2.3, 1.7), m.ivy(wall), 0.02, seen="+x"),
        box((-2.3, -2.5, 0), (2.3, -2.3, 1.5), m.stone("c4b9a2"), 0.02, seen="+y"),
        box((-0.55, -0.3, 0), (0.05, 0.3, 0.6), m.crate("b98a57"), 0.015, turn=0.4),
        ball((0.45, 0.25, 0.30), 0.30, m.glazed(("2f5f7d", "e4d9c0"), 4), 0.015),
        lathe((0.3, -0.55, 0), POT, m.clay("b8643f", "2f4858"), 0.015),
    ]
    return solids, Light((-0.48, -0.36, 0.8), sun_samples=6, sky_samples=16)


def _things_in_the_air() -> tuple[list[Solid], Light]:
    """Closed bodies that stand on nothing, beside each other, nothing around them: all of their surface is known and
    can be seen."""
    solids: list[Solid] = [
        lathe((0, 0, 0.30), URN, m.clay("b4623f", "2f4858"), 0.006),
        box((0.50, -0.2, 0.35), (0.90, 0.25, 0.75), m.crate("b98a57"), 0.006, turn=0.5, seen="-x +x -y +y -z +z"),
        ball((-0.50, 0.1, 0.6), (0.2, 0.16, 0.25), m.glazed(("2f5f7d", "e4d9c0"), 4), 0.006),
    ]
    return solids, Light((-0.48, -0.36, 0.8), sun_samples=6, sky_samples=16)


Build = Callable[[], tuple[list[Solid], Light]]
PLACES: dict[str, tuple[Build, tuple[float, float, float], tuple[float, float], tuple[float, ...]]] = {
    "terrace": (_terrace, (0.0, 0.0, 0.62), (2.9, 3.5), (1.5, 2.1)),
    "minimal": (_minimal, (0.0, 0.0, 0.30), (1.5, 1.9), (0.9, 1.2)),
    "things": (_things_in_the_air, (0.05, 0.0, 0.65), (1.9, 1.9), (0.65,)),
}
