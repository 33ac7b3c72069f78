"""Cleaning up in the page: what every button and tool of it does to the splats, on the canvas and on the server.

What the page has left after edits is compared with what the same edits, taken from its download, leave in Python.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diorama.render.formats import read_splats
from diorama.render.operations import Operation, apply_operations, operations_from_json
from diorama.render.splats import Splats
from diorama.studio.scene import Scene
from diorama.studio.versions import SceneVersions, find_version, load_posed_scene, viewer_scene
from diorama.viewer.publish import publish

from .conftest import TOKEN, Tab, serving
from .scene_folder import BALL, FLOOR, HAZE, edited_app, make_scene_folder
from .test_page import frames, screenshot

pytestmark = pytest.mark.browser
NewTab = Callable[..., Tab]
ALL = FLOOR + BALL + HAZE
SIZE = (700, 520)
"""The smallest page with the sheet at its side, which leaves the left half of the canvas free."""


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return make_scene_folder(tmp_path / "yard")


@pytest.fixture
def origin(scene: Scene, bundle: Path, tmp_path: Path) -> Iterator[str]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with serving(lambda p: edited_app(scene, bundle, scratch, p)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def tab(new_tab: NewTab, origin: str) -> Tab:
    """A tab with the sheet open."""
    opened = new_tab(*SIZE)
    opened.page.goto(f"{origin}/?token={TOKEN}")
    opened.ready()
    opened.page.click("#edit")
    opened.wait("document.querySelectorAll('.edit-versions li').length > 0")
    return opened


def until(tab: Tab, check: Callable[[], bool], frames_at_most: int = 600) -> None:
    """Waits by frames for something outside the page."""
    for _ in range(frames_at_most):
        if check():
            return
        frames(tab, 1)
    raise AssertionError(f"nothing happened in {frames_at_most} frames; errors: {tab.errors}")


def left(tab: Tab) -> tuple[int, int]:
    """Splats that are left, and of these the selected ones."""
    return tuple(int(tab.page.evaluate(f"document.body.dataset.{name}")) for name in ("editLeft", "editSelected"))  # type: ignore[return-value]


def downloaded(tab: Tab) -> tuple[Operation, ...]:
    with tab.page.expect_download() as download:
        tab.page.click("#edit-download")
    return operations_from_json(json.loads(Path(download.value.path()).read_text()), "edits.json")


def same_in_python(tab: Tab, splats: Splats) -> Splats:
    """The splats that the page's edits leave; as many as in the page."""
    edited = apply_operations(splats, downloaded(tab)).splats
    assert len(edited) == left(tab)[0]
    return edited


def drag(tab: Tab, start: tuple[int, int], end: tuple[int, int], steps: int = 3) -> None:
    tab.page.mouse.move(*start)
    tab.page.mouse.down()
    tab.page.mouse.move(*end, steps=steps)
    tab.page.mouse.up()


def fill(tab: Tab, **values: float) -> None:
    for name, value in values.items():
        tab.page.fill(f"#edit-{name.replace('_', '-')}", str(value))


def ball_in_box(tab: Tab) -> None:
    """Selects the ball, exactly, by numbers."""
    tab.page.click("#edit-by-box")
    fill(tab, centre_x=0, centre_y=0, centre_z=0.6, size_x=0.9, size_y=0.9, size_z=0.9)


def reddest(picture: Any) -> int:
    """Pixels that are red and nothing else: the ball's."""
    return int(((picture[..., 0] > 0.4) & (picture[..., 2] < 0.25)).sum())


def test_a_box_by_numbers_is_tinted_and_deleted_undone_and_redone(tab: Tab, scene: Scene) -> None:
    splats = read_splats(scene.folder("train") / "splats.ply")
    before = screenshot(tab)
    ball_in_box(tab)
    assert left(tab) == (ALL, BALL)
    tinted = screenshot(tab)
    assert reddest(tinted) < 0.3 * reddest(before), "the ball has the accent's colour"
    tab.page.click("#edit-delete")
    assert left(tab) == (ALL - BALL, 0)
    without = screenshot(tab)
    assert reddest(without) == 0 < reddest(before)
    assert len(same_in_python(tab, splats)) == FLOOR + HAZE
    tab.page.click("#edit-undo")
    assert left(tab) == (ALL, BALL), "what was selected is selected again"
    tab.page.keyboard.press("Control+Shift+z")
    assert left(tab) == (ALL - BALL, 0)
    for _ in range(2):
        tab.page.keyboard.press("Control+z")
    assert left(tab) == (ALL, 0)
    assert np.abs(screenshot(tab) - before)[:, :250].max() < 0.02, "and all is as it was"
    assert tab.errors == []


def test_crop_invert_and_clear(tab: Tab, scene: Scene) -> None:
    ball_in_box(tab)
    tab.page.click("#edit-invert")
    assert left(tab) == (ALL, ALL - BALL)
    tab.page.click("#edit-clear")
    assert left(tab) == (ALL, 0)
    ball_in_box(tab)
    tab.page.click("#edit-keep")
    assert left(tab) == (BALL, 0)
    assert len(same_in_python(tab, read_splats(scene.folder("train") / "splats.ply"))) == BALL
    tab.page.click("#edit-invert")
    tab.page.keyboard.press("Delete")
    assert left(tab)[0] == BALL and "Nothing would be left" in tab.page.inner_text("#notice")


def test_drawn_boxes_and_spheres_fitted_by_handles(tab: Tab, scene: Scene) -> None:
    """Drawn from the ball's front; the centre handle is dragged, a face pulled by keys, another shape taken off."""
    splats = read_splats(scene.folder("train") / "splats.ply")
    tab.page.click("#edit-by-sphere")
    drag(tab, (290, 220), (328, 280))
    drawn = left(tab)[1]
    assert 0 < drawn < ALL
    radius = float(tab.page.input_value("#edit-radius"))
    tab.page.focus('[data-handle="right"]')
    for _ in range(3):
        tab.page.keyboard.press("ArrowRight")
    assert float(tab.page.input_value("#edit-radius")) == pytest.approx(radius * 1.05**3, rel=0.02)
    assert left(tab)[1] > drawn
    box = tab.page.locator('[data-handle="centre"]').bounding_box()
    x, y = round(box["x"] + box["width"] / 2), round(box["y"] + box["height"] / 2)
    height = float(tab.page.input_value("#edit-centre-z"))
    drag(tab, (x, y), (x, y - 40))
    assert float(tab.page.input_value("#edit-centre-z")) > height + 0.05, "dragged upwards"
    tab.page.click("#edit-by-box")
    tab.page.click("#edit-mode-subtract")
    many = left(tab)[1]
    drag(tab, (290, 220), (325, 260))
    assert left(tab)[1] < many
    assert tab.page.evaluate("document.body.dataset.tool") is None, "once drawn, the pointer turns the view again"
    tab.page.click("#edit-delete")
    same_in_python(tab, splats)
    assert tab.errors == []


@pytest.mark.parametrize("surface", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_brush_goes_through_or_along_the_surface(tab: Tab, scene: Scene, surface: bool) -> None:
    tab.page.click("#edit-by-brush")
    if surface:
        tab.page.check("#edit-surface")
    drag(tab, (270, 220), (310, 240), steps=6)
    through = left(tab)[1]
    assert 0 < through < ALL
    if surface:
        tab.page.uncheck("#edit-surface")
        drag(tab, (270, 220), (310, 240), steps=6)
        assert left(tab)[1] > through, "through the ball there is more than on its front"
    tab.page.keyboard.down("Control")
    drag(tab, (262, 216), (318, 244), steps=4)
    tab.page.keyboard.up("Control")
    assert left(tab)[1] < max(through, 30), "with Ctrl it takes away"
    drag(tab, (200, 340), (310, 360), steps=4)
    tab.page.click("#edit-delete")
    same_in_python(tab, read_splats(scene.folder("train") / "splats.ply"))
    tab.page.keyboard.press("Escape")
    assert tab.page.evaluate("document.body.dataset.tool") is None
    assert tab.page.get_attribute("#edit-by-brush", "aria-checked") == "false"
    assert tab.errors == []


def slide(tab: Tab, selector: str, value: float) -> None:
    tab.page.evaluate(
        f"(() => {{ const i = document.querySelector('{selector}'); i.value = '{value}'; "
        "i.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )


def test_faint_and_large_splats_are_found(tab: Tab, scene: Scene) -> None:
    splats = read_splats(scene.folder("train") / "splats.ply")
    tab.page.click("#edit-by-opacity")
    slide(tab, "#edit-range", 0.02)
    assert left(tab) == (ALL, 0)
    slide(tab, "#edit-range", 0.3)
    assert left(tab) == (ALL, HAZE)
    tab.page.click("#edit-by-size")
    tab.page.click("#edit-mode-intersect")
    slide(tab, "#edit-range", 0.9)
    assert left(tab) == (ALL, HAZE), "the haze is both faint and large"
    tab.page.click("#edit-delete")
    assert left(tab) == (ALL - HAZE, 0)
    assert len(same_in_python(tab, splats)) == FLOOR + BALL


def arrived(tab: Tab, address: str) -> None:
    tab.page.wait_for_url(address, wait_until="commit")
    tab.ready()


def pick_through_middle(tab: Tab, count: int) -> None:
    for _ in range(count):
        tab.page.click("#edit-pick")


def test_floor_and_scale_by_picked_points_move_the_world_alike(tab: Tab, scene: Scene) -> None:
    """Points are clicked on the canvas; where the page then has the scene, Python has it too."""
    splats = read_splats(scene.folder("train") / "splats.ply")
    tab.page.click("#panel-edit summary")
    tab.page.click("#edit-floor")
    for x, y in ((60, 360), (320, 370), (220, 320)):
        tab.page.mouse.click(x, y)
        frames(tab, 1)
    floor, *_ = operations = downloaded(tab)
    assert len(operations) == 1 and tab.page.evaluate("document.querySelectorAll('.edit-mark').length") == 0
    edited = apply_operations(splats, operations).splats
    lowest = np.median(edited.means[:FLOOR, 2])
    assert abs(lowest) < 0.06, "the floor's splats are thick, their middle is near z = 0"
    tab.page.click("#edit-scale")
    for x, y in ((60, 360), (320, 370)):
        tab.page.mouse.click(x, y)
        frames(tab, 1)
    tab.page.fill("#edit-metres", "5")
    tab.page.click("#edit-scale-apply")
    operations = downloaded(tab)
    assert [type(o).__name__ for o in operations] == ["Floor", "Scale"] and operations[0] == floor
    # The page's own world: a box about the moved floor selects as many splats as it does in Python.
    edited = apply_operations(splats, operations)
    assert edited.is_scaled and edited.new_from_world.scale > 1.2
    ball_in_box(tab)
    tab.page.click("#edit-keep")
    same_in_python(tab, splats)
    assert tab.errors == []


@pytest.mark.slow
def test_up_by_two_points_with_the_keyboard_alone(tab: Tab) -> None:
    tab.page.click("#panel-edit summary")
    tab.page.click("#edit-up")
    assert "foot" in tab.page.inner_text("#panel-edit")
    pick_through_middle(tab, 1)
    assert "top" in tab.page.inner_text("#panel-edit")
    tab.page.focus("#canvas")
    drag(tab, (200, 340), (230, 300))
    tab.page.focus("#canvas")
    tab.page.keyboard.press("Enter")
    assert not tab.page.is_visible("#notice"), tab.page.inner_text("#notice")
    (up,) = downloaded(tab)
    assert type(up).__name__ == "Up"


def test_saving_makes_a_version_and_shows_it(tab: Tab, scene: Scene, origin: str) -> None:
    before = (scene.folder("train") / "splats.ply").read_bytes()
    ball_in_box(tab)
    tab.page.click("#edit-delete")
    tab.page.fill("#edit-name", "No ball")
    tab.page.click("#edit-save")
    arrived(tab, f"{origin}/versions/1/")
    assert tab.page.inner_text("#status").startswith(f"{ALL - BALL:,} splats")
    assert reddest(screenshot(tab)) == 0
    found = find_version(Scene.open(scene.root))
    assert (found.number, found.name, found.splats) == (1, "No ball", ALL - BALL)
    assert (scene.folder("train") / "splats.ply").read_bytes() == before
    # From here to the original and back, by the list.
    tab.page.click("#edit")
    tab.page.click('[data-version="0"] .edit-open')
    arrived(tab, f"{origin}/versions/0/")
    assert reddest(screenshot(tab)) > 0 and SceneVersions(scene.root).current() == 0
    tab.page.click("#edit")
    tab.page.on("dialog", lambda dialog: dialog.accept())
    tab.page.click('[data-version="1"] .icon')
    tab.wait("document.querySelectorAll('.edit-versions li').length === 1")
    assert not (scene.root / "versions" / "0001").exists()
    assert tab.errors == []


@pytest.mark.slow
def test_a_moved_world_moves_the_cameras_of_the_version(tab: Tab, scene: Scene, origin: str) -> None:
    tab.page.click("#panel-edit summary")
    tab.page.click("#edit-scale")
    for x, y in ((60, 360), (320, 370)):
        tab.page.mouse.click(x, y)
        frames(tab, 1)
    tab.page.fill("#edit-metres", "9")
    tab.page.keyboard.press("Enter")
    tab.page.click("#edit-save")
    arrived(tab, f"{origin}/versions/1/")
    assert tab.page.inner_text("#status").endswith("metres")
    version = find_version(Scene.open(scene.root))
    posed = load_posed_scene(scene, version)
    told = json.loads(tab.page.evaluate("fetch('scene.json').then((r) => r.text())"))
    assert told["is_metric"] and told["metric_source"] == "distance"
    for camera in told["cameras"]:
        assert np.allclose(camera["cam_from_world"], posed.cam_from_world[camera["name"]].matrix()[:3])
    # The photo still lies over the scene: at its camera the ball fills the same place as before.
    tab.page.keyboard.press("ArrowRight")
    tab.wait("document.body.dataset.photo === 'photo 1.jpg'")
    slide(tab, "#fade", 0)
    tab.wait("getComputedStyle(document.getElementById('photo-layer')).opacity === '0'")
    assert reddest(screenshot(tab)) > 500


@pytest.mark.slow
def test_what_the_server_refuses_is_said_and_nothing_is_lost(tab: Tab, scene: Scene) -> None:
    ball_in_box(tab)
    tab.page.click("#edit-delete")
    with scene.lock():
        tab.page.click("#edit-save")
        tab.wait("!document.getElementById('notice').hidden")
    assert "another Diorama is working" in tab.page.inner_text("#notice")
    assert left(tab) == (ALL - BALL, 0)
    tab.page.fill("#edit-name", "7")
    tab.page.click("#edit-save")
    tab.wait("document.getElementById('notice').textContent.includes('cannot be a version')")


def test_in_a_published_folder_edits_are_taken_along(
    new_tab: NewTab, scene: Scene, tmp_path: Path, bundle: Path
) -> None:
    from .test_page_publish import static_server

    publish(viewer_scene(scene, find_version(scene)), tmp_path / "web")
    with static_server(tmp_path / "web") as address:
        tab = new_tab(*SIZE)
        tab.page.goto(address)
        tab.ready()
        tab.page.click("#edit")
        tab.wait("document.body.dataset.editLeft !== undefined")
        assert not tab.page.is_visible("#edit-save") and not tab.page.is_visible(".edit-versions")
        assert tab.page.is_disabled("#edit-download")
        ball_in_box(tab)
        tab.page.click("#edit-delete")
        assert len(same_in_python(tab, read_splats(scene.folder("train") / "splats.ply"))) == FLOOR + HAZE
        assert tab.errors == []


def test_views_and_notes_are_kept_with_the_scene(tab: Tab, scene: Scene) -> None:
    tab.page.keyboard.press("v")
    assert "kept with the scene" in tab.page.inner_text("#panel-views")
    tab.page.click("#view-save")
    tab.page.click("#view-save")
    kept = scene.root / "views.json"
    until(tab, lambda: kept.is_file() and len(json.loads(kept.read_text())["viewpoints"]) == 2)
    tab.page.evaluate("localStorage.clear()")
    tab.page.reload()
    tab.ready()
    tab.page.keyboard.press("v")
    tab.wait("document.querySelectorAll('#panel-views li').length === 2")
    tab.page.click("#panel-views li:first-child .icon")
    until(tab, lambda: [v["name"] for v in json.loads(kept.read_text())["viewpoints"]] == ["View 2"])


def test_all_parts_of_the_page_start_together(new_tab: NewTab, origin: str) -> None:
    """With a server that offers everything no two parts want the same key or place."""
    tab = new_tab(*SIZE)

    def everything(route: Any) -> None:
        answer = route.fetch()
        told = answer.json()
        told["server"] |= {"live": "/live", "captures": "/api/captures/scene"}
        route.fulfill(response=answer, json=told)

    tab.page.route("**/scene.json", everything)
    tab.page.goto(f"{origin}/?token={TOKEN}")
    tab.ready()
    for button in ("edit", "path", "views", "measure", "notes", "quality", "training"):
        assert tab.page.locator(f"#{button}").count() == 1, button
    assert "did not start" not in tab.page.inner_text("#notice")
    assert not [e for e in tab.errors if "taken" in e]
