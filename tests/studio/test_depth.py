"""`diorama depth`: maps, their record, not again when nothing changed, on from where it stopped, and wrong input.

The photos show their own disparity as brightness, and the network says brightness: what comes out is known.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from diorama.capture.camera import Camera
from diorama.capture.errors import InputError
from diorama.capture.events import Event, Progressed
from diorama.capture.nerfstudio import write_transforms
from diorama.capture.points_ply import write_points
from diorama.capture.transforms import Pose
from diorama.capture.types import SparsePoints
from diorama.reconstruct.depth import load_depth_maps
from diorama.reconstruct.depth.stage import DepthSettings, NetworkFile, choose_network, estimate_depths
from diorama.reconstruct.train import PRESETS
from diorama.render.model_registry import NETWORKS
from diorama.studio.pipeline import current_stages, load_posed_scene, report_inputs, run_depth, run_train
from diorama.studio.scene import Scene

from .conftest import diorama

HEIGHT, WIDTH, FRAMES = 96, 128, 5
NAMES = [f"images/frame_{i}.png" for i in range(FRAMES)]
FIRST = NAMES[0]


def true_depth() -> np.ndarray:
    """A floor at a slant with a step in it."""
    disparity = np.linspace(0.15, 0.6, HEIGHT)[:, None] + np.where(np.arange(WIDTH) < WIDTH // 2, 0.0, 0.25)
    return (1.0 / disparity).astype(np.float32)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, onnx_file: Callable[..., Path]) -> Path:
    """A folder with `scene`, posed, and `toy.onnx`."""
    folder = tmp_path_factory.mktemp("depth")
    camera = Camera.pinhole(WIDTH, HEIGHT, WIDTH, WIDTH, WIDTH / 2, HEIGHT / 2)
    depth = true_depth()
    grey = np.round(255 * (1 / depth)).astype(np.uint8)
    (folder / "images").mkdir()
    poses = {}
    for i in range(FRAMES):
        name = NAMES[i]
        PIL.Image.fromarray(np.repeat(grey[..., None], 3, -1)).save(folder / name)
        poses[name] = Pose(np.eye(3), np.zeros(3))
    rng = np.random.default_rng(3)
    rows, columns = rng.integers(HEIGHT, size=400), rng.integers(WIDTH, size=400)
    rays = camera.rays(np.stack([columns + 0.5, rows + 0.5], -1))
    xyz = rays / rays[:, 2:] * depth[rows, columns][:, None]
    points = SparsePoints(xyz, np.full((400, 3), 99, np.uint8), np.ones(400), np.full(400, 3, np.int32))
    write_points(points, folder / "sparse.ply")
    images = {name: name for name in poses}
    write_transforms(
        folder / "transforms.json", dict.fromkeys(poses, camera), poses, images, ply_file_path="sparse.ply"
    )
    assert diorama("ingest", folder, "-o", folder / "scene").code == 0
    onnx_file(folder / "toy.onnx")
    return folder


@pytest.fixture
def scene(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made / "scene", tmp_path / "scene")
    return tmp_path / "scene"


def test_from_the_command_line(made: Path, scene: Path) -> None:
    command = ("depth", scene, "--method", "network", "--network", "tcmonodepth", "--network-file", made / "toy.onnx")
    ran = diorama(*command, "--size", 96, "--json")
    assert ran.code == 0, ran.err
    found = ran.json()
    errors = found["held_out"]
    assert isinstance(errors, dict) and errors["median"] < 0.01 and errors["points"] > 50 * FRAMES
    assert found["fresh"] is True and found["maps"] == FRAMES and found["network"] == "tcmonodepth"
    assert "is not the tcmonodepth file that Diorama knows" in ran.err
    maps = load_depth_maps(scene)
    assert len(maps) == FRAMES
    depth = maps[FIRST].depth
    assert depth.shape == (72, 96)
    truth = np.asarray(PIL.Image.fromarray(true_depth()).resize((96, 72), PIL.Image.Resampling.NEAREST))
    assert np.median(np.abs(depth / truth - 1)) < 0.02
    record = json.loads((scene / "depth" / "depth.json").read_text())
    assert [row["name"] for row in record["frames"]] == NAMES
    files = (p.name for p in (scene / "depth").rglob("*") if p.is_file())
    assert sorted(files) == ["depth.json", *(f"frame_{i}.png.npz" for i in range(FRAMES))]
    stage = json.loads((scene / "scene.json").read_text())["stages"]["depth"]
    assert stage["config"] == {"method": "network", "network": "tcmonodepth", "size_px": 96}

    again = diorama(*command, "--size", 96, "--json")
    assert again.code == 0 and again.json()["fresh"] is False
    other = diorama(*command, "--size", 64)
    assert other.code == 0 and "held-out points: median error" in other.out, other.err
    assert load_depth_maps(scene)[FIRST].depth.shape == (48, 64)


class Stop:
    """Presses Ctrl-C after some frames."""

    def __init__(self, after: int) -> None:
        self.after, self.done = after, []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progressed):
            self.done.append(event.done)
            if event.done == self.after:
                raise KeyboardInterrupt


def test_it_goes_on_where_it_stopped(made: Path, scene: Path, tmp_path: Path) -> None:
    diorama("depth", scene, "--method", "network")  # only to take the imported poses over; there is no network
    posed = load_posed_scene(Scene.open(scene))
    network = NetworkFile(NETWORKS["tcmonodepth"], made / "toy.onnx", "0" * 64)
    settings = DepthSettings("network", "tcmonodepth", 96)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        estimate_depths(posed, out, settings, network, on_event=Stop(2))
    first = (out / f"{FIRST}.npz").read_bytes()
    stamp = (out / f"{FIRST}.npz").stat().st_mtime_ns
    heard = Stop(-1)
    summary = estimate_depths(posed, out, settings, network, on_event=heard)
    assert heard.done[0] >= 2 and heard.done[-1] == FRAMES
    assert (out / f"{FIRST}.npz").stat().st_mtime_ns == stamp and summary["maps"] == FRAMES
    whole = estimate_depths(posed, tmp_path / "whole", settings, network)
    assert (tmp_path / "whole" / f"{FIRST}.npz").read_bytes() == first
    assert whole["held_out"] == summary["held_out"]


def test_what_cannot_be_done_is_one_sentence(
    made: Path, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    diorama("depth", scene, "--network", "oracle").assert_bad_input("oracle", "tcmonodepth")
    (tmp_path / "bad.onnx").write_bytes(b"nonsense")
    bad = ("--method", "network", "--network", "tcmonodepth", "--network-file", tmp_path / "bad.onnx", "--quiet")
    ran = diorama("depth", scene, *bad)
    assert ran.code == 2 and "bad.onnx cannot be loaded" in ran.err and "Traceback" not in ran.err

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DIORAMA_MODELS", raising=False)
    toy, missing = made / "toy.onnx", tmp_path / "no.onnx"
    for words, given in (
        (r"No depth network .*--models", {}),
        ("tcmonodepth is not on this machine", {"name": "tcmonodepth"}),
        ("--network-file", {"name": "depth_pro"}),
        ("--network NAME", {"file": toy}),
        (r"no\.onnx does not exist", {"name": "depth_pro", "file": missing}),
    ):
        with pytest.raises(InputError, match=words):
            choose_network("network", **given)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="--size 1 "):
        DepthSettings(size_px=1)


def test_a_network_is_only_taken_by_its_hash_or_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DIORAMA_MODELS", raising=False)
    assert choose_network("mvs") is None and choose_network("auto") is None
    (tmp_path / "depth_pro.onnx").write_bytes(b"x")
    assert choose_network("auto", models=tmp_path) is None, "a name alone is no proof"
    found = choose_network("auto", "depth_pro", file=tmp_path / "depth_pro.onnx")
    assert found is not None and found.network.name == "depth_pro" and len(found.sha256) == 64


def test_a_training_takes_them_over(made: Path, scene: Path) -> None:
    """And is made anew when the maps are; a weight of 0 does not look at them."""
    diorama("depth", scene, "--method", "network")  # only to take the imported poses over; there is no network
    opened = Scene.open(scene)
    network = NetworkFile(NETWORKS["tcmonodepth"], made / "toy.onnx", "0" * 64)
    config = dataclasses.replace(PRESETS["preview"], steps=3, max_splats=300, max_size_px=64, backend="cpu")
    assert run_train(opened, config).record.result["depth_maps"] is None
    run_depth(opened, DepthSettings("network", "tcmonodepth", 64), network)
    with_maps = run_train(opened, config)
    assert with_maps.fresh and with_maps.record.result["depth_maps"] == "depth"
    assert not run_train(opened, config).fresh
    run_depth(opened, DepthSettings("network", "tcmonodepth", 96), network)
    assert run_train(opened, config).fresh
    without = run_train(opened, dataclasses.replace(config, depth=config.depth.of_weight(0.0)))
    assert without.fresh and without.record.result["depth_maps"] is None
    assert "depth" in current_stages(opened) and report_inputs(opened).depth is not None
