"""The preset `surface`: splats become discs, and stay what they were otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from diorama.capture.errors import InputError
from diorama.reconstruct.train import PRESETS, train_splats
from diorama.reconstruct.train.config import McmcConfig, TrainConfig
from diorama.reconstruct.train.strategies.mcmc import flatten
from diorama.reconstruct.train.table import LOG_SCALE

from .conftest import SplatScene


class Table:
    """What `flatten` needs of a table."""

    def __init__(self, log_scales: np.ndarray) -> None:
        self.log_scales = log_scales.astype(np.float32)

    def column(self, columns: slice) -> np.ndarray:
        assert columns == LOG_SCALE
        return self.log_scales.copy()

    def set_column(self, columns: slice, values: np.ndarray) -> None:
        assert columns == LOG_SCALE
        self.log_scales = values


def test_the_shortest_axis_goes_half_of_the_way_in_logarithms() -> None:
    table = Table(np.log([[1.0, 2.0, 0.4], [0.001, 1.0, 1.0], [0.3, 0.3, 0.3]]))
    flatten(table, 0.1)  # type: ignore[arg-type]
    # 0.4 beside 1: the limit is 0.1, half of the way is sqrt(0.4 * 0.1) = 0.2. A ball loses its first axis.
    expected = [[1.0, 2.0, 0.2], [0.001, 1.0, 1.0], [0.3 * np.sqrt(0.1), 0.3, 0.3]]
    np.testing.assert_allclose(np.exp(table.log_scales), expected, rtol=1e-5)


def test_training_with_it_leaves_discs(splat_scene: SplatScene, tmp_path: Path) -> None:
    scene = splat_scene()
    thickness = {}
    for most in (1.0, 0.1):
        config = TrainConfig(
            steps=120, max_splats=120, hold_out="none", backend="cpu", mcmc=McmcConfig(max_thickness=most)
        )
        scales = np.sort(train_splats(scene, tmp_path / str(most), config).splats.scales, axis=1)
        thickness[most] = float(np.median(scales[:, 0] / scales[:, 1]))
    assert thickness[0.1] < 0.2
    assert thickness[1.0] > 2 * thickness[0.1]


def test_a_thickness_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="max_thickness"):
        TrainConfig(mcmc=McmcConfig(max_thickness=0.0))
    assert PRESETS["surface"].mcmc.max_thickness < 1
