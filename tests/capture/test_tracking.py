"""The tracker finds motions that are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from diorama.capture.photo_ingest import grey_at
from diorama.capture.tracking import coarse_shift, find_corners, fit_similarity, make_view, measure_motion, track

Window = Callable[..., np.ndarray]


def moved(window: Window, angle: float, zoom: float, shift: tuple[float, float]) -> np.ndarray:
    """A grey view (240, 320) whose content is that of the first view turned, zoomed and shifted about its middle."""
    c, s = np.cos(angle) / zoom, np.sin(angle) / zoom
    cx, cy = 600 + 159.5, 400 + 119.5
    # Pillow wants, for each pixel of the result, where it comes from.
    x0, y0 = -159.5 - shift[0], -119.5 - shift[1]
    matrix = (c, s, cx + c * x0 + s * y0, -s, c, cy - s * x0 + c * y0)
    plane = Image.fromarray(window(0, 0, 1600, 1200)).convert("L")
    return np.asarray(plane.transform((320, 240), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC))


@pytest.mark.parametrize(
    ("angle", "zoom", "shift"),
    [
        (0, 1, (3.4, -2.2)),
        (0, 1, (25, 10)),
        (0, 1, (-60, 0)),
        (0.06, 1, (5, 5)),
        (0, 1.08, (0, 0)),
        (-0.05, 0.95, (12, -9)),
    ],
)
def test_known_motions(window: Window, angle: float, zoom: float, shift: tuple[float, float]) -> None:
    first, second = make_view(moved(window, 0, 1, (0, 0))), make_view(moved(window, angle, zoom, shift))
    motion = measure_motion(first, second)
    assert motion is not None and motion.share > 0.6
    c, s = zoom * np.cos(angle), zoom * np.sin(angle)
    scale = 1000 / 320
    expected = np.array([[c, -s, shift[0] * scale], [s, c, shift[1] * scale]])
    np.testing.assert_allclose(motion.similarity[:, :2], expected[:, :2], atol=0.003)
    np.testing.assert_allclose(motion.similarity[:, 2], expected[:, 2], atol=0.7)  # 0.2 px of the small picture
    assert motion.residual_px < 1.0  # what frames.NOISE_PX stands for


def test_parallax_is_what_the_similarity_leaves(window: Window) -> None:
    """Two planes: the lower half moves by 12 px, the upper by 4."""
    first = moved(window, 0, 1, (0, 0))
    second = np.vstack([moved(window, 0, 1, (4, 0))[:120], moved(window, 0, 1, (12, 0))[120:]])
    motion = measure_motion(make_view(first), make_view(second))
    assert motion is not None and motion.residual_px > 4


def test_a_cut_and_a_plain_picture_have_no_motion(window: Window) -> None:
    first = make_view(grey_at(window(0, 0), 320))
    assert measure_motion(first, make_view(grey_at(window(900, 700), 320))) is None
    plain = make_view(np.full((240, 320), 99, np.uint8))
    assert len(plain.corners) == 0 and measure_motion(plain, first) is None
    assert measure_motion(first, make_view(np.full((100, 320), 99, np.uint8))) is None


def test_corners_sit_on_corners() -> None:
    grey = np.full((120, 160), 40, np.float32)
    grey[40:80, 50:110] = 200
    corners = find_corners(grey)
    assert len(corners) >= 4
    for x, y in ((50, 40), (109, 40), (50, 79), (109, 79)):
        assert np.abs(corners - [x, y]).max(axis=1).min() <= 3


def test_features_that_leave_the_picture_are_lost(window: Window) -> None:
    first, second = make_view(moved(window, 0, 1, (0, 0))), make_view(moved(window, 0, 1, (60, 0)))
    _, found = track(first, second)
    assert not found[first.corners[:, 0] > 265].any() and found[first.corners[:, 0] < 250].mean() > 0.8


def test_coarse_shift_by_hand(window: Window) -> None:
    a = grey_at(window(100, 100), 80).astype(np.float32)
    b = np.roll(a, (3, -7), (0, 1))
    assert coarse_shift(a, b).tolist() == [-7, 3]
    assert coarse_shift(a, a).tolist() == [0, 0]


def test_a_similarity_survives_outliers() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(-300, 300, (60, 2))
    turn = 1.1 * np.array([[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]])
    q = p @ turn.T + [5, -8]
    q[:12] += rng.uniform(-100, 100, (12, 2))
    matrix, residual = fit_similarity(p, q)
    # Cauchy weights leave a trace of the outliers.
    np.testing.assert_allclose(matrix, np.column_stack([turn, [5, -8]]), atol=0.02)
    assert np.median(residual) < 0.02
