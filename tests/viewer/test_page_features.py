"""What the scene page's tools do: walking, measuring, notes, views, quality, mesh, before and after, recovery.

One small place: a floor of flat splats at z = 0, a collider with a wall and stairs, and a red mesh. Waits are by drawn
frames and states of the page, never by seconds.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from diorama.capture.camera import Camera
from diorama.render.formats import write_splats
from diorama.render.formats.meshes import write_glb
from diorama.render.mesh import Mesh, MeshAsset
from diorama.render.splats import Splats
from diorama.viewer.scene_data import Annotation, SavedView, ViewerScene
from diorama.viewer.server import create_app

from .conftest import TOKEN, Tab, looking_at, make_sample, serving
from .test_page import at_rest, decoded, frames, screenshot

pytestmark = pytest.mark.browser

NewTab = Callable[..., Tab]
WIDTH, HEIGHT = 700, 500  # wide enough for the side sheets of a desktop; they cover x > 330
HOME = np.array([0.0, -4.0, 3.0])
STEP, TREAD, STEPS = 0.18, 0.3, 5
WALL_Y = 2.0


def floor_splats(side: int = 36, half: float = 3.0, colour: tuple[float, float, float] = (0.2, 0.6, 0.9)) -> Splats:
    """Flat opaque discs in a level square."""
    t = (np.arange(side) + 0.5) / side * 2 * half - half
    x, y = (a.ravel() for a in np.meshgrid(t, t))
    count = len(x)
    checks = (((x // 0.5) + (y // 0.5)) % 2)[:, None]
    sh = ((np.array(colour) * (0.6 + 0.4 * checks)) - 0.5) / 0.28209479177387814
    scales = np.log(np.tile([half / side, half / side, 0.004], (count, 1)))
    quats = np.tile([1.0, 0, 0, 0], (count, 1))
    arrays = (np.stack([x, y, 0 * x], 1), quats, scales, np.full(count, 4.0), sh[:, None, :])
    return Splats(*(np.ascontiguousarray(a, np.float32) for a in arrays))


def quads(*corners: list[tuple[float, float, float]]) -> Mesh:
    """Each four corners are a rectangle, seen from both sides."""
    vertices = np.array([c for quad in corners for c in quad], np.float32)
    faces = [[4 * i + a, 4 * i + b, 4 * i + c] for i in range(len(corners)) for a, b, c in ((0, 1, 2), (0, 2, 3))]
    return Mesh(vertices, np.array(faces, np.int32))


def collider() -> Mesh:
    """A floor with an edge at x = -3, a wall across y = 2, and stairs up along +x from x = 1."""
    parts = [
        [(-3.0, -9.0, 0.0), (9.0, -9.0, 0.0), (9.0, 9.0, 0.0), (-3.0, 9.0, 0.0)],
        [(-3.0, WALL_Y, 0.0), (9.0, WALL_Y, 0.0), (9.0, WALL_Y, 3.0), (-3.0, WALL_Y, 3.0)],
    ]
    for i in range(STEPS):
        x, z = 1 + i * TREAD, (i + 1) * STEP
        end = x + TREAD if i < STEPS - 1 else 6.0
        parts.append([(x, -2, z - STEP), (x, 1, z - STEP), (x, 1, z), (x, -2, z)])
        parts.append([(x, -2, z), (end, -2, z), (end, 1, z), (x, 1, z)])
    return quads(*parts)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> ViewerScene:
    folder = tmp_path_factory.mktemp("place")
    splats = floor_splats()
    write_splats(splats, folder / "splats.ply")
    write_glb(MeshAsset((collider(),)), folder / "collider.glb", "collider")
    red = quads([(-1, 0, 0), (1, 0, 0), (1, 0, 2), (-1, 0, 2)])
    red = replace(red, colours=np.tile(np.array([[255, 0, 0]], np.uint8), (4, 1)))
    write_glb(MeshAsset((red,)), folder / "mesh.glb", "mesh")
    camera = Camera.pinhole(200, 150, 180.0, 180.0, 100.0, 75.0)
    cameras = [("one.jpg", camera, looking_at((0, -4, 1.5), (0, 0, 0)))]
    scene = make_sample(folder / "splats.ply", splats, cameras, is_metric=True).scene
    return replace(
        scene,
        metric_source="distance",
        home_position=tuple(HOME.tolist()),
        home_target=(0.0, 0.0, 0.0),
        mesh=folder / "mesh.glb",
        collider=folder / "collider.glb",
        viewpoints=(SavedView("From the side", (5.0, 0.0, 2.0), (0.0, 0.0, 0.0)),),
        annotations=(Annotation("The middle", "Here is the origin.", (0.0, 0.0, 0.0)),),
    )


@pytest.fixture(scope="module")
def origin(place: ViewerScene, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    scratch = tmp_path_factory.mktemp("scratch")
    with serving(lambda p: create_app(place, bundle, token=TOKEN, port=p, scratch=scratch)) as port:
        yield f"http://127.0.0.1:{port}"


def opened(new_tab: NewTab, origin: str, hash: str = "", **options: Any) -> Tab:
    tab = new_tab(WIDTH, HEIGHT, **options)
    tab.page.goto(f"{origin}/?token={TOKEN}{hash}")
    tab.ready()
    return tab


@pytest.fixture
def tab(new_tab: NewTab, origin: str) -> Tab:
    return opened(new_tab, origin)


def on_floor(x: float, y: float) -> np.ndarray:
    """Where the ray through a place on the canvas meets z = 0, from the first view: 66 degrees across the diagonal."""
    f = 0.5 * math.hypot(WIDTH, HEIGHT) / math.tan(math.radians(33))
    pose = looking_at(HOME, (0, 0, 0))
    ray = pose.rotation.T @ np.array([(x - WIDTH / 2) / f, (y - HEIGHT / 2) / f, 1.0])
    return HOME + ray * (-HOME[2] / ray[2])


# --- Walking --------------------------------------------------------------------------------------------------------


def feet(tab: Tab) -> np.ndarray:
    """Where the walker stands, in the world (the page tells it in three's axes)."""
    x, y, z = (float(v) for v in tab.page.evaluate("document.body.dataset.feet").split())
    return np.array([x, -z, y])


def walk_until_still(tab: Tab, key: str, most: int = 400) -> None:
    tab.page.keyboard.down(key)
    still, last = 0, feet(tab)
    for _ in range(most):
        frames(tab, 1)
        now = feet(tab)
        still, last = (still + 1, now) if np.abs(now - last).max() < 1e-4 else (0, now)
        if still > 5:
            break
    tab.page.keyboard.up(key)


def start_walking(new_tab: NewTab, origin: str, view: str) -> Tab:
    tab = opened(new_tab, origin, f"#view={view}")
    tab.page.keyboard.press("3")
    tab.wait("document.body.dataset.feet !== undefined")
    assert tab.page.get_attribute("#walk", "aria-checked") == "true"
    return tab


def test_a_walker_stands_on_the_floor_and_stops_at_a_wall(new_tab: NewTab, origin: str) -> None:
    tab = start_walking(new_tab, origin, "-1,0,2.5;-1,2,2.5;0,0,1")
    assert feet(tab) == pytest.approx([-1, 0, 0], abs=1e-3)
    walk_until_still(tab, "w")
    # The body keeps 25 cm from walls, and comes up to them within one piece of a frame's way (1.4 m/s * 20 ms).
    assert feet(tab)[2] == pytest.approx(0, abs=1e-3)
    assert WALL_Y - 0.25 - 0.03 <= feet(tab)[1] <= WALL_Y - 0.25 + 1e-3
    tab.page.keyboard.down("Shift")  # faster, and still no way through
    walk_until_still(tab, "w")
    tab.page.keyboard.up("Shift")
    assert feet(tab)[1] <= WALL_Y - 0.25 + 1e-3
    # Along the wall there is a way.
    tab.page.keyboard.down("a")
    frames(tab, 12)
    tab.page.keyboard.up("a")
    assert feet(tab)[0] < -1.1
    assert tab.errors == []


def test_stairs_are_climbed_and_an_edge_is_fallen_from(new_tab: NewTab, origin: str) -> None:
    tab = start_walking(new_tab, origin, "0,-1,2;3,-1,2;0,0,1")
    tab.page.keyboard.down("w")
    for _ in range(600):
        frames(tab, 1)
        if feet(tab)[0] > 1 + STEPS * TREAD:
            break
    tab.page.keyboard.up("w")
    assert feet(tab)[2] == pytest.approx(STEPS * STEP, abs=1e-3)
    eye = tab.page.evaluate("document.body.dataset.feet")  # the eye comes to rest 1.6 m above
    at_rest(tab)
    assert tab.page.evaluate("document.body.dataset.feet") == eye
    # Down from the side of the stairs: 0.9 m, by gravity, to the floor.
    tab.page.keyboard.down("d")
    for _ in range(200):
        frames(tab, 1)
        if feet(tab)[1] < -2.1:
            break
    tab.page.keyboard.up("d")
    at_rest(tab)
    assert feet(tab)[2] == pytest.approx(0, abs=1e-3) and -4 < feet(tab)[1] < -2
    assert tab.errors == []


@pytest.mark.slow
def test_the_end_of_the_collider_brings_one_back(new_tab: NewTab, origin: str) -> None:
    tab = start_walking(new_tab, origin, "-2.7,0,2;-4,0,2;0,0,1")
    tab.page.keyboard.down("w")
    lowest = 0.0
    for _ in range(900):
        frames(tab, 1)
        lowest = min(lowest, feet(tab)[2])
        if lowest < -5 and feet(tab)[2] > -0.1:
            break
    tab.page.keyboard.up("w")
    assert lowest < -5, "nobody fell"
    assert feet(tab)[2] == pytest.approx(0, abs=0.1) or feet(tab)[2] < 0


def test_without_a_collider_it_says_so(new_tab: NewTab, place: ViewerScene, bundle: Path, tmp_path: Path) -> None:
    scene = replace(place, collider=None, mesh=None)
    with serving(lambda p: create_app(scene, bundle, token=TOKEN, port=p, scratch=tmp_path)) as port:
        tab = opened(new_tab, f"http://127.0.0.1:{port}")
        assert tab.page.locator("#mesh").count() == 0
        tab.page.click("#walk")
        tab.wait("document.body.dataset.feet !== undefined")
        assert "no collider" in tab.page.inner_text("#notice")
        assert feet(tab)[2] == pytest.approx(0, abs=0.05)
        tab.page.route("**/collider.glb", lambda route: route.fulfill(body="no GLB"))


def test_a_broken_collider_is_said(new_tab: NewTab, origin: str) -> None:
    tab = new_tab(WIDTH, HEIGHT)
    tab.page.route("**/collider.glb", lambda route: route.fulfill(body="no GLB"))
    tab.page.goto(f"{origin}/?token={TOKEN}")
    tab.ready()
    tab.page.keyboard.press("3")
    tab.wait("document.body.dataset.feet !== undefined")
    assert "collider cannot be read" in tab.page.inner_text("#notice")


# --- Measuring and notes --------------------------------------------------------------------------------------------


def test_a_distance_is_measured_in_metres(tab: Tab) -> None:
    tab.page.keyboard.press("m")
    assert "a distance that somebody measured" in tab.page.inner_text("#panel-measure")
    a, b = (150, 230), (200, 320)
    tab.page.mouse.click(*a)
    tab.page.mouse.click(*b)
    said = tab.page.inner_text("#panel-measure output")
    expected = float(np.linalg.norm(on_floor(*a) - on_floor(*b)))
    assert said.endswith(" m")
    # Splats have a thickness and the page picks where their body begins: a few centimetres at 4 m.
    assert float(said[:-2]) == pytest.approx(expected, abs=0.08)
    assert tab.page.inner_text(".pin-label") == said
    label = tab.page.locator(".pin-label").bounding_box()
    middle = np.array(a) / 2 + np.array(b) / 2
    assert abs(label["x"] + label["width"] / 2 - middle[0]) < 12
    assert abs(label["y"] + label["height"] / 2 - middle[1]) < 12
    # The line is on the canvas.
    at_rest(tab)
    seen = screenshot(tab)
    assert np.abs(seen[240:310, 160:195] - np.array([0x7C, 0xC4, 0xFF]) / 255).max(axis=2).min() < 0.15
    tab.page.click("#panel-measure li button")
    assert tab.page.locator(".pin-label").count() == 0
    tab.page.keyboard.press("Escape")
    assert tab.page.evaluate("document.body.dataset.tool") is None
    assert tab.errors == []


def test_a_distance_by_keyboard_in_a_scene_without_scale(
    new_tab: NewTab, place: ViewerScene, bundle: Path, tmp_path: Path
) -> None:
    scene = replace(place, is_metric=False, metric_source=None)
    with serving(lambda p: create_app(scene, bundle, token=TOKEN, port=p, scratch=tmp_path)) as port:
        tab = opened(new_tab, f"http://127.0.0.1:{port}")
        tab.page.keyboard.press("m")
        assert "scale unknown" in tab.page.inner_text("#panel-measure")
        tab.page.keyboard.press("Enter")
        tab.page.evaluate("location.hash = '#view=1,-4,3;1,0,0;0,0,1'")
        at_rest(tab)
        tab.page.keyboard.press("Enter")
        said = tab.page.inner_text("#panel-measure output")
        assert said.endswith(" units")
        assert float(said.split()[0]) == pytest.approx(1, abs=0.05)  # the view moved by one along x


def test_a_note_is_pinned_kept_and_removed(tab: Tab) -> None:
    assert tab.page.get_attribute(".note-pin", "aria-label") == "Note 1: The middle"
    tab.page.keyboard.press("n")
    tab.page.click("#note-add")
    tab.page.mouse.click(140, 300)
    tab.page.fill(".note-form input", "A <b>corner</b>")
    tab.page.fill(".note-form textarea", "wet")
    tab.page.click(".note-form button")
    assert tab.page.locator(".note-pin").count() == 2
    box = tab.page.locator(".note-pin").nth(1).bounding_box()
    assert abs(box["x"] + box["width"] / 2 - 140) < 6 and abs(box["y"] + box["height"] / 2 - 300) < 6
    assert "A <b>corner</b>" in tab.page.inner_text("#panel-notes li:nth-child(2)")
    kept = json.loads(tab.page.evaluate("localStorage.getItem('diorama:/')"))
    note = kept["annotations"][1]
    assert note["title"] == "A <b>corner</b>" and note["text"] == "wet"
    assert np.allclose(note["point"], on_floor(140, 300), atol=0.08)
    tab.page.reload()
    tab.ready()
    assert tab.page.locator(".note-pin").count() == 2
    tab.page.locator(".note-pin").nth(1).click()
    assert tab.page.is_visible("text=wet")
    tab.page.click("#panel-notes li:nth-child(2) .icon")
    assert tab.page.locator(".note-pin").count() == 1
    assert tab.errors == []


# --- Views ----------------------------------------------------------------------------------------------------------


def test_views_are_kept_named_and_returned_to(tab: Tab) -> None:
    first = screenshot(tab)
    tab.page.keyboard.press("v")
    assert "From the side" in tab.page.inner_text("#panel-views")
    tab.page.click("#view-save")
    tab.page.click("text=From the side")
    tab.page.keyboard.press("Escape")
    side = screenshot(tab)
    assert np.abs(side - first)[100:330, 40:600].mean() > 0.02
    tab.page.reload()
    tab.ready()
    tab.page.keyboard.press("v")
    tab.page.click("text=From the side")
    tab.page.click("text=View 2")
    tab.page.keyboard.press("Escape")
    assert np.abs(screenshot(tab) - first)[100:330, 40:600].mean() < 0.005
    tab.page.keyboard.press("v")
    tab.page.dblclick("text=View 2")
    tab.page.keyboard.type("Door")
    tab.page.keyboard.press("Enter")
    assert "Door" in tab.page.inner_text("#panel-views")
    with tab.page.expect_download() as download:
        tab.page.click("#views-export")
    told = json.loads(Path(download.value.path()).read_text())
    assert [v["name"] for v in told["viewpoints"]] == ["From the side", "Door"]
    assert np.allclose(told["viewpoints"][1]["position"], HOME, atol=1e-6)
    assert download.value.suggested_filename == "views.json"
    # Back from a file, and a file of another kind.
    tab.page.set_input_files(
        "#panel-views input", {"name": "x.json", "mimeType": "a/b", "buffer": b'{"viewpoints": 3}'}
    )
    tab.wait("!document.getElementById('notice').hidden")
    assert "holds no views" in tab.page.inner_text("#notice")
    told["viewpoints"] = told["viewpoints"][:1]
    buffer = json.dumps(told).encode()
    tab.page.set_input_files("#panel-views input", {"name": "x.json", "mimeType": "a/b", "buffer": buffer})
    tab.wait("document.querySelectorAll('#panel-views li').length === 1")
    assert tab.errors == []


def test_a_link_leads_to_the_view(tab: Tab, new_tab: NewTab, origin: str) -> None:
    tab.page.evaluate("location.hash = '#view=2,-3,1.5;0,0,0.5;0,0,1'")
    there = screenshot(tab)
    tab.page.keyboard.press("i")
    tab.wait("!document.getElementById('notice').hidden")
    link = tab.page.url
    assert "token" not in link and "#view=2,-3,1.5;0,0,0.5;" in link
    other = opened(new_tab, origin, "#" + link.split("#")[1])
    assert np.abs(screenshot(other) - there)[100:330, 40:600].mean() < 0.005
    for broken in ("#view=1,2", "#view=a,b,c;0,0,0;0,0,1", "#view=0,0,0;0,0,0;0,0,1", "#view=9e999,0,0;0,0,0;0,0,1"):
        other.page.evaluate(f"location.hash = '{broken}'")
    frames(other, 2)
    assert np.abs(screenshot(other) - there)[100:330, 40:600].mean() < 0.005
    assert other.errors == []


def test_a_picture_of_the_view_is_saved(tab: Tab) -> None:
    at_rest(tab)
    with tab.page.expect_download() as download:
        tab.page.keyboard.press("o")
    assert download.value.suggested_filename == "A-scene-of-the-tests.png"
    picture = np.asarray(PIL.Image.open(io.BytesIO(Path(download.value.path()).read_bytes())).convert("RGB"))
    assert picture.shape == (HEIGHT, WIDTH, 3)
    # The same as on the page, where no bars are.
    seen = screenshot(tab)
    assert np.abs(picture / 255 - seen)[100:210, 40:600].mean() < 0.01
    assert picture[HEIGHT // 2, WIDTH // 2, 2] > 60


# --- Quality, mesh, before and after --------------------------------------------------------------------------------


def test_presets_change_the_picture_and_stay(tab: Tab) -> None:
    size = "[document.getElementById('canvas').width, document.getElementById('canvas').height]"
    assert tab.page.evaluate(size) == [WIDTH, HEIGHT]
    tab.page.keyboard.press("y")
    tab.page.click("[data-preset=low]")
    at_rest(tab)
    assert tab.page.evaluate(size) == [WIDTH // 2, HEIGHT // 2]
    assert tab.page.get_attribute("[data-preset=low]", "aria-checked") == "true"
    tab.page.reload()
    tab.ready()
    assert tab.page.evaluate("document.body.dataset.quality") == "low"
    assert tab.page.evaluate(size) == [WIDTH // 2, HEIGHT // 2]
    tab.page.keyboard.press("y")
    tab.page.click("[data-preset=high]")
    assert tab.page.evaluate(size) == [WIDTH, HEIGHT]


def test_slow_frames_make_a_moving_picture_coarser_and_rest_makes_it_sharp(new_tab: NewTab, origin: str) -> None:
    tab = new_tab(WIDTH, HEIGHT)
    # Every frame comes 100 ms of the page's clock after the last, however long it took.
    tab.page.add_init_script(
        "{ const real = window.requestAnimationFrame.bind(window); let now = 0;"
        "window.requestAnimationFrame = (call) => real(() => call(now += 50)); }"
    )
    tab.page.goto(f"{origin}/?token={TOKEN}")
    tab.ready()
    tab.page.keyboard.press("2")
    tab.page.keyboard.down("d")
    scales = []
    for _ in range(40):
        frames(tab, 1)
        scales.append(float(tab.page.evaluate("document.body.dataset.scale")))
    assert min(scales) < 0.7
    width = tab.page.evaluate("document.getElementById('canvas').width")
    assert width < 0.7 * WIDTH
    tab.page.keyboard.up("d")
    at_rest(tab)
    assert tab.page.evaluate("document.getElementById('canvas').width") == WIDTH
    assert tab.errors == []


def test_the_mesh_takes_the_splats_place(tab: Tab) -> None:
    at_rest(tab)
    before = screenshot(tab)
    assert tab.page.evaluate("performance.getEntriesByType('resource').every((r) => !r.name.endsWith('mesh.glb'))")
    tab.page.keyboard.press("t")
    tab.wait("document.body.dataset.shown === 'mesh'")
    seen = screenshot(tab)
    # The red wall stands on the origin, the floor of splats is gone.
    f = 0.5 * math.hypot(WIDTH, HEIGHT) / math.tan(math.radians(33))
    centre = Camera.pinhole(WIDTH, HEIGHT, f, f, WIDTH / 2, HEIGHT / 2).project(
        looking_at(HOME, (0, 0, 0)).apply(np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -0.3]]))
    )
    (x, y), (_, below) = np.round(centre).astype(int)
    assert np.allclose(seen[y, x], (1, 0, 0), atol=0.02)
    assert seen[below + 40, x].max() < 0.12 < before[below + 40, x].max()
    tab.page.click("#mesh")
    tab.wait("document.body.dataset.shown === 'splats'")
    assert np.abs(screenshot(tab) - before)[150:330, 40:300].max() < 0.02
    assert tab.errors == []


def test_two_sets_of_splats_beside_a_line(tab: Tab, tmp_path: Path) -> None:
    path = tmp_path / "after.ply"
    write_splats(floor_splats(colour=(0.9, 0.5, 0.1)), path)
    at_rest(tab)
    tab.page.keyboard.press("b")
    tab.page.set_input_files("#panel-compare-splats input", str(path))
    tab.wait("document.body.dataset.compare === 'splats'")
    tab.page.keyboard.press("Escape")  # closes the sheet first
    assert tab.page.evaluate("document.body.dataset.compare") == "splats"

    def is_orange(seen: Any, x: int) -> bool:
        column = seen[220:330, x - 12 : x + 12].reshape(-1, 3).mean(0)
        return bool(column[0] > column[2])

    seen = screenshot(tab)
    assert [is_orange(seen, x) for x in (150, 310, 390, 550)] == [False, False, True, True]
    tab.page.focus("#wipe")
    for _ in range(12):
        tab.page.keyboard.press("ArrowRight")
    seen = screenshot(tab)
    assert [is_orange(seen, x) for x in (390, 480, 560)] == [False, False, True]  # the line is at 0.74 of 700
    line = tab.page.locator("#wipe").bounding_box()
    tab.page.mouse.move(line["x"] + 17, 120)
    tab.page.mouse.down()
    tab.page.mouse.move(120, 120, steps=3)
    tab.page.mouse.up()
    assert is_orange(screenshot(tab), 180)
    tab.page.keyboard.press("Escape")
    assert tab.page.locator("#wipe").count() == 0
    assert not is_orange(screenshot(tab), 400)
    tab.page.set_input_files("#panel-compare-splats input", {"name": "a.ply", "mimeType": "a/b", "buffer": b"ply\nno"})
    tab.wait("!document.getElementById('notice').hidden")
    assert "cannot be read" in tab.page.inner_text("#notice")
    assert all("Invalid PLY" in error for error in tab.errors)


def test_a_photo_beside_a_line(tab: Tab) -> None:
    tab.page.keyboard.press("ArrowRight")
    tab.wait("document.body.dataset.photo === 'one.jpg'")
    tab.wait("getComputedStyle(document.getElementById('photo-layer')).opacity === '1'")
    tab.page.click("#photo-wipe")
    assert tab.page.is_visible("#wipe")
    clip = "document.getElementById('photo-layer').style.clipPath"
    tab.wait(f"{clip} !== ''")
    assert 40 < float(tab.page.evaluate(clip).split()[-1][:-2]) < 60
    tab.page.keyboard.press("End")
    frames(tab, 2)
    assert float(tab.page.evaluate(clip).split()[-1][:-2]) == 100
    tab.page.keyboard.press("Escape")
    assert tab.page.locator("#wipe").count() == 0 and tab.page.evaluate(clip) == ""
    tab.page.click("#photo-wipe")
    tab.page.click("#photo-close")
    frames(tab, 2)
    assert tab.page.locator("#wipe").count() == 0
    assert tab.errors == []


# --- When something goes wrong --------------------------------------------------------------------------------------


def test_after_a_lost_graphics_context_the_page_comes_back_to_its_view(tab: Tab) -> None:
    tab.page.evaluate("location.hash = '#view=2,-3,1.5;0,0,0.5;0,0,1'")
    there = screenshot(tab)
    tab.page.evaluate("history.replaceState(null, '', location.pathname)")
    tab.page.evaluate(
        "window.lose = document.getElementById('canvas').getContext('webgl2').getExtension('WEBGL_lose_context');"
        "window.lose.loseContext()"
    )
    assert "graphics card stopped" in tab.failure()
    with tab.page.expect_navigation():
        tab.page.evaluate("window.lose.restoreContext()")
    tab.ready()
    assert np.abs(screenshot(tab) - there)[100:330, 40:600].mean() < 0.005


def test_a_transfer_that_breaks_off_goes_on(new_tab: NewTab, origin: str) -> None:
    """The body of the first answer fails half way; the rest is asked for from there."""
    tab = new_tab(WIDTH, HEIGHT)
    tab.page.add_init_script("""{
      const real = window.fetch.bind(window);
      window.asked = [];
      window.setTimeout = new Proxy(window.setTimeout, { apply: (f, self, [call, ms, ...rest]) =>
        f.call(window, call, ms === 700 ? 0 : ms, ...rest) });
      window.fetch = async (url, options) => {
        const answer = await real(url, options);
        if (!String(url).endsWith('scene.ply')) return answer;
        window.asked.push(options?.headers?.Range ?? '');
        if (window.asked.length > 1) return answer;
        const half = new Uint8Array(await answer.arrayBuffer()).slice(0, 20000);
        let sent = false;
        const body = new ReadableStream({ pull(c) {
          if (sent) c.error(new TypeError('network error'));
          else { sent = true; c.enqueue(half); }
        } }, { highWaterMark: 0 });
        return new Response(body, { headers: answer.headers });
      };
    }""")
    tab.page.goto(f"{origin}/?token={TOKEN}")
    tab.ready()
    assert tab.page.evaluate("window.asked") == ["", "bytes=20000-"]


def test_every_tool_is_reached_by_keyboard(tab: Tab) -> None:
    tab.page.keyboard.press("h")
    listed = tab.page.inner_text("#help-keys")
    for words in ("walk", "Measure a distance", "Saved views", "Save a picture", "Picture quality", "Notes", "mesh"):
        assert words in listed, words
    tab.page.keyboard.press("h")
    nameless = tab.page.evaluate(
        "[...document.querySelectorAll('button, input, textarea, [role=slider], [role=region]')]"
        ".filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length))"
        ".map((e) => e.outerHTML)"
    )
    assert nameless == []
    # Tab walks through an open sheet, and Escape hands the keyboard back.
    tab.page.focus("#canvas")
    tab.page.keyboard.press("v")
    assert tab.page.evaluate("document.activeElement.id") == "panel-views"
    tab.page.keyboard.press("Tab")
    assert tab.page.evaluate("document.activeElement.closest('#panel-views') !== null")
    tab.page.keyboard.press("Escape")
    assert tab.page.evaluate("document.activeElement.id") == "canvas"


def test_a_phone_has_its_tools_behind_one_button(new_tab: NewTab, origin: str) -> None:
    tab = new_tab(360, 640, has_touch=True, is_mobile=True)
    tab.page.goto(f"{origin}/?token={TOKEN}")
    tab.ready()
    assert not tab.page.is_visible("#rail")
    tab.page.tap("#tools")
    assert tab.page.is_visible("#rail")
    boxes = [b.bounding_box() for b in tab.page.locator("#rail button:visible").all()]
    assert all(b["x"] >= 0 and b["x"] + b["width"] <= 360 and b["height"] >= 44 for b in boxes)
    tab.page.tap("#views")
    assert not tab.page.is_visible("#rail") and tab.page.is_visible("#panel-views")
    box = tab.page.locator("#panel-views").bounding_box()
    assert box["x"] == 0 and box["width"] == 360 and abs(box["y"] + box["height"] - 640) < 1
    tab.page.tap("#panel-views header button")
    assert not tab.page.is_visible("#panel-views")
    assert tab.errors == []
    assert decoded(tab.page.screenshot()).shape == (640, 360, 3)
