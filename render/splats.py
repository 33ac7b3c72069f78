"""Gaussian splats: the type."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

Up = Literal["+z", "-y", "+y"]
"""The axis that points up: +z in our worlds, -y in the frame most PLY files are in (COLMAP's cameras), +y in glTF."""

SH_C0 = 0.28209479177387814
"""Value of the constant spherical harmonic; colour = 0.5 + SH_C0 * sh[:, 0] + the view-dependent rest."""


@dataclass(frozen=True, eq=False)
class Splats:
    """N anisotropic 3D Gaussians with view-dependent colour (Kerbl et al. 2023), float32, C-contiguous.

    means: (N, 3) centres in the world.
    quats: (N, 4) wxyz rotations from the Gaussian's axes to the world; unit, w >= 0 after `normalized()`.
    log_scales: (N, 3) natural logarithms of the standard deviations.
    logit_opacities: (N,) opacity before the sigmoid.
    sh: (N, K, 3) coefficients of the real spherical harmonics, degree-major as in 3DGS, K = (degree + 1)^2 in
        1, 4, 9, 16; colours are sRGB values.
    is_antialiased: trained with, and so to be drawn with, Mip-Splatting's 2D filter (Yu et al. 2024): opacities make
        up for a low-pass of 0.1 square pixels, see `antialiased` and `low_pass_px2` of `kernels.render`.
    up: the axis that points up; formats with a frame of their own (glTF, USD) turn by it.

    Raises ValueError when shapes or dtypes do not fit.
    """

    means: Floats
    quats: Floats
    log_scales: Floats
    logit_opacities: Floats
    sh: Floats
    is_antialiased: bool = field(default=False, kw_only=True)
    up: Up = field(default="+z", kw_only=True)

    def __post_init__(self) -> None:
        n = len(self.means)
        expected = {
            "means": (n, 3),
            "quats": (n, 4),
            "log_scales": (n, 3),
            "logit_opacities": (n,),
            "sh": (n, self.sh.shape[1] if self.sh.ndim == 3 else -1, 3),
        }
        for name, shape in expected.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != np.float32:
                raise ValueError(f"{name} is {array.dtype}{array.shape}, expected float32{shape}")
        if self.sh.shape[1] not in (1, 4, 9, 16):
            raise ValueError(f"{self.sh.shape[1]} SH coefficients; expected 1, 4, 9 or 16")

    def __len__(self) -> int:
        return len(self.means)

    @property
    def low_pass_px2(self) -> float:
        """By which splats are widened when they are drawn, as they were in training."""
        from diorama.kernels import LOW_PASS_PX2, MIP_LOW_PASS_PX2

        return MIP_LOW_PASS_PX2 if self.is_antialiased else LOW_PASS_PX2

    @property
    def sh_degree(self) -> int:
        return {1: 0, 4: 1, 9: 2, 16: 3}[self.sh.shape[1]]

    @property
    def opacities(self) -> Floats:
        """(N,) in 0 to 1."""
        x = self.logit_opacities.astype(np.float64)
        result: Floats = (0.5 * (1.0 + np.tanh(0.5 * x))).astype(np.float32)
        return result

    @property
    def scales(self) -> Floats:
        """(N, 3) standard deviations in world units."""
        return np.exp(self.log_scales)

    @staticmethod
    def empty(sh_degree: int = 3) -> Splats:
        k = (sh_degree + 1) ** 2
        return Splats(
            np.zeros((0, 3), np.float32),
            np.zeros((0, 4), np.float32),
            np.zeros((0, 3), np.float32),
            np.zeros(0, np.float32),
            np.zeros((0, k, 3), np.float32),
        )

    def select(self, index: npt.NDArray[np.bool_] | npt.NDArray[np.integer]) -> Splats:
        """The splats at a boolean mask or at indices."""
        return Splats(
            *(
                np.ascontiguousarray(a[index])
                for a in (self.means, self.quats, self.log_scales, self.logit_opacities, self.sh)
            ),
            is_antialiased=self.is_antialiased,
            up=self.up,
        )

    def normalized(self) -> Splats:
        """Unit quaternions with w >= 0; a quaternion of length zero becomes the identity."""
        q = self.quats.astype(np.float64)
        norm = np.linalg.norm(q, axis=1, keepdims=True)
        q = np.where(norm > 0, q / np.maximum(norm, 1e-30), [1.0, 0.0, 0.0, 0.0])
        unit: Floats = np.where(q[:, :1] < 0, -q, q).astype(np.float32)
        return dataclasses.replace(self, quats=unit)
