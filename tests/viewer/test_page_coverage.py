"""Where to reshoot, on the page: colours by place, the legend, proposals to stand at; also in a published folder."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from diorama.capture.camera import Camera
from diorama.reconstruct.reshoot.store import COLUMNS, load_plan
from diorama.render.rasterize import rasterize
from diorama.viewer.publish import publish
from diorama.viewer.scene_data import ViewerScene
from diorama.viewer.server import create_app

from .conftest import TOKEN, Sample, Tab, looking_at, serving
from .test_page import Picture, at_rest, screenshot
from .test_page_publish import static_server

pytestmark = pytest.mark.browser

NewTab = Callable[..., Tab]
WIDTH, HEIGHT = 720, 500
LOW, CELL, SHAPE = (-1.5, -1.5, -0.5), 0.25, (12, 12, 12)
GREEN, RED = (40, 220, 90), (230, 40, 40)
PLACES = ((-1.6, -0.8, 1.9), (-3.9, 1.0, 1.6))


def jpeg() -> str:
    file = io.BytesIO()
    PIL.Image.new("RGB", (64, 48), (30, 60, 200)).save(file, "JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def coverage_value() -> dict[str, Any]:
    """All cells known: where x is negative nine photos saw it well, elsewhere none ever did."""
    cells = np.arange(np.prod(SHAPE))
    seen = cells // (SHAPE[1] * SHAPE[2]) < SHAPE[0] // 2
    columns = {
        "cells": cells, "kind": np.where(seen, 0, 1), "cameras": np.where(seen, 9, 0),
        "angle_deg": np.where(seen, 60, 0), "incidence_deg": np.where(seen, 10, 90),
        "sharpness": np.where(seen, 140, 0), "confidence": np.where(seen, 240, 0),
    }  # fmt: skip
    proposals = []
    for index, place in enumerate(PLACES):
        pose = looking_at(place, (0.0, 0.0, 1.0))
        proposals.append(
            {
                "width_px": 64, "height_px": 48, "fx": 60.0, "fy": 60.0, "cx": 32.0, "cy": 24.0,
                "cam_from_world": pose.matrix()[:3].tolist(), "target": [0.0, 0.0, 1.0], "gain": 3.0 - index,
                "what": f"Part {index + 1} is <b>never</b> seen.", "do": f"Go to place {index + 1}.",
                "shares": {"never": 1.0}, "thumbnail": jpeg(),
            }
        )  # fmt: skip
    return {
        "format": "diorama-coverage", "version": 1, "made_from": "x", "is_metric": False, "seconds": 1.0, "cameras": 3,
        "places": 9, "target_px_per_unit": 60.0, "distance": 3.0,
        "kinds": [
            {"name": "well", "words": "well seen", "colour": GREEN, "share": 0.5},
            {"name": "never", "words": "never seen", "colour": RED, "share": 0.5},
        ],
        "grid": {"low": LOW, "cell": CELL, "shape": SHAPE, "world_from_level": np.eye(3).tolist()},
        "samples": {
            "count": len(cells),
            **{n: base64.b64encode(columns[n].astype(t).tobytes()).decode() for n, t in COLUMNS.items()},
        },
        "proposals": proposals,
    }  # fmt: skip


@pytest.fixture(scope="module")
def covered(small: Sample, tmp_path_factory: pytest.TempPathFactory) -> ViewerScene:
    path = tmp_path_factory.mktemp("coverage") / "coverage.json"
    path.write_text(json.dumps(coverage_value()))
    assert load_plan(path.parent) is not None  # the writer's own reader takes what this test made up
    # From the front: x runs to the right.
    return dataclasses.replace(
        small.scene, coverage=path, home_position=(0.0, -5.0, 1.0), home_target=(0.0, 0.0, 1.0), home_up=(0.0, 0.0, 1.0)
    )


@pytest.fixture(scope="module")
def origin(covered: ViewerScene, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    scratch = tmp_path_factory.mktemp("scratch")
    with serving(lambda p: create_app(covered, bundle, token=TOKEN, port=p, scratch=scratch)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def tab(new_tab: NewTab, origin: str) -> Tab:
    opened = new_tab(WIDTH, HEIGHT)
    opened.page.goto(f"{origin}/?token={TOKEN}")
    opened.ready()
    return opened


def open_sheet(tab: Tab) -> None:
    tab.page.keyboard.press("k")
    tab.wait("document.body.dataset.coverage === '1'")


LEFT = (slice(80, 380), slice(40, 340))
"""The canvas left of the sheet; the page's bars are elsewhere."""


def column_of(picture: Picture, *, red: bool) -> float:
    """The mean column of the reddish or greenish pixels."""
    rgb = picture[80:380, 40:640] * 255
    r, g = rgb[..., 0], rgb[..., 1]
    found = np.nonzero(r > g + 50 if red else g > r + 50)[1]
    assert len(found) > 200
    return float(found.mean())


def test_splats_are_coloured_by_where_they_are_and_go_back_to_their_own(tab: Tab) -> None:
    before = screenshot(tab)
    tab.page.click("#coverage")
    tab.wait("document.body.dataset.coverage === '1'")
    tab.page.evaluate("document.getElementById('panel-coverage').style.visibility = 'hidden'")
    painted = screenshot(tab)
    # x is negative on the left of the picture: seen well, green there; never seen, red, on the right.
    assert column_of(painted, red=False) < column_of(painted, red=True) - 60
    tab.page.evaluate("document.getElementById('panel-coverage').style.visibility = ''")
    assert tab.page.inner_text(".coverage-legend").split("\n") == ["well seen, 50 %", "never seen, 50 %"]
    tab.page.keyboard.press("k")
    tab.wait("document.body.dataset.coverage === '0'")
    after = screenshot(tab)
    assert np.abs(after - before)[LEFT].mean() < 0.004  # sorting may swap equal depths
    assert tab.errors == []


def test_every_measure_has_its_colours_and_its_legend(tab: Tab) -> None:
    open_sheet(tab)
    at_rest(tab)
    legends, pictures = [], []
    for name in ("kind", "cameras", "angle", "sharpness", "confidence"):
        tab.page.click(f"[data-measure={name}]")
        assert tab.page.get_attribute(f"[data-measure={name}]", "aria-pressed") == "true"
        assert tab.page.locator(".coverage-measures [aria-pressed=true]").count() == 1
        legends.append(tab.page.inner_text(".coverage-legend").replace("\n", " | "))
        pictures.append(screenshot(tab)[LEFT])
    assert legends[1:] == [
        "no photo | 8 and more", "from one direction | 40\u00b0 and more", "15 px per unit | 240 px per unit",
        "unlike the photos | like the photos",
    ]  # fmt: skip
    # The verdict's green and red are not the ramp's; sharpness 140 is not at its end, as the others are.
    assert np.abs(pictures[0] - pictures[1]).mean() > 0.005
    assert np.abs(pictures[3] - pictures[1]).mean() > 0.002


def test_pressing_a_proposal_stands_there_and_says_why(tab: Tab, small: Sample) -> None:
    open_sheet(tab)
    at_rest(tab)
    item = tab.page.locator(".coverage-shot").nth(1)
    # What a file says is text and nothing else.
    assert item.inner_text().split("\n") == ["2", "Part 2 is <b>never</b> seen.", "Go to place 2."]
    item.click()
    assert tab.page.evaluate("document.body.dataset.shot") == "2"
    assert item.get_attribute("aria-current") == "true"
    tab.page.evaluate("document.getElementById('panel-coverage').style.visibility = 'hidden'")
    seen = screenshot(tab)
    camera = lens_on_page()
    expected = rasterize(small.splats, camera, looking_at(PLACES[1], (0.0, 0.0, 1.0)))
    window = (slice(80, 380), slice(120, 600))
    # Splats fill the same part of the picture; colours are the overlay's.
    ours = expected.alpha[window] > 0.5
    theirs = seen[window].mean(-1) > 0.12
    assert 0.1 < ours.mean() < 0.9
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.8


def lens_on_page() -> Camera:
    """The proposal's lens with its picture as large as the canvas allows, in its middle."""
    scale = min(WIDTH / 64, HEIGHT / 48)
    return Camera.pinhole(WIDTH, HEIGHT, 60 * scale, 60 * scale, WIDTH / 2, HEIGHT / 2)


def test_a_proposal_is_pressed_in_the_scene_too(tab: Tab) -> None:
    open_sheet(tab)
    at_rest(tab)
    # Where the first eye is on the canvas from the home view, through the page's own lens: 66 degrees across.
    focal = 0.5 * np.hypot(WIDTH, HEIGHT) / np.tan(np.radians(33))
    x, y, z = looking_at((0.0, -5.0, 1.0), (0.0, 0.0, 1.0)).apply(np.array(PLACES[0]))
    tab.page.mouse.click(focal * x / z + WIDTH / 2, focal * y / z + HEIGHT / 2)
    assert tab.page.evaluate("document.body.dataset.shot") == "1"
    assert tab.page.locator(".coverage-shot").first.get_attribute("aria-current") == "true"


def test_without_coverage_there_is_no_button(new_tab: NewTab, small: Sample, bundle: Path, tmp_path: Path) -> None:
    with serving(lambda p: create_app(small.scene, bundle, token=TOKEN, port=p, scratch=tmp_path)) as port:
        opened = new_tab(320, 240)
        opened.page.goto(f"http://127.0.0.1:{port}/?token={TOKEN}")
        opened.ready()
        assert opened.page.locator("#coverage").count() == 0


def test_a_damaged_file_is_said_in_words_and_the_page_goes_on(
    new_tab: NewTab, covered: ViewerScene, bundle: Path, tmp_path: Path
) -> None:
    path = tmp_path / "coverage.json"
    path.write_text(json.dumps(coverage_value() | {"samples": {"count": 5}}))
    scene = dataclasses.replace(covered, coverage=path)
    with serving(lambda p: create_app(scene, bundle, token=TOKEN, port=p, scratch=tmp_path)) as port:
        opened = new_tab(320, 240)
        opened.page.goto(f"http://127.0.0.1:{port}/?token={TOKEN}")
        opened.ready()
        opened.page.evaluate("document.getElementById('coverage').click()")
        opened.wait("!document.getElementById('notice').hidden")
        assert "run diorama reshoot" in opened.page.inner_text("#notice")
        assert opened.page.evaluate("document.body.dataset.coverage") is None


def test_a_published_folder_has_it_too(new_tab: NewTab, covered: ViewerScene, bundle: Path, tmp_path: Path) -> None:
    publish(covered, tmp_path / "site")
    assert (tmp_path / "site" / "coverage.json").is_file()
    with static_server(tmp_path / "site") as origin:
        opened = new_tab(WIDTH, HEIGHT)
        opened.page.goto(origin)
        opened.ready()
        open_sheet(opened)
        opened.page.evaluate("document.getElementById('panel-coverage').style.visibility = 'hidden'")
        painted = screenshot(opened)
        assert column_of(painted, red=False) < column_of(painted, red=True) - 60
        assert all(url.startswith((origin, "blob:", "data:")) for url in opened.requests)
        assert opened.errors == []
