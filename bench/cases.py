"""What `step.py`, `parts.py` and `memory.py` measure on: a synthetic cloud at any count, and a trained scene."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from diorama.kernels import SplatArrays, StepConfig, View, pack, render

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
PROTOTYPE = SHARED / "kernel-prototype"
BRIGHTON = SHARED / "baselines" / "brighton_und"
SEED = 20261120

STILL = StepConfig(step=100, lr_means=0, lr_quats=0, lr_log_scales=0, lr_opacities=0, lr_sh0=0, lr_sh_rest=0)
"""All the work of a step, with learning rates of zero so that every step sees the same splats."""


@dataclass(frozen=True, eq=False)
class Case:
    name: str
    splats: SplatArrays
    view: View
    photo_srgb: npt.NDArray[np.uint8]

    @property
    def count(self) -> int:
        return len(self.splats.means)


def cloud(count: int) -> SplatArrays:
    """A box full of splats whose sizes shrink as their number grows: about 40 are blended per pixel at any count."""
    rng = np.random.default_rng(SEED)
    f = np.float32
    return SplatArrays(
        (rng.random((count, 3)) * [4, 3, 4] - [2, 1.5, -2]).astype(f),
        rng.standard_normal((count, 4)).astype(f),
        (rng.standard_normal((count, 3)) * 0.4 - 3.5 - 0.5 * np.log(count / 20000)).astype(f),
        rng.standard_normal(count).astype(f),
        (rng.standard_normal((count, 16, 3)) * 0.2).astype(f),
    )


def view_of_cloud(width: int, height: int) -> View:
    return View(width, height, 0.8 * width, 0.8 * width, width / 2, height / 2, np.eye(3, 4, dtype=np.float32))


def synthetic(count: int, width: int, height: int) -> Case:
    """The cloud, and a photo that shows the same splats in other colours."""
    splats, view = cloud(count), view_of_cloud(width, height)
    picture = render(pack(*splats._replace(sh=np.roll(splats.sh, 1, axis=0))), count, view).rgb
    photo = (np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return Case(f"{width}x{height}, {count // 1000}k", splats, view, photo)


def has_brighton() -> bool:
    return (PROTOTYPE / "brighton_26k.ply").is_file() and BRIGHTON.is_dir()


def brighton() -> Case:
    """The prototype's trained model, seen by one of its cameras at half size."""
    import PIL.Image
    import pycolmap

    path = PROTOTYPE / "brighton_26k.ply"
    header, _, body = path.read_bytes().partition(b"end_header\n")
    found = re.search(rb"element vertex (\d+)", header)
    if not found:
        raise SystemExit(f"{path} has no vertices")
    count = int(found[1])
    rows = np.frombuffer(body, "<f4").reshape(count, 62)
    sh = np.concatenate([rows[:, None, 6:9], rows[:, 9:54].reshape(count, 3, 15).swapaxes(1, 2)], axis=1)
    splats = SplatArrays(
        *(np.ascontiguousarray(a) for a in (rows[:, :3], rows[:, 58:62], rows[:, 55:58], rows[:, 54], sh))
    )
    model = pycolmap.Reconstruction(str(BRIGHTON / "sparse" / "0"))
    image = next(i for i in model.images.values() if i.name == "DJI_0026.jpg")
    camera = model.cameras[image.camera_id]
    width, height = 496, 278
    sx, sy = width / camera.width, height / camera.height
    fx, fy, cx, cy = camera.params
    view = View(width, height, fx * sx, fy * sy, cx * sx, cy * sy, image.cam_from_world().matrix())
    photo = PIL.Image.open(BRIGHTON / "images" / image.name).convert("RGB")
    return Case(
        "brighton 496x278, 26k", splats, view, np.asarray(photo.resize((width, height), PIL.Image.Resampling.BOX))
    )
