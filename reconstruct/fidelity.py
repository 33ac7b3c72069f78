"""What a file format costs: splats as trained against the same splats read back from an exported file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from diorama.capture.types import PosedScene
from diorama.render.splats import Splats

MAX_VIEWS = 4


@dataclass(frozen=True)
class Fidelity:
    """Measured over a few views, the means.

    loss_db: PSNR against the photos of the trained splats minus that of the exported ones; negative when rounding
        happened to help.
    fidelity_db: PSNR between the two renderings; None when they are equal.
    """

    loss_db: float
    fidelity_db: float | None


def measure_fidelity(
    scene: PosedScene,
    trained: Splats,
    exported: Splats,
    names: Sequence[str],
    *,
    max_size_px: int,
    background: tuple[float, float, float] = (0.0, 0.0, 0.0),
    backend: str = "auto",
) -> Fidelity:
    """Renders both from at most four of the views `names`, evenly spread; of all registered ones when it is empty."""
    from diorama.render.metrics import psnr
    from diorama.render.rasterize import rasterize

    from .views import load_views

    every = list(names) or [frame.name for frame in scene.registered]
    chosen = [every[i] for i in sorted({round(k) for k in np.linspace(0, len(every) - 1, MAX_VIEWS)})]
    losses: list[float] = []
    errors: list[float] = []
    for view in load_views(scene, chosen, max_size_px):
        truth = view.rgb.astype(np.float32) / 255.0
        a, b = (
            rasterize(s, view.camera, view.cam_from_world, background=background, backend=backend).rgb.clip(0, 1)
            for s in (trained, exported)
        )
        losses.append(psnr(a, truth, view.mask) - psnr(b, truth, view.mask))
        errors.append(float(np.mean((a.astype(np.float64) - b) ** 2)))
    error = float(np.mean(errors))
    return Fidelity(float(np.mean(losses)), None if error == 0 else float(-10 * np.log10(error)))
