"""Metrics against hand-computed truth and the published LPIPS example."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diorama.capture.errors import InputError
from diorama.render.metrics import lpips, psnr, ssim, ssim_map


def picture(seed: int = 3, height: int = 40, width: int = 52) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width, 3))


def test_psnr_of_a_constant_difference() -> None:
    a = np.full((5, 7, 3), 0.25)
    assert psnr(a, a + 0.1) == pytest.approx(20.0)  # -10 log10(0.1^2)
    assert psnr(a, a) == math.inf


def test_psnr_of_known_noise() -> None:
    rng = np.random.default_rng(0)
    a = np.full((300, 300, 3), 0.5)
    # The mean of n squared normals has a relative spread of sqrt(2 / n): 0.0027 here, 0.012 dB; four times that.
    assert psnr(a, a + rng.normal(0, 0.05, a.shape)) == pytest.approx(-20 * math.log10(0.05), abs=0.05)


def test_psnr_takes_bytes_and_masks() -> None:
    a = np.zeros((4, 4, 3), np.uint8)
    b = a.copy()
    b[0] = 255
    assert psnr(a, b) == pytest.approx(-10 * math.log10(0.25))
    mask = np.ones((4, 4), np.uint8)
    mask[0] = 0
    assert psnr(a, b, mask) == math.inf
    assert psnr(a, b, 1 - mask) == pytest.approx(0.0)


def test_ssim_of_equal_pictures_is_one() -> None:
    assert ssim(picture(), picture()) == pytest.approx(1.0, abs=1e-12)


def test_ssim_of_constant_pictures_is_the_luminance_term() -> None:
    """Far from the border a constant picture has no variance: SSIM = (2ab + C1) / (a^2 + b^2 + C1)."""
    a, b = np.full((31, 31, 3), 0.2), np.full((31, 31, 3), 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ssim_map(a, b)[15, 15] == pytest.approx(expected, abs=1e-9)


def test_ssim_against_a_direct_sum_at_one_pixel_and_at_the_corner() -> None:
    a, b = picture(1), picture(2)
    offset = np.arange(-5, 6)
    kernel = np.exp(-(offset[:, None] ** 2 + offset[None] ** 2) / 4.5)
    kernel /= kernel.sum()
    for y, x in ((20, 17), (0, 0), (39, 51)):
        padded = [np.pad(p, ((5, 5), (5, 5), (0, 0)))[y : y + 11, x : x + 11, 1] for p in (a, b)]
        mx, my = ((kernel * p).sum() for p in padded)
        vx, vy = ((kernel * p * p).sum() - m * m for p, m in zip(padded, (mx, my), strict=True))
        cov = (kernel * padded[0] * padded[1]).sum() - mx * my
        expected = (2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
        assert ssim_map(a, b)[y, x, 1] == pytest.approx(expected, abs=1e-12)


def test_ssim_of_an_inverted_picture_is_negative() -> None:
    """Noise about 0.5 against its negative: covariance is minus the variance, the means agree."""
    a = 0.5 + 0.4 * (picture() - 0.5)
    values = ssim_map(a, 1 - a)[8:-8, 8:-8]
    assert values.mean() < -0.8


def test_masked_ssim_ignores_what_is_hidden() -> None:
    a, b = picture(1), picture(1)
    b[:, :20] = picture(9)[:, :20]
    mask = np.ones(a.shape[:2], np.uint8)
    assert ssim(a, b, mask) == pytest.approx(ssim(a, b))
    mask[:, :20] = 0
    assert ssim(a, b) < 0.8
    assert ssim(a, b, mask) == pytest.approx(1.0, abs=1e-9)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="equal"):
        psnr(picture(), picture(height=41))
    with pytest.raises(ValueError, match="mask"):
        ssim(picture(), picture(), np.ones((3, 3)))
    with pytest.raises(ValueError, match="keeps no pixel"):
        psnr(picture(), picture(), np.zeros((40, 52)))
    with pytest.raises(ValueError, match="32 px"):
        lpips(picture(height=20), picture(height=20), "nowhere.onnx")


def test_lpips_reproduces_the_published_example(footage: Path) -> None:
    folder = footage / "weights" / "lpips_alex"
    ref, p0, p1 = (np.asarray(Image.open(folder / f"ex_{n}.png").convert("RGB")) for n in ("ref", "p0", "p1"))
    model = folder / "lpips_alex.onnx"
    # Four digits are known; the published example rounds to 0.722 and 0.138.
    assert lpips(ref, p0, model) == pytest.approx(0.7219, abs=1e-4)
    assert lpips(ref, p1, model) == pytest.approx(0.1376, abs=1e-4)
    assert lpips(ref, ref, model) == pytest.approx(0.0, abs=1e-6)


def test_a_file_that_is_no_network_gets_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "lpips_alex.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(InputError, match=r"lpips_alex\.onnx"):
        lpips(picture(), picture(), path)
