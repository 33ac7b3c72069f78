"""Sharpness falls with blur of every kind, whatever the contrast; neighbours set the measure."""

from __future__ import annotations

import numpy as np
import pytest

from diorama.capture.duplicates import find_copies, fingerprint, most_redundant, same_picture
from diorama.capture.quality import BLURRED_BELOW, clipped, judge, relative_sharpness, sharpness

RNG = np.random.default_rng(2)


def scene(size: int = 480) -> np.ndarray:
    """A picture with detail at every scale: noise whose amplitude falls with frequency, as in nature."""
    spectrum = np.fft.rfft2(np.random.default_rng(7).normal(size=(size, size)))
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    picture = np.fft.irfft2(spectrum / np.maximum(np.hypot(fx, fy), 1 / size), (size, size))
    return np.clip(128 + 40 * picture / picture.std(), 0, 255)


def blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    size = len(picture)
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    kernel = np.exp(-2 * (np.pi * sigma) ** 2 * (fx**2 + fy**2))
    return np.fft.irfft2(np.fft.rfft2(picture) * kernel, picture.shape)


def smeared(picture: np.ndarray, length: int, angle: float) -> np.ndarray:
    """Motion blur: the mean of shifted copies along a direction."""
    size = len(picture)
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    along = fx * np.cos(angle) + fy * np.sin(angle)
    kernel = sum(np.exp(-2j * np.pi * along * k) for k in np.arange(length) - (length - 1) / 2) / length
    return np.fft.irfft2(np.fft.rfft2(picture) * kernel, picture.shape)


def test_sharpness_falls_with_blur() -> None:
    values = [sharpness(blurred(scene(), s)) for s in (0, 0.5, 1, 2, 4)]
    assert values == sorted(values, reverse=True)
    assert values[2] < BLURRED_BELOW * values[0]


@pytest.mark.parametrize("angle", [0, 0.5, np.pi / 2, 2.5])
def test_motion_blur_counts_in_every_direction(angle: float) -> None:
    sharp = sharpness(scene())
    assert sharpness(smeared(scene(), 5, angle)) < BLURRED_BELOW * sharp
    # Blind to direction, mean gradients would keep most of their value: the other direction is as sharp as before.
    assert sharpness(smeared(scene(), 9, angle)) < sharpness(smeared(scene(), 5, angle))


def test_contrast_and_brightness_do_not_matter() -> None:
    sharp = sharpness(scene())
    assert sharpness(0.5 * scene() + 60) == pytest.approx(sharp, rel=0.02)  # the noise floor is constant


def test_plain_and_tiny_pictures_have_no_sharpness() -> None:
    assert sharpness(np.full((100, 100), 77, np.uint8)) == 0
    assert sharpness(np.zeros((4, 4), np.uint8)) == 0


def test_clipping() -> None:
    grey = np.full((10, 10), 100, np.uint8)
    grey[0] = 0
    grey[1:4] = 255
    assert clipped(grey) == (0.1, 0.3)
    assert judge(np.tile(grey, (4, 4))).clipped_bright == 0.3


def test_relative_sharpness_by_hand() -> None:
    np.testing.assert_allclose(relative_sharpness([1, 1, 0.5, 1, 1], 2), [1, 1, 0.5, 1, 1])
    # A quarter as sharp as everything around it, though the video as a whole gets softer.
    values = 0.97 ** np.arange(21)
    values[10] *= 0.25
    relative = relative_sharpness(values, 4)
    assert relative[10] == pytest.approx(0.25, rel=0.02) and np.all(np.delete(relative, 10) > 0.85)
    np.testing.assert_array_equal(relative_sharpness([5.0], 3), [1])
    np.testing.assert_array_equal(relative_sharpness([0.0, 0.0], 3), [1, 1])
    assert len(relative_sharpness([], 3)) == 0


def thumb(shift: int = 0) -> np.ndarray:
    return scene()[100 : 100 + 120, 100 + shift : 100 + 160 + shift].astype(np.uint8)


def test_copies_are_found_through_recoding_and_exposure() -> None:
    first = thumb()
    recoded = np.clip(first + RNG.normal(0, 2, first.shape), 0, 255).astype(np.uint8)
    brighter = np.clip(first * 1.1 + 5, 0, 255).astype(np.uint8)
    assert same_picture(first, recoded) and same_picture(first, brighter)
    assert not same_picture(first, thumb(1)) and not same_picture(first, first.T)
    thumbs = [first, thumb(40), recoded, brighter]
    assert find_copies(thumbs, [10, 10, 10, 10]) == {2: 0, 3: 0}
    assert find_copies(thumbs, [10, 10, 99, 10]) == {0: 2, 3: 2}  # the larger one is kept
    assert find_copies([], []) == {}


def test_a_small_thing_that_moved_is_no_copy() -> None:
    """A turntable: all is still but a tenth of the picture."""
    first = thumb()
    moved = first.copy()
    moved[50:66, 70:86] = first[50:66, 72:88]
    assert not same_picture(first, moved)


def test_the_most_redundant_go_first() -> None:
    thumbs = [thumb(0), thumb(2), thumb(90), thumb(200)]
    assert most_redundant(thumbs, [0.5, 0.4, 0.1, 0.1], 1) == {1: 0}  # of the two alike the softer one
    assert len(most_redundant(thumbs, [1, 1, 1, 1], 9)) == 3  # one always stays
    assert np.linalg.norm(fingerprint(thumbs[0])) == pytest.approx(1)
