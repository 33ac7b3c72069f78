"""The whole studio, from the page to the jobs: real server, real processes, real scans."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from diorama.capture.nerfstudio import write_transforms
from diorama.render.synthetic import write_synthetic_footage

from .conftest import Tab
from .studio_pages import NewTab, press, slowly, text, until_text
from .studio_process import StudioProcess

pytestmark = pytest.mark.browser


def scan_garden(library: Path, scratch: Path) -> None:
    """`diorama scan` of a few small pictures with known cameras, seconds of training."""
    truth = write_synthetic_footage(scratch / "images", 6, 96, 72, place="minimal", suffix=".png")
    write_transforms(
        scratch / "transforms.json",
        dict.fromkeys(truth.cam_from_world, truth.camera),
        truth.cam_from_world,
        {name: f"images/{name}" for name in truth.cam_from_world},
    )
    command = [sys.executable, "-m", "diorama.studio", "scan", scratch, "-o", library / "garden"]
    options = ["--steps", "60", "--max-size", "96", "--max-splats", "1500", "--quiet"]
    subprocess.run([*command, *options], check=True, env={**os.environ, "DIORAMA_THREADS": "1"}, timeout=200)


@pytest.fixture
def studio(bundle: Path, tmp_path: Path) -> Iterator[StudioProcess]:
    process = StudioProcess(tmp_path / "library", tmp_path / "config")
    yield process
    process.stop()


def open_page(tab: Tab, url: str) -> None:
    tab.page.goto(url)
    tab.wait("document.body.dataset.ready === '1'")


def test_a_scan_that_was_made_by_command_is_used_in_the_page(
    studio: StudioProcess, new_tab: NewTab, tmp_path: Path
) -> None:
    studio.library.mkdir()
    scan_garden(studio.library, tmp_path)
    tab = new_tab(1200, 900)
    open_page(tab, studio.start())
    tab.page.click("text=garden")
    until_text(tab, ".result", "dB")
    until_text(tab, ".exports", "garden.spz")

    tab.page.select_option("#export-choice", "points")
    press(tab, "Make")
    until_text(tab, ".exports", "garden_points.ply")
    with tab.page.expect_download() as download:
        tab.page.click("text=garden_points.ply")
    made = studio.library / "garden" / "exports" / "garden_points.ply"
    assert download.value.path().read_bytes() == made.read_bytes()

    tab.page.click("[aria-label='More about this capture']")
    press_item(tab, "Rename")
    tab.page.fill("#prompt-input", "Back garden")
    press(tab, "Rename")
    until_text(tab, "h1", "Back garden")
    tab.page.click("[aria-label='More about this capture']")
    press_item(tab, "Move to the trash")
    until_text(tab, "#toasts", "“Back garden” is in the trash.")
    assert not (studio.library / "garden").exists()
    press(tab, "Undo")
    until_text(tab, "h1", "Back garden")
    assert (studio.library / "garden" / "splats" / "splats.ply").is_file()
    assert tab.errors == []

    tab.page.click("text=Open the scene")
    tab.wait("location.pathname.startsWith('/scenes/') && document.body?.dataset.ready === '1'", 120)
    assert text(tab, "#title") == "Back garden"


def press_item(tab: Tab, name: str) -> None:
    tab.page.get_by_role("menuitem", name=name).click()


@pytest.mark.slow
def test_a_video_from_the_page_becomes_a_scene_though_the_server_is_killed_twice(
    studio: StudioProcess, footage: Path, new_tab: NewTab
) -> None:
    """Killed while the video comes in and while the scan runs; page, upload and scan go on by themselves."""
    video = footage / "video" / "stone_sign.mp4"
    tab = new_tab(1200, 900)
    open_page(tab, studio.start())
    let_go = slowly(tab, video.stat().st_size // 10)
    tab.page.set_input_files("#choose-files", video)
    tab.page.fill("#scan-title", "Stone sign")
    tab.page.check("input[value=preview]", force=True)
    tab.page.click("summary")
    tab.page.fill("#scan-frames", "24")
    press(tab, "Start the scan")
    tab.wait("Number(document.querySelector('.upload .bar')?.getAttribute('aria-valuenow')) >= 25")
    studio.kill()
    until_text(tab, ".upload-state", "Connection lost, trying again")
    studio.start()
    let_go()
    tab.wait("location.hash.startsWith('#/capture/')", 120)
    until_text(tab, "h1", "Stone sign")

    tab.wait("document.querySelectorAll('.frame-tile').length > 3", 120)
    tab.wait("document.querySelector('.step[data-state=running]')?.dataset.key === 'pose'", 180)
    studio.kill()
    until_text(tab, ".banner", "Connection lost, trying again")
    studio.start()
    tab.wait("document.querySelector('.banner').hidden")
    tab.wait("Number(document.querySelector('.camera-canvas')?.dataset.cameras ?? 0) > 5", 300)
    tab.wait("document.querySelector('.hero')?.checkVisibility() === true", 1500)
    until_text(tab, ".result", "of 24")
    assert tab.page.evaluate("fetch('api/jobs').then((r) => r.json()).then((all) => all[0].attempts)") == 1

    (uploaded,) = studio.library.rglob("stone_sign.mp4")
    assert uploaded.read_bytes() == video.read_bytes()
    tab.page.click("text=Open the scene")
    tab.wait("location.pathname.startsWith('/scenes/') && document.body?.dataset.ready === '1'", 300)
    assert text(tab, "#title") == "Stone sign"
