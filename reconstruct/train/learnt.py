"""What is learnt per photo beside the splats, under one roof: it is stepped, saved and restored with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .backends import Arrays, Shot, ShotGradients
from .config import TrainConfig
from .exposure import Exposures
from .table import Floats


class PerPhoto(Protocol):
    """One kind of thing, a value per training photo. The next value depends on `state`, gradient and step alone."""

    def value(self, target: int) -> Floats: ...

    def update(self, target: int, gradient: Floats, step: int) -> None:
        """One photo's value moves by the gradient of the photo's loss; `step` counts from 1."""

    def state(self) -> Arrays: ...

    def restore(self, state: Arrays) -> None:
        """Raises KeyError or ValueError when the arrays are not such a state."""


class Learnt:
    """exposure: the photos' maps of colours, None where the config wants none."""

    def __init__(self, config: TrainConfig, count: int) -> None:
        self.exposure = Exposures(config, count) if config.exposure == "affine" else None

    def update(self, shots: Sequence[Shot], gradients: Sequence[ShotGradients], step: int) -> None:
        for shot, gradient in zip(shots, gradients, strict=True):
            if self.exposure is not None and gradient.exposure is not None:
                self.exposure.update(shot.target, gradient.exposure, step)

    def state(self) -> Arrays:
        """Arrays under names like `exposure/free`."""
        return {f"{part}/{name}": array for part, it in self._parts().items() for name, array in it.state().items()}

    def restore(self, state: Arrays) -> None:
        for part, it in self._parts().items():
            mine = {name.split("/", 1)[1]: array for name, array in state.items() if name.startswith(f"{part}/")}
            it.restore(mine)

    def _parts(self) -> dict[str, PerPhoto]:
        return {} if self.exposure is None else {"exposure": self.exposure}
