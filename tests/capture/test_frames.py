"""Which frames are taken: by motion, the sharp ones, within the budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from diorama.capture.frames import (
    BLURRED_BELOW,
    LATEST,
    STEP_PX,
    Choice,
    Look,
    Track,
    TrackBuilder,
    choose,
    reasons,
    take,
)
from diorama.capture.tracking import Motion


def track_of(
    steps_px: Sequence[float], relative: Sequence[float] | None = None, parallax_px: float = 0.0, dark: float = 0.0
) -> Track:
    """A video whose picture shifts by the given steps along x, with as much parallax beyond the noise at each."""
    builder = TrackBuilder(np.array([500.0, 300.0]))
    count = len(steps_px) + 1
    builder.looks = [Look(i / 30, 1.0, dark, 0.0) for i in range(count)]
    for i, step in enumerate(steps_px):
        similarity = np.array([[1.0, 0.0, step], [0.0, 1.0, 0.0]])
        builder.steps.append((i, i + 1, Motion(similarity, abs(step), parallax_px + 1.0, 0.9), 100))
    return builder.build(np.ones(count) if relative is None else np.array(relative))


def test_motion_composes_and_returns() -> None:
    track = track_of([10] * 5 + [-10] * 5)
    np.testing.assert_allclose(track.motion_px(0, np.arange(11)), [0, 10, 20, 30, 40, 50, 40, 30, 20, 10, 0], atol=1e-9)


def test_zoom_and_turn_are_motion_too() -> None:
    builder = TrackBuilder(np.array([500.0, 300.0]), [Look(0, 1, 0, 0), Look(1, 1, 0, 0)])
    builder.steps.append((0, 1, Motion(np.array([[1.1, 0, 0], [0, 1.1, 0]]), 30, 1.0, 0.9), 100))
    # A tenth of the mean distance of a 5x5 grid at 0.8 of the half sizes.
    axis = np.linspace(-0.8, 0.8, 5)
    x, y = np.meshgrid(axis * 500, axis * 300)
    expected = 0.1 * np.mean(np.hypot(x, y))
    assert builder.build(np.ones(2)).motion_px(0, 1) == pytest.approx(expected)


def test_parallax_gathers_where_the_picture_as_a_whole_stands_still() -> None:
    """An orbit round a thing: the similarity sees nothing, what it leaves over does."""
    track = track_of([0] * 90, parallax_px=4)
    assert track.motion_px(0, 90) == pytest.approx(360)
    assert len(take(track, STEP_PX)) == pytest.approx(10, abs=1)


def test_frames_between_tracked_ones_lie_evenly() -> None:
    builder = TrackBuilder(np.array([500.0, 300.0]), [Look(i / 30, 1, 0, 0) for i in range(6)])
    builder.steps.append((0, 4, Motion(np.array([[1.0, 0, 40], [0, 1.0, 0]]), 40, 1.0, 0.9), 100))
    np.testing.assert_allclose(builder.build(np.ones(6)).motion_px(0, np.arange(6)), [0, 10, 20, 30, 40, 40], atol=1e-9)


def test_the_step_is_motion_not_a_rate() -> None:
    """One half of the video moves five times as fast as the other: it gets five times the frames."""
    taken = np.array(take(track_of([4] * 200 + [20] * 200), STEP_PX))
    slow, fast = (taken < 200).sum(), (taken >= 200).sum()
    assert fast / slow == pytest.approx(5, rel=0.1)
    assert np.diff(taken[taken >= 200]).max() <= 2


def test_a_video_that_was_thinned_keeps_nearly_all() -> None:
    assert len(choose(track_of([60] * 82), 200, 40).frames) == 83
    assert len(choose(track_of([140] * 36), 200, 40).frames) == 37


def test_a_long_video_keeps_the_budget_and_spans_it_all() -> None:
    choice = choose(track_of([10] * 3000), 200, 40)
    assert choice.over_budget and 180 <= len(choice.frames) <= 200
    assert choice.frames[0] < 20 and choice.frames[-1] > 2960
    assert np.diff(choice.frames).max() < 2 * 3000 / 200


def test_a_slow_video_gets_the_least_number_as_far_as_views_differ() -> None:
    choice = choose(track_of([2] * 400), 200, 40)
    assert 38 <= len(choice.frames) <= 60 and not choice.over_budget
    assert len(choose(track_of([0.1] * 400), 200, 40).frames) <= 8  # 40 px in all: no more views than that


def test_a_still_video_has_one_view() -> None:
    assert len(choose(track_of([0] * 100), 200, 40).frames) == 1


def test_a_shaking_camera_does_not_move() -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(-12, 12, 301)
    assert len(choose(track_of(np.diff(places)), 200, 40).frames) <= 10


def test_the_sharp_one_of_those_in_reach_is_taken() -> None:
    relative = np.where(np.arange(121) % 4 == 1, 1.0, 0.7)
    taken = take(track_of([10] * 120, relative), STEP_PX)
    assert all(i % 4 == 1 for i in taken[:-1])  # the last one ends the video


def test_blurred_frames_are_passed_over_but_never_break_the_chain() -> None:
    relative = np.ones(60)
    relative[20:24] = 0.3
    assert not set(take(track_of([12] * 59, relative), STEP_PX)) & {20, 21, 22, 23}
    # All blurred for far longer than a step: some of them must serve.
    relative[10:50] = 0.3
    taken = take(track_of([30] * 59, relative), STEP_PX)
    assert np.diff(taken).max() * 30 <= LATEST * STEP_PX


def test_black_frames_are_not_taken() -> None:
    track = track_of([20] * 40)
    looks = [Look(0, 1, 1.0 if i < 10 else 0.0, 0.0) for i in range(41)]
    track = replace(track, looks=tuple(looks))
    assert (np.array(take(track, STEP_PX)) >= 10).sum() >= 15 and 9 not in take(track, STEP_PX)


def test_a_cut_is_told_and_both_sides_are_kept() -> None:
    builder = TrackBuilder(np.array([500.0, 300.0]), [Look(i / 30, 1, 0, 0) for i in range(41)])
    for i in range(40):
        motion = None if i == 19 else Motion(np.array([[1.0, 0, 10], [0, 1.0, 0]]), 10, 1.0, 0.9)
        builder.steps.append((i, i + 1, motion, 100))
    track = builder.build(np.ones(41))
    taken = take(track, STEP_PX)
    assert track.cuts == (20,) and any(i >= 20 for i in taken) and any(i < 20 for i in taken)


def test_a_plain_wall_is_no_cut() -> None:
    builder = TrackBuilder(np.array([500.0, 300.0]), [Look(i / 30, 1, 0, 0) for i in range(41)])
    builder.steps = [(i, i + 1, None, 3) for i in range(40)]
    track = builder.build(np.ones(41))
    assert track.cuts == () and len(take(track, STEP_PX)) < 20


def test_every_frame_left_out_has_a_reason() -> None:
    relative = np.ones(101)
    relative[50] = 0.4
    track = track_of([5] * 100, relative)
    choice = Choice(take(track, STEP_PX), STEP_PX, False)
    told = dict(reasons(track, choice, [f"f{i}" for i in choice.frames], 200))
    assert sorted([*told, *choice.frames]) == list(range(101))
    assert told[50] == "blurred: sharpness 0.40 of its neighbours"
    assert told[choice.frames[2] + 1] == f"nearly the same view as f{choice.frames[2]}"
    assert told[choice.frames[2] + 4].startswith("not needed")
    assert BLURRED_BELOW > 0.4


def test_no_frames_and_one() -> None:
    empty = TrackBuilder(np.array([500.0, 300.0])).build(np.zeros(0))
    assert take(empty, STEP_PX) == ()
    assert take(track_of([]), STEP_PX) == (0,)
