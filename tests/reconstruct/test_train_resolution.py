"""Small photos first: sizes by step, exact cameras, masks, and the same steps on both kinds of backend."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from diorama.capture.errors import InputError
from diorama.kernels import View
from diorama.reconstruct.train import ResolutionConfig, TrainConfig
from diorama.reconstruct.train.photos import photo_at
from diorama.reconstruct.train.resolution import scale_at, scaled_view

QUARTER = TrainConfig(steps=800, resolution=ResolutionConfig(start=0.25, until=0.5, min_px=16))


def test_sizes_rise_by_half_octaves_to_the_full_one() -> None:
    # A quarter is 4 half octaves below; 400 steps are 4 levels of 100.
    assert [scale_at(QUARTER, s, 640) for s in (1, 100, 101, 201, 301, 401, 800)] == pytest.approx(
        [0.25, 0.25, 2**-1.5, 0.5, 2**-0.5, 1.0, 1.0]
    )


def test_small_photos_are_not_made_tiny() -> None:
    config = replace(QUARTER, resolution=ResolutionConfig(start=0.25, until=0.5, min_px=64))
    assert scale_at(config, 1, 128) == 0.5
    assert scale_at(config, 1, 64) == 1.0
    assert scale_at(config, 1, 40) == 1.0


@pytest.mark.parametrize("resolution", [ResolutionConfig(start=1.0), ResolutionConfig(start=0.25, until=0.0)])
def test_full_size_throughout(resolution: ResolutionConfig) -> None:
    assert {scale_at(replace(QUARTER, resolution=resolution), s, 640) for s in (1, 2, 400, 800)} == {1.0}


@pytest.mark.parametrize("wrong", [{"start": 0.0}, {"start": 1.5}, {"until": 1.5}, {"min_px": 0}])
def test_a_schedule_that_cannot_be_says_so(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=rf"resolution\.{next(iter(wrong))}"):
        TrainConfig(resolution=ResolutionConfig(**wrong))  # type: ignore[arg-type]


def test_a_scaled_camera_sees_the_same_corners() -> None:
    view = View(101, 75, 90.0, 91.0, 50.0, 38.0, np.eye(3, 4, dtype=np.float32))
    small = scaled_view(view, 0.5)
    assert (small.width, small.height) == (50, 38)
    # The picture's corners lie on the same rays: (0 - c) / f and (size - c) / f do not change.
    for a, b in ((view, small),):
        assert a.cx / a.fx == pytest.approx(b.cx / b.fx)
        assert (a.width - a.cx) / a.fx == pytest.approx((b.width - b.cx) / b.fx)
        assert (a.height - a.cy) / a.fy == pytest.approx((b.height - b.cy) / b.fy)
    assert scaled_view(view, 1.0) is view


@dataclass(frozen=True, eq=False)
class Source:
    rgb: np.ndarray
    mask: np.ndarray | None


def test_photos_shrink_to_means_and_keep_whole_pixels_only() -> None:
    rgb = np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5
    mask = np.full((4, 4), 255, np.uint8)
    mask[0, 3] = 0
    small, kept = photo_at(Source(rgb, mask), 2, 2)
    means = rgb.reshape(2, 2, 2, 2, 3).mean((1, 3))
    assert np.abs(small - means).max() <= 0.5  # rounding to bytes
    assert kept is not None
    assert kept.tolist() == [[255, 0], [255, 255]]
    same, _ = photo_at(Source(rgb, None), 4, 4)
    assert np.array_equal(same, rgb)
