"""The trainer's parts, one by one: schedules, frame, first splats, strategies."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from diorama.capture.errors import InputError
from diorama.capture.transforms import Pose
from diorama.kernels import View
from diorama.reconstruct.train import PRESETS, ClassicConfig, LearningRates, McmcConfig, Start, TrainConfig
from diorama.reconstruct.train.backends import Target
from diorama.reconstruct.train.cover import cover_views
from diorama.reconstruct.train.frame import train_from_world
from diorama.reconstruct.train.initialize import first_rows
from diorama.reconstruct.train.schedule import (
    background_at,
    means_learning_rate,
    random_numbers,
    settling_at,
    sh_degree_at,
    views_at,
)
from diorama.reconstruct.train.strategies import make_strategy
from diorama.reconstruct.train.strategies.mcmc import MAX_COPIES, draw, shared
from diorama.reconstruct.train.table import (
    COLUMNS,
    LOG_SCALE,
    LOGIT_OPACITY,
    MEAN,
    QUAT,
    SH,
    Statistics,
    rows_from_splats,
    splats_from_rows,
)
from diorama.render.splats import SH_C0

# Schedules


def test_the_means_learning_rate_falls_exponentially() -> None:
    config = TrainConfig(steps=101, learning_rates=LearningRates(means=1e-2, means_final=1e-4))
    assert means_learning_rate(config, 1) == pytest.approx(1e-2)
    assert means_learning_rate(config, 51) == pytest.approx(1e-3)  # half way: the geometric mean
    assert means_learning_rate(config, 101) == pytest.approx(1e-4)
    assert means_learning_rate(replace(config, steps=1), 1) == pytest.approx(1e-2)


def test_the_other_learning_rates_settle() -> None:
    config = TrainConfig(steps=1000, learning_rates=LearningRates(settle=0.6, settle_after=50, settled=0.01))
    assert [settling_at(config, step, 12) for step in (1, 600)] == [1.0, 1.0]
    assert settling_at(config, 800, 12) == pytest.approx(0.1)  # half way: the geometric mean
    assert settling_at(config, 1000, 12) == pytest.approx(0.01)
    assert settling_at(config, 800, 16) == 1.0  # seen 50 times each
    assert settling_at(config, 900, 16) == pytest.approx(0.1)
    assert settling_at(replace(config, batch=2), 800, 16) == pytest.approx(0.1)  # after 400 steps; 600 are more
    assert [settling_at(config, 1000, photos) for photos in (20, 1000)] == [1.0, 1.0]
    never = replace(config, learning_rates=LearningRates(settle=1.0, settle_after=0))
    assert settling_at(never, 1000, 1) == 1.0


def test_sh_degrees_are_added_one_by_one() -> None:
    config = TrainConfig(steps=1000, sh_every=0.2, sh_degree=3)
    assert [sh_degree_at(config, s) for s in (1, 200, 201, 401, 601, 1000)] == [0, 0, 1, 2, 3, 3]
    assert sh_degree_at(replace(config, sh_degree=1), 1000) == 1


def test_every_epoch_shows_each_photo_once_in_a_new_order() -> None:
    config = TrainConfig(seed=4)
    epochs = [[views_at(config, 7 * e + i + 1, 7)[0] for i in range(7)] for e in range(20)]
    assert all(sorted(e) == list(range(7)) for e in epochs)
    assert len({tuple(e) for e in epochs}) > 10
    assert epochs[3] == [views_at(config, 22 + i, 7)[0] for i in range(7)]  # no memory
    assert epochs != [[views_at(replace(config, seed=5), 7 * e + i + 1, 7)[0] for i in range(7)] for e in range(20)]


def test_backgrounds() -> None:
    config = TrainConfig(background="random")
    assert background_at(config, 8) == background_at(config, 8) != background_at(config, 9)
    assert background_at(replace(config, background="white"), 8) == (1.0, 1.0, 1.0)
    assert background_at(replace(config, background="black"), 8) == (0.0, 0.0, 0.0)


def test_random_streams_do_not_meet() -> None:
    draws = [random_numbers(s, p, t).random() for s in (0, 1) for p in ("views", "grow") for t in (0, 1)]  # type: ignore[arg-type]
    assert len(set(draws)) == 8


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"max_size_px": 8}, {"max_splats": 0}, {"sh_degree": 4}, {"ssim_weight": 1.5}, {"seed": -1}]
)
def test_a_config_that_cannot_work_says_so(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        TrainConfig(**wrong)  # type: ignore[arg-type]


def test_presets_grow() -> None:
    small, middle, large = (PRESETS[n] for n in ("preview", "standard", "high"))
    assert small.steps < middle.steps < large.steps
    assert small.max_splats < middle.max_splats < large.max_splats


# Frame and first splats


def cameras_at(*centres: tuple[float, float, float]) -> list[Pose]:
    return [Pose(np.eye(3), -np.array(c)) for c in centres]


def test_the_training_frame_has_its_origin_and_unit_at_the_cameras() -> None:
    frame = train_from_world(cameras_at((10, 0, 0), (14, 0, 0)), np.zeros((0, 3)))
    assert np.allclose(frame.translation, [-12 / 2.2, 0, 0])  # the mean, 12, goes to 0; extent 1.1 * 2
    assert frame.scale == pytest.approx(1 / 2.2)
    assert np.array_equal(frame.rotation, np.eye(3))
    points = np.random.default_rng(0).normal(size=(9, 3)) * 100
    # Undone to float64 rounding of numbers around 100.
    assert np.allclose(frame.inverse().apply(frame.apply(points)), points, rtol=0, atol=1e-12)


def test_cameras_on_one_spot_are_measured_by_depth() -> None:
    points = np.array([[0, 0, 50.0], [0, 0, 40.0], [0, 0, 60.0]])
    assert train_from_world(cameras_at((0, 0, 0)), points).scale == pytest.approx(1 / 5.0)
    assert train_from_world(cameras_at((0, 0, 0)), np.zeros((0, 3))).scale == 1.0


def test_first_splats_sit_on_the_points_with_their_colour_and_spacing() -> None:
    points = np.stack(np.meshgrid([0.0, 1.0], [0.0, 1.0], [0.0, 1.0]), -1).reshape(-1, 3)
    rgb = np.full((8, 3), 51, np.uint8)
    config = TrainConfig(start=Start(opacity=0.25, scale=0.5, min_points=1))
    rows = first_rows(points, rgb, [], config)
    assert np.array_equal(rows[:, MEAN], points.astype(np.float32))
    # A cube's corner has three neighbours, all at distance 1.
    assert np.allclose(rows[:, LOG_SCALE], math.log(0.5))
    assert np.allclose(rows[:, LOGIT_OPACITY], math.log(1 / 3))
    assert np.allclose(0.5 + SH_C0 * rows[:, SH][:, :3], 0.2)
    assert not rows[:, SH][:, 3:].any()
    assert np.array_equal(rows[:, QUAT], np.tile([1, 0, 0, 0], (8, 1)))


@pytest.mark.parametrize("count", [0, 1, 2, 5, 30])
def test_few_points_are_made_up_for(count: int) -> None:
    rng = np.random.default_rng(count)
    points = rng.normal(size=(count, 3))
    config = TrainConfig(start=Start(min_points=50))
    rows = first_rows(points, np.zeros((count, 3), np.uint8), cameras_at((0, 0, -3), (1, 0, -3)), config)
    assert rows.shape == (50, COLUMNS)
    assert np.isfinite(rows).all()
    assert np.array_equal(
        rows, first_rows(points, np.zeros((count, 3), np.uint8), cameras_at((0, 0, -3), (1, 0, -3)), config)
    )


def test_first_splats_keep_to_the_cap_and_pass_over_what_is_not_a_place() -> None:
    points = np.random.default_rng(0).normal(size=(100, 3))
    points[7] = np.nan
    points[8:20] = points[20]  # equal points have no gap
    rows = first_rows(points, np.zeros((100, 3), np.uint8), [], TrainConfig(start=Start(min_points=1)))
    assert len(rows) == 99
    assert np.isfinite(rows).all()
    config = TrainConfig(max_splats=10)
    assert len(first_rows(points, np.zeros((100, 3), np.uint8), [], config)) == 10


def test_rows_and_splats_are_the_same_thing() -> None:
    rows = np.random.default_rng(0).normal(size=(5, COLUMNS)).astype(np.float32)
    assert np.array_equal(rows_from_splats(splats_from_rows(rows)), rows)
    flat = splats_from_rows(rows, sh_degree=1)
    assert flat.sh.shape == (5, 4, 3)
    assert np.array_equal(flat.sh.reshape(5, 12), rows[:, 11:23])


# Strategies


class ArrayTable:
    """A `SplatTable` that is plain arrays."""

    def __init__(self, rows: np.ndarray) -> None:
        self.data = rows.astype(np.float32)
        self.moment = np.ones_like(self.data)
        self.pull, self.seen = np.zeros(len(rows), np.float32), np.zeros(len(rows), np.float32)
        self.noises: list[tuple[float, int, int]] = []

    @property
    def count(self) -> int:
        return len(self.data)

    def column(self, columns: slice) -> np.ndarray:
        return self.data[:, columns].copy()

    def rows(self, index: np.ndarray) -> np.ndarray:
        return self.data[index].copy()

    def replace(self, index: np.ndarray, rows: np.ndarray) -> None:
        assert len(np.unique(index)) == len(index)
        self.data[index], self.moment[index] = rows, 0

    def set_column(self, columns: slice, values: np.ndarray) -> None:
        self.data[:, columns], self.moment[:, columns] = values, 0

    def append(self, rows: np.ndarray) -> None:
        self.data = np.concatenate([self.data, rows])
        self.moment = np.concatenate([self.moment, np.zeros_like(rows)])
        self.pull = np.concatenate([self.pull, np.zeros(len(rows), np.float32)])
        self.seen = np.concatenate([self.seen, np.zeros(len(rows), np.float32)])

    def keep(self, index: np.ndarray) -> None:
        self.data, self.moment, self.pull, self.seen = (
            a[index] for a in (self.data, self.moment, self.pull, self.seen)
        )

    def add_noise(self, amount: float, seed: int, step: int) -> None:
        self.noises.append((amount, seed, step))

    def statistics(self) -> Statistics:
        return Statistics(self.pull, self.seen)

    def clear_statistics(self) -> None:
        self.pull[:], self.seen[:] = 0, 0


def table_of(opacities: list[float], scale: float = 0.005) -> ArrayTable:
    count = len(opacities)
    rows = np.zeros((count, COLUMNS))
    rows[:, MEAN] = np.arange(count)[:, None]
    rows[:, QUAT.start] = 1
    rows[:, LOG_SCALE] = math.log(scale)
    o = np.array(opacities)
    rows[:, 10] = np.log(o / (1 - o))
    return ArrayTable(rows)


def opacities_of(table: ArrayTable) -> np.ndarray:
    return 1 / (1 + np.exp(-table.data[:, 10].astype(np.float64)))


@pytest.mark.parametrize("opacity", [0.01, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("copies", [1, 2, 5, MAX_COPIES])
def test_shared_splats_look_like_the_one_they_came_from(opacity: float, copies: int) -> None:
    new, factor = (float(v[0]) for v in shared(np.array([opacity]), np.array([copies])))
    # n copies over one another let (1 - new)^n through.
    assert 1 - (1 - new) ** copies == pytest.approx(opacity)
    # What they cover, by the rectangle rule (exact to 1e-10 on a smooth bump): the same as the one covered.
    x = np.linspace(-12, 12, 4001)
    bell = np.exp(-x * x / 2)
    covered = (1 - (1 - new * bell) ** copies).sum() * factor
    assert covered == pytest.approx(opacity * bell.sum(), rel=1e-6)


def test_drawing_follows_the_weights() -> None:
    weights = np.array([0.0, 1.0, 3.0, 5.0])
    picks = draw(weights, np.array([1, 2]), 40_000, np.random.default_rng(0))
    assert set(picks) == {1, 2}
    assert np.mean(picks == 2) == pytest.approx(0.75, abs=0.01)  # 4.6 standard deviations
    assert set(draw(np.zeros(3), np.arange(3), 200, np.random.default_rng(0))) == {0, 1, 2}


MCMC = TrainConfig(steps=4000, max_splats=1000, mcmc=McmcConfig(start=0.025, stop=0.2, every=100, growth=0.0))


def test_dead_splats_move_onto_living_ones() -> None:
    table = table_of([0.001, 0.8, 0.004])
    make_strategy(MCMC).after_step(table, 100, 0.1)
    assert table.count == 3
    assert np.array_equal(table.data[:, MEAN], np.ones((3, 3)))  # all where the living one is
    assert np.allclose(opacities_of(table), 1 - 0.2 ** (1 / 3))
    assert not table.moment.any()
    assert table.noises == [(5e5 * 0.1, 0, 100)]


def test_growth_is_a_share_up_to_the_cap() -> None:
    grow = replace(MCMC, mcmc=replace(MCMC.mcmc, growth=0.05))
    table = table_of([0.5] * 100)
    strategy = make_strategy(grow)
    strategy.after_step(table, 99, 0.1)
    assert table.count == 100
    strategy.after_step(table, 100, 0.1)
    assert table.count == 105
    small = make_strategy(replace(grow, max_splats=107))
    for step in (200, 300, 400):
        small.after_step(table, step, 0.1)
        assert table.count <= 107
    assert table.count == 107
    strategy.after_step(table, 900, 0.1)  # past its stop
    assert table.count == 107
    assert len(table.noises) == 6  # noise never stops


def test_nothing_but_dead_splats_stay() -> None:
    table = table_of([0.001, 0.002])
    make_strategy(MCMC).after_step(table, 100, 0.1)
    assert np.array_equal(table.data[:, 0], [0, 1])


def test_a_short_training_refines_as_often() -> None:
    strategy = make_strategy(replace(MCMC, steps=400, mcmc=McmcConfig(start=0.0, stop=1.0, every=100, least_times=40)))
    table = table_of([0.001, 0.8])
    strategy.after_step(table, 9, 0.1)
    assert table.data[0, 0] == 0
    strategy.after_step(table, 10, 0.1)  # 400 steps / 40
    assert table.data[0, 0] == 1


def test_needles_are_shortened_and_discs_are_not() -> None:
    table = table_of([0.5, 0.5, 0.5])
    table.data[:, LOG_SCALE] = np.log([[1, 10, 2], [10, 0.1, 9], [1, 1, 1.4]])
    make_strategy(replace(MCMC, mcmc=replace(MCMC.mcmc, max_needle=1.5))).after_step(table, 100, 0.1)
    assert np.allclose(np.exp(table.data[:, LOG_SCALE]), [[1, 3, 2], [10, 0.1, 9], [1, 1, 1.4]], rtol=1e-6)
    assert not table.moment[0].any()
    assert table.moment[1:].all()


CLASSIC = TrainConfig(
    steps=1000,
    strategy="classic",
    max_splats=100,
    classic=ClassicConfig(start=0.1, stop=0.5, every=100, reset_every=200),
)


def test_small_splats_are_cloned_and_large_ones_split() -> None:
    table = table_of([0.5, 0.5, 0.5])
    table.data[1, LOG_SCALE] = math.log(0.05)
    table.pull[:], table.seen[:] = [0.012, 0.012, 0.004], [10, 10, 10]  # 1.2e-3 each; 4e-4 is below AbsGS's 8e-4
    make_strategy(CLASSIC).after_step(table, 100, 0.1)
    assert table.count == 5
    small, large = np.exp(table.data[:, 7]) < 0.01, np.isclose(np.exp(table.data[:, 7]), 0.05 / 1.6)
    assert (small.sum(), large.sum()) == (3, 2)
    assert np.array_equal(np.sort(table.data[small, 0]), [0, 0, 2])
    assert np.all(np.abs(table.data[large, MEAN] - 1) < 0.05 * 5)  # drawn from the splat: within five deviations
    assert not table.pull.any()


def test_the_cap_is_hard_and_the_strongest_come_first() -> None:
    table = table_of([0.5] * 10)
    table.pull[:], table.seen[:] = np.arange(1, 11), 1
    make_strategy(replace(CLASSIC, max_splats=12)).after_step(table, 100, 0.1)
    assert table.count == 12
    assert sorted(table.data[10:, 0]) == [8, 9]


def test_faint_and_huge_splats_go() -> None:
    table = table_of([0.5, 0.001, 0.5])
    table.data[2, LOG_SCALE] = math.log(0.5)
    strategy = make_strategy(CLASSIC)
    strategy.after_step(table, 100, 0.1)
    assert np.array_equal(table.data[:, 0], [0, 2])  # before the first reset size does not count
    strategy.after_step(table, 300, 0.1)
    assert np.array_equal(table.data[:, 0], [0])


def test_opacity_resets_are_a_ceiling() -> None:
    table = table_of([0.5, 0.007])
    make_strategy(CLASSIC).after_step(table, 200, 0.1)
    assert np.allclose(opacities_of(table), [0.01, 0.007], rtol=1e-5)
    assert not table.moment[:, LOGIT_OPACITY].any()
    assert table.moment[:, MEAN].all()


# Covering what has no points


def flat_view(rgb: np.ndarray, mask: np.ndarray | None = None) -> Target:
    """A camera at the origin looking along +z, 64x32 pixels, focal length 32."""
    return Target(View(64, 32, 32.0, 32.0, 32.0, 16.0, np.eye(3, 4)), rgb, mask)


def test_cells_without_points_are_covered_at_their_neighbours_depth() -> None:
    rgb = np.zeros((32, 64, 3), np.uint8)
    rgb[:, 48:] = (255, 0, 51)  # the right quarter shows what has no point
    x, y = np.meshgrid(np.arange(4, 48, 8), np.arange(4, 32, 8))
    depth = np.where(x < 24, 2.0, 6.0)
    points = np.stack([(x - 32) / 32 * depth, (y - 16) / 32 * depth, depth], -1).reshape(-1, 3)
    cover = cover_views(points, [flat_view(rgb)], cells=8, most=100)
    assert len(cover.points) == 8  # 2 columns of 4 cells
    assert np.allclose(cover.points[:, 2], 6.0)  # its neighbours are the far ones
    pixels = cover.points[:, :2] / cover.points[:, 2:] * 32 + [32, 16]
    assert sorted({round(float(u), 3) for u in pixels[:, 0]}) == [52, 60]
    assert np.allclose(cover.colors, [1.0, 0.0, 0.2])
    assert np.allclose(cover.radii, 0.5 * 8 * 6 / 32)  # half a cell of 8 pixels at depth 6


def test_cover_keeps_to_its_cap_its_mask_and_what_other_views_brought() -> None:
    rgb = np.zeros((32, 64, 3), np.uint8)
    points = np.array([[0.0, 0.0, 2.0]])
    once = cover_views(points, [flat_view(rgb)], cells=8, most=100)
    assert len(once.points) == 8 * 4 - 1
    assert len(cover_views(points, [flat_view(rgb), flat_view(rgb)], cells=8, most=100).points) == len(once.points)
    assert len(cover_views(points, [flat_view(rgb)], cells=8, most=5).points) == 5
    mask = np.zeros((32, 64), np.uint8)
    assert len(cover_views(points, [flat_view(rgb, mask)], cells=8, most=100).points) == 0
    assert len(cover_views(points[:0], [flat_view(rgb)], cells=8, most=100).points) == 0
    assert len(cover_views(-points, [flat_view(rgb)], cells=8, most=100).points) == 0
