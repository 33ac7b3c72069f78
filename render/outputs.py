"""What a picture of splats can show beside colour: the depth where half of the light is taken, and normals."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from diorama import kernels
from diorama.capture.camera import Camera
from diorama.capture.errors import InputError
from diorama.capture.transforms import Pose, rotation_from_quaternion

from .rasterize import Rendering, available_backends, rasterize, view_of
from .splats import Splats

Floats = npt.NDArray[np.float32]


def outputs(
    splats: Splats,
    camera: Camera,
    cam_from_world: Pose,
    *,
    background: Sequence[float] = (0.0, 0.0, 0.0),
    backend: str = "auto",
) -> Rendering:
    """`rasterize`'s picture with `median_depth` and `normals`.

    Args:
        backend: `auto`, `cpu` or `torch`; gsplat has no median depth.

    Raises:
        InputError: the backend cannot be used here or has no such outputs.
        ValueError: the camera cannot be drawn.
    """
    able = [name for name in ("cpu", "torch") if name in available_backends()]
    chosen = able[0] if backend == "auto" else backend
    if chosen not in able:
        raise InputError(f"Median depth and normals cannot be drawn with the backend {backend}; choose cpu or torch.")
    normals = splat_normals(splats, cam_from_world)
    view = view_of(camera, cam_from_world)
    if chosen == "torch":
        picture = rasterize(splats, camera, cam_from_world, background=background, backend="torch")
        median, blended = _by_twin(splats, view, normals)
    else:
        picture, median, blended = _by_kernels(splats, view, normals, background)
    length = np.linalg.norm(blended, axis=-1, keepdims=True)
    unit = np.where(length > 1e-6, blended / np.maximum(length, 1e-6), 0.0).astype(np.float32)
    return dataclasses.replace(picture, median_depth=median, normals=unit)


def splat_normals(splats: Splats, cam_from_world: Pose) -> Floats:
    """(N, 3) unit vectors in the camera's frame: each splat's shortest axis, turned to the side that the camera sees.

    Of equally short axes it is the first. Zero for splats that are not finite.
    """
    quats = splats.quats.astype(np.float64)
    whole = np.isfinite(quats).all(axis=1) & (quats != 0).any(axis=1)
    turn = rotation_from_quaternion(np.where(whole[:, None], quats, [1.0, 0.0, 0.0, 0.0]))
    shortest = np.argmin(splats.log_scales, axis=1)
    axes = np.take_along_axis(turn, shortest[:, None, None], axis=2)[:, :, 0] @ cam_from_world.rotation.T
    away = np.einsum("nk,nk->n", axes, cam_from_world.apply(splats.means.astype(np.float64))) > 0
    normals = np.where(away[:, None], -axes, axes)
    whole &= np.isfinite(normals).all(axis=1)
    return np.where(whole[:, None], normals, 0.0).astype(np.float32)


def _by_kernels(
    splats: Splats, view: kernels.View, normals: Floats, background: Sequence[float]
) -> tuple[Rendering, Floats, Floats]:
    """The picture, and of its lists the median depth (H, W) and the sums of weight times normal (H, W, 3)."""
    arrays = (splats.means, splats.quats, splats.log_scales, splats.logit_opacities, splats.sh)
    drawn = kernels.render(
        kernels.pack(*(np.ascontiguousarray(a) for a in arrays)),
        len(splats),
        view,
        sh_degree=splats.sh_degree,
        background=tuple(background),
        antialiased=splats.is_antialiased,
        low_pass_px2=splats.low_pass_px2,
    )
    picture = Rendering.of(drawn.rgb, drawn.alpha, drawn.depth)
    return picture, kernels.median_depth(drawn.context), kernels.render_features(drawn.context, normals)


def _by_twin(splats: Splats, view: kernels.View, normals: Floats) -> tuple[Floats, Floats]:
    import torch

    from diorama.kernels import twin, twin_outputs

    arrays = (splats.means, splats.quats, splats.log_scales, splats.logit_opacities, splats.sh)
    with torch.no_grad():
        means, quats, log_scales, logits, sh = (torch.from_numpy(np.ascontiguousarray(a)) for a in arrays)
        seen = twin.project(
            *(means, quats, log_scales, logits, sh, view, splats.sh_degree),
            antialiased=splats.is_antialiased,
            low_pass_px2=splats.low_pass_px2,
        )
        median = twin_outputs.median_depth(seen, view).numpy()
        blended = twin_outputs.render_features(seen, view, torch.from_numpy(normals)).numpy()
    return np.ascontiguousarray(median), np.ascontiguousarray(blended)
