"""How long mesh files take to write and read: a hilly sheet of half a million faces with textures of 4096 px."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import PIL.Image

from diorama.render.formats.meshes import MESH_FORMATS, read_mesh, write_mesh
from diorama.render.mesh import Mesh, MeshAsset, Texture

SIDE = 500
TEXTURE_PX = 4096


def sheet() -> Mesh:
    t = np.linspace(0, 10, SIDE + 1)
    x, y = (a.ravel() for a in np.meshgrid(t, t))
    vertices = np.stack([x, y, np.sin(x) + np.cos(y)], 1).astype(np.float32)
    i = np.arange(SIDE * (SIDE + 1)).reshape(SIDE, SIDE + 1)[:, :-1].ravel()
    corners = (i, i + 1, i + SIDE + 2, i, i + SIDE + 2, i + SIDE + 1)
    faces = np.stack(corners, 1).reshape(-1, 3).astype(np.int32)
    coarse = np.random.default_rng(0).integers(0, 256, (TEXTURE_PX // 2, TEXTURE_PX // 2, 3)).astype(np.uint8)
    picture = np.asarray(PIL.Image.fromarray(coarse).resize((TEXTURE_PX, TEXTURE_PX)))
    uvs = np.stack([x / 10, y / 10], 1).astype(np.float32)
    return Mesh(vertices, faces, None, uvs, None, Texture(picture, picture)).with_normals()


def main() -> None:
    mesh = sheet()
    print(f"{len(mesh):,} faces, base colour and normal map of {TEXTURE_PX} px (noise, which packs badly)")
    print("| format | write, s | read, s | MiB |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, form in MESH_FORMATS.items():
            path = Path(folder) / f"sheet{form.extensions[0]}"
            started = time.perf_counter()
            made = write_mesh(MeshAsset((mesh,)), path, name)
            written = time.perf_counter() - started
            reading = "-"
            if form.read is not None:
                started = time.perf_counter()
                read_mesh(path)
                reading = f"{time.perf_counter() - started:.1f}"
            size = sum(p.stat().st_size for p in made) / (1 << 20)
            print(f"| {name} | {written:.1f} | {reading} | {size:.0f} |")


if __name__ == "__main__":
    main()
