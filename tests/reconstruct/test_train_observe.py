"""A training that is looked at is the same training; one that is ended by its observer can go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diorama import kernels
from diorama.capture.errors import InputError
from diorama.reconstruct.train import Box, Start, TrainConfig, TrainResult, Watched, train_splats
from diorama.reconstruct.train.observe import read_crop, write_crop
from diorama.render.metrics import psnr
from diorama.render.rasterize import rasterize

from .conftest import WORLD_OFFSET, WORLD_SCALE, SplatScene

CONFIG = TrainConfig(
    steps=60,
    max_size_px=None,
    hold_out="none",
    max_splats=100,
    start=Start(min_points=60),
    checkpoint_every=30,
    log_every=30,
    backend="cpu",
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On several threads a step's sums are added in another order every time."""
    before = kernels.thread_count()
    kernels.set_thread_count(1)
    yield
    kernels.set_thread_count(before)


def as_bytes(result: TrainResult) -> bytes:
    s = result.splats
    return b"".join(a.tobytes() for a in (s.means, s.quats, s.log_scales, s.logit_opacities, s.sh))


class Observer:
    """Calls `look` after every step; goes on until step `end`."""

    def __init__(self, look: Callable[[Watched], None] = lambda training: None, end: int = 1 << 30) -> None:
        self.look, self.end = look, end
        self.steps = list[int]()

    def between_steps(self, training: Watched, interrupted: Callable[[], bool]) -> bool:
        self.steps.append(training.step)
        self.look(training)
        return training.step < self.end


@pytest.mark.parametrize("antialiased", [False, True])
def test_looking_changes_no_byte(splat_scene: SplatScene, tmp_path: Path, antialiased: bool) -> None:
    scene = splat_scene(views=4, width=24, height=18)
    config = replace(CONFIG, antialiased=antialiased, exposure="affine", refine_poses=True)
    alone = train_splats(scene, tmp_path / "alone", config)
    camera, pose = scene.camera(scene.registered[0]), scene.cam_from_world["view_00.png"]

    def look(training: Watched) -> None:
        training.splats(most=20, box=Box((0, -40, -10), (60, 10, 20)))
        training.picture(camera, pose)
        training.photo(1)
        training.rendering(2)

    observer = Observer(look)
    watched = train_splats(scene, tmp_path / "watched", config, observer=observer)
    assert observer.steps == list(range(1, 61))
    assert as_bytes(watched) == as_bytes(alone)
    assert watched.history["loss"] == alone.history["loss"]


def test_ended_early_is_a_result_and_goes_on_to_the_same_bytes(splat_scene: SplatScene, tmp_path: Path) -> None:
    scene = splat_scene(views=4, width=24, height=18)
    whole = train_splats(scene, tmp_path / "whole", CONFIG)
    ended = train_splats(scene, tmp_path / "ended", CONFIG, observer=Observer(end=37))
    assert ended.steps == 37
    assert len(ended.splats) > 0
    resumed = train_splats(scene, tmp_path / "ended", CONFIG)
    assert resumed.resumed_from == 37
    assert as_bytes(resumed) == as_bytes(whole)


def test_what_is_seen_is_in_the_world(splat_scene: SplatScene, tmp_path: Path) -> None:
    """The trainer's own picture, the splats it shows and the final result agree from a camera of the world."""
    scene = splat_scene(views=6)
    camera, pose = scene.camera(scene.registered[0]), scene.cam_from_world["view_00.png"]
    seen: dict[str, np.ndarray] = {}

    def look(training: Watched) -> None:
        if training.step == 60:
            seen["picture"] = training.picture(camera, pose)
            seen["rendering"] = training.rendering(0)
            seen["splats"] = rasterize(training.splats(sh_degree=3), camera, pose, backend="cpu").rgb
            everything = Box((-1e6, -1e6, -1e6), (1e6, 1e6, 1e6))
            seen["box"] = training.picture(camera, pose, everything)

    result = train_splats(scene, tmp_path / "out", CONFIG, observer=Observer(look))
    last = rasterize(result.splats, camera, pose, backend="cpu").rgb
    assert last.std() > 0.05
    for name, picture in seen.items():
        # The same splats in two frames: float32 coordinates differ in the last digits. Measured 80 dB and more.
        assert psnr(np.clip(picture, 0, 1), np.clip(last, 0, 1)) > 60, name


def test_the_box_and_the_number_choose_splats(splat_scene: SplatScene, tmp_path: Path) -> None:
    scene = splat_scene(views=3, width=16, height=12)
    x = float(WORLD_OFFSET[0])
    half = Box((x, -1e6, -1e6), (1e6, 1e6, 1e6))
    found: dict[str, np.ndarray] = {}

    def look(training: Watched) -> None:
        if training.step == 5:
            whole = training.splats()
            found["whole"], found["half"] = whole.means, training.splats(box=half).means
            few = training.splats(most=7)
            found["few"] = few.means
            scales = np.sort(whole.log_scales, axis=1)
            weight = scales[:, 1] + scales[:, 2] + np.log(whole.opacities)
            found["best"] = whole.means[np.sort(np.argsort(weight)[-7:])]

    train_splats(scene, tmp_path / "out", replace(CONFIG, steps=5), observer=Observer(look))
    assert 0 < len(found["half"]) < len(found["whole"])
    np.testing.assert_array_equal(found["half"], found["whole"][found["whole"][:, 0] >= x])
    np.testing.assert_array_equal(found["few"], found["best"])


def test_the_crop_leaves_splats_out_of_the_result_and_outlives_a_break(splat_scene: SplatScene, tmp_path: Path) -> None:
    scene = splat_scene(views=3, width=16, height=12)
    centre, side = WORLD_OFFSET, 0.4 * WORLD_SCALE
    box = Box(tuple(centre - side), tuple(centre + side))

    def crop(training: Watched) -> None:
        training.crop = box

    whole = train_splats(scene, tmp_path / "whole", CONFIG)
    train_splats(scene, tmp_path / "out", CONFIG, observer=Observer(crop, end=10))
    result = train_splats(scene, tmp_path / "out", CONFIG)
    inside = whole.splats.select(box.holds(whole.splats.means))
    assert 0 < len(inside) < len(whole.splats)
    assert result.splats.means.tobytes() == inside.means.tobytes()
    assert result.removed["crop"] == len(whole.splats) - len(inside)


@pytest.mark.parametrize("text", ["", "{}", '{"box": [1, 2, 3]}', '{"box": [0, 0, 0, 0, 1, 1]}', '{"box": "012345"}'])
def test_a_damaged_crop_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "crop.json").write_text(text)
    with pytest.raises(InputError, match=r"crop\.json is damaged"):
        read_crop(tmp_path)


def test_a_crop_is_kept_and_taken_back(tmp_path: Path) -> None:
    box = Box((0.0, 1.0, 2.0), (3.0, 4.0, 5.0))
    write_crop(tmp_path / "new", box)
    assert read_crop(tmp_path / "new") == box
    write_crop(tmp_path / "new", None)
    assert read_crop(tmp_path / "new") is None
    with pytest.raises(ValueError, match="no box"):
        Box((0.0, float("nan"), 0.0), (1.0, 1.0, 1.0))
