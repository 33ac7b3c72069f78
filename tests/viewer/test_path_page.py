"""The camera path in the page: keyframes, the curve that Python has, the preview, the file and the film."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diorama.render.formats import read_splats
from diorama.render.metrics import psnr
from diorama.render.paths import look_at, read_path
from diorama.render.rasterize import rasterize
from diorama.studio.scene import Scene

from .conftest import TOKEN, Tab, serving
from .scene_folder import edited_app, make_scene_folder
from .test_edit_twin import SOURCES, node
from .test_page import at_rest

__all__ = ["node"]
NewTab = Callable[..., Tab]
SIZE = (700, 520)
RUN = """
import { readFileSync } from "node:fs";
import { centreOf, frameTimes, placeAt } from "./spline.ts";
const paths = JSON.parse(readFileSync(0, "utf8"));
const film = ({ keyframes, fps }) => frameTimes(keyframes, fps).map((time) => {
  const place = placeAt(keyframes, time);
  const size = Math.hypot(...place.quaternion_wxyz);
  return [...centreOf(place), ...place.quaternion_wxyz.map((v) => v / size)];
});
console.log(JSON.stringify(paths.map(film)));
"""


def document(rng: np.random.Generator, count: int, fps: float) -> dict[str, Any]:
    poses = [look_at(rng.normal(size=3) * 3 + [0, 0, 2], rng.normal(size=3) * 0.3) for _ in range(count)]
    times = np.cumsum(rng.uniform(0.2, 2.0, count))
    signs = rng.choice([-1.0, 1.0], count)  # both quaternions of a rotation mean the same
    keys = [
        {"time_s": float(t), "quaternion_wxyz": (s * p.quaternion).tolist(), "translation": p.translation.tolist()}
        for t, s, p in zip(times, signs, poses, strict=True)
    ]
    camera = {"width_px": 64, "height_px": 48, "fx": 60, "fy": 60, "cx": 32, "cy": 24}
    return {"format": "diorama-camera-path", "version": 1, "fps": fps, "camera": camera, "keyframes": keys}


def test_the_page_s_curve_is_python_s(node: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    paths = [document(rng, count, fps) for count, fps in ((1, 30), (2, 24), (3, 10), (7, 12.5))]
    (tmp_path / "spline.ts").write_text(
        (SOURCES.parent / "path" / "spline.ts").read_text().replace("../edit/sim3", "./sim3.ts")
    )
    (tmp_path / "sim3.ts").write_text((SOURCES / "sim3.ts").read_text())
    (tmp_path / "run.mjs").write_text(RUN)
    command = [node, "--no-warnings", "run.mjs"]
    ran = subprocess.run(command, cwd=tmp_path, input=json.dumps(paths), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    for path, frames in zip(paths, json.loads(ran.stdout), strict=True):
        (tmp_path / "path.json").write_text(json.dumps(path))
        poses = read_path(tmp_path / "path.json").frames()
        assert len(frames) == len(poses)
        for frame, pose in zip(frames, poses, strict=True):
            # Doubles on both sides, in another order of additions.
            assert np.allclose(frame[:3], pose.origin_in_source, atol=1e-9)
            assert np.isclose(abs(np.dot(frame[3:], pose.quaternion)), 1, atol=1e-12)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return make_scene_folder(tmp_path / "yard")


@pytest.fixture
def tab(new_tab: NewTab, scene: Scene, bundle: Path, tmp_path: Path) -> Iterator[Tab]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with serving(lambda p: edited_app(scene, bundle, scratch, p)) as port:
        tab = new_tab(*SIZE)
        tab.page.goto(f"http://127.0.0.1:{port}/?token={TOKEN}")
        tab.ready()
        tab.page.click("#path")
        tab.page.wait_for_selector("#path-add")
        yield tab


def three_views(tab: Tab) -> None:
    for _ in range(3):
        tab.page.click("#path-add")
        tab.page.mouse.move(150, 300)
        tab.page.mouse.down()
        tab.page.mouse.move(200, 300, steps=2)
        tab.page.mouse.up()
        at_rest(tab)


def downloaded(tab: Tab) -> dict[str, Any]:
    with tab.page.expect_download() as download:
        tab.page.click("#path-download")
    value = json.loads(Path(download.value.path()).read_text())
    assert isinstance(value, dict)
    return value


def times(tab: Tab) -> list[float]:
    return [float(k["time_s"]) for k in downloaded(tab)["keyframes"]]


@pytest.mark.browser
def test_keyframes_are_added_ordered_timed_and_removed(tab: Tab, tmp_path: Path) -> None:
    assert tab.page.is_disabled("#path-play") and tab.page.is_disabled("#path-render")
    three_views(tab)
    first = downloaded(tab)
    places = [k["translation"] for k in first["keyframes"]]
    assert len(places) == 3 and first["keyframes"][0]["time_s"] == 0
    assert np.all(np.diff(times(tab)) >= 1) and not np.allclose(places[0], places[1])
    tab.page.click("#path-down-1")
    swapped = downloaded(tab)["keyframes"]
    assert [k["translation"] for k in swapped] == [places[1], places[0], places[2]]
    tab.page.click("#path-up-2")
    assert [k["translation"] for k in downloaded(tab)["keyframes"]] == places
    gap = times(tab)[2] - times(tab)[1]
    tab.page.fill("#path-time-2", "4.5")
    tab.page.press("#path-time-2", "Enter")
    assert times(tab) == pytest.approx([0, 4.5, 4.5 + gap])
    tab.page.click("#path-remove-1")
    left = downloaded(tab)
    assert [k["translation"] for k in left["keyframes"]] == places[1:] and left["keyframes"][0]["time_s"] == 0
    tab.page.select_option("#path-size", "1080 x 1080")
    tab.page.fill("#path-fps", "24")
    path = tmp_path / "path.json"
    path.write_text(json.dumps(downloaded(tab)))
    read = read_path(path)
    assert (read.camera.width_px, read.camera.height_px, read.fps) == (1080, 1080, 24)
    assert tab.errors == []


@pytest.mark.slow
@pytest.mark.browser
def test_the_preview_flies_and_a_view_is_gone_to(tab: Tab) -> None:
    three_views(tab)
    tab.page.fill("#path-time-2", "0.3")
    tab.page.press("#path-time-2", "Enter")
    before = int(tab.page.evaluate("Number(document.body.dataset.frames)"))
    tab.page.click("#path-play")
    assert tab.page.inner_text("#path-play") == "Stop"
    tab.wait("document.getElementById('path-play').textContent === 'Play'")
    assert int(tab.page.evaluate("Number(document.body.dataset.frames)")) > before + 3
    assert float(tab.page.input_value("#path-scrub")) == 1
    # At a keyframe the view is that keyframe's: adding it again gives the same place.
    tab.page.click("#path-go-1")
    tab.page.click("#path-add")
    keys = downloaded(tab)["keyframes"]
    assert np.allclose(keys[3]["translation"], keys[0]["translation"], atol=1e-6)
    assert np.isclose(abs(np.dot(keys[3]["quaternion_wxyz"], keys[0]["quaternion_wxyz"])), 1, atol=1e-9)


@pytest.mark.browser
def test_the_server_makes_the_film(tab: Tab, scene: Scene, tmp_path: Path) -> None:
    import av

    tab.page.click("#path-add")
    with tab.page.expect_download() as download:
        tab.page.click("#path-render")
        tab.page.wait_for_selector("#path-video", timeout=60_000)
        tab.page.click("#path-video")
    film = tmp_path / "film.mp4"
    download.value.save_as(film)
    path = tmp_path / "path.json"
    path.write_text(json.dumps(downloaded(tab)))
    asked = read_path(path)
    with av.open(str(film)) as container:
        (picture,) = (frame.to_ndarray(format="rgb24") for frame in container.decode(video=0))
    expected = rasterize(read_splats(scene.folder("train") / "splats.ply"), asked.camera, asked.frames()[0]).rgb
    assert picture.shape == (720, 1280, 3)
    # x264 at quality 18, and 4:2:0 colour: measured 44 dB.
    assert psnr(picture.astype(np.float32) / 255, np.clip(expected, 0, 1)) > 35
    assert tab.errors == []


@pytest.mark.slow
@pytest.mark.browser
def test_a_film_can_be_cancelled(tab: Tab) -> None:
    three_views(tab)
    tab.page.fill("#path-time-2", "60")
    tab.page.press("#path-time-2", "Enter")
    tab.page.click("#path-render")
    tab.page.click("#path-cancel")
    tab.wait("document.getElementById('panel-path').textContent.includes('Cancelled')", timeout_s=90)
    assert tab.page.is_enabled("#path-render") and re.search("Cancelled", tab.page.inner_text("#panel-path"))
