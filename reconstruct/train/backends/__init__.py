"""The backends of a training step, one protocol: they keep the splats and Adam's moments, and take the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from diorama.kernels import View

from ..dropout import Dropout
from ..geometry import KnownGeometry
from ..table import Floats, SplatTable

Arrays = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Target:
    """A photo to train on: its camera in the training frame, uint8 (H, W, 3), a mask uint8 (H, W), 0 hides, and what is
    known of it besides colours."""

    view: View
    rgb: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8] | None
    geometry: KnownGeometry | None = None


@dataclass(frozen=True, eq=False)
class Shot:
    """One photo as a step sees it.

    target: which one. view: its camera at the size that the photo is brought to, by area averages.
    exposure: float32 (3, 4) that the picture goes through before the loss, or None (see exposure.py).
    dropout: which splats this picture is drawn without, or None for all of them.
    """

    target: int
    view: View
    exposure: Floats | None = None
    dropout: Dropout | None = None


@dataclass(frozen=True, eq=False)
class ShotGradients:
    """Gradients of one photo's own loss.

    exposure: (3, 4), None where the shot had none. camera: (6,) by a twist before the view's `cam_from_world`, see
        `kernels.StepStats.d_camera`; None unless the settings ask for it.
    """

    exposure: Floats | None = None
    camera: Floats | None = None


@dataclass(frozen=True)
class StepSettings:
    """One step: its number (1 for the first), Adam's step sizes, and the loss.

    dense_adam: also move splats that no photo of the step shows, by their old momentum and the regularizers.
    """

    step: int
    lr_means: float
    lr_quats: float
    lr_log_scales: float
    lr_logit_opacities: float
    lr_sh0: float
    lr_sh_rest: float
    sh_degree: int
    ssim_weight: float
    background: tuple[float, float, float]
    opacity_reg: float
    scale_reg: float
    dense_adam: bool = True
    needle_reg: float = 0.0
    max_needle: float = 1.5
    depth_weight: float = 0.0
    empty_weight: float = 0.0
    pose_gradient: bool = False


class StepBackend(SplatTable, Protocol):
    """A table of splats that can be trained."""

    name: str
    edits: int
    """How often rows were replaced, added or removed."""

    @property
    def smoothing(self) -> Floats | None:
        """The 3D filter (N,) that splats are drawn with, None where there is none (see `smooth`)."""

    def step(self, shots: Sequence[Shot], settings: StepSettings) -> list[ShotGradients]:
        """Forward, loss, backward and one step of Adam on the mean of the shots' losses, in place."""

    def take_loss(self) -> float:
        """Mean of the loss over the steps since the last call; NaN when there were none or one diverged."""

    def picture(self, view: View, sh_degree: int) -> Floats:
        """What a camera sees now, float32 (H, W, 3) over black."""

    def smooth(self, views: Sequence[View]) -> None:
        """Takes every splat's 3D filter anew from how finely these cameras sample it (see `smoothing`)."""

    def state(self) -> Arrays:
        """Everything the next step depends on, as named float32 arrays: parameters, moments, statistics, smoothing."""

    def restore(self, state: Arrays) -> None:
        """Takes back what `state` gave; the next steps are then the same to the last bit.

        Raises ValueError when the arrays are not such a state.
        """


def open_backend(
    name: str,
    rows: Floats,
    targets: Sequence[Target],
    max_splats: int,
    *,
    statistics: bool,
    antialiased: bool = False,
    absolute: bool = False,
) -> StepBackend:
    """The backend `name` (as `choose_backend` returns it) holding splats `rows` (N, 59) and the photos.

    Args:
        statistics: keep what densification watches. antialiased: draw with the 2D Mip filter.
        absolute: whether the statistics' `grad_norm` is AbsGS's.
    """
    if name == "cpu":
        from .native import NativeSteps

        return NativeSteps(rows, targets, max_splats, statistics=statistics, antialiased=antialiased, absolute=absolute)
    from .autograd import AutogradSteps

    return AutogradSteps(name, rows, targets, statistics=statistics, antialiased=antialiased, absolute=absolute)
