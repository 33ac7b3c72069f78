"""Measuring splats against photos: numbers by hand, masks, colour correction, honesty about what was held out."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diorama.capture import (
    Camera,
    Capture,
    Evaluated,
    Event,
    Finished,
    Frame,
    InputError,
    Pose,
    PosedScene,
    PoseSummary,
    SparsePoints,
    Started,
    Warned,
)
from diorama.reconstruct.evaluate import (
    ERROR_FULL_SCALE,
    PSNR_CAP_DB,
    EvaluateConfig,
    Evaluation,
    Means,
    ViewScore,
    correct_colours,
    error_map,
    evaluate_splats,
    load_evaluation,
    save_evaluation,
    score_pictures,
)
from diorama.render import Splats
from diorama.render.splats import SH_C0

SIZE = 48
CAMERA = Camera.pinhole(SIZE, SIZE, 48.0, 48.0, SIZE / 2, SIZE / 2)


def noise(seed: int = 0, low: float = 0.2, high: float = 0.8) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, (SIZE, SIZE, 3)).astype(np.float32)


def keep_all() -> np.ndarray:
    return np.ones((SIZE, SIZE), bool)


def test_a_constant_difference_has_a_known_psnr() -> None:
    """Off by 0.1 everywhere: mean squared error 0.01, PSNR 20 dB. An offset is all the colour map takes away."""
    truth = noise()
    score = score_pictures("a", truth, truth + np.float32(0.1))
    assert score is not None
    assert score.psnr_db == pytest.approx(20.0, abs=1e-3)
    assert score.psnr_corrected_db > 60  # float32 rounding of the map is all that is left
    assert score.valid == 1.0 and score.empty == 0.0 and score.lpips is None and score.pictures is None


def test_equal_pictures_stay_finite() -> None:
    truth = noise()
    score = score_pictures("a", truth, truth)
    assert score is not None and score.psnr_db == PSNR_CAP_DB and score.ssim == pytest.approx(1.0)


def test_masked_pixels_count_nowhere() -> None:
    truth, ours, mask = noise(), noise(), keep_all()
    mask[:, : SIZE // 2] = False
    ours[:, : SIZE // 2] = 1.0 - truth[:, : SIZE // 2]
    ours[:, SIZE // 2 :] += np.float32(0.1)
    alpha = np.ones((SIZE, SIZE), np.float32)
    alpha[:, : SIZE // 2] = 0.0
    alpha[: SIZE // 4, SIZE // 2 :] = 0.0
    score = score_pictures("a", truth, ours, mask, alpha=alpha)
    assert score is not None
    assert score.psnr_db == pytest.approx(20.0, abs=1e-3)
    assert score.valid == 0.5 and score.empty == pytest.approx(0.25)
    assert score_pictures("a", truth, ours, np.zeros_like(mask)) is None


def test_colour_correction_undoes_an_affine_map_and_spares_structure() -> None:
    """A gain, a mix of channels and an offset go; a picture of something else stays wrong."""
    truth = noise()
    mix = np.array([[0.7, 0.1, 0.0], [0.05, 0.6, 0.05], [0.0, 0.1, 0.8]], np.float32)
    ours = truth @ mix + np.float32(0.05)
    fixed = correct_colours(ours, truth, keep_all())
    # Exact up to float32 after the inverse map, whose gain is below 2.
    assert np.abs(fixed - truth).max() < 1e-5
    other = noise(seed=1)
    assert np.abs(correct_colours(other, truth, keep_all()) - truth).mean() > 0.1


def test_colour_correction_ignores_clipped_pixels_and_gives_up_on_few() -> None:
    truth = noise()
    ours = truth * np.float32(0.5)
    truth[: SIZE // 2] = 1.0  # burnt out: says nothing about the gain of the rest
    fixed = correct_colours(ours, truth, keep_all())
    assert np.abs(fixed - truth)[SIZE // 2 :].max() < 1e-5
    few = np.zeros((SIZE, SIZE), bool)
    few[0, :10] = True
    assert correct_colours(ours, truth, few) is ours


def test_the_error_map_has_one_scale() -> None:
    truth = np.full((4, 4, 3), 0.5, np.float32)
    ours = truth.copy()
    ours[1] += np.float32(ERROR_FULL_SCALE)
    ours[2] += np.float32(2 * ERROR_FULL_SCALE)
    keep = np.ones((4, 4), bool)
    keep[3] = False
    colours = error_map(truth, ours, keep)
    assert colours[0, 0].tolist() == [0, 0, 4]
    assert colours[1, 0].tolist() == colours[2, 0].tolist() == [252, 255, 164]
    assert colours[3, 0].tolist() == [128, 128, 128]


def test_means_are_over_views() -> None:
    views = [ViewScore(n, db, db + 1, s, lp, 0.0, 1.0) for n, db, s, lp in (("a", 20, 0.5, None), ("b", 30, 0.9, 0.2))]
    means = Means.of(views)
    assert (means.psnr_db, means.psnr_corrected_db, means.lpips) == (25.0, 26.0, 0.2)
    assert means.ssim == pytest.approx(0.7)
    assert Means.of([]) == Means(None, None, None, None)


def test_saved_evaluations_come_back_whole(tmp_path: Path) -> None:
    truth = noise()
    view = score_pictures("sub dir/ä.jpg", truth, truth * np.float32(0.9), picture_px=32)
    assert view is not None and view.pictures is not None
    assert Image.open(io.BytesIO(view.pictures.error)).size == (32, 32)
    told = Evaluation((view,), (), 48, 7, 0.5, ("careful",))
    save_evaluation(told, tmp_path)
    assert load_evaluation(tmp_path) == told
    (tmp_path / "evaluation.json").write_text('{"schema": 1}')
    with pytest.raises(InputError, match="run evaluate again"):
        load_evaluation(tmp_path)
    with pytest.raises(InputError, match="run evaluate again"):
        load_evaluation(tmp_path / "nowhere")


# With the real rasterizer


def one_splat_scene(folder: Path, names: Sequence[str], mask: bool = False) -> tuple[PosedScene, Splats]:
    """One opaque grey splat that fills the views of cameras 4 in front of it, and photos that are 0.6 grey."""
    grey = (0.6 - 0.5) / SH_C0
    splats = Splats(
        np.zeros((1, 3), np.float32),
        np.array([[1, 0, 0, 0]], np.float32),
        np.full((1, 3), math.log(40.0), np.float32),
        np.array([12.0], np.float32),
        np.full((1, 1, 3), grey, np.float32),
    )
    (folder / "masks").mkdir()
    frames = []
    for name in names:
        value = round(0.6 * 255)
        Image.new("RGB", (SIZE, SIZE), (value, value, value)).save(folder / name)
        if mask:
            Image.new("L", (SIZE, SIZE), 0).save(folder / "masks" / f"{name}.png")
        frames.append(Frame(name, 1, mask=f"{name}.png" if mask else None))
    capture = Capture(folder, folder / "masks", "photos", {1: CAMERA}, {1: True}, tuple(frames), given=len(frames))
    poses = {n: Pose(np.eye(3), np.array([0.01 * i, 0.0, 4.0])) for i, n in enumerate(names)}
    summary = PoseSummary("known", 0.1, 1)
    return PosedScene(capture, {1: CAMERA}, poses, SparsePoints.empty(), summary), splats


def test_evaluating_a_known_splat(tmp_path: Path) -> None:
    scene, splats = one_splat_scene(tmp_path, [f"{i}.png" for i in range(8)])
    events: list[Event] = []
    config = EvaluateConfig(max_size_px=SIZE, train_views=3, models=None, picture_px=SIZE)
    told = evaluate_splats(scene, splats, ["0.png", "4.png"], config, on_event=events.append)
    assert [v.name for v in told.held_out] == ["0.png", "4.png"]
    # Evenly spread over the six others: the first, one of the middle, the last.
    assert len(told.train) == 3 and told.train[0].name == "1.png" and told.train[-1].name == "7.png"
    assert not {v.name for v in told.train} & {"0.png", "4.png"}
    # The opacity is capped below one and the splat fades outwards by under 1 %: the grey is off by about as much.
    assert told.psnr_db is not None and told.psnr_db > 35
    assert told.ssim is not None and told.ssim > 0.95
    assert told.gap_db == pytest.approx(0.0, abs=0.5)
    assert all(v.pictures is not None for v in told.held_out) and all(v.pictures is None for v in told.train)
    assert isinstance(events[0], Started) and isinstance(events[-1], Finished)
    assert sum(isinstance(e, Evaluated) for e in events) == 5


def test_nothing_held_out_is_said_and_not_covered_up(tmp_path: Path) -> None:
    scene, splats = one_splat_scene(tmp_path, ["a.png", "b.png", "c.png"])
    events: list[Event] = []
    told = evaluate_splats(scene, splats, [], EvaluateConfig(max_size_px=SIZE), on_event=events.append)
    assert told.psnr_db is None and told.ssim is None and told.lpips is None and told.gap_db is None
    assert told.train_means.psnr_db is not None
    assert any("Nothing was held out" in w for w in told.warnings)
    assert any(isinstance(e, Warned) for e in events)


def test_held_out_names_that_cannot_be_used(tmp_path: Path) -> None:
    scene, splats = one_splat_scene(tmp_path, ["a.png", "b.png", "c.png"])
    del scene.cam_from_world["b.png"]  # type: ignore[attr-defined]
    told = evaluate_splats(scene, splats, ["a.png", "b.png"], EvaluateConfig(max_size_px=SIZE))
    assert [v.name for v in told.held_out] == ["a.png"]
    assert any("b.png" in w for w in told.warnings)
    with pytest.raises(InputError, match=r"zebra\.png"):
        evaluate_splats(scene, splats, ["zebra.png"], EvaluateConfig(max_size_px=SIZE))


def test_a_view_that_is_masked_whole_is_left_out(tmp_path: Path) -> None:
    scene, splats = one_splat_scene(tmp_path, ["a.png", "b.png"], mask=True)
    told = evaluate_splats(scene, splats, ["a.png"], EvaluateConfig(max_size_px=SIZE))
    assert told.held_out == () and told.psnr_db is None
    assert any("mask hides every pixel" in w for w in told.warnings)


def test_no_splats_at_all(tmp_path: Path) -> None:
    """Nothing to draw: black against 0.6 grey is -20 log10(0.6) = 4.44 dB, and every pixel is empty."""
    scene, _ = one_splat_scene(tmp_path, ["a.png", "b.png"])
    told = evaluate_splats(scene, Splats.empty(), ["a.png"], EvaluateConfig(max_size_px=SIZE))
    assert told.held_out[0].psnr_db == pytest.approx(4.437, abs=0.01)
    assert told.held_out[0].empty == 1.0
