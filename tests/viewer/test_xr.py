"""VR and AR in headless Chromium with an emulated headset (IWER): what both eyes see, moving, grabbing, leaving.

Everything is measured in the room of the headset or in the world, against values worked out here; waits are by frames.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from diorama.capture.camera import Camera
from diorama.capture.transforms import Sim3
from diorama.render.formats import write_splats
from diorama.render.metrics import psnr
from diorama.render.rasterize import rasterize
from diorama.render.splats import SH_C0, Splats
from diorama.render.transform import transform_splats
from diorama.viewer.server import create_app

from .conftest import PAGE_COLOUR, TOKEN, Sample, Tab, looking_at, make_sample, serving
from .xr_helpers import Eye, Headset, headset_script, menu_row

pytestmark = pytest.mark.browser

NewTab = Callable[..., Tab]
Array = npt.NDArray[np.float64]
EYE_HEIGHT = 1.6
"""Metres; where IWER's headset begins."""


def room_splats(seed: int = 3) -> Splats:
    """Blobs in all colours on a floor at zero and on the walls of a room 6 by 6 by 3 metres."""
    random = np.random.default_rng(seed)
    floor = np.c_[random.uniform(-3, 3, (350, 2)), np.zeros(350)]
    wall = np.c_[random.uniform(-3, 3, (500, 1)), np.full((500, 1), 3.0), random.uniform(0, 3, (500, 1))]
    sides = wall[:, [1, 0, 2]] * np.where(random.random((500, 1)) < 0.5, -1, 1) * [1, 1, 1]
    sides[:, 2] = np.abs(sides[:, 2])
    inside = random.uniform([-2, 0, 0.2], [2, 2.5, 2.2], (150, 3))
    means = np.vstack([floor, wall, sides, inside])
    count = len(means)
    colours = 0.5 + 0.45 * np.sin(means @ random.normal(size=(3, 3)) * 1.5)
    arrays = (
        means,
        random.normal(size=(count, 4)),
        np.log(random.uniform(0.05, 0.18, (count, 3))),
        np.full(count, 3.0),
        ((colours - 0.5) / SH_C0)[:, None, :],
    )
    return Splats(*(np.ascontiguousarray(a, np.float32) for a in arrays)).normalized()


def room_sample(folder: Path, *, is_metric: bool = True, scale: float = 1.0, share: int = 1) -> Sample:
    """The room, seen by one camera at a hand's height in its middle, looking at the wall."""
    splats = room_splats()
    splats = splats.select(np.arange(0, len(splats), share))
    splats = transform_splats(splats, Sim3(scale, np.eye(3), np.zeros(3)))
    path = folder / f"room{scale}.ply"
    write_splats(splats, path)
    camera = Camera.pinhole(400, 300, 300.0, 300.0, 200.0, 150.0)
    pose = looking_at(np.array([0.0, -2.0, 1.5]) * scale, np.array([0.0, 3.0, 1.5]) * scale)
    return make_sample(path, splats, [("middle.jpg", camera, pose)], is_metric=is_metric)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return room_sample(tmp_path_factory.mktemp("room"))


@pytest.fixture(scope="module")
def origins(room: Sample, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Sample], str]]:
    """Serves samples for as long as the module's tests last."""
    with ExitStack() as stack:
        served: dict[Path, str] = {}

        def origin(sample: Sample) -> str:
            path = sample.scene.splats
            if path not in served:
                scratch = tmp_path_factory.mktemp("scratch")
                app = partial(create_app, sample.scene, bundle, token=TOKEN, scratch=scratch)
                port = stack.enter_context(serving(lambda p: app(port=p)))
                served[path] = f"http://127.0.0.1:{port}/?token={TOKEN}"
            return served[path]

        yield origin


def opened(new_tab: NewTab, bundle: Path, url: str, size: tuple[int, int]) -> Headset:
    """The page with an emulated Quest 3, not entered yet."""
    tab = new_tab(*size)
    tab.page.add_init_script(headset_script(bundle))
    tab.page.goto(url)
    tab.ready()
    return Headset(tab)


@pytest.fixture
def headset(new_tab: NewTab, bundle: Path, room: Sample, origins: Callable[[Sample], str]) -> Headset:
    return opened(new_tab, bundle, origins(room), (640, 240))


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A room of the same size of a few dozen splats, for tests that move and look at no picture."""
    return room_sample(tmp_path_factory.mktemp("few"), share=25)


@pytest.fixture
def quick(new_tab: NewTab, bundle: Path, few: Sample, origins: Callable[[Sample], str]) -> Headset:
    return opened(new_tab, bundle, origins(few), (400, 300))


def expected_picture(splats: Splats, eye: Eye, background: tuple[float, float, float]) -> npt.NDArray[np.float32]:
    return np.clip(rasterize(splats, eye.camera, eye.pose, background=background).rgb, 0, 1)


def test_both_eyes_see_the_scene_from_their_own_heights(headset: Headset, room: Sample) -> None:
    headset.enter("vr")
    headset.hide_hands()
    left, right = headset.eyes()
    for eye in (left, right):
        # The page's camera stands at (0, -2); a metric scene's floor is at zero, the headset 1.6 m above it.
        assert eye.centre[1:] == pytest.approx([-2.0, EYE_HEIGHT], abs=1e-3)
        expected = expected_picture(room.splats, eye, PAGE_COLOUR)
        assert float(expected.std()) > 0.1
        # The issue asks for 22 dB. Measured 34.3: the rest is the headset's earlier cut of splats, at 2.4 deviations.
        assert psnr(eye.picture, expected) > 31
    # IWER's eyes are 63 mm apart, along the person's right, which is +x looking along +y.
    assert right.centre - left.centre == pytest.approx([0.063, 0, 0], abs=1e-4)
    # A picture for the wrong eye, or from 20 cm too high, is told apart.
    assert psnr(left.picture, expected_picture(room.splats, right, PAGE_COLOUR)) < 29
    assert psnr(left.picture, expected_picture(room.splats, left.raised(0.2), PAGE_COLOUR)) < 20
    assert headset.tab.errors == []


def test_ar_stands_the_scene_on_a_table_and_both_eyes_see_it(headset: Headset, room: Sample) -> None:
    headset.enter("ar")
    headset.hide_hands()
    # The room is 6 m wide; on a table it is 0.6 m (placement.ts), so that a metre of the headset's room spans ten.
    low, high = np.array(room.scene.bounds_min), np.array(room.scene.bounds_max)
    scale = float((high - low)[:2].max() / 0.6)
    assert headset.room.scale == pytest.approx(scale, rel=1e-4)
    # At arm's length, 0.75 m high, its foot in the middle.
    foot = headset.room.in_room([*((low + high) / 2)[:2], 0])
    assert foot == pytest.approx([0, 0.75, -0.9], abs=1e-3)
    for eye in headset.eyes():
        # No background: the headset's own camera picture is there, black in the emulator.
        expected = expected_picture(room.splats, eye, (0, 0, 0))
        assert float(expected.std()) > 0.05
        assert psnr(eye.picture, expected) > 28
    assert headset.tab.errors == []


def test_teleport_lands_where_the_arc_points(quick: Headset) -> None:
    quick.enter("vr")
    begin = quick.room
    quick.move("controllers.right", 0.2, 1.2, -0.3)
    # Thrown from 1.2 m level at 7 m/s (arc.ts): down after sqrt(2 h / g), so many metres ahead.
    distance = 7 * np.sqrt(2 * 1.2 / 9.81)
    landing = begin.in_world([0.2, 0, -0.3 - distance])
    quick.press("right", "trigger", 1)
    told = json.loads(quick.data("xrLanding"))
    # A straight chord of a thirtieth of a second leaves the parabola by at most g dt^2 / 8, 1.4 mm.
    assert [told[0], -told[2], told[1]] == pytest.approx(landing, abs=0.01)
    assert quick.room.translation == pytest.approx(begin.translation)
    quick.press("right", "trigger", 0)
    # Feet, below the head at the room's middle, stand there; the head is 1.6 m above.
    assert quick.room.in_world([0, 0, 0]) == pytest.approx(landing, abs=0.01)
    assert quick.room.in_world([0, EYE_HEIGHT, 0])[2] == pytest.approx(EYE_HEIGHT, abs=0.01)
    assert quick.room.yaw_rad == pytest.approx(begin.yaw_rad)


def test_the_right_stick_aims_too_and_an_arc_into_nothing_goes_nowhere(quick: Headset) -> None:
    quick.enter("vr")
    begin = quick.room
    # Straight up from 20 m: the ball is still in the air when the arc ends, after 2.4 s.
    quick.do("device.controllers.right.quaternion.set(Math.SQRT1_2, 0, 0, Math.SQRT1_2)")
    quick.do("device.controllers.right.position.set(0.2, 20, 0)")
    quick.press("right", "trigger", 1)
    assert quick.data("xrLanding") is None
    quick.press("right", "trigger", 0)
    assert quick.room.translation == pytest.approx(begin.translation)
    quick.do("device.controllers.right.quaternion.set(0, 0, 0, 1); device.controllers.right.position.set(0.2, 1.2, 0)")
    quick.stick("right", 0, -1)
    assert quick.data("xrLanding") is not None
    quick.stick("right", 0, 0)
    expected = begin.in_world([0.2, 0, -7 * np.sqrt(2 * 1.2 / 9.81)])
    assert quick.room.in_world([0, 0, 0]) == pytest.approx(expected, abs=0.01)


def test_snap_turn_turns_by_its_angle_where_the_head_is(quick: Headset) -> None:
    quick.enter("vr")
    quick.move("", 0.5, EYE_HEIGHT, 0.4)
    head = quick.room.in_world([0.5, EYE_HEIGHT, 0.4])
    for turns in (1, 2):
        quick.stick("right", 1, 0, settle=4)  # Held: one turn only.
        quick.stick("right", 0, 0)
        assert np.degrees(quick.room.yaw_rad) == pytest.approx(-30 * turns, abs=1e-3)
    quick.stick("right", -1, 0)
    quick.stick("right", 0, 0)
    assert np.degrees(quick.room.yaw_rad) == pytest.approx(-30, abs=1e-3)
    assert quick.room.in_world([0.5, EYE_HEIGHT, 0.4]) == pytest.approx(head, abs=1e-5)


def test_the_left_stick_walks_ahead_on_the_floor(quick: Headset) -> None:
    quick.enter("vr")
    begin = quick.room
    quick.stick("left", 0, -1, settle=4)
    quick.stick("left", 0, 0)
    moved = quick.room.translation - begin.translation
    assert moved[1] > 0.02
    assert moved[[0, 2]] == pytest.approx([0, 0], abs=1e-6)


def test_two_grips_scale_turn_and_move_the_scene(quick: Headset) -> None:
    quick.enter("vr")
    quick.move("controllers.left", -0.2, 1.3, -0.4)
    quick.move("controllers.right", 0.2, 1.3, -0.4)
    begin = quick.room
    held = begin.in_world([0, 1.3, -0.4])
    quick.press("left", "squeeze", 1)
    quick.press("right", "squeeze", 1)
    # Two and a half times as far apart: the scene becomes so much larger, about the middle of the hands.
    quick.move("controllers.left", -0.5, 1.3, -0.4)
    quick.move("controllers.right", 0.5, 1.3, -0.4)
    assert begin.scale / quick.room.scale == pytest.approx(2.5, rel=1e-4)
    assert quick.room.in_room(held) == pytest.approx([0, 1.3, -0.4], abs=1e-4)
    # A quarter turn of the hands to the left turns the scene with them, and it follows their middle.
    quick.move("controllers.left", 0, 1.3, 0.1)
    quick.move("controllers.right", 0, 1.3, -0.9)
    assert quick.room.yaw_rad - begin.yaw_rad == pytest.approx(-np.pi / 2, abs=1e-4)
    quick.move("controllers.left", 0.3, 1.5, 0.1)
    quick.move("controllers.right", 0.3, 1.5, -0.9)
    assert quick.room.in_room(held) == pytest.approx([0.3, 1.5, -0.4], abs=1e-4)
    quick.press("left", "squeeze", 0)
    quick.press("right", "squeeze", 0)
    after = quick.room
    # Let go: hands move without the scene. One grip only shifts.
    quick.move("controllers.right", 0.2, 1.0, -0.4)
    assert quick.room.translation == pytest.approx(after.translation)
    quick.press("right", "squeeze", 1)
    place = quick.room.in_world([0.2, 1.0, -0.4])
    quick.move("controllers.right", 0.1, 1.2, -0.6)
    assert quick.room.in_room(place) == pytest.approx([0.1, 1.2, -0.6], abs=1e-4)
    assert quick.room.scale == pytest.approx(after.scale)


def page_state(headset: Headset) -> dict[str, Any]:
    script = """(() => {
      const c = document.getElementById("canvas");
      return {
        size: [c.width, c.height, c.style.width, c.style.height, c.getAttribute("style")],
        parent: c.parentElement.tagName, next: c.nextElementSibling?.id ?? null,
        data: Object.keys(document.body.dataset).filter((k) => k.startsWith("xr")),
      };
    })()"""
    state: dict[str, Any] = headset.page.evaluate(script)
    return state


def test_leaving_restores_the_page(headset: Headset) -> None:
    before, picture = page_state(headset), headset.still_picture()
    headset.enter("vr")
    headset.press("right", "trigger", 1)
    headset.press("right", "trigger", 0)
    headset.page.evaluate("session.end()")
    headset.tab.wait("document.body.dataset.xr === undefined")
    assert page_state(headset) == before
    after = headset.still_picture()
    assert np.array_equal(after, picture)
    # The page moves again, by itself and by hand, and the headset can be entered again.
    headset.page.mouse.move(300, 60)
    headset.page.mouse.down()
    headset.page.mouse.move(360, 70, steps=3)
    headset.page.mouse.up()
    assert float(np.abs(headset.still_picture() - picture).mean()) > 0.01
    headset.enter("vr")
    assert headset.tab.errors == []


ROWS = 5
"""Of the menu in VR: snap turn, vignette, pick things up, back to the start, leave."""


def test_the_menu_s_rows_do_what_they_say(quick: Headset) -> None:
    quick.enter("vr")
    begin = quick.room
    quick.choose(0, ROWS)
    # A press on the menu is no teleport.
    assert quick.room.translation == pytest.approx(begin.translation)
    assert json.loads(quick.page.evaluate("localStorage.getItem('diorama-xr')"))["turnDegrees"] == 45
    quick.stick("right", 1, 0)
    quick.stick("right", 0, 0)
    assert np.degrees(quick.room.yaw_rad) == pytest.approx(-45, abs=1e-3)
    quick.choose(1, ROWS)
    assert json.loads(quick.page.evaluate("localStorage.getItem('diorama-xr')"))["vignette"] is False
    quick.choose(3, ROWS)
    quick.frames(2)
    assert quick.room.yaw_rad == pytest.approx(begin.yaw_rad)


def test_the_vignette_darkens_the_edges_while_walking(headset: Headset) -> None:
    headset.enter("vr")
    headset.hide_hands()
    still, _ = headset.eyes()
    headset.stick("left", 0, -0.2, settle=8)
    moving, _ = headset.eyes()
    # The edge of a field of 106 by 90 degrees is black, its middle as it was but for a few centimetres of walking.
    edge, middle = np.s_[:, :20], np.s_[100:140, 140:180]
    assert float(moving.picture[edge].mean()) < 0.02 < float(still.picture[edge].mean())
    assert float(moving.picture[middle].mean()) == pytest.approx(float(still.picture[middle].mean()), rel=0.3)
    headset.stick("left", 0, 0, settle=8)
    assert float(headset.eyes()[0].picture[edge].mean()) > 0.02


def test_a_pinch_teleports_and_presses(quick: Headset) -> None:
    quick.enter("vr")
    quick.do("device.primaryInputMode = 'hand'", settle=4)
    begin = quick.room
    quick.point("hands.right", [0.2, 1.2, -0.3], [0.2, 1.2, -1.3])
    quick.do("device.hands.right.updatePinchValue(1)")
    told = json.loads(quick.data("xrLanding"))
    distance = 7 * np.sqrt(2 * 1.2 / 9.81)
    landing = begin.in_world([0.2, 0, -0.3 - distance])
    assert [told[0], -told[2], told[1]] == pytest.approx(landing, abs=0.02)
    quick.do("device.hands.right.updatePinchValue(0)")
    assert quick.room.in_world([0, 0, 0]) == pytest.approx(landing, abs=0.02)


def test_two_pinches_scale_the_scene(quick: Headset) -> None:
    quick.enter("ar")
    quick.do("device.primaryInputMode = 'hand'", settle=4)
    begin = quick.room.scale
    quick.move("hands.left", -0.1, 1.2, -0.4)
    quick.move("hands.right", 0.1, 1.2, -0.4)
    quick.do("device.hands.left.updatePinchValue(1); device.hands.right.updatePinchValue(1)", settle=3)
    before = quick.finger_gap()
    quick.move("hands.left", -0.3, 1.2, -0.4)
    quick.move("hands.right", 0.3, 1.2, -0.4)
    assert begin / quick.room.scale == pytest.approx(quick.finger_gap() / before, rel=1e-3)
    assert begin / quick.room.scale > 2


def test_the_exit_button_in_the_headset_leaves(quick: Headset) -> None:
    quick.enter("vr")
    quick.open_menu()
    quick.point("controllers.right", [0.2, 1.2, -0.1], menu_row([0, 1.6, 0], [0, 0, -1], ROWS, ROWS - 1))
    quick.page.evaluate("device.controllers.right.updateButtonValue('trigger', 1)")
    quick.tab.wait("document.body.dataset.xr === undefined")
    assert quick.tab.errors == []


def test_a_scene_of_unknown_scale_is_fitted_to_how_it_was_taken(
    new_tab: NewTab, bundle: Path, origins: Callable[[Sample], str], tmp_path: Path
) -> None:
    """The same room four times as large in units that nobody knows: its camera was held at a hand's height."""
    headset = opened(new_tab, bundle, origins(room_sample(tmp_path, is_metric=False, scale=4.0, share=25)), (400, 300))
    headset.enter("vr")
    assert "scale is unknown" in headset.page.inner_text("#notice")
    # The camera stood 1.5 x 4 units high, which is taken for 1.5 m (scale.ts).
    assert headset.room.scale == pytest.approx(4, rel=1e-4)
    assert headset.room.in_world([0, EYE_HEIGHT, 0])[2] == pytest.approx(4 * EYE_HEIGHT, abs=1e-3)
    # The menu offers one unit a metre instead: its third row of six.
    headset.choose(2, rows=6)
    headset.frames(2)
    assert headset.room.scale == pytest.approx(1)
    assert headset.room.in_world([0, EYE_HEIGHT, 0])[2] == pytest.approx(EYE_HEIGHT, abs=1e-3)


TABLE = """
  device.installSEM(class {
    environmentCanvas = document.createElement("canvas");
    trackedPlanes = new Set();
    trackedMeshes = new Set();
    render() {}
    // A table's top at (0.3, 0.7, -1.2) of the room, wherever one points.
    computeHitTestResults() { return [new Float32Array([1,0,0,0, 0,1,0,0, 0,0,1,0, 0.3,0.7,-1.2,1])]; }
  });
"""


def test_a_press_in_ar_puts_the_scene_where_the_hit_test_says(
    new_tab: NewTab, bundle: Path, origins: Callable[[Sample], str], few: Sample
) -> None:
    tab = new_tab(400, 300)
    tab.page.add_init_script(headset_script(bundle) + TABLE)
    tab.page.goto(origins(few))
    tab.ready()
    headset = Headset(tab)
    headset.enter("ar")
    low, high = np.array(few.scene.bounds_min), np.array(few.scene.bounds_max)
    foot = [*((low + high) / 2)[:2], 0]
    assert headset.room.in_room(foot) != pytest.approx([0.3, 0.7, -1.2], abs=0.05)
    headset.press("right", "trigger", 1)
    headset.press("right", "trigger", 0)
    assert headset.room.in_room(foot) == pytest.approx([0.3, 0.7, -1.2], abs=1e-3)
    # True size by the menu, the first of its four rows: a metre is a metre, on the floor.
    headset.choose(0, rows=4)
    assert headset.room.scale == pytest.approx(1)
    assert headset.room.in_room(foot)[1] == pytest.approx(0, abs=1e-3)
    assert tab.errors == []


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("Object.defineProperty(window, 'isSecureContext', { value: false })", "HTTPS"),
        ("Object.defineProperty(navigator, 'xr', { value: undefined })", "no WebXR"),
        ("navigator.xr.isSessionSupported = async () => false", "No headset was found"),
    ],
    ids=["plain HTTP", "no WebXR", "no headset"],
)
def test_without_a_headset_the_page_says_why(
    new_tab: NewTab, few: Sample, origins: Callable[[Sample], str], script: str, words: str
) -> None:
    tab = new_tab(400, 500)
    tab.page.add_init_script(script)
    tab.page.goto(origins(few))
    tab.ready()
    assert tab.page.query_selector("#enter-vr") is None
    assert tab.page.query_selector("#enter-ar") is None
    tab.page.click("#tools")
    tab.page.click("#headset")
    assert words in tab.page.inner_text("#panel-headset")
