"""Networks are fed as the registry says, and what they are not is said in one sentence."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from diorama.capture.errors import InputError
from diorama.reconstruct.depth.networks import DepthNetwork, fed_size, prepared, tile_boxes
from diorama.render.model_registry import NETWORKS, DepthForm, Network, Tiling
from diorama.render.models import find_model

from ..onnx_files import mean_network

FORM = DepthForm(says="disparity", short_px=32, multiple=8, outputs=("out",))


def toy(form: DepthForm) -> Network:
    return dataclasses.replace(NETWORKS["tcmonodepth"], name="toy", depth=form)


def grey(height: int, width: int, value: int = 128) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def ramp(height: int, width: int) -> np.ndarray:
    """Brightness rises from left to right."""
    row = np.linspace(10, 245, width).astype(np.uint8)
    return np.repeat(np.broadcast_to(row, (height, width))[..., None], 3, axis=-1)


def test_sides_are_multiples_near_the_shape() -> None:
    assert fed_size(900, 1600, FORM) == (32, 56)
    assert fed_size(1600, 900, FORM) == (56, 32)
    assert fed_size(10, 10, FORM) == (32, 32)
    with pytest.raises(InputError, match="too long and thin"):
        fed_size(1, 10_000_000, FORM)


def test_value_range_mean_and_deviation(tmp_path: Path) -> None:
    form = dataclasses.replace(FORM, value_range=255.0, mean=(1.0, 2.0, 3.0), std=(2.0, 2.0, 4.0))
    said = DepthNetwork(toy(form), mean_network(tmp_path / "n.onnx")).predict(grey(40, 60))
    expected = np.mean([(128 - 1) / 2, (128 - 2) / 2, (128 - 3) / 4])
    np.testing.assert_allclose(said, expected, rtol=1e-6)  # float32 sums of three numbers
    assert said.shape == (32, 48)


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (1, 1, 3, 64, 64)])
def test_a_file_that_fixes_its_size_gets_the_picture_in_a_letterbox(tmp_path: Path, shape: tuple[int, ...]) -> None:
    said = DepthNetwork(toy(FORM), mean_network(tmp_path / "n.onnx", shape)).predict(ramp(40, 80))
    assert said.shape == (32, 64), "the bars above and below are not part of the answer"
    # The resize is bicubic with antialiasing: straight inside, with an overshoot at the last pixels.
    inner = said[:, 4:-4]
    expected = (10 + ((np.arange(64) + 0.5) * 80 / 64 - 0.5) * 235 / 79)[4:-4] / 255
    np.testing.assert_allclose(inner, np.broadcast_to(expected, inner.shape), atol=1.5 / 255)
    fed, box = prepared(PIL.Image.fromarray(ramp(40, 80)), FORM, (64, 64))
    assert box == (16, 0, 48, 64) and np.ptp(fed[:, :16]) < 1e-6, "the bars hold one colour"


def test_stretching_is_undone_by_covering_the_same_picture(tmp_path: Path) -> None:
    form = dataclasses.replace(FORM, fit="stretch")
    said = DepthNetwork(toy(form), mean_network(tmp_path / "n.onnx", (1, 3, 64, 64))).predict(ramp(40, 80))
    assert said.shape == (64, 64) and (np.diff(said[32]) > 0).all()


def test_half_precision_further_inputs_and_masks(tmp_path: Path) -> None:
    form = dataclasses.replace(FORM, given=(("tokens", 7),), kept=("mask", 0.5))
    path = mean_network(tmp_path / "n.onnx", half=True, tokens="tokens", mask="mask")
    said = DepthNetwork(toy(form), path).predict(ramp(32, 64))
    assert np.isnan(said[:, :28]).all() and (said[:, 36:] > 0.5).all()
    sky = dataclasses.replace(form, kept=None, dropped=("mask", 0.5))
    said = DepthNetwork(toy(sky), path).predict(ramp(32, 64))
    assert (said[:, :28] < 0.5).all() and np.isnan(said[:, 36:]).all()


def test_parts_cover_everything_and_overlap() -> None:
    for height, width in ((50, 50), (64, 200), (333, 217)):
        seen = np.zeros((height, width), int)
        boxes = tile_boxes(height, width, 64, 0.25)
        for top, left, bottom, right in boxes:
            assert bottom - top == min(64, height) and right - left == min(64, width)
            seen[top:bottom, left:right] += 1
        assert seen.min() >= 1
        columns = sorted({(left, right) for _, left, _, right in boxes})
        assert all(b[0] <= a[1] - 16 for a, b in itertools.pairwise(columns))


def test_a_tiled_answer_is_the_whole_one_where_the_network_is_local(tmp_path: Path) -> None:
    form = dataclasses.replace(FORM, tiling=Tiling(32))
    rgb = ramp(64, 128)
    network = DepthNetwork(toy(form), mean_network(tmp_path / "n.onnx"))
    said = network.predict(rgb, 128)
    assert said.shape == (64, 128) and network.predict(rgb, 64).shape == (32, 64)
    # Bicubic overshoot at the ends of the coarse picture bends it by up to one level of grey in 255.
    np.testing.assert_allclose(said[:, 8:-8], rgb[:, 8:-8, 0] / 255, atol=3 / 255)


def test_what_is_no_depth_network_is_said_in_one_sentence(tmp_path: Path) -> None:
    bad = tmp_path / "bad.onnx"
    for content in (b"", b"not a network", mean_network(tmp_path / "n.onnx").read_bytes()[:40]):
        bad.write_bytes(content)
        with pytest.raises(InputError, match=r"bad\.onnx cannot be loaded as an ONNX network"):
            DepthNetwork(toy(FORM), bad)
    with pytest.raises(InputError, match="asks for 'tokens'"):
        DepthNetwork(toy(FORM), mean_network(bad, tokens="tokens"))
    with pytest.raises(InputError, match="asks for 'input'"):
        DepthNetwork(toy(FORM), mean_network(bad, (1, 7, "h", "w")))
    with pytest.raises(InputError, match="wants pictures of 100000x100000"):
        DepthNetwork(toy(FORM), mean_network(bad, (1, 3, 100_000, 100_000)))
    with pytest.raises(InputError, match=r"1x1x1x1 numbers in 'out' instead of a map"):
        DepthNetwork(toy(FORM), mean_network(bad, everything=True)).predict(grey(32, 32))
    with pytest.raises(InputError, match=r"fails on a picture of 32x32 .*is it the toy network"):
        DepthNetwork(toy(FORM), mean_network(bad, (2, 3, "h", "w"))).predict(grey(32, 32))


def test_every_depth_network_of_the_registry_says_how_it_is_fed() -> None:
    forms = {name: network.depth for name, network in NETWORKS.items() if network.depth is not None}
    wanted = {"small", "base", "large"}
    assert {f"depth_anything_v2_{size}" for size in wanted} <= set(forms)
    for name, form in forms.items():
        assert form.short_px % form.multiple == 0 or form.fit == "aspect", name
        network = NETWORKS[name]
        assert (network.sha256 is None) == (network.size_bytes is None), name
        assert network.sha256 is not None or network.source is None, f"{name} would be downloaded unchecked"


@pytest.mark.parametrize("name", ["tcmonodepth", "fastdepth"])
def test_the_networks_at_hand_run(footage: Path, name: str) -> None:
    """A banana on a table: what stands in the middle is nearer than the table behind it (TCMonoDepth)."""
    path = find_model(name, footage / "weights")
    assert path is not None
    photo = sorted((footage / "photos" / "banana" / "images").iterdir())[5]
    with PIL.Image.open(photo) as picture:
        picture.thumbnail((640, 640))
        rgb = np.asarray(picture.convert("RGB"))
    said = DepthNetwork(NETWORKS[name], path, threads=1).predict(rgb)
    assert np.isfinite(said).all() and abs(said.shape[1] / said.shape[0] - rgb.shape[1] / rgb.shape[0]) < 0.05
    if name == "tcmonodepth":
        height, width = said.shape
        assert said[height // 2, width // 2] > 1.3 * np.median(said[: height // 10])
    else:
        assert 0.1 < np.median(said) < 10, "metres"
