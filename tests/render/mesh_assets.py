"""A box of known size with a letter on each side: what every mesh writer is checked with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from diorama.render.mesh import Mesh, MeshAsset, Texture

SIZE_M = (2.0, 1.0, 0.5)  # x, y, z; centred on x and y, standing on z = 0
CELL = 96

# Letter, background, outward normal, the directions in which the letter's picture has its right and its top.
SIDES: tuple[tuple[str, tuple[int, int, int], tuple[int, ...], tuple[int, ...], tuple[int, ...]], ...] = (
    ("R", (200, 40, 40), (1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ("L", (40, 160, 40), (-1, 0, 0), (0, -1, 0), (0, 0, 1)),
    ("B", (40, 40, 200), (0, 1, 0), (-1, 0, 0), (0, 0, 1)),
    ("F", (200, 160, 20), (0, -1, 0), (1, 0, 0), (0, 0, 1)),
    ("T", (160, 40, 180), (0, 0, 1), (1, 0, 0), (0, 1, 0)),
    ("D", (30, 160, 170), (0, 0, -1), (-1, 0, 0), (0, 1, 0)),
)


def letters() -> npt.NDArray[np.uint8]:
    """(2 * CELL, 3 * CELL, 3): a cell per side, each with its letter and a white square in its upper left corner."""
    import PIL.Image
    import PIL.ImageDraw
    import PIL.ImageFont

    picture = PIL.Image.new("RGB", (3 * CELL, 2 * CELL))
    draw = PIL.ImageDraw.Draw(picture)
    font = PIL.ImageFont.load_default(size=0.75 * CELL)
    for i, (letter, colour, *_) in enumerate(SIDES):
        x, y = i % 3 * CELL, i // 3 * CELL
        draw.rectangle((x, y, x + CELL - 1, y + CELL - 1), fill=colour)
        draw.text((x + CELL / 2, y + CELL / 2), letter, fill=(0, 0, 0), font=font, anchor="mm")
        draw.rectangle((x, y, x + CELL // 4, y + CELL // 4), fill=(255, 255, 255))
    return np.asarray(picture)


def box(
    *, texture: bool = True, colours: bool = False, normal_map: bool = False, size: tuple[float, ...] = SIZE_M
) -> Mesh:
    """24 vertices, 12 triangles, counter-clockwise from outside."""
    vertices, uvs, faces, normals, tints = [], [], [], [], []
    for i, (_, colour, normal, right, top) in enumerate(SIDES):
        n, r, t = (np.array(a, np.float64) for a in (normal, right, top))
        for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            corner = (n + a * r + b * t) / 2 * size + [0, 0, size[2] / 2]
            vertices.append(corner)
            uvs.append([(i % 3 + (a + 1) / 2) / 3, (1 - i // 3 + (b + 1) / 2) / 2])
            normals.append(n)
            tints.append(colour)
        faces += [[4 * i, 4 * i + 1, 4 * i + 2], [4 * i, 4 * i + 2, 4 * i + 3]]
    flat = np.full((32, 32, 3), (128, 128, 255), np.uint8) if normal_map else None
    return Mesh(
        np.array(vertices, np.float32),
        np.array(faces, np.int32),
        np.array(normals, np.float32),
        np.array(uvs, np.float32) if texture else None,
        np.array(tints, np.uint8) if colours else None,
        Texture(letters(), flat) if texture else None,
    )


def asset() -> MeshAsset:
    """The box with two coarser levels (one without its bottom) and a collider of two separate boxes."""
    import dataclasses

    full = box(normal_map=True)
    levels = (full, dataclasses.replace(full, faces=full.faces[:10]), dataclasses.replace(full, faces=full.faces[:8]))
    plain = box(texture=False)
    left = plain.vertices * np.float32([0.5, 1, 1]) + np.float32([-0.5, 0, 0])
    right = plain.vertices * np.float32([0.4, 1, 1]) + np.float32([0.6, 0, 0])
    collider = Mesh(np.concatenate([left, right]), np.concatenate([plain.faces, plain.faces + 24]))
    return MeshAsset(levels, collider)


def picture_at(
    vertices: npt.NDArray[np.floating],
    faces: npt.NDArray[np.integer],
    uvs: npt.NDArray[np.floating],
    point: npt.ArrayLike,
    outward: npt.ArrayLike,
) -> tuple[float, float]:
    """(u, v) where a triangle that faces `outward` (counter-clockwise rule) passes through `point`."""
    p, n = np.asarray(point, np.float64), np.asarray(outward, np.float64)
    for face in faces:
        a, b, c = np.asarray(vertices, np.float64)[face]
        cross = np.cross(b - a, c - a)
        if not cross @ n > 0.99 * np.linalg.norm(cross) or abs((p - a) @ n) > 1e-4:
            continue
        weights = np.linalg.lstsq(np.stack([b - a, c - a], 1), p - a, rcond=None)[0]
        s, t = weights
        if s >= -1e-6 and t >= -1e-6 and s + t <= 1 + 1e-6:
            u, v = np.asarray(uvs, np.float64)[face].T @ [1 - s - t, s, t]
            return float(u), float(v)
    raise AssertionError(f"no face through {p} looks along {n}")


def white_corners(axes: npt.NDArray[np.float64]) -> list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Per side, the middle of its white square and its outward normal, in the frame `axes` (3, 3) leads to."""
    found = []
    for _, _, normal, right, top in SIDES:
        n, r, t = (np.array(a, np.float64) for a in (normal, right, top))
        point = (n - 0.875 * r + 0.875 * t) / 2 * SIZE_M + [0, 0, SIZE_M[2] / 2]
        found.append((axes @ point, axes @ n))
    return found
