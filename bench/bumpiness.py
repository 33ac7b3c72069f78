"""How bumpy the meshes of scenes are and what they leave empty, as the photos' cameras see them; prints a line each.

    python bench/bumpiness.py SCENE [SCENE ...]

Bumpiness: the angle between the normal of the face in a pixel of a 480 px picture and the mean normal of the
9 x 9 pixels around it, the median over every second photo. Edges and relief count too, so that it compares meshes of
one place alone. Empty: the share of these pictures in which there is no face.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.ndimage import uniform_filter

from diorama.reconstruct.views import view_camera
from diorama.render.mesh_picture import MeshScene
from diorama.studio.meshing import load_mesh
from diorama.studio.pipeline import load_posed_scene
from diorama.studio.scene import Scene

AROUND_PX = 9
SIZE_PX = 480


def measured(folder: Path) -> tuple[float, float]:
    """Degrees, and a share."""
    scene = Scene.open(folder)
    posed, rays = load_posed_scene(scene), MeshScene(load_mesh(scene).lods[0])
    angles, empty = [], []
    for frame in list(posed.registered)[::2]:
        pose = posed.cam_from_world[frame.name]
        seen = rays.picture(view_camera(posed.camera(frame), SIZE_PX, "straight"), pose)
        met = seen.face >= 0
        normals = seen.normals * np.sign(seen.normals @ pose.rotation[2])[..., None]
        mean = uniform_filter(normals.astype(np.float64), (AROUND_PX, AROUND_PX, 1))
        whole = uniform_filter(met.astype(np.float64), AROUND_PX) > 0.999
        cosine = (normals * mean).sum(-1)[whole] / np.maximum(np.linalg.norm(mean, axis=-1)[whole], 1e-9)
        angles.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
        empty.append(1 - met.mean())
    return float(np.median(np.concatenate(angles))), float(np.mean(empty))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="+", type=Path, metavar="SCENE")
    for folder in parser.parse_args().scenes:
        degrees, share = measured(folder)
        print(f"{folder}: {degrees:.1f} degrees, {share:.1%} empty", flush=True)
