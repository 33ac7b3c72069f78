"""A new scan in the studio's page: footage chosen or dropped, and uploads that break off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Tab
from .studio_pages import Desk, NewTab, options_of, press, slowly, text, until_text

pytestmark = pytest.mark.browser

EMPTY_GAP = 30
"""Frames for something that must not happen."""


def test_an_empty_library_says_how_to_film(desk: Desk, new_tab: NewTab) -> None:
    tab = new_tab(1200, 800)
    desk.open(tab)
    assert "Walk around it slowly" in text(tab, ".tips")
    assert "Your scans will be listed here" in text(tab, ".side")
    assert tab.page.title() == "Diorama"
    assert tab.errors == []
    assert all(url.startswith(desk.origin) for url in tab.requests)


def test_photos_become_a_capture_as_they_were_and_with_what_was_chosen(
    desk: Desk, new_tab: NewTab, photos: list[Path]
) -> None:
    tab = new_tab(1200, 1000)
    desk.open(tab)
    tab.page.set_input_files("#choose-folder", photos[0].parent)
    assert "4 photos" in text(tab, ".tray")
    assert tab.page.input_value("#scan-title") == "my garden"
    tab.page.click("[aria-label='Remove my garden/IMG_4.jpg']", force=True)
    assert "3 photos" in text(tab, ".tray")
    tab.page.fill("#scan-title", "The garden")
    tab.page.check("input[value=high]", force=True)
    tab.page.click("summary")
    tab.page.select_option("#scan-from", "IMG_1.jpg")
    tab.page.select_option("#scan-to", "IMG_1.jpg")
    tab.page.fill("#scan-metres", "1.5")
    press(tab, "Start the scan")
    assert not tab.page.evaluate("document.querySelector('form.options').checkValidity()"), "a distance to itself"
    tab.page.select_option("#scan-to", "IMG_3.jpg")
    tab.page.fill("#scan-frames", "50")
    tab.page.check("#scan-depth")
    press(tab, "Start the scan")
    tab.wait("location.hash.startsWith('#/capture/')")
    (capture,) = desk.library.list()
    assert capture.title == "The garden"
    stored = {p.name: p.read_bytes() for p in desk.library.folder(capture.id).iterdir() if p.is_file()}
    assert stored == {p.name: p.read_bytes() for p in photos[:3]}
    assert options_of(desk) == {
        "preset": "high", "max_frames": 50, "depth": "on", "distance": ["IMG_1.jpg", "IMG_3.jpg", 1.5]
    }  # fmt: skip
    until_text(tab, "h1", "The garden")
    assert tab.page.evaluate("localStorage.getItem('diorama-uploads')") == "[]"
    assert tab.errors == []


def test_what_is_dropped_is_taken(desk: Desk, new_tab: NewTab) -> None:
    tab = new_tab(1200, 800)
    desk.open(tab, "/trash")
    until_text(tab, "h1", "Trash")
    tab.page.evaluate("""() => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(5000)], "walk.mp4", {type: "video/mp4"}));
        const main = document.querySelector("main");
        main.dispatchEvent(new DragEvent("dragenter", {bubbles: true, dataTransfer: transfer}));
        window.wasOver = document.body.classList.contains("dragging");
        main.dispatchEvent(new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer: transfer}));
    }""")
    until_text(tab, ".tray", "1 video")
    assert tab.page.evaluate("window.wasOver && !document.body.classList.contains('dragging')")
    assert tab.page.input_value("#scan-title") == "walk"
    tab.page.click("summary")
    assert "no picture has a name yet" in text(tab, ".more-body")
    press(tab, "Clear")
    assert tab.page.is_visible("text=Turn footage into a place")


PROBLEMS: list[tuple[dict[str, bytes], str]] = [
    ({"a.mp4": b"1", "b.mp4": b"1"}, "One scan takes one video"),
    ({"a.mp4": b"1", "b.jpg": b"1"}, "either a video or photos"),
    ({"notes.txt": b"1"}, "notes.txt is neither a video nor a photo"),
    ({"c.jpg": b""}, "c.jpg is empty"),
    ({"d.jpg": b"1", "e.jpg": b"1", "f.pdf": b"1"}, "1 file left out"),
]


def test_what_makes_no_scan_is_said(desk: Desk, new_tab: NewTab, tmp_path: Path) -> None:
    tab = new_tab(1200, 800)
    desk.open(tab)
    for files, sentence in PROBLEMS:
        for name, data in files.items():
            (tmp_path / name).write_bytes(data)
        tab.page.set_input_files("#choose-files", [tmp_path / name for name in files])
        assert sentence in text(tab, ".problem")
        if tab.page.is_visible("form.options"):
            assert tab.page.is_disabled("text=Start the scan") == ("left out" not in sentence)
            press(tab, "Clear")


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "walk.mp4"
    path.write_bytes(bytes(range(256)) * 2_400)  # 600 kB
    return path


def start_upload(desk: Desk, tab: Tab, video: Path) -> Callable[[], None]:
    desk.open(tab)
    let_go = slowly(tab, 60_000)  # ten seconds, unless it is let go
    tab.page.set_input_files("#choose-files", video)
    press(tab, "Start the scan")
    tab.wait("Number(document.querySelector('.upload .bar')?.getAttribute('aria-valuenow')) >= 5")
    return let_go


def arrived(desk: Desk, video: Path) -> None:
    (capture,) = desk.library.list()
    assert (desk.library.folder(capture.id) / "walk.mp4").read_bytes() == video.read_bytes()


def test_an_upload_pauses_and_goes_on(desk: Desk, new_tab: NewTab, video: Path) -> None:
    tab = new_tab(1200, 800)
    let_go = start_upload(desk, tab, video)
    press(tab, "Pause")
    until_text(tab, ".upload-state", "Paused. Nothing is lost.")
    until_text(tab, ".side", "Paused at")
    bytes_then = text(tab, ".upload-numbers")
    for _ in range(EMPTY_GAP):
        tab.page.evaluate("new Promise((done) => requestAnimationFrame(() => done()))")
    assert text(tab, ".upload-numbers") == bytes_then
    let_go()
    press(tab, "Continue")
    tab.wait("location.hash.startsWith('#/capture/')")
    arrived(desk, video)


def test_an_upload_survives_a_reload_of_the_page(desk: Desk, new_tab: NewTab, video: Path) -> None:
    tab = new_tab(1200, 800)
    let_go = start_upload(desk, tab, video)
    sent = [r for r in tab.requests if r.endswith("/api/uploads")]
    tab.page.reload()
    let_go()
    tab.wait("location.hash.startsWith('#/capture/')")
    arrived(desk, video)
    assert len([r for r in tab.requests if r.endswith("/api/uploads")]) == len(sent) == 1, "it went on, not anew"


def test_a_browser_that_kept_no_files_asks_for_them_again(
    desk: Desk, new_tab: NewTab, video: Path, tmp_path: Path
) -> None:
    tab = new_tab(1200, 800)
    let_go = start_upload(desk, tab, video)
    tab.page.evaluate("""new Promise((done) => {
        const open = indexedDB.open("diorama-studio", 1);
        open.onsuccess = () => {
            const transaction = open.result.transaction("files", "readwrite");
            transaction.objectStore("files").clear();
            transaction.oncomplete = () => { open.result.close(); done(); };
        };
    })""")
    tab.page.reload()
    until_text(tab, ".upload-state", "Choose them again")
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "walk.mp4"
    other.write_bytes(b"another video")
    tab.page.set_input_files("#choose-again", other)
    until_text(tab, "#toasts", "walk.mp4 is not among the chosen files")
    tab.page.get_by_label("Dismiss").first.click()
    assert "walk.mp4 is not among" not in text(tab, "#toasts")
    tab.page.set_input_files("#choose-again", video)
    let_go()
    tab.wait("location.hash.startsWith('#/capture/')")
    arrived(desk, video)


def test_an_upload_survives_a_restart_of_the_server(desk: Desk, new_tab: NewTab, video: Path) -> None:
    tab = new_tab(1200, 800)
    let_go = start_upload(desk, tab, video)
    desk.stop()
    until_text(tab, ".upload-state", "Connection lost, trying again")
    until_text(tab, ".banner", "Connection lost, trying again")
    let_go()
    desk.start()
    tab.wait("location.hash.startsWith('#/capture/')")
    arrived(desk, video)
    tab.wait("document.querySelector('.banner').hidden")


def test_a_second_tab_waits_and_takes_over(desk: Desk, new_tab: NewTab, video: Path) -> None:
    tab = new_tab(1200, 800)
    start_upload(desk, tab, video)
    second = Tab(tab.page.context.new_page(), [], [])
    second.page.goto(tab.page.url)
    until_text(second, ".upload-state", "runs in another tab")
    tab.page.close()
    second.wait("location.hash.startsWith('#/capture/')")
    arrived(desk, video)


def test_a_second_tab_does_not_send_what_the_first_has_sent(desk: Desk, new_tab: NewTab, video: Path) -> None:
    tab = new_tab(1200, 800)
    let_go = start_upload(desk, tab, video)
    second = Tab(tab.page.context.new_page(), [], [])
    second.page.goto(tab.page.url)
    until_text(second, ".upload-state", "runs in another tab")
    let_go()
    for page in (second, tab):
        page.page.bring_to_front()  # a tab behind another draws no frames to wait by
        page.wait("location.hash.startsWith('#/capture/')")
    arrived(desk, video)


def test_an_answer_that_is_lost_makes_no_second_capture(desk: Desk, new_tab: NewTab, video: Path) -> None:
    tab = new_tab(1200, 800)
    desk.open(tab)
    asked: list[str] = []

    def lose(route: Any) -> None:
        if route.request.method == "POST":
            asked.append(route.request.url)
        if route.request.method == "POST" and len(asked) == 1:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    tab.page.route("**/api/captures", lose)
    tab.page.set_input_files("#choose-files", video)
    press(tab, "Start the scan")
    tab.wait("location.hash.startsWith('#/capture/')")
    assert len(asked) == 2
    arrived(desk, video)


def test_a_cancelled_upload_leaves_nothing(desk: Desk, new_tab: NewTab, video: Path) -> None:
    tab = new_tab(1200, 800)
    start_upload(desk, tab, video)
    press(tab, "Cancel")
    press(tab, "Keep")
    assert tab.page.is_visible(".upload-card")
    press(tab, "Cancel")
    press(tab, "Cancel the upload")
    tab.wait("document.querySelectorAll('.captures li').length === 0 && location.hash === '#/new'")
    uploads = desk.library.scratch / "uploads"
    tab.wait("fetch('api/uploads').then((r) => r.json()).then((all) => all.length === 0)")
    assert list(uploads.iterdir()) == [] and desk.library.list() == []


def test_the_servers_sentence_is_shown_when_it_refuses(
    desk: Desk, new_tab: NewTab, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diorama.viewer.studio.uploads.RESERVE_BYTES", 1 << 60)
    tab = new_tab(1200, 800)
    desk.open(tab)
    tab.page.set_input_files("#choose-files", video)
    press(tab, "Start the scan")
    until_text(tab, ".upload-state", "walk.mp4 is too large (0.0 GB): there is room for 0.0 GB.")
    monkeypatch.undo()
    press(tab, "Try again")
    tab.wait("location.hash.startsWith('#/capture/')")
    arrived(desk, video)
