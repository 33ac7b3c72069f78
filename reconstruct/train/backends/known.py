"""What is known of photos besides their colours, as losses for torch's autograd."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from diorama.kernels import twin_geometry

from . import Shot, StepSettings, Target


class KnownLosses:
    """Keeps each photo's maps on the device, at the size of the step that asked last."""

    def __init__(self, targets: Sequence[Target], device: torch.device) -> None:
        self._targets, self._device = targets, device
        self._maps: dict[int, tuple[tuple[int, int], list[Tensor | None]]] = {}

    def loss(
        self, shot: Shot, settings: StepSettings, alpha: Tensor, depth: Tensor, mask: Tensor | None
    ) -> Tensor | float:
        """Weighted depth and emptiness (twin_geometry.py) of the picture's alpha and accumulated depth (H, W)."""
        known, confidence, empty = self._at(shot)
        loss: Tensor | float = 0.0
        if known is not None and settings.depth_weight > 0:
            loss = loss + settings.depth_weight * twin_geometry.depth_loss(depth, alpha, known, confidence, mask)
        if empty is not None and settings.empty_weight > 0:
            loss = loss + settings.empty_weight * twin_geometry.empty_loss(alpha, empty)
        return loss

    def _at(self, shot: Shot) -> list[Tensor | None]:
        geometry = self._targets[shot.target].geometry
        if geometry is None:
            return [None, None, None]
        size = (shot.view.width, shot.view.height)
        found = self._maps.get(shot.target)
        if found is None or found[0] != size:
            g = geometry.at(*size)
            maps = [
                None if a is None else torch.tensor(a, device=self._device) for a in (g.depth, g.confidence, g.empty)
            ]
            found = self._maps[shot.target] = (size, maps)
        return found[1]
