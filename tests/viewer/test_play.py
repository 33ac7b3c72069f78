"""Picking things up in the page: which splats come along, how they fall, and that all can be put back."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose
from diorama.render.formats import write_splats
from diorama.render.formats.meshes import write_mesh
from diorama.render.mesh import Mesh, MeshAsset
from diorama.render.splats import SH_C0, Splats
from diorama.viewer.server import create_app

from .conftest import TOKEN, Sample, Tab, looking_at, make_sample, serving
from .xr_helpers import Headset, headset_script

pytestmark = pytest.mark.browser

NewTab = Callable[..., Tab]
Array = npt.NDArray[np.float64]
SIZE = (480, 360)
FLOOR = -0.3
"""The collider's floor, below z = 0 so that the page's own level ground is not taken for it."""
CUBE_CENTRE = np.array([0.0, 1.0, FLOOR + 0.25])
HALF = 0.2
SIGMA = 0.01


def box(low: Array, high: Array) -> Mesh:
    """A closed box of 12 triangles."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    faces = [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]]
    faces += [[2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
    return Mesh((low + corners * (high - low)).astype(np.float32), np.array(faces, np.int32))


def floor_and_cube() -> Mesh:
    """The scene as a mesh stage would see it: the thing is part of the collider."""
    floor = box(np.array([-3.0, -3, FLOOR - 0.2]), np.array([3.0, 3, FLOOR]))
    cube = box(CUBE_CENTRE - [HALF, HALF, 0.25], CUBE_CENTRE + HALF)
    return Mesh(np.vstack([floor.vertices, cube.vertices]), np.vstack([floor.faces, cube.faces + len(floor.vertices)]))


def floor_and_cube_splats() -> Splats:
    """A green floor and, its lowest splats 5 cm above it, a red cube 0.4 m wide of 9 x 9 splats a side."""
    ticks = np.linspace(-3, 3, 25)
    floor = np.array([[x, y, FLOOR] for x in ticks for y in ticks])
    line = np.linspace(-HALF, HALF, 9)
    grid = np.array([[x, y, z] for x in line for y in line for z in line])
    cube = grid[np.isclose(np.abs(grid).max(axis=1), HALF)] + CUBE_CENTRE
    means = np.vstack([floor, cube])
    red = np.arange(len(means)) >= len(floor)
    colours = np.where(red[:, None], [0.9, 0.1, 0.1], [0.1, 0.5, 0.1])
    scales = np.where(red[:, None], np.full(3, SIGMA), [0.12, 0.12, 0.004])
    count = len(means)
    arrays = (
        means,
        np.tile([1.0, 0, 0, 0], (count, 1)),
        np.log(scales),
        np.full(count, 4.0),
        ((colours - 0.5) / SH_C0)[:, None, :],
    )
    return Splats(*(np.ascontiguousarray(a, np.float32) for a in arrays)).normalized()


CAMERA_POSE = looking_at(np.array([0.0, -1.2, 1.0]), CUBE_CENTRE)


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    folder = tmp_path_factory.mktemp("things")
    splats = floor_and_cube_splats()
    write_splats(splats, folder / "things.ply")
    write_mesh(MeshAsset((floor_and_cube(),)), folder / "collider.glb", "glb")
    camera = Camera.pinhole(480, 360, 400.0, 400.0, 240.0, 180.0)
    sample = make_sample(folder / "things.ply", splats, [("a.jpg", camera, CAMERA_POSE)], is_metric=True)
    return Sample(dataclasses.replace(sample.scene, collider=folder / "collider.glb"), splats)


@pytest.fixture(scope="module")
def origin(things: Sample, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    scratch = tmp_path_factory.mktemp("scratch")
    with serving(lambda p: create_app(things.scene, bundle, token=TOKEN, port=p, scratch=scratch)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def tab(new_tab: NewTab, origin: str) -> Tab:
    opened = new_tab(*SIZE)
    opened.page.goto(f"{origin}/?token={TOKEN}")
    opened.ready()
    opened.page.keyboard.press("g")
    opened.wait("document.body.dataset.tool === 'play'")
    opened.page.click("#panel-play header button")  # The sheet covers a phone's lower half; the tool stays.
    return opened


def pixel(point: Array, pose: Pose = CAMERA_POSE) -> tuple[float, float]:
    """Where the page's free lens, 66 degrees across the diagonal, shows a point of the world at the start."""
    x, y, z = pose.apply(np.asarray(point, float)[None])[0]
    focal = 0.5 * np.hypot(*SIZE) / np.tan(np.radians(33))
    return SIZE[0] / 2 + focal * x / z, SIZE[1] / 2 + focal * y / z


def places(tab: Tab) -> list[tuple[Array, Array]]:
    """Of each thing, where it is and where it was taken, in the world."""
    numbers = json.loads(tab.page.evaluate("document.body.dataset.things ?? '[]'"))
    world = [np.array([[n[0], -n[2], n[1]], [n[3], -n[5], n[4]]]) for n in numbers]
    return [(w[0], w[1]) for w in world]


def until_still(tab: Tab) -> None:
    """Until six frames in a row have moved nothing."""
    quiet, last = 0, ""
    while quiet < 6:
        tab.page.evaluate("new Promise((done) => requestAnimationFrame(() => done()))")
        now = str(tab.page.evaluate("document.body.dataset.things"))
        quiet, last = (quiet + 1, now) if now == last else (0, now)


def test_a_dropped_thing_comes_to_rest_on_the_collider(tab: Tab) -> None:
    front = CUBE_CENTRE + [0, -HALF, 0]
    x, y = pixel(front)
    tab.page.mouse.move(x, y)
    tab.page.mouse.down()
    tab.wait("document.body.dataset.things !== undefined && document.body.dataset.things !== '[]'")
    # The thing is the cube and nothing of the floor: its middle is the cube's.
    assert places(tab)[0][1] == pytest.approx(CUBE_CENTRE, abs=1e-3)
    tab.page.mouse.move(x, y - 60, steps=4)
    until_still(tab)
    lifted = places(tab)[0][0]
    assert lifted[2] > CUBE_CENTRE[2] + 0.2
    tab.page.mouse.up()
    tab.wait(f"JSON.parse(document.body.dataset.things)[0][1] < {lifted[2] - 0.1}")
    until_still(tab)
    rest = places(tab)[0][0]
    # Its hull ends half its width and one deviation of a splat below its middle. Rapier lets resting bodies sink in by
    # about a millimetre and its hull keeps as much away.
    assert rest[2] == pytest.approx(FLOOR + HALF + SIGMA, abs=0.004)
    # It fell straight down: the collider's own cube, in which it was, did not keep or throw it.
    assert rest[:2] == pytest.approx(lifted[:2], abs=0.03)
    assert tab.errors == []


def test_things_can_be_put_back(tab: Tab) -> None:
    quiet(tab)
    before = tab.page.screenshot()
    x, y = pixel(CUBE_CENTRE + [0, -HALF, 0])
    tab.page.mouse.move(x, y)
    tab.page.mouse.down()
    tab.page.mouse.move(x + 60, y - 30, steps=3)
    tab.page.mouse.up()
    until_still(tab)
    assert tab.page.screenshot() != before
    tab.page.evaluate("document.getElementById('play-back').click()")
    assert places(tab) == []
    tab.wait("Number(document.body.dataset.frames) > 0")
    quiet(tab)
    deadline = time.monotonic() + 5.0
    while tab.page.screenshot() != before and time.monotonic() < deadline:  # what the page fades out takes a moment
        pass
    assert tab.page.screenshot() == before


def quiet(tab: Tab) -> None:
    """Until three turns of the loop draw nothing."""
    still, last = 0, ""
    while still < 4:
        tab.page.evaluate("new Promise((done) => requestAnimationFrame(() => done()))")
        now = str(tab.page.evaluate("document.body.dataset.frames"))
        still, last = (still + 1, now) if now == last else (0, now)


@pytest.fixture
def headset(new_tab: NewTab, bundle: Path, origin: str) -> Headset:
    """The same scene in an emulated headset, entered, its person 2.2 m before the cube with bare hands."""
    tab = new_tab(400, 300)
    tab.page.add_init_script(headset_script(bundle))
    tab.page.goto(f"{origin}/?token={TOKEN}")
    tab.ready()
    headset = Headset(tab)
    headset.enter("vr")
    return headset


def test_the_person_stands_and_lands_on_the_collider(headset: Headset) -> None:
    # Below the page's camera lies the collider's floor, not the level ground at zero.
    assert headset.room.in_world([0, 0, 0]) == pytest.approx([0, -1.2, FLOOR], abs=1e-3)
    # Onto the cube's top, 0.45 m above the floor: level at 7 m/s from 1.2 m the arc is there after falling 0.75 m.
    distance = 7 * np.sqrt(2 * (1.2 - 0.45) / 9.81)
    top = CUBE_CENTRE + [0, 0, HALF]
    hand = headset.room.in_room(top) + [0, 1.2 - 0.45, distance]
    headset.point("controllers.right", hand, hand + [0, 0, -1])
    headset.press("right", "trigger", 1)
    headset.press("right", "trigger", 0)
    assert headset.room.in_world([0, 0, 0]) == pytest.approx(top, abs=0.01)


def test_a_pinch_picks_a_thing_up_and_letting_go_drops_it(headset: Headset) -> None:
    headset.choose(2, rows=5)  # Pick things up: on.
    headset.tab.wait("document.getElementById('play').getAttribute('aria-pressed') === 'true'")
    headset.press("right", "b-button", 1)
    headset.press("right", "b-button", 0)
    headset.do("device.primaryInputMode = 'hand'", settle=3)
    begin = headset.room
    target = headset.room.in_room(CUBE_CENTRE + [0, -HALF, 0])
    hand = np.array([0.1, 1.3, -0.5])
    headset.point("hands.right", hand, target)
    headset.do("device.hands.right.updatePinchValue(1)", settle=3)
    ((at, home),) = places(headset.tab)
    assert home == pytest.approx(CUBE_CENTRE, abs=1e-3)
    # It follows the hand, a metre up, without the person being moved.
    headset.move("hands.right", 0.1, 2.3, -0.5, settle=3)
    ((lifted, _),) = places(headset.tab)
    assert lifted - at == pytest.approx([0, 0, 1], abs=0.01)
    assert headset.room.translation == pytest.approx(begin.translation)
    headset.do("device.hands.right.updatePinchValue(0)")
    headset.tab.wait(f"JSON.parse(document.body.dataset.things)[0][1] < {FLOOR + 0.4}")
    until_resting(headset)
    ((rest, _),) = places(headset.tab)
    assert rest[2] == pytest.approx(FLOOR + HALF + SIGMA, abs=0.004)
    headset.page.evaluate("session.end()")
    headset.tab.wait("document.body.dataset.xr === undefined")
    assert headset.tab.errors == []


def until_resting(headset: Headset) -> None:
    still, last = 0, ""
    while still < 4:
        headset.frames(1)
        now = str(headset.data("things"))
        still, last = (still + 1, now) if now == last else (0, now)
