"""The page in headless Chromium: what is on the canvas, what the buttons and keys do, and what it says when it fails.

Waits are by drawn frames and states of the page, never by seconds.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose
from diorama.render.formats import write_splats
from diorama.render.metrics import psnr
from diorama.render.rasterize import rasterize
from diorama.render.splats import Splats
from diorama.viewer.server import create_app

from .conftest import TINT, TOKEN, Sample, Tab, make_sample, serving

pytestmark = pytest.mark.browser

NewTab = Callable[..., Tab]
Picture = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def origin(sample: Sample, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    scratch = tmp_path_factory.mktemp("scratch")
    with serving(lambda p: create_app(sample.scene, bundle, token=TOKEN, port=p, scratch=scratch)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def tab(new_tab: NewTab, origin: str) -> Tab:
    """A tab with the scene on its canvas."""
    opened = new_tab()
    opened.page.goto(f"{origin}/?token={TOKEN}")
    opened.ready()
    return opened


def decoded(data: bytes) -> Picture:
    rgb = np.asarray(PIL.Image.open(io.BytesIO(data)).convert("RGB"))
    return np.ascontiguousarray(rgb.astype(np.float32) / 255)


def canvas_pixels(tab: Tab) -> Picture:
    url = tab.page.evaluate("document.getElementById('canvas').toDataURL('image/png')")
    return decoded(base64.b64decode(url.split(",")[1]))


def frames(tab: Tab, count: int) -> None:
    """Lets the page have so many turns of its loop."""
    for _ in range(count):
        tab.page.evaluate("new Promise((done) => requestAnimationFrame(() => done()))")


def at_rest(tab: Tab) -> None:
    """Until three turns of the loop draw nothing: nothing moves and everything is sorted."""
    quiet, last = 0, -1
    while quiet < 3:
        frames(tab, 1)
        now = int(tab.page.evaluate("Number(document.body.dataset.frames)"))
        quiet, last = (quiet + 1, now) if now == last else (0, now)


def screenshot(tab: Tab) -> Picture:
    at_rest(tab)
    return decoded(tab.page.screenshot())


@pytest.mark.parametrize(
    ("index", "background"),
    [(0, "000000"), (4, "ffffff"), (5, "204060"), (8, "000000")],
    ids=["level", "tilted, white", "tilted, blue", "off-centre and oblong pixels"],
)
def test_the_canvas_shows_what_our_rasterizer_shows(
    new_tab: NewTab, origin: str, sample: Sample, index: int, background: str
) -> None:
    camera = sample.scene.cameras[index]
    tab = new_tab()
    tab.page.goto(f"{origin}/?token={TOKEN}&still=1&camera={quote(camera.name)}&background={background}")
    tab.ready()
    seen = canvas_pixels(tab)
    colour = tuple(int(background[i : i + 2], 16) / 255 for i in (0, 2, 4))
    expected = np.clip(rasterize(sample.splats, camera.camera, camera.pose, background=colour).rgb, 0, 1)
    assert seen.shape == expected.shape
    # Measured 40 to 45 dB: the rest is half-float scales, 8-bit blending and another way of cutting faint splats.
    assert psnr(seen, expected) > 35
    # A guard against comparing two empty pictures, and against a picture turned over.
    assert float(expected.std()) > 0.05
    assert psnr(np.ascontiguousarray(seen[::-1]), expected) < 25
    assert tab.errors == []


def test_large_splats_beyond_the_picture_s_edge_are_right(new_tab: NewTab, bundle: Path, tmp_path: Path) -> None:
    """Their centres lie outside the picture, where Spark's own shader leaves them out or smears them."""
    random = np.random.default_rng(11)
    count = 60
    # In the camera's frame, three units ahead, up to twice the picture's half width (1.67) to the sides.
    means = np.c_[random.uniform(-3.3, 3.3, (count, 2)), random.uniform(2.0, 6.0, count)]
    scales = np.log(random.uniform(0.2, 1.5, (count, 3)))
    sh = random.normal(scale=1.2, size=(count, 1, 3))
    arrays = (means, random.normal(size=(count, 4)), scales, random.uniform(-1, 2, count), sh)
    splats = Splats(*(np.ascontiguousarray(a, np.float32) for a in arrays)).normalized()
    path = tmp_path / "large.ply"
    write_splats(splats, path)
    camera, pose = Camera.pinhole(200, 150, 180.0, 180.0, 100.0, 75.0), Pose.identity()
    sample = make_sample(path, splats, [("front", camera, pose)], is_metric=False)
    with serving(lambda p: create_app(sample.scene, bundle, token=TOKEN, port=p, scratch=tmp_path)) as port:
        tab = new_tab()
        tab.page.goto(f"http://127.0.0.1:{port}/?token={TOKEN}&still=1&camera=front")
        tab.ready()
        seen = canvas_pixels(tab)
    assert psnr(seen, np.clip(rasterize(splats, camera, pose).rgb, 0, 1)) > 35


def test_it_opens_without_errors_and_asks_nobody_else(tab: Tab, origin: str, sample: Sample) -> None:
    assert tab.page.url == f"{origin}/"
    assert tab.page.title() == "A scene of the tests · Diorama"
    assert tab.page.inner_text("#status") == f"{len(sample.splats):,} splats · metres"
    assert not tab.page.is_visible("#loading")
    at_rest(tab)
    assert tab.errors == []
    hosts = {url.split("/")[2] for url in tab.requests if url.startswith("http")}
    assert hosts == {origin.split("/")[2]}
    assert {url.split(":")[0] for url in tab.requests} <= {"http", "blob", "data"}


def test_the_page_needs_its_link(new_tab: NewTab, origin: str) -> None:
    tab = new_tab()
    assert tab.page.goto(origin).status == 403
    assert "link" in tab.page.inner_text("body")


def test_opening_a_photo_flies_to_its_camera(new_tab: NewTab, origin: str) -> None:
    tab = new_tab(reduced_motion="no-preference")
    tab.page.goto(f"{origin}/?token={TOKEN}")
    tab.ready()
    at_rest(tab)
    before = int(tab.page.evaluate("Number(document.body.dataset.frames)"))
    tab.page.click("#strip li:nth-child(6) button")
    assert not tab.page.evaluate("'photo' in document.body.dataset"), "it jumped"
    tab.wait("document.body.dataset.photo === 'photo 6.jpg'")
    # 1.1 seconds at no more than 0.2 a frame, then the photo comes by a fade.
    assert int(tab.page.evaluate("Number(document.body.dataset.frames)")) - before >= 6
    tab.wait("getComputedStyle(document.getElementById('photo-layer')).opacity === '1'")
    assert tab.errors == []


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_the_photo_lies_exactly_over_the_scene(new_tab: NewTab, origin: str, motion: str) -> None:
    tab = new_tab(560, 560, reduced_motion=motion)
    tab.page.goto(f"{origin}/?token={TOKEN}")
    tab.ready()
    tab.page.click("#strip li:nth-child(6) button")
    tab.wait("document.body.dataset.photo === 'photo 6.jpg'")
    tab.wait("getComputedStyle(document.getElementById('photo-layer')).opacity === '1'")
    assert tab.page.inner_text("#photo-name") == "photo 6.jpg"
    box = tab.page.evaluate("(({x, y, width, height}) => [x, y, width, height])"
                            "(document.getElementById('photo').getBoundingClientRect())")  # fmt: skip
    x, y, width, height = (round(v) for v in box)
    assert abs(width / height - 400 / 300) < 0.02

    def inside() -> Picture:
        margin = 3
        return screenshot(tab)[y + margin : y + height - margin, x + margin : x + width - margin]

    photo = inside()
    tab.page.evaluate(
        "(() => { const f = document.getElementById('fade'); f.value = 0; f.dispatchEvent(new Event('input')); })()"
    )
    tab.wait("getComputedStyle(document.getElementById('photo-layer')).opacity === '0'")
    scene = inside()
    # The photos of these tests are our own renderings times (1, 0.8, 0.6): undone, they are the scene.
    untinted = np.clip(photo / np.array(TINT, np.float32), 0, 1)
    errors = {
        (dx, dy): float(np.square(np.roll(untinted, (dy, dx), (0, 1)) - scene)[8:-8, 8:-8].mean())
        for dx in range(-5, 6)
        for dy in range(-5, 6)
    }
    best = min(errors, key=lambda shift: errors[shift])
    # The photo's box and the screenshot are both rounded to whole pixels.
    assert max(abs(best[0]), abs(best[1])) <= 1, best
    assert errors[best] < 0.3 * errors[(5, 0)]
    # Space swaps the two for as long as it is held.
    tab.page.focus("#canvas")
    tab.page.keyboard.down(" ")
    tab.wait("getComputedStyle(document.getElementById('photo-layer')).opacity === '1'")
    tab.page.keyboard.up(" ")
    tab.wait("getComputedStyle(document.getElementById('photo-layer')).opacity === '0'")
    assert tab.errors == []


def test_the_keys_walk_through_the_photos(tab: Tab) -> None:
    for key, name in (("ArrowRight", "photo 1.jpg"), ("ArrowRight", "photo 2.jpg"), ("ArrowLeft", "photo 1.jpg")):
        tab.page.keyboard.press(key)
        tab.wait(f"document.body.dataset.photo === '{name}'")
    assert tab.page.get_attribute("#strip li:nth-child(1) button", "aria-current") == "true"
    tab.page.keyboard.press("Escape")
    assert not tab.page.evaluate("'photo' in document.body.dataset")
    assert not tab.page.is_visible("#compare")


def test_dragging_turns_and_reset_goes_back(tab: Tab) -> None:
    first = screenshot(tab)
    tab.page.mouse.move(280, 190)
    tab.page.mouse.down()
    tab.page.mouse.move(370, 170, steps=4)
    tab.page.mouse.up()
    turned = screenshot(tab)
    assert psnr(turned, first) < 30
    tab.page.keyboard.press("r")
    back = screenshot(tab)
    assert psnr(back, first) > 40


def test_wheel_and_keys_move(tab: Tab) -> None:
    first = screenshot(tab)
    tab.page.mouse.move(280, 190)
    tab.page.mouse.wheel(0, 400)
    far = screenshot(tab)
    assert psnr(far, first) < 35
    tab.page.keyboard.press("2")
    assert tab.page.get_attribute("#fly", "aria-checked") == "true"
    tab.page.keyboard.down("w")
    frames(tab, 4)
    tab.page.keyboard.up("w")
    assert psnr(screenshot(tab), far) < 35
    tab.page.keyboard.press("1")
    assert tab.page.get_attribute("#orbit", "aria-checked") == "true"


def test_cameras_are_shown_and_picked(tab: Tab) -> None:
    tab.page.mouse.move(280, 190)
    for _ in range(4):
        tab.page.mouse.wheel(0, 300)
    before = screenshot(tab)
    tab.page.keyboard.press("c")
    assert tab.page.get_attribute("#cameras", "aria-pressed") == "true"
    after = screenshot(tab)
    changed = np.abs(after - before).max(axis=2) > 0.2
    changed[:70], changed[280:] = False, False  # bars
    orange = (after[..., 0] > 0.8) & (after[..., 2] < 0.5) & changed
    assert orange.sum() > 20
    tab.page.keyboard.press("c")
    # Splats sorted anew may change a pixel here and there.
    assert (np.abs(screenshot(tab) - before)[70:280] > 0.1).mean() < 1e-3


def test_a_double_click_turns_towards_what_is_there(tab: Tab) -> None:
    picture = screenshot(tab)
    bright = picture[80:270].max(axis=2)
    y, x = np.argwhere(bright > 0.3).mean(axis=0) if (bright > 0.3).any() else (100.0, 280.0)
    spots = np.argwhere(bright > 0.3)
    y, x = spots[np.argmin(np.abs(spots - [y, x]).sum(axis=1))]
    tab.page.mouse.click(float(x), float(y) + 80, click_count=2)
    frames(tab, 2)
    assert psnr(screenshot(tab), picture) < 30
    assert tab.errors == []


def test_help_opens_and_closes(tab: Tab) -> None:
    tab.page.keyboard.press("h")
    assert tab.page.is_visible("#help")
    tab.page.keyboard.press("Escape")
    assert not tab.page.is_visible("#help")
    tab.page.click("#help-button")
    assert tab.page.is_visible("#help")


def test_every_control_has_a_name(tab: Tab) -> None:
    nameless = tab.page.evaluate(
        "[...document.querySelectorAll('button, input, canvas, dialog')].filter((e) => !(e.getAttribute('aria-label') "
        "|| e.getAttribute('aria-labelledby') || e.labels?.length || e.textContent.trim())).map((e) => e.outerHTML)"
    )
    assert nameless == []


def test_a_phone_turns_and_shows_photos(new_tab: NewTab, origin: str) -> None:
    tab = new_tab(390, 700, has_touch=True, is_mobile=True)
    tab.page.goto(f"{origin}/?token={TOKEN}")
    tab.ready()
    wide = tab.page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not wide
    for selector in ("#toolbar", "#strip", "#top"):
        box = tab.page.locator(selector).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390, selector
    tab.page.tap("#strip li:nth-child(1) button")
    tab.wait("document.body.dataset.photo === 'photo 1.jpg'")
    tab.page.tap("#photo-close")
    assert not tab.page.is_visible("#compare")
    assert tab.errors == []


# --- When something is wrong ----------------------------------------------------------------------------------------


def failing(new_tab: NewTab, origin: str, prepare: Callable[[Any], None], query: str = "") -> str:
    tab = new_tab()
    prepare(tab.page)
    tab.page.goto(f"{origin}/?token={TOKEN}{query}")
    return tab.failure()


def test_a_cut_off_splat_file_is_said(new_tab: NewTab, origin: str, sample: Sample) -> None:
    half = sample.scene.splats.read_bytes()[: sample.scene.splats.stat().st_size // 2]
    words = failing(new_tab, origin, lambda page: page.route("**/scene.ply", lambda r: r.fulfill(body=half)))
    assert "damaged or incomplete" in words


def test_a_file_of_another_kind_is_said(new_tab: NewTab, origin: str) -> None:
    words = failing(new_tab, origin, lambda page: page.route("**/scene.ply", lambda r: r.fulfill(body="not splats")))
    assert "damaged or incomplete" in words


def test_a_lost_connection_is_said(new_tab: NewTab, origin: str) -> None:
    words = failing(new_tab, origin, lambda page: page.route("**/scene.ply", lambda r: r.abort()))
    assert "connection to Diorama was lost" in words
    words = failing(new_tab, origin, lambda page: page.route("**/scene.json", lambda r: r.abort()))
    assert "connection to Diorama was lost" in words


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"schema": 99}', "newer than this page"),
        ('{"schema": 1, "splats": {"format": "ply", "url": "https://evil.example/x.ply"}}', "damaged"),
    ],
    ids=["cut off", "a list", "newer", "pointing elsewhere"],
)
def test_a_broken_description_is_said(new_tab: NewTab, origin: str, body: str, said: str) -> None:
    def prepare(page: Any) -> None:
        page.route("**/scene.json", lambda r: r.fulfill(body=body, content_type="application/json"))

    assert said in failing(new_tab, origin, prepare)


def test_a_browser_without_webgl2_is_told(new_tab: NewTab, origin: str) -> None:
    script = "HTMLCanvasElement.prototype.getContext = () => null"
    words = failing(new_tab, origin, lambda page: page.add_init_script(script))
    assert "no WebGL 2" in words


def test_an_unknown_camera_is_said(new_tab: NewTab, origin: str) -> None:
    assert "no camera called nobody" in failing(new_tab, origin, lambda page: None, "&still=1&camera=nobody")


def test_a_lost_graphics_context_is_said(tab: Tab) -> None:
    tab.page.evaluate(
        "document.getElementById('canvas').getContext('webgl2').getExtension('WEBGL_lose_context').loseContext()"
    )
    assert "graphics card stopped" in tab.failure()
