"""The fast strategy's parts by hand, and on a table whose contributions are made up."""

from __future__ import annotations

import math

import numpy as np
import pytest

from diorama.kernels import View
from diorama.reconstruct.train import FastConfig, TrainConfig
from diorama.reconstruct.train.backends import Target
from diorama.reconstruct.train.strategies.fast import Fast, best, budget, importance
from diorama.reconstruct.train.table import LOG_SCALE, MEAN, Drawn, Floats, Weigh

from .test_train_parts import ArrayTable, opacities_of, table_of


def test_importance_takes_the_second_view_for_the_first() -> None:
    """Views say (9, 1, 2): the 9 counts as 2, so (2 + 1 + 2) / 3. One view alone asks for nothing; two agree."""
    wrong = np.array([[9, 5, 4], [1, 0, 4], [2, 0, 0]], np.float32)
    assert np.allclose(importance(wrong), [5 / 3, 0, 8 / 3])
    assert np.allclose(importance(wrong[:1]), [9, 5, 4])  # with a single photo there is no other to ask


def test_the_budget_is_a_parabola_that_ends_flat_at_the_cap() -> None:
    counts = [100]
    for left in range(10, 0, -1):
        counts.append(budget(counts[-1], 1100, left))
    assert counts[-1] == 1100
    missing = [1100 - n for n in counts]
    assert np.allclose(missing, [1000 * (k / 10) ** 2 for k in range(10, -1, -1)], atol=3)  # rounded each time
    assert budget(1200, 1100, 5) == 1100
    assert budget(700, 1100, 0) == 700


def test_the_best_are_taken_and_nothing_for_a_score_of_zero() -> None:
    score = np.array([0.0, 3.0, 1.0, 2.0])
    assert best(score, 2).tolist() == [1, 3]
    assert best(score, 10).tolist() == [1, 2, 3]
    assert best(score, 0).tolist() == best(score, -4).tolist() == []


class WeighedTable(ArrayTable):
    """Every view takes `shown` of each splat, and `wrong` of it in pixels of high error."""

    wrong: Floats
    shown: Floats

    def contribution(self, view: View, sh_degree: int, weigh: Weigh) -> Floats:
        blank = np.zeros((view.height, view.width), np.float32)
        maps = weigh(Drawn(np.zeros((*blank.shape, 3), np.float32), blank, blank))
        assert maps.shape == (2, *blank.shape)
        assert maps.max() <= 1
        return np.stack([self.wrong, self.shown])


VIEW = View(8, 6, 8.0, 8.0, 4.0, 3.0, np.eye(3, 4))
FAST = TrainConfig(
    steps=1000,
    strategy="fast",
    max_splats=100,
    fast=FastConfig(start=0.1, stop=0.5, every=100, least_times=1, grad=1e-4, noise=0.0),
)


def weighed(opacities: list[float], wrong: list[float], shown: list[float]) -> WeighedTable:
    table = WeighedTable(table_of(opacities).data)
    table.wrong, table.shown = np.array(wrong, np.float32), np.array(shown, np.float32)
    table.pull[:], table.seen[:] = 1.0, 1.0
    return table


def fast(config: TrainConfig = FAST, views: int = 3) -> Fast:
    return Fast(config, [Target(VIEW, np.full((6, 8, 3), 90, np.uint8), None) for _ in range(views)])


def test_splats_grow_where_views_are_wrong_and_go_where_nothing_is_theirs() -> None:
    """Of five: one wrong, one right, one faint, one seen a thousandth of a pixel, one not seen at all."""
    table = weighed([0.5, 0.5, 0.001, 0.5, 0.5], [4, 0, 4, 0, 0], [9, 9, 9, 0.001, 0])
    fast().after_step(table, 200, 0.1)
    assert table.data[:, 0].tolist() == [0, 1, 4, 0]
    # The copy and the one it came from look like the one: opacity 1 - sqrt(1 - 0.5) each.
    assert np.allclose(opacities_of(table)[[0, 3]], 1 - math.sqrt(0.5), atol=1e-5)
    assert not table.pull.any()


def test_large_ones_are_split_and_only_where_they_are_pulled() -> None:
    table = weighed([0.5, 0.5], [4, 4], [9, 9])
    table.data[:, LOG_SCALE] = math.log(0.05)
    table.pull[1] = 0.0
    fast().after_step(table, 200, 0.1)
    assert table.count == 3
    assert np.allclose(np.exp(table.data[[0, 2], 7]), 0.05 / 1.6)
    assert table.data[1, MEAN].tolist() == [1, 1, 1]


@pytest.mark.parametrize("step", [50, 150, 201, 600, 950])
def test_outside_of_its_steps_nothing_changes(step: int) -> None:
    """600 lies past the end of growth and is not a fifth of `every`; 950 is past pruning too."""
    table = weighed([0.5, 0.001], [4, 4], [9, 9])
    fast().after_step(table, step, 0.1)
    assert table.count == 2
    assert table.moment.all()


def test_after_growth_it_still_prunes() -> None:
    config = TrainConfig(
        **{**vars(FAST), "fast": FastConfig(stop=0.4, prune_stop=0.9, every=100, least_times=1, prune_every=5, noise=0)}
    )
    table = weighed([0.5, 0.001], [4, 4], [9, 9])
    fast(config).after_step(table, 500, 0.1)
    assert table.data[:, 0].tolist() == [0]


def test_it_is_a_function_of_step_and_state() -> None:
    first, second = (weighed([0.5] * 8, [4] * 8, [9] * 8) for _ in range(2))
    for table in (first, second):
        table.data[:, LOG_SCALE] = math.log(0.05)
        fast().after_step(table, 300, 0.1)
    assert np.array_equal(first.data, second.data)
