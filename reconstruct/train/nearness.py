"""No splat larger than its distance from a camera allows, where cameras look all around.

Every lens draws a splat as an ellipse: a pinhole of tangents in its picture, a fisheye of angles, a panorama of
tangents at the splat. For splats that are small from where they are seen that is the same. For one nearly as large as
its distance it is not: training puts the blob to use that its lens shows, and any other camera then stands in a fog.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from diorama.kernels import View

from .table import LOG_SCALE, MEAN, Floats, SplatTable

LARGEST = 0.1
"""An axis's standard deviation by the distance to the nearest such camera.

PSNR of pinhole views of bench/lenses.py's small place that training on a fisheye never saw: 12 dB without a limit, 22
with 0.3, 30.0 with 0.2, 30.6 with 0.1; since splats are ordered as a pinhole does, 32.9 with 0.1, 32.2 with 0.05.
"""

EVERY = 25
"""Steps between two looks, and the last step."""


class Nearness:
    """Shortens axes; nothing to remember between steps.

    Near a panorama every eighth splat is held again and again, and Adam's moments go on: were they to start anew, each
    time followed by steps three times too large, own pictures would lose 1.5 dB (bench/lenses.py --only equirectangular
    --steps 1500 --rates 2.4 --first-points rig). Near a fisheye they do start anew, which there gains 0.3 dB in pinhole
    views.
    """

    def __init__(self, views: Sequence[View], steps: int) -> None:
        around = [v for v in views if v.depth_is_distance]
        matrices = [np.asarray(v.cam_from_world, np.float64) for v in around]
        self._is_panorama = np.array([v.model == "equirectangular" for v in around], np.bool_)
        self._cameras = np.array([-m[:, :3].T @ m[:, 3] for m in matrices]).reshape(-1, 3)
        self._steps = steps

    def after_step(self, table: SplatTable, step: int) -> None:
        if not len(self._cameras) or not table.count or (step % EVERY and step != self._steps):
            return
        from scipy.spatial import cKDTree

        log_scales, means = table.column(LOG_SCALE), table.column(MEAN)
        finite = np.asarray(np.isfinite(means).all(axis=1))
        distances, nearest = cKDTree(self._cameras).query(np.where(finite[:, None], means, 0.0))
        limit: Floats = np.log(np.maximum(LARGEST * np.asarray(distances), 1e-12)).astype(np.float32)
        index = np.flatnonzero(finite & np.greater(log_scales.max(axis=1), limit))
        if len(index):
            rows = table.rows(index)
            rows[:, LOG_SCALE] = np.minimum(rows[:, LOG_SCALE], limit[index][:, None])
            goes_on = self._is_panorama[nearest[index]]
            table.adjust(index[goes_on], rows[goes_on])
            if not goes_on.all():
                table.replace(index[~goes_on], rows[~goes_on])
