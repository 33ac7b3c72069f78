"""Which share of the splats a photo is trained without, and how the others make up for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from diorama.capture.errors import InputError
from diorama.kernels import View
from diorama.reconstruct.train import DropoutConfig, TrainConfig, train_splats
from diorama.reconstruct.train.backends.native import NativeSteps
from diorama.reconstruct.train.dropout import Dropout, dropout_shares
from diorama.reconstruct.train.schedule import dropout_at

from .conftest import SplatScene


def view_at(x: float) -> View:
    """Looks along +z from (x, 0, 0); at depth 1 its picture is 2 wide and 1 high."""
    matrix = np.concatenate([np.eye(3), [[-x], [0.0], [0.0]]], axis=1).astype(np.float32)
    return View(64, 32, 32.0, 32.0, 32.0, 16.0, matrix)


def along(*places: float) -> npt.NDArray[np.float32]:
    return np.array([[x, 0.0, 1.0] for x in places], np.float32)


def test_shares_by_hand() -> None:
    """Views at 0, 0.5, 1 and 10 show x of -1 to 1, -0.5 to 1.5, 0 to 2 and 9 to 11. Of the points, 0.6 is seen by
    three, -0.4 by two, 1.8 and 10 by one: medians of 2.5, 2.5, 2 and 1."""
    views, config = [view_at(x) for x in (0.0, 0.5, 1.0, 10.0)], DropoutConfig(share=0.3, few=1, many=4)
    shares = dropout_shares(views, along(0.6, -0.4, 1.8, 10.0), config)
    assert shares == pytest.approx([0.15, 0.15, 0.2, 0.3])


def test_no_more_than_the_share_nor_less_than_nothing() -> None:
    views = [view_at(0.0)] * 3
    assert dropout_shares(views, along(0.0), DropoutConfig(0.3, few=3, many=5)) == [0.3] * 3
    assert dropout_shares(views, along(0.0), DropoutConfig(0.3, few=4, many=5)) == [0.3] * 3
    assert dropout_shares(views, along(0.0), DropoutConfig(0.3, few=2, many=3)) == [0.0] * 3
    assert dropout_shares(views, along(0.0), DropoutConfig(0.0)) == [0.0] * 3


def test_behind_and_beside_is_not_seen() -> None:
    """A view that sees none of the points leaves nothing out: nobody knows how many others see what it does."""
    behind = np.array([[0.0, 0.0, -1.0]], np.float32)
    assert dropout_shares([view_at(0.0)], behind, DropoutConfig()) == [0.0]
    assert dropout_shares([view_at(0.0)], along(5.0), DropoutConfig()) == [0.0]
    assert dropout_shares([view_at(0.0)], along()[:0].reshape(0, 3), DropoutConfig()) == [0.0]


def test_factors() -> None:
    """Of 100,000 a fifth is left out, give or take five standard deviations of a binomial (0.0063)."""
    factors = Dropout(0.2, seed=3, place=7).factors(100_000)
    assert set(np.unique(factors)) == {np.float32(0.0), np.float32(1.25)}
    assert abs((factors == 0).mean() - 0.2) < 0.0063
    assert np.array_equal(factors, Dropout(0.2, seed=3, place=7).factors(100_000))
    assert not np.array_equal(factors, Dropout(0.2, seed=3, place=8).factors(100_000))
    assert not np.array_equal(factors, Dropout(0.2, seed=4, place=7).factors(100_000))


def test_it_grows_to_the_end() -> None:
    config = TrainConfig(steps=100)
    assert [dropout_at(config, step) for step in (1, 50, 100)] == [0.01, 0.5, 1.0]


@pytest.mark.parametrize("wrong", [DropoutConfig(-0.1), DropoutConfig(1.0), DropoutConfig(0.2, few=4, many=4)])
def test_what_cannot_be_is_said(wrong: DropoutConfig) -> None:
    with pytest.raises(InputError, match=r"dropout\."):
        TrainConfig(dropout=wrong)


@pytest.mark.parametrize("batch", [1, 2])
def test_every_picture_has_its_own(
    splat_scene: SplatScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """What reaches the steps: no two pictures alike, shares that grow, none where nothing is asked for."""
    given: list[Dropout | None] = []
    step = NativeSteps.step

    def watched(self: NativeSteps, shots: object, settings: object) -> object:
        given.extend(shot.dropout for shot in shots)  # type: ignore[attr-defined]
        return step(self, shots, settings)  # type: ignore[arg-type]

    monkeypatch.setattr(NativeSteps, "step", watched)
    scene = splat_scene()
    config = TrainConfig(steps=6, batch=batch, max_size_px=32, max_splats=500, backend="cpu", seed=5)
    train_splats(scene, tmp_path / "with", replace(config, dropout=DropoutConfig(0.5, few=1_000, many=1_001)))
    assert [round(d.share, 6) for d in given if d] == [round(0.5 * s / 6, 6) for s in range(1, 7) for _ in range(batch)]
    assert [d.place for d in given if d] == list(range(6 * batch))
    assert {d.seed for d in given if d} == {5}
    given.clear()
    train_splats(scene, tmp_path / "without", replace(config, dropout=DropoutConfig(0.0)))
    assert given == [None] * 6 * batch
