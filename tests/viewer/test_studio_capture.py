"""A capture in the studio's page: the job at work, what came out, and what can be done with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from diorama.capture.camera import Camera
from diorama.render.formats import write_splats

from .conftest import Tab, make_sample, ring, synthetic_splats
from .studio_pages import Desk, NewTab, camera_map, jpeg, options_of, press, text, until_text

pytestmark = pytest.mark.browser


def test_stages_and_pictures_come_as_they_happen(desk: Desk, new_tab: NewTab, working: tuple[str, str]) -> None:
    capture, job = working
    tab = new_tab(1200, 900)
    desk.jobs.show(job, "chosen", "chosen-0.jpg", jpeg(), title="IMG_1.jpg")
    desk.open(tab, f"/capture/{capture}")
    until_text(tab, ".now", "Reading footage 25")
    assert "about 3 minutes left" in text(tab, ".now")
    tab.wait("document.querySelectorAll('.frame-tile img').length === 1")
    desk.jobs.show(job, "refused", "refused-0.jpg", jpeg(seed=1), title="IMG_2.jpg", reason="blurred")
    until_text(tab, ".frames-bar", "1 chosen, 1 refused")
    tab.wait("[...document.querySelectorAll('.frame-tile img')].every((i) => i.naturalWidth === 96)")
    tab.page.check("text=Only refused ones")
    assert tab.page.locator(".frame-tile").count() == 1 and "blurred" in text(tab, ".frames")

    desk.jobs.show(job, "cameras", "cameras-0.json", camera_map(3, 12), step=3)
    desk.jobs.reach(job, 1, 0.5, warnings=("12 pictures are blurred.",))
    until_text(tab, ".pane:not([hidden])", "3 of 12 cameras found")
    desk.jobs.show(job, "cameras", "cameras-1.json", camera_map(9, 12), step=9)
    until_text(tab, ".pane:not([hidden])", "9 of 12 cameras found")
    assert blue_pixels(tab) > 100, "the pyramids are drawn"
    assert "12 pictures are blurred." in text(tab, ".messages")
    assert tab.page.get_attribute(".step[data-state=running]", "aria-current") == "step"

    for step, colour in ((0, (200, 40, 40)), (100, (40, 200, 40))):
        desk.jobs.show(job, "training", f"training-{step}.jpg", jpeg(colour), step=step)
    until_text(tab, ".pane:not([hidden])", "after 100 steps")
    tab.page.focus(".training input[type=range]")
    tab.page.keyboard.press("Home")
    until_text(tab, ".pane:not([hidden])", "after 0 steps")
    assert tab.page.get_attribute(".training img", "src").endswith("training-0.jpg")
    tab.page.keyboard.press("End")
    desk.jobs.show(job, "training", "training-200.jpg", jpeg(), step=200)
    until_text(tab, ".pane:not([hidden])", "after 200 steps")
    assert tab.errors == []


def blue_pixels(tab: Tab) -> int:
    """Pixels of the cameras' colour on the canvas."""
    return int(
        tab.page.evaluate("""() => {
        const canvas = document.querySelector(".camera-canvas");
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let found = 0;
        for (let i = 0; i < data.length; i += 4) if (data[i + 2] > 150 && data[i] < 150 && data[i + 3] > 200) found++;
        return found;
    }""")
    )


def test_the_tabs_and_the_cameras_answer_to_keys(desk: Desk, new_tab: NewTab, working: tuple[str, str]) -> None:
    capture, job = working
    desk.jobs.show(job, "chosen", "chosen-0.jpg", jpeg(), title="IMG_1.jpg")
    desk.jobs.show(job, "cameras", "cameras-0.json", camera_map(5, 12), step=5)
    tab = new_tab(1200, 900)
    desk.open(tab, f"/capture/{capture}")
    tab.wait("document.querySelector('#tab-cameras')?.getAttribute('aria-selected') === 'true'")
    tab.wait("document.querySelector('.camera-canvas').dataset.cameras === '5'")
    tab.page.focus("#tab-cameras")
    tab.page.keyboard.press("ArrowLeft")
    assert tab.page.evaluate("document.activeElement.id") == "tab-frames"
    assert tab.page.is_visible(".frames") and not tab.page.is_visible(".camera-canvas")
    tab.page.keyboard.press("ArrowLeft")  # training has nothing yet: round to the cameras
    assert tab.page.evaluate("document.activeElement.id") == "tab-cameras"
    before = tab.page.evaluate("document.querySelector('.camera-canvas').toDataURL()")
    tab.page.focus(".camera-canvas")
    tab.page.keyboard.press("ArrowLeft")
    assert tab.page.evaluate("document.querySelector('.camera-canvas').toDataURL()") != before


def test_a_training_is_followed_in_the_scene_page(
    desk: Desk, new_tab: NewTab, working: tuple[str, str], tmp_path: Path
) -> None:
    capture, job = working
    splats = synthetic_splats(200)
    write_splats(splats, tmp_path / "early.ply")
    camera = Camera.pinhole(64, 48, 60, 60, 32, 24)
    desk.library.scenes[capture] = make_sample(
        tmp_path / "early.ply", splats, ring(splats, 2, camera), is_metric=False
    ).scene
    tab = new_tab(400, 700)
    desk.open(tab, f"/capture/{capture}")
    until_text(tab, ".now", "Reading footage")
    assert not tab.page.is_visible("text=Follow it live")
    desk.jobs.reach(job, 2, 0.1)
    tab.page.click("text=Follow it live")
    tab.wait(f"location.pathname === '/scenes/{capture}/' && document.body?.dataset.started === '1'", 60)


def test_a_job_is_stopped_and_goes_on(desk: Desk, new_tab: NewTab, working: tuple[str, str]) -> None:
    capture, job = working
    tab = new_tab(1200, 900)
    desk.open(tab, f"/capture/{capture}")
    press(tab, "Stop")
    until_text(tab, ".now", "Stopped. It can go on where it was.")
    assert desk.jobs.get(job).state == "stopped"
    press(tab, "Go on")
    until_text(tab, ".now", "Waiting for its turn")
    assert desk.jobs.get(job).state == "queued"


def test_footage_without_a_job_is_scanned(desk: Desk, new_tab: NewTab) -> None:
    capture = desk.library.add("Copied here", "new")
    tab = new_tab(1200, 900)
    desk.open(tab, f"/capture/{capture.id}")
    until_text(tab, ".now", "has not been scanned yet")
    press(tab, "Start the scan")
    until_text(tab, ".now", "Waiting for its turn")
    assert [(j.capture, j.kind) for j in desk.jobs.list()] == [(capture.id, "scan")]


def test_a_failure_is_the_servers_sentence_and_can_be_tried_again(
    desk: Desk, new_tab: NewTab, working: tuple[str, str]
) -> None:
    capture, job = working
    sentence = "The pictures have too little in common: 3 of 40 could be placed."
    desk.library.change(capture, state="failed")
    desk.jobs.change(job, state="failed", stage="pose", error=sentence)
    tab = new_tab(1200, 900)
    desk.open(tab, f"/capture/{capture}")
    until_text(tab, ".now", sentence)
    assert "Failed" in text(tab, ".side")
    press(tab, "Try again")
    until_text(tab, ".now", "Waiting for its turn")


def test_work_that_ends_elsewhere_is_announced(desk: Desk, new_tab: NewTab, working: tuple[str, str]) -> None:
    capture, job = working
    tab = new_tab(1200, 900)
    desk.open(tab, f"/capture/{capture}")
    until_text(tab, ".now", "Reading footage")
    assert tab.page.title() == "6\u202f% · Old mill · Diorama"
    desk.go(tab, "/trash")
    until_text(tab, "h1", "Trash")
    desk.jobs.change(job, state="failed", error="The disk is full.")
    until_text(tab, "#toasts", "“Old mill”: The disk is full.")
    press(tab, "Look")
    until_text(tab, "h1", "Old mill")


def test_events_go_on_after_the_server_was_restarted(desk: Desk, new_tab: NewTab, working: tuple[str, str]) -> None:
    capture, job = working
    tab = new_tab(1200, 900)
    desk.open(tab, f"/capture/{capture}")
    until_text(tab, ".now", "Reading footage")
    desk.stop()
    until_text(tab, ".banner", "Connection lost, trying again")
    desk.jobs.reach(job, 2, 0.75)
    desk.start()
    until_text(tab, ".now", "Training 75")
    tab.wait("document.querySelector('.banner').hidden")
    desk.jobs.reach(job, 3, 0.5)
    until_text(tab, ".now", "Measuring 50")


def test_the_verdict_and_the_report(desk: Desk, new_tab: NewTab, ready: str) -> None:
    tab = new_tab(1200, 900)
    desk.open(tab, f"/capture/{ready}")
    until_text(tab, ".result", "Good: this scan can be used as it is.")
    for part in ("The true size is not known.", "7 of 8", "1,234", "29.5 dB", "1\u202fmin 30\u202fs"):
        assert part in text(tab, ".result")
    with tab.page.context.expect_page() as opened:
        tab.page.click("text=Open the report")
    assert opened.value.inner_text("p") == "The whole report"


def test_files_are_downloaded_and_made(desk: Desk, new_tab: NewTab, ready: str) -> None:
    tab = new_tab(1200, 900)
    desk.open(tab, f"/capture/{ready}")
    tab.page.click("text=All files")
    with tab.page.expect_download() as download:
        tab.page.click("text=mill.ply")
    assert download.value.path().read_bytes() == b"ply" * 5000
    assert download.value.suggested_filename == "mill.ply"
    with tab.page.expect_download() as download:
        tab.page.click("text=read me.txt")
    assert download.value.path().read_bytes() == b"how to"

    tab.page.select_option("#export-choice", "unity")
    press(tab, "Make")
    until_text(tab, ".exports", "waiting for its turn")
    assert options_of(desk) == {"engine": "unity"}
    (desk.library.folder(ready) / "exports" / "mill.spz").write_bytes(b"spz")
    desk.jobs.change(desk.jobs.list()[0].id, state="done")
    until_text(tab, ".exports", "mill.spz")
    tab.page.select_option("#export-choice", "cameras")
    press(tab, "Make")
    tab.wait("fetch('api/jobs').then((r) => r.json()).then((all) => all.length === 2)")
    assert options_of(desk) == {"format": "colmap", "what": "cameras"}


def test_more_work_is_begun(desk: Desk, new_tab: NewTab, ready: str) -> None:
    tab = new_tab(1200, 900)
    desk.open(tab, f"/capture/{ready}")
    for label, kind in (("Make a mesh", "mesh"), ("Find depth", "depth")):
        tab.page.click(f"text={label}")
        until_text(tab, ".now", "Waiting for its turn")
        assert not tab.page.is_visible(".more-work"), "one thing after the other"
        assert desk.jobs.list()[0].kind == kind
        desk.jobs.change(desk.jobs.list()[0].id, state="done")
        tab.wait("document.querySelector('.now').hidden")
    tab.page.click("text=Run again")
    tab.page.fill("#again-title", "Old mill, finer")
    tab.page.check("dialog input[value=preview]", force=True)
    press(tab, "Start")
    until_text(tab, "h1", "Old mill, finer")
    assert desk.library.list()[0].title == "Old mill, finer" and options_of(desk) == {"preset": "preview"}


def test_rename_trash_restore_and_delete_for_good(desk: Desk, new_tab: NewTab, ready: str) -> None:
    tab = new_tab(1200, 900)
    desk.open(tab, f"/capture/{ready}")
    tab.page.click("[aria-label='More about this capture']")
    tab.page.click("role=menuitem[name='Rename']")
    tab.page.fill("#prompt-input", "New mill")
    tab.page.keyboard.press("Enter")
    until_text(tab, "h1", "New mill")
    until_text(tab, ".side", "New mill")
    assert desk.library.get(ready).title == "New mill"

    def to_trash() -> None:
        tab.page.click("[aria-label='More about this capture']")
        tab.page.click("role=menuitem[name='Move to the trash']")
        until_text(tab, "#toasts", "“New mill” is in the trash.")
        tab.wait("document.querySelectorAll('.captures li').length === 0")

    to_trash()
    assert [c.id for c in desk.library.trash()] == [ready]
    press(tab, "Undo")
    until_text(tab, "h1", "New mill")
    assert desk.library.trash() == []
    to_trash()
    tab.page.click(".trash-link")
    tab.page.click("text=Restore")
    until_text(tab, "h1", "New mill")
    to_trash()
    desk.library.delete(desk.library.add("Second").id)
    tab.page.click(".trash-link")
    until_text(tab, ".trash-list", "New mill")
    tab.page.click("[aria-label='Delete New mill for good']")
    press(tab, "Keep")
    assert len(desk.library.trash()) == 2
    tab.page.click("[aria-label='Delete New mill for good']")
    tab.page.click("dialog .danger")
    tab.wait("document.querySelectorAll('.trash-list li').length === 1")
    press(tab, "Empty the trash")
    tab.page.click("dialog .danger")
    until_text(tab, ".trash", "The trash is empty.")
    assert desk.library.trash() == []
    assert tab.errors == []


def test_a_capture_at_work_is_stopped_before_it_goes(desk: Desk, new_tab: NewTab, working: tuple[str, str]) -> None:
    capture, job = working
    tab = new_tab(1200, 900)
    desk.open(tab, f"/capture/{capture}")
    tab.page.click("[aria-label='More about this capture']")
    tab.page.click("role=menuitem[name='Move to the trash']")
    tab.page.click("dialog .danger")
    until_text(tab, ".now", "Stopped.")
    assert desk.jobs.get(job).state == "stopped" and desk.library.get(capture)
