"""The studio's page over a real server with made-up captures and jobs: everything that can be pressed, by its effect."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Tab
from .studio_pages import Desk, ShownJobs, ShownLibrary, camera_map, jpeg

pytestmark = pytest.mark.browser

NewTab = Callable[..., Tab]
EMPTY_GAP = 30
"""Frames for something that must not happen."""


@pytest.fixture
def desk(bundle: Path, tmp_path: Path) -> Iterator[Desk]:
    running = Desk(ShownLibrary(tmp_path / "library"), ShownJobs(tmp_path / "jobs"), bundle)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "my garden"
    folder.mkdir()
    for i in range(4):
        (folder / f"IMG_{i + 1}.jpg").write_bytes(jpeg(seed=i))
    return sorted(folder.iterdir())


def text(tab: Tab, selector: str) -> str:
    return str(tab.page.inner_text(selector))


def press(tab: Tab, name: str) -> None:
    """The button of exactly this name; with a dialog open only those in it can be."""
    tab.page.get_by_role("button", name=name, exact=True).click()


def until_text(tab: Tab, selector: str, part: str) -> None:
    """Until it can be seen and says so; what is hidden still has its old words."""
    tab.wait(f"((e) => e?.checkVisibility() && e.innerText.includes({part!r}))(document.querySelector({selector!r}))")


def options_of(desk: Desk) -> dict[str, Any]:
    return dict(desk.jobs.list()[0].options)


# --- A new scan ---------------------------------------------------------------------------------------------------------


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
    desk.open(tab)
    tab.page.evaluate("""() => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(5000)], "walk.mp4", {type: "video/mp4"}));
        document.querySelector("main").dispatchEvent(new DragEvent("dragenter", {bubbles: true, dataTransfer: transfer}));
        window.wasOver = document.querySelector(".zone").classList.contains("over");
        document.querySelector("main").dispatchEvent(
            new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer: transfer}));
    }""")
    until_text(tab, ".tray", "1 video")
    assert tab.page.evaluate("window.wasOver") and not tab.page.evaluate("!!document.querySelector('.zone.over')")
    assert tab.page.input_value("#scan-title") == "walk"
    tab.page.click("summary")
    assert "no picture has a name yet" in text(tab, ".more-body")
    press(tab, "Clear")
    assert tab.page.is_visible("text=Turn footage into a place")


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"a.mp4": b"1", "b.mp4": b"1"}, "One scan takes one video"),
        ({"a.mp4": b"1", "b.jpg": b"1"}, "either a video or photos"),
        ({"notes.txt": b"1"}, "notes.txt is neither a video nor a photo"),
        ({"a.jpg": b""}, "a.jpg is empty"),
        ({"a.jpg": b"1", "b.jpg": b"1", "c.pdf": b"1"}, "1 file left out"),
    ],
)
def test_what_makes_no_scan_is_said(
    desk: Desk, new_tab: NewTab, tmp_path: Path, files: dict[str, bytes], sentence: str
) -> None:
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    tab = new_tab(1200, 800)
    desk.open(tab)
    tab.page.set_input_files("#choose-files", [tmp_path / name for name in files])
    assert sentence in text(tab, ".problem")
    if tab.page.is_visible("form.options"):
        assert tab.page.is_disabled("text=Start the scan") == ("left out" not in sentence)


# --- Uploads that break off ---------------------------------------------------------------------------------------------


def slowly(tab: Tab, bytes_per_second: int) -> Callable[[], None]:
    """Holds the page's connection to a speed; returns what lets it go."""
    session = tab.page.context.new_cdp_session(tab.page)
    session.send("Network.enable")

    def speed(value: float) -> None:
        session.send(
            "Network.emulateNetworkConditions",
            {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": value},
        )

    speed(bytes_per_second)
    return lambda: speed(-1)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "walk.mp4"
    path.write_bytes(bytes(range(256)) * 4_000)  # 1 MB
    return path


def start_upload(desk: Desk, tab: Tab, video: Path) -> Callable[[], None]:
    desk.open(tab)
    let_go = slowly(tab, 300_000)
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
    start_upload(desk, tab, video)
    sent = [r for r in tab.requests if r.endswith("/api/uploads")]
    tab.page.reload()
    tab.wait("location.hash.startsWith('#/capture/')")
    arrived(desk, video)
    assert len([r for r in tab.requests if r.endswith("/api/uploads")]) == len(sent) == 1, "it went on, not anew"


def test_a_browser_that_kept_no_files_asks_for_them_again(
    desk: Desk, new_tab: NewTab, video: Path, tmp_path: Path
) -> None:
    tab = new_tab(1200, 800)
    start_upload(desk, tab, video)
    tab.page.evaluate("""new Promise((done) => {
        const open = indexedDB.open("diorama-studio", 1);
        open.onsuccess = () => { const t = open.result.transaction("files", "readwrite"); t.objectStore("files").clear();
            t.oncomplete = () => { open.result.close(); done(); } };
    })""")
    tab.page.reload()
    until_text(tab, ".upload-state", "Choose them again")
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "walk.mp4"
    other.write_bytes(b"another video")
    tab.page.set_input_files("#choose-again", other)
    until_text(tab, "#toasts", "walk.mp4 is not among the chosen files")
    tab.page.set_input_files("#choose-again", video)
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


# --- A job at work ------------------------------------------------------------------------------------------------------


@pytest.fixture
def working(desk: Desk) -> tuple[str, str]:
    """(capture, job) of a scan that has begun."""
    from diorama.viewer.jobs import JobRequest

    capture = desk.library.add("Old mill", "working")
    job = desk.jobs.submit(JobRequest(capture.id, "scan", {"preset": "standard"}))
    desk.jobs.reach(job.id, 0, 0.25, detail="looked at IMG_7.jpg", time_left_s=180.0)
    return capture.id, job.id


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


# --- What came out ------------------------------------------------------------------------------------------------------

REPORT = """{"verdict": {"level": "good", "sentences": ["Good: this scan can be used as it is."],
 "findings": [{"severity": "note", "what": "The true size is not known.", "do": "Measure one distance."}]},
 "frames": {"given": 9, "chosen": 8, "registered": 7}, "world": {"is_metric": false},
 "splats": {"count": 1234, "held_out": {"psnr_db": 29.51, "ssim": 0.87}}, "timings_s": {"pose": 60, "train": 30}}"""


@pytest.fixture
def ready(desk: Desk) -> str:
    """The id of a capture that is done, without a scene behind it."""
    capture = desk.library.add(
        "Old mill", "ready", is_ready=True, has_report=True, has_thumbnail=True, size_bytes=5_000_000
    )
    folder = desk.library.folder(capture.id)
    (folder / "report").mkdir()
    (folder / "report" / "report.json").write_text(REPORT)
    (folder / "report" / "index.html").write_text("<title>Report</title><p>The whole report</p>")
    (folder / "thumbnail.jpg").write_bytes(jpeg())
    (folder / "exports" / "unreal").mkdir(parents=True)
    (folder / "exports" / "mill.ply").write_bytes(b"ply" * 5000)
    (folder / "exports" / "unreal" / "read me.txt").write_bytes(b"how to")
    return capture.id


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


# --- Phones, keys, screen readers ---------------------------------------------------------------------------------------


def test_a_phone_is_invited(desk: Desk, new_tab: NewTab) -> None:
    tab = new_tab(1200, 900)
    desk.open(tab)
    tab.page.click("[aria-label='Use a phone']")
    until_text(tab, "#toasts", "diorama studio --lan")
    desk.stop()
    desk.invite_base = "https://192.168.7.5:7860"
    desk.start()
    tab.page.reload()
    tab.wait("document.body.dataset.ready === '1'")
    tab.page.click(".zone >> text=Use a phone")
    tab.wait("(document.querySelector('.qr')?.naturalWidth ?? 0) > 50")
    assert "https://192.168.7.5:7860/" in text(tab, "dialog") and "token" not in text(tab, "dialog")
    assert re.search(r"works once, for another \d+ min", text(tab, "dialog"))
    tab.page.keyboard.press("Escape")
    assert not tab.page.is_visible("dialog")
    assert "Use a phone" in str(tab.page.evaluate("document.activeElement.innerText"))


def test_on_a_phone_the_list_comes_first(desk: Desk, new_tab: NewTab, ready: str) -> None:
    tab = new_tab(390, 780, has_touch=True, is_mobile=True)
    desk.open(tab)
    assert tab.page.is_visible(".side") and not tab.page.is_visible("main")
    tab.page.tap("text=Old mill")
    until_text(tab, ".result", "Good")
    assert not tab.page.is_visible(".side")
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390
    tab.page.tap("text=All scans")
    tab.page.tap("text=New scan")
    assert tab.page.is_visible("text=From this phone") and not tab.page.is_visible("text=Choose a folder")
    assert tab.page.get_attribute("#choose-files", "accept").startswith("video/*,image/*"), "the camera roll"
    small = tab.page.evaluate("""[...document.querySelectorAll("main button")]
        .filter((b) => b.offsetParent !== null && b.getBoundingClientRect().height < 44).length""")
    assert small == 0, "fingers need 44 px"


def test_everything_is_reached_by_keys(desk: Desk, new_tab: NewTab, ready: str) -> None:
    tab = new_tab(1200, 900)
    desk.open(tab)
    tab.page.keyboard.press("Tab")
    assert tab.page.evaluate("document.activeElement.className") == "skip"
    tab.page.keyboard.press("Enter")
    assert tab.page.evaluate("document.activeElement.id") == "main"
    tab.page.focus(".captures a")
    tab.page.keyboard.press("Enter")
    until_text(tab, "h1", "Old mill")
    assert tab.page.evaluate("document.activeElement.tagName") == "H1", "what is new is read out"
    tab.page.focus("[aria-label='More about this capture']")
    tab.page.keyboard.press("Enter")
    assert tab.page.evaluate("document.activeElement.innerText") == "Rename"
    tab.page.keyboard.press("ArrowDown")
    tab.page.keyboard.press("ArrowDown")
    assert tab.page.evaluate("document.activeElement.innerText") == "Rename"
    tab.page.keyboard.press("Escape")
    assert tab.page.get_attribute("[aria-label='More about this capture']", "aria-expanded") == "false"
    assert tab.page.evaluate("document.activeElement.getAttribute('aria-label')") == "More about this capture"


CONTRAST = """() => {
  const parse = (c) => { const m = c.match(/[\\d.]+/g).map(Number); return [m[0], m[1], m[2], m[3] ?? 1]; };
  const linear = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const ground = (e) => {
    const layers = [];
    for (let at = e; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [14, 16, 20]);
  };
  const bad = [];
  for (const e of document.querySelectorAll("#app *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || e.offsetParent === null || e.closest(":disabled, .recent-item, .tile, .hero")) continue;
    const below = ground(e), text = over(parse(getComputedStyle(e).color), below);
    const [a, b] = [light(text), light(below)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) bad.push(`${e.className || e.tagName} ${e.textContent.trim().slice(0, 20)} ${ratio.toFixed(2)}`);
  }
  return bad;
}"""
UNNAMED = """() => [...document.querySelectorAll("#app button, #app a, #app input, #app select, #app canvas, #app img")]
  .filter((e) => !(e.innerText || "").trim() && !e.getAttribute("aria-label") && !e.labels?.length && !e.hidden
    && e.checkVisibility()
    && !e.hasAttribute("alt") && e.getAttribute("aria-hidden") !== "true").map((e) => e.outerHTML.slice(0, 80))"""


def test_words_can_be_read_and_things_have_names(
    desk: Desk, new_tab: NewTab, ready: str, working: tuple[str, str], photos: list[Path]
) -> None:
    capture, job = working
    desk.jobs.show(job, "refused", "refused-0.jpg", jpeg(), title="IMG_1.jpg", reason="blurred")
    desk.jobs.reach(job, 1, 0.3, warnings=("A warning.",))
    tab = new_tab(1200, 900)
    desk.open(tab)
    for route in ("/new", f"/capture/{ready}", f"/capture/{capture}", "/trash"):
        desk.go(tab, route)
        tab.wait("document.querySelector('main h1') !== null")
        if route == "/new":
            tab.page.set_input_files("#choose-files", photos)
            tab.page.click("summary")
        assert tab.page.evaluate(CONTRAST) == []
        assert tab.page.evaluate(UNNAMED) == []
