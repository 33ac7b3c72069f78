"""Drawing splats: one function, three backends.

`cpu` is the project's own native kernel, `torch` its readable twin (slow, for checks), `gsplat` the CUDA rasterizer of
that name where it is installed and a GPU is there. A backend is a small object (`Rasterizer`); nothing else knows which
are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from diorama.capture.camera import Camera, CameraModel, Lens
from diorama.capture.errors import InputError
from diorama.capture.transforms import Pose
from diorama.kernels import View

from .splats import Splats

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Rendering:
    """A picture of splats: float32 sRGB rgb (H, W, 3) over the background, alpha (H, W) in 0 to 1, and depth (H, W).

    Depth is z along the optical axis in world units, the mean over what a pixel shows, 0 where it shows nothing; of
    fisheye and equirectangular cameras it is the distance from the camera instead.

    From `outputs` alone, else None: median_depth (H, W), z where half of the light or less is left, 0 where more gets
    through; normals (H, W, 3), unit vectors in the camera's frame that point to the camera's side, 0 where nothing is.
    """

    rgb: Floats
    alpha: Floats
    depth: Floats
    median_depth: Floats | None = None
    normals: Floats | None = None

    @staticmethod
    def of(rgb: Floats, alpha: Floats, accumulated_depth: Floats) -> Rendering:
        """From what a `Rasterizer` draws."""
        mean = np.where(alpha > 1e-6, accumulated_depth / np.maximum(alpha, 1e-6), 0.0)
        return Rendering(rgb, alpha, mean.astype(np.float32))


class Rasterizer(Protocol):
    """What a backend is."""

    name: str

    def missing(self) -> str | None:
        """What this machine lacks to use the backend and how to get it, or None when it works."""

    def draw(self, splats: Splats, view: View, background: Sequence[float]) -> tuple[Floats, Floats, Floats]:
        """rgb (H, W, 3), alpha (H, W) and accumulated depth (H, W), the sum of weight times z."""


def _rasterizers() -> dict[str, Rasterizer]:
    from .backends import cpu, cuda, reference

    backends: list[Rasterizer] = [cpu.NativeRasterizer(), reference.TwinRasterizer(), cuda.GsplatRasterizer()]
    return {backend.name: backend for backend in backends}


def backend_status() -> dict[str, str | None]:
    """Each backend's name with None when it works here, else what is missing and how to get it."""
    return {name: backend.missing() for name, backend in _rasterizers().items()}


def available_backends() -> list[str]:
    """Names of the backends that work on this machine."""
    return [name for name, missing in backend_status().items() if missing is None]


def choose_backend(name: str = "auto") -> str:
    """The backend to use: `gsplat` where CUDA works, else `cpu`; or the one asked for.

    Raises:
        InputError: no backend has that name, or it cannot work here; says what to install.
    """
    backends = _rasterizers()
    if name == "auto":
        for candidate in ("gsplat", "cpu", "torch"):
            if backends[candidate].missing() is None:
                return candidate
        raise InputError(f"No backend works here: {backends['cpu'].missing()}.")
    if name not in backends:
        raise InputError(f"There is no backend {name!r}; choose auto, {', '.join(backends)}.")
    if missing := backends[name].missing():
        raise InputError(f"The backend {name} cannot be used here: {missing}.")
    return name


DISTORTION: dict[Lens, tuple[str, ...]] = {
    "pinhole": (),
    "opencv": ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    "fisheye": ("k1", "k2", "k3", "k4"),
    "equirectangular": (),
}
"""The parameters that the kernels' lenses take, in their order; a model that lacks one has it at 0."""


def view_of(camera: Camera, cam_from_world: Pose) -> View:
    """The kernels' camera: every model of `Camera` is a case of theirs."""
    matrix = cam_from_world.matrix()[:3].astype(np.float32)
    distortion = tuple(camera.param(name) for name in DISTORTION[camera.lens])
    lens = (camera.fx, camera.fy, camera.cx, camera.cy)
    return View(camera.width_px, camera.height_px, *lens, matrix, camera.lens, distortion)


def camera_of(view: View) -> Camera:
    """The inverse of `view_of`, for the lens."""
    if view.model == "equirectangular":
        return Camera.equirectangular(view.width, view.height)
    model: dict[str, CameraModel] = {"pinhole": "PINHOLE", "opencv": "FULL_OPENCV", "fisheye": "OPENCV_FISHEYE"}
    lens = (view.fx, view.fy, view.cx, view.cy)
    return Camera(model[view.model], view.width, view.height, (*lens, *view.distortion))


def rasterize(
    splats: Splats,
    camera: Camera,
    cam_from_world: Pose,
    *,
    background: Sequence[float] = (0.0, 0.0, 0.0),
    backend: str = "auto",
) -> Rendering:
    """The picture that a `camera` of any model takes of `splats`.

    Args:
        background: three sRGB values in 0 to 1, seen where splats let light through.
        backend: `auto`, `cpu`, `torch` or `gsplat`; the pictures agree to about one part in 10,000.

    Raises:
        InputError: the backend cannot be used here, or not with this camera.
    """
    view = view_of(camera, cam_from_world)
    return Rendering.of(*_rasterizers()[choose_backend(backend)].draw(splats, view, background))
