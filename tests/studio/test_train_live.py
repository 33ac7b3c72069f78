"""A training that somebody ends in a page: it is a finished stage, and the same command goes on from it."""

from __future__ import annotations

import asyncio
import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from diorama.reconstruct.train import PRESETS
from diorama.studio.pipeline import pose_imported, run_train
from diorama.studio.scene import Scene
from diorama.viewer.live import find_training
from diorama.viewer.live.wire import Connection

from .conftest import diorama

CONFIG = dataclasses.replace(
    PRESETS["preview"], steps=2_000, max_splats=300, max_size_px=64, backend="cpu", checkpoint_every=5_000
)


@pytest.fixture
def scene(dataset: Path, tmp_path: Path) -> Scene:
    assert diorama("ingest", dataset, "-o", tmp_path / "scene").code == 0
    opened = Scene.open(tmp_path / "scene")
    pose_imported(opened)
    return opened


def stop_at(root: Path, step: int) -> None:
    """Asks the training in `root` to stop once it is there."""

    async def ask() -> None:
        while (address := find_training(root)) is None:
            await asyncio.sleep(0.01)
        connection = await Connection.open(address.port, address.token)
        while (await connection.ask({"ask": "state"}))[0].get("step", step) < step:
            await asyncio.sleep(0.01)
        await connection.ask({"ask": "stop"})
        connection.close()

    asyncio.run(ask())


def test_stopped_by_hand_it_is_a_scene_and_goes_on(scene: Scene) -> None:
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(stop_at, scene.root, 20)
        stopped = run_train(scene, CONFIG)
        asked.result(10)
    steps = stopped.record.result["iterations"]
    assert 20 <= steps < CONFIG.steps
    assert (scene.folder("train") / "splats.ply").is_file()
    assert any("ended by hand" in text for text in stopped.record.result["warnings"])
    assert find_training(scene.root) is None

    told: list[object] = []
    finished = run_train(Scene.open(scene.root), CONFIG, on_event=told.append)
    assert finished.fresh
    assert finished.record.result["iterations"] == CONFIG.steps
    assert "unfinished" not in finished.record.result
    assert finished.record.fingerprint != stopped.record.fingerprint  # what was made of the first is out of date
    first = next(e.done for e in told if type(e).__name__ == "Progressed")  # type: ignore[attr-defined]
    assert first > steps  # it went on, and did not begin anew
    assert not run_train(Scene.open(scene.root), CONFIG).fresh
