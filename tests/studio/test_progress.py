"""How far a stage is, in plain lines."""

from __future__ import annotations

import io

import pytest

from diorama.capture.events import Finished, Progressed, Started
from diorama.studio import progress
from diorama.studio.progress import Pace, PlainLines


def test_the_time_left_goes_by_the_last_half_minute() -> None:
    """100 steps a second for 10 s, then one: a minute later only the slow ones count."""
    pace = Pace()
    left = [pace.left_s(float(second), 100 * second, 10_000) for second in range(11)]
    assert left[0] is None
    assert left[10] == pytest.approx(90.0)
    slow = [pace.left_s(10.0 + second, 1_000 + second, 10_000) for second in range(1, 61)]
    assert slow[-1] == pytest.approx(10_000 - 1_060)


def test_what_was_done_before_a_resumption_took_no_time() -> None:
    pace = Pace()
    assert pace.left_s(0.0, 9_000, 10_000) is None
    assert pace.left_s(1.0, 9_010, 10_000) == pytest.approx(99.0)


def test_a_count_that_starts_anew_is_another_stage() -> None:
    pace = Pace()
    pace.left_s(0.0, 50, 100)
    assert pace.left_s(1.0, 1, 100) is None
    assert pace.left_s(3.0, 3, 100) == pytest.approx(97.0)


def test_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line every five seconds; nothing is known of the time left at first, nor where there is no end."""
    now, out = [0.0], io.StringIO()
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    lines = PlainLines(out)
    lines(Started("train", 100))
    for second in range(13):
        now[0] = float(second)
        lines(Progressed("train", 10 + 2 * second, 100, f"step {second}"))
    lines(Finished("train", 12.0))
    lines(Started("convert", None))
    now[0] = 20.0
    lines(Progressed("convert", 7, None))
    assert out.getvalue().splitlines() == [
        "Training splats: 20/100, 40.0 s left, step 5",
        "Training splats: 30/100, 35.0 s left, step 10",
        "Training splats: done in 12.0 s",
        "Converting: 7",
    ]
