"""Splats moved, turned, scaled or given in other axes: centres, rotations, sizes and spherical harmonics alike."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from diorama.capture.transforms import Sim3, quaternion_from_rotation

from .splats import Floats, Splats, Up

Array = npt.NDArray[np.float64]

SH_C1 = 0.4886025119029199
SH_C2 = (1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792, 0.5462742152960396)
SH_C3 = (
    -0.5900435899266435,
    2.890611442640554,
    -0.4570457994644658,
    0.3731763325901154,
    -0.4570457994644658,
    1.445305721320277,
    -0.5900435899266435,
)
BLOCK = 1 << 16

Y_UP_FROM: dict[Up, tuple[tuple[int, int, int], ...]] = {
    "+z": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "-y": ((-1, 0, 0), (0, -1, 0), (0, 0, 1)),
    "+y": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
}
"""Rotations into a frame with +y up: a quarter turn about x from ours; half a turn about z from that of most files, as
PlayCanvas' splat-transform has it, so that forward stays +z, which is glTF's front."""


def sh_basis(directions: npt.ArrayLike, degree: int) -> Array:
    """Values (M, K) of the real spherical harmonics at unit directions (M, 3), K = (degree + 1)^2, degree 0 to 3.

    Signs and order are the 3DGS reference implementation's: the colour seen along a direction from the camera to a
    splat is 0.5 + basis @ sh.
    """
    x, y, z = np.moveaxis(np.asarray(directions, dtype=np.float64), -1, 0)
    xx, yy, zz = x * x, y * y, z * z
    values = [
        np.full_like(x, 0.28209479177387814),
        -SH_C1 * y,
        SH_C1 * z,
        -SH_C1 * x,
        SH_C2[0] * x * y,
        SH_C2[1] * y * z,
        SH_C2[2] * (2 * zz - xx - yy),
        SH_C2[3] * x * z,
        SH_C2[4] * (xx - yy),
        SH_C3[0] * y * (3 * xx - yy),
        SH_C3[1] * x * y * z,
        SH_C3[2] * y * (4 * zz - xx - yy),
        SH_C3[3] * z * (2 * zz - 3 * xx - 3 * yy),
        SH_C3[4] * x * (4 * zz - xx - yy),
        SH_C3[5] * z * (xx - yy),
        SH_C3[6] * x * (xx - 3 * yy),
    ]
    return np.stack(values[: (degree + 1) ** 2], axis=-1)


def sh_rotation(target_from_source: npt.ArrayLike, degree: int) -> Array:
    """The (K, K) matrix D with `sh_in_target = D @ sh_in_source` under an orthogonal 3x3 matrix, mirrors included.

    A colour field f in the source frame is f(R^T d) in the target frame. Every band of degree l maps to itself, so
    its block (a real Wigner matrix) is the exact solution of B_l(d) D_l = B_l(R^T d) over more directions than
    coefficients; least squares leaves only float64 rounding.
    """
    rotation = np.asarray(target_from_source, dtype=np.float64)
    count = 64
    z = 1 - (2 * np.arange(count) + 1) / count  # Fibonacci sphere: evenly spread, so the blocks are well conditioned
    phi = np.arange(count) * np.pi * (3 - np.sqrt(5))
    r = np.sqrt(1 - z * z)
    directions = np.stack([r * np.cos(phi), r * np.sin(phi), z], axis=1)
    here, there = sh_basis(directions, degree), sh_basis(directions @ rotation, degree)
    matrix = np.zeros((here.shape[1], here.shape[1]))
    for band in range(degree + 1):
        part = slice(band * band, (band + 1) ** 2)
        matrix[part, part] = np.linalg.lstsq(here[:, part], there[:, part], rcond=None)[0]
    return matrix


def transform_splats(splats: Splats, target_from_source: Sim3) -> Splats:
    """The same splats in another frame, so that they look the same from a camera moved along with them.

    Quaternions come back unit with w >= 0. Computed in float64, exact to float32 rounding.
    """
    rotation = target_from_source.rotation
    w, x, y, z = quaternion_from_rotation(rotation)
    left = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])  # q -> rotation * q
    count = len(splats)
    means, quats = np.empty((count, 3), np.float32), np.empty((count, 4), np.float32)
    for start in range(0, count, BLOCK):
        part = slice(start, start + BLOCK)
        means[part] = target_from_source.apply(splats.means[part])
        quats[part] = splats.quats[part].astype(np.float64) @ left.T
    log_scales = splats.log_scales + np.float32(np.log(target_from_source.scale))
    sh = _rotate_sh(splats.sh, rotation)
    moved = dataclasses.replace(splats, means=means, quats=quats, log_scales=log_scales, sh=sh)
    return moved.normalized()


def with_up(splats: Splats, up: Up) -> Splats:
    """The same splats turned so that `up` points up; as they are when it does already."""
    if splats.up == up:
        return splats
    rotation = np.array(Y_UP_FROM[up], np.float64).T @ np.array(Y_UP_FROM[splats.up], np.float64)
    return dataclasses.replace(transform_splats(splats, Sim3(1.0, rotation, np.zeros(3))), up=up)


def swap_axes(splats: Splats, target_from_source: npt.ArrayLike) -> Splats:
    """The same splats with axes renamed and flipped: by a signed permutation matrix (3, 3), which may be a mirror.

    A Gaussian's own axes are swapped along (R' = M R M^T, S' = M S M^T), so that flips change signs and nothing else.
    """
    matrix = np.asarray(target_from_source, dtype=np.float64)
    if not np.array_equal(np.abs(matrix) @ np.abs(matrix).T, np.eye(3)):
        raise ValueError("axes are swapped by a signed permutation matrix")
    source, sign = np.abs(matrix).argmax(1), matrix.sum(1).astype(np.float32)
    turn = sign * np.float32(np.linalg.det(matrix).round())  # M R M^T is conjugation by the rotation det(M) M
    quats = np.concatenate([splats.quats[:, :1], splats.quats[:, 1:][:, source] * turn], axis=1)
    return dataclasses.replace(
        splats,
        means=np.ascontiguousarray(splats.means[:, source] * sign),
        quats=np.ascontiguousarray(quats),
        log_scales=np.ascontiguousarray(splats.log_scales[:, source]),
        sh=_rotate_sh(splats.sh, matrix),
    )


def _rotate_sh(sh: Floats, rotation: Array) -> Floats:
    degree = {1: 0, 4: 1, 9: 2, 16: 3}[sh.shape[1]]
    matrix = sh_rotation(rotation, degree)
    result = np.empty_like(sh)
    result[:, 0] = sh[:, 0]
    for start in range(0, len(sh), BLOCK):
        rows = slice(start, start + BLOCK)
        for band in range(1, degree + 1):
            part = slice(band * band, (band + 1) ** 2)
            source = sh[rows, part].transpose(0, 2, 1)
            result[rows, part] = (source.astype(np.float64) @ matrix[part, part].T).transpose(0, 2, 1)
    return result
