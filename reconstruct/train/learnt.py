"""What is learnt per photo beside the splats, under one roof: it is stepped, saved and restored with them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Protocol

from diorama.kernels import View

from .backends import Arrays, Shot, ShotGradients, Target
from .config import TrainConfig
from .exposure import Exposures
from .pose_refinement import PoseRefinement
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
    """exposure: the photos' maps of colours; poses: their cameras' places. None where the config wants none."""

    def __init__(self, config: TrainConfig, views: Sequence[View], points: Floats) -> None:
        """`views`: the photos' cameras as they are given. `points` (P, 3): some of what they see."""
        self.exposure = Exposures(config, len(views)) if config.exposure == "affine" else None
        self.poses = PoseRefinement(config, views, points) if config.refine_poses else None

    def view(self, target: int, view: View) -> View:
        """`view` of a photo from where its camera is now."""
        return view if self.poses is None else dataclasses.replace(view, cam_from_world=self.poses.value(target))

    def seen_from(self, photos: Sequence[Target]) -> Sequence[Target]:
        """The same photos from where their cameras are now."""
        return photos if self.poses is None else _Moved(photos, self)

    def update(self, shots: Sequence[Shot], gradients: Sequence[ShotGradients], step: int) -> None:
        for shot, gradient in zip(shots, gradients, strict=True):
            if self.exposure is not None and gradient.exposure is not None:
                self.exposure.update(shot.target, gradient.exposure, step)
            if self.poses is not None and gradient.camera is not None:
                self.poses.update(shot.target, gradient.camera, step)

    def state(self) -> Arrays:
        """Arrays under names like `exposure/free`."""
        return {f"{part}/{name}": array for part, it in self._parts().items() for name, array in it.state().items()}

    def restore(self, state: Arrays) -> None:
        for part, it in self._parts().items():
            mine = {name.split("/", 1)[1]: array for name, array in state.items() if name.startswith(f"{part}/")}
            it.restore(mine)

    def _parts(self) -> dict[str, PerPhoto]:
        parts: dict[str, PerPhoto | None] = {"exposure": self.exposure, "poses": self.poses}
        return {name: it for name, it in parts.items() if it is not None}


class _Moved(Sequence[Target]):
    """Photos, decoded when they are asked for, with their refined cameras."""

    def __init__(self, photos: Sequence[Target], learnt: Learnt) -> None:
        self._photos, self._learnt = photos, learnt

    def __len__(self) -> int:
        return len(self._photos)

    def __getitem__(self, index: int) -> Target:  # type: ignore[override]
        target = self._photos[index]
        return dataclasses.replace(target, view=self._learnt.view(index, target.view))

    def __iter__(self) -> Iterator[Target]:
        return (self[index] for index in range(len(self)))
