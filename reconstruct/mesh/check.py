"""A finished mesh against the photos: drawn from their cameras and compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from diorama.capture.events import OnEvent, Progressed, ignore
from diorama.capture.types import PosedScene
from diorama.render.mesh import Mesh
from diorama.render.mesh_picture import MeshScene
from diorama.render.metrics import psnr

from ..views import TrainingView, load_views
from .views import STAGE, chosen_frames

Bytes = npt.NDArray[np.uint8]

MIN_COVER = 0.02
"""A photo of which the mesh covers less says nothing."""


@dataclass(frozen=True, eq=False)
class PhotoFidelity:
    """How a mesh looks from where photos were taken.

    psnr_db: by frame, over the pixels that the mesh covers whole and no mask hides, with the photo brought to the
    texture's exposure; as_taken_db: without. These photos were textured from, so that it says how well shape, texture
    and cameras fit together and not how a new view would look. cover: by frame, the
    share of the picture that the mesh covers. pictures: by frame, (h, 3 w, 3): photo, mesh, and its shape alone.
    """

    psnr_db: dict[str, float]
    as_taken_db: dict[str, float]
    cover: dict[str, float]
    pictures: dict[str, Bytes]

    @property
    def mean_db(self) -> float | None:
        """None where no photo shows the mesh."""
        return float(np.mean(list(self.psnr_db.values()))) if self.psnr_db else None


def against_photos(
    scene: PosedScene,
    mesh: Mesh,
    exposures: Mapping[str, Sequence[float]] | None = None,
    *,
    frames: int = 6,
    size_px: int = 480,
    on_event: OnEvent = ignore,
) -> PhotoFidelity:
    """Compares with so many photos, evenly spread over the capture.

    exposures: by frame name, the factors that bring its photo to the texture's exposure; 1 where there is none.

    Raises InputError when a photo cannot be read.
    """
    rays = MeshScene(mesh)
    shape_only = MeshScene(Mesh(mesh.vertices, mesh.faces))
    found = PhotoFidelity({}, {}, {}, {})
    chosen = chosen_frames(scene, frames)
    for done, frame in enumerate(chosen, start=1):
        (view,) = load_views(scene, [frame.name], size_px)
        drawn = rays.picture(view.camera, view.cam_from_world, samples=2)
        counts = drawn.alpha >= 1
        if view.mask is not None:
            counts &= view.mask > 0
        found.cover[frame.name] = float(counts.mean())
        if counts.mean() >= MIN_COVER:
            photo = view.rgb.astype(np.float32) / 255
            factors = np.asarray((exposures or {}).get(frame.name, (1.0, 1.0, 1.0)), np.float32)
            found.as_taken_db[frame.name] = psnr(drawn.rgb, photo, counts)
            found.psnr_db[frame.name] = psnr(drawn.rgb, np.minimum(photo * factors, 1), counts)
        shape = shape_only.picture(view.camera, view.cam_from_world).rgb
        found.pictures[frame.name] = _side_by_side(view, drawn.rgb, shape)
        on_event(Progressed(STAGE, done, len(chosen), "comparing with photos"))
    return found


def _side_by_side(view: TrainingView, *drawn: npt.NDArray[np.float32]) -> Bytes:
    shown = [np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8) for picture in drawn]
    return np.concatenate([view.rgb, *shown], axis=1)
