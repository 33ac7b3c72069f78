"""Edits as objects: hand-made scenes whose answer can be read off, their JSON, and what is no JSON of theirs."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from diorama.capture.errors import InputError
from diorama.capture.transforms import rotation_from_quaternion
from diorama.render import Splats
from diorama.render import operations as o
from diorama.render import selection as s


def grid() -> Splats:
    """27 splats at x, y, z in -1, 0, 1, x slowest; sizes 0.1, opacity a half."""
    means = np.array([[x, y, z] for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)], np.float32)
    quats = np.tile(np.array([1, 0, 0, 0], np.float32), (27, 1))
    scales = np.full((27, 3), np.log(0.1), np.float32)
    return Splats(means, quats, scales, np.zeros(27, np.float32), np.zeros((27, 1, 3), np.float32))


def places(splats: Splats) -> set[tuple[float, ...]]:
    return {tuple(float(v) for v in row) for row in splats.means}


def chosen(*steps: s.Step, splats: Splats | None = None) -> set[tuple[float, ...]]:
    splats = splats or grid()
    sizes = np.exp(splats.log_scales.max(1).astype(float))
    at = s.Placed(splats.means.astype(float), splats.opacities.astype(float), sizes)
    return places(splats.select(s.select(steps, at)))


def add(region: s.Region) -> s.Step:
    return s.Step("add", region)


def test_boxes_and_spheres_include_their_border() -> None:
    assert chosen(add(s.Box((0, 0, 0), (1, 0, 0)))) == {(-1, 0, 0), (0, 0, 0), (1, 0, 0)}
    assert chosen(add(s.Sphere((0, 0, 0), 1.0))) == {(0, 0, 0)} | {
        tuple(float(sign if i == axis else 0) for i in range(3)) for axis in range(3) for sign in (-1, 1)
    }
    assert chosen(add(s.Sphere((0, 0, 0), 0.999))) == {(0, 0, 0)}


def test_a_box_turns_about_its_centre() -> None:
    """By 45 degrees about z, long along its own x: the diagonal through (1, 1), not the other."""
    turn = (math.cos(math.pi / 8), 0.0, 0.0, math.sin(math.pi / 8))
    assert chosen(add(s.Box((0, 0, 0), (1.5, 0.1, 0.1), turn))) == {(-1, -1, 0), (0, 0, 0), (1, 1, 0)}


def test_a_tube_follows_its_line() -> None:
    """An L from (-1, -1, 1) over (1, -1, 1) to (1, 1, 1), thinner than the grid; one point is a ball."""
    bend: Any = ((-1, -1, 1), (1, -1, 1), (1, 1, 1))
    expected = {(-1, -1, 1), (0, -1, 1), (1, -1, 1), (1, 0, 1), (1, 1, 1)}
    assert chosen(add(s.Tube(bend, 0.2))) == expected
    assert chosen(add(s.Tube(((1, 1, 1),), 0.2))) == {(1, 1, 1)}
    assert chosen(add(s.Tube(((1, 1, 1), (1, 1, 1)), 0.2))) == {(1, 1, 1)}, "a step of no length"


def looking_along_y(points_px: Any, radius_px: float, **more: Any) -> s.Stroke:
    """From (0, -3, 0) along +y: right is +x, down is -z; at distance 2, 3, 4 a unit is 60, 40, 30 px."""
    turn = (math.sqrt(0.5), math.sqrt(0.5), 0.0, 0.0)  # y -> z of the camera, z -> -y of it
    assert np.allclose(rotation_from_quaternion(turn) @ [0, 0, 1], [0, -1, 0])
    return s.Stroke(120, 120, 100, 80, turn, (0.0, 0.0, 3.0), points_px, radius_px, **more)


def test_a_stroke_goes_through_what_is_behind_it() -> None:
    middle = looking_along_y(((100.0, 80.0),), 5.0)
    assert chosen(add(middle)) == {(0, -1, 0), (0, 0, 0), (0, 1, 0)}
    # Up to the top edge: at y = -1 the splat at z = 1 is 60 px above the middle, at y = 1 it is 30 px above.
    up = looking_along_y(((100.0, 80.0), (100.0, 42.0)), 3.0)
    assert chosen(add(up)) == {(0, -1, 0), (0, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1)}
    assert chosen(add(looking_along_y(((100.0, 80.0),), 5.0, near=2.5, far=3.0))) == {(0, 0, 0)}


def test_nothing_behind_the_camera_is_brushed() -> None:
    turned = s.Stroke(120, 120, 100, 80, s.IDENTITY, (0.0, 0.0, 0.0), ((100.0, 80.0),), 5.0)
    assert chosen(add(turned)) == {(0, 0, 1)}  # z = 0 lies in the camera's plane, z = -1 behind it


def test_opacity_and_size_are_ranges() -> None:
    splats = grid()
    splats.logit_opacities[0] = np.log(1 / 9)  # a tenth
    splats.log_scales[26, 1] = np.log(2.0)
    assert chosen(add(s.Opacity(0.0, 0.2)), splats=splats) == {(-1, -1, -1)}
    assert len(chosen(add(s.Opacity(0.2, 1.0)), splats=splats)) == 26
    assert chosen(add(s.Size(1.0)), splats=splats) == {(1, 1, 1)}
    assert len(chosen(add(s.Size(0.0, 1.0)), splats=splats)) == 26


def test_steps_are_put_together_in_order() -> None:
    line, end = s.Box((0, 0, 0), (1, 0, 0)), s.Sphere((1, 0, 0), 0.5)
    assert chosen(add(line), s.Step("subtract", end)) == {(-1, 0, 0), (0, 0, 0)}
    assert chosen(s.Step("subtract", end), add(line)) == {(-1, 0, 0), (0, 0, 0), (1, 0, 0)}
    assert chosen(add(line), s.Step("intersect", end)) == {(1, 0, 0)}
    assert chosen(add(line), s.Step("toggle", end), s.Step("toggle", end)) == chosen(add(line))
    inverted = chosen(add(line), s.Step("toggle", s.Everything()))
    assert inverted == places(grid()) - chosen(add(line)) and len(inverted) == 24


def test_numbers_that_are_none_are_in_no_region() -> None:
    splats = grid()
    splats.means[13] = np.nan
    for region in (s.Box((0, 0, 0), (9, 9, 9)), s.Sphere((0, 0, 0), 9.0), s.Tube(((0, 0, 0),), 9.0)):
        assert len(chosen(add(region), splats=splats)) == 26
    assert len(chosen(add(looking_along_y(((100.0, 80.0),), 500.0)), splats=splats)) == 26


def test_delete_and_keep_are_each_other_s_rest() -> None:
    steps = (add(s.Box((0, 0, 1), (1, 1, 0))),)
    deleted, kept = o.apply_operations(grid(), [o.Delete(steps)]), o.apply_operations(grid(), [o.Keep(steps)])
    assert places(deleted.splats) | places(kept.splats) == places(grid())
    assert (deleted.removed, kept.removed) == ((9,), (18,))
    assert np.array_equal(deleted.new_from_world.matrix(), np.eye(4)) and not deleted.is_scaled


def test_nothing_left_is_refused() -> None:
    with pytest.raises(InputError, match="edit 2 of 2"):
        o.apply_operations(grid(), [o.Keep((add(s.Sphere((0, 0, 0), 1)),)), o.Delete((add(s.Everything()),))])


def test_a_floor_of_three_points_becomes_level_below_what_is_above_it() -> None:
    """The plane z = x, seen from above: its points come to z = 0, the point over it to z > 0, their middle stays."""
    floor = o.Floor(((0, 0, 0), (1, 0, 1), (0, 1, 0)), above=(0, 0, 5))
    new = floor.new_from_world()
    assert np.allclose(new.apply(floor.points)[:, 2], 0)
    assert np.allclose(new.apply((np.array(floor.points)).mean(0)), [1 / 3, 1 / 3, 0])
    assert new.apply([0, 0, 5])[2] == pytest.approx(5 / math.sqrt(2))
    assert np.isclose(np.linalg.det(new.rotation), 1) and new.scale == 1
    below = o.Floor(floor.points, above=(0, 0, -5)).new_from_world()
    assert below.apply([0, 0, -5])[2] == pytest.approx(5 / math.sqrt(2))


def test_a_scene_on_its_head_is_turned_over() -> None:
    floor = o.Floor(((0, 0, 2), (1, 0, 2), (0, 1, 2)), above=(0, 0, 0))
    assert np.allclose(floor.new_from_world().apply([[0, 0, 2], [0, 0, 1]])[:, 2], [0, 1])


def test_an_edge_becomes_upright() -> None:
    new = o.Up((1, 1, 0), (1, 4, 4)).new_from_world()
    assert np.allclose(new.apply([[1, 1, 0], [1, 4, 4]]), [[1, 1, 0], [1, 1, 5]])


def test_a_measured_distance_makes_metres() -> None:
    edited = o.apply_operations(grid(), [o.Scale((0, 0, 0), (0, 0, 2), 5.0)])
    assert edited.is_scaled and edited.new_from_world.scale == 2.5
    assert np.allclose(edited.splats.means, grid().means * 2.5)
    assert np.allclose(edited.splats.scales, 0.25, rtol=1e-6)


def test_operations_speak_of_the_world_that_those_before_left() -> None:
    """Scaled twice as large, a sphere of radius 1 holds but the middle, and sizes are twice the old ones."""
    double = o.Scale((0, 0, 0), (1, 0, 0), 2.0)
    after = o.apply_operations(grid(), [double, o.Keep((add(s.Sphere((0, 0, 0), 1.0)),))])
    assert len(after.splats) == 1
    assert len(o.apply_operations(grid(), [double, o.Keep((add(s.Size(0.19, 0.21)),))]).splats) == 27
    floor = o.Floor(((0, 0, -1), (0, 1, -1), (-1, 0, -1)), above=(0, 0, 0))
    kept = o.apply_operations(grid(), [double, floor, o.Keep((add(s.Box((0, 0, 1), (9, 9, 0.1))),))])
    assert np.allclose(kept.splats.means[:, 2], 1)  # double of z = 0, lifted by the floor at -1, not at -2
    assert len(kept.splats) == 9


@pytest.mark.parametrize(
    "operation",
    [
        o.Floor(((0, 0, 0), (1, 1, 1), (2, 2, 2)), (0, 0, 5)),
        o.Floor(((0, 0, 0), (0, 0, 0), (2, 2, 2)), (0, 0, 5)),
        o.Up((1, 1, 1), (1, 1, 1)),
        o.Scale((1, 1, 1), (1, 1, 1), 2.0),
        o.Scale((0, 0, 0), (1, 0, 0), 1e8),
    ],
)
def test_placings_that_say_nothing_are_refused(operation: o.Operation) -> None:
    with pytest.raises(InputError):
        o.apply_operations(grid(), [operation])


def test_scales_do_not_add_up_to_absurdity() -> None:
    with pytest.raises(InputError, match="Edit 3 of 4"):
        o.apply_operations(grid(), [o.Scale((0, 0, 0), (1, 0, 0), 300.0)] * 4)


EVERY: tuple[o.Operation, ...] = (
    o.Delete(
        (
            add(s.Box((0, 1, 2), (3, 4, 5), (0.5, 0.5, 0.5, 0.5))),
            s.Step("subtract", s.Sphere((0, 0, 0), 1.5)),
            s.Step("intersect", s.Tube(((0, 0, 0), (1, 2, 3)), 0.25)),
            s.Step("toggle", looking_along_y(((1.0, 2.0), (3.0, 4.0)), 8.0, near=0.5, far=9.0)),
            add(looking_along_y(((1.0, 2.0),), 8.0)),
        )
    ),
    o.Keep((add(s.Everything()), add(s.Opacity(0.1, 0.9)), add(s.Size(0.5)), add(s.Size(0.0, 2.0)))),
    o.Floor(((0, 0, 0), (1, 0, 0), (0, 1, 0)), (0, 0, 1)),
    o.Up((0, 0, 0), (0, 0, 1)),
    o.Scale((0, 0, 0), (1, 0, 0), 2.0),
)


def test_json_and_back() -> None:
    text = json.dumps(o.operations_to_json(EVERY))
    assert o.operations_from_json(json.loads(text), "edits") == EVERY


def broken() -> list[tuple[Any, str]]:
    good = o.operations_to_json(EVERY)

    def with_change(change: Any) -> Any:
        value = json.loads(json.dumps(good))
        change(value["operations"])
        return value

    def put(number: int, name: str, value: Any, step: int | None = None) -> Any:
        def change(operations: Any) -> None:
            (operations[number] if step is None else operations[number]["select"][step])[name] = value

        return with_change(change)

    sphere = {"mode": "add", "kind": "sphere", "centre": [0, 0, 0], "radius": 1}
    point = [0.0, 0.0, 0.0]
    return [
        ([], "not an object"),
        ({}, "operations"),
        ({"format": "zip", "operations": []}, "format"),
        ({**good, "version": 2}, "newer"),
        ({"operations": "all"}, "not a list"),
        ({"operations": [{"op": "delete", "select": [sphere]}] * (o.MAX_OPERATIONS + 1)}, "1 to 1000"),
        ({"operations": [{"op": "delete", "select": [sphere] * (o.MAX_STEPS + 1)}]}, "steps"),
        (put(0, "op", "explode"), "operations[0].op"),
        (put(0, "select", []), "operations[0].select"),
        (put(0, "select", 5), "operations[0].select"),
        (put(0, "mode", "x", 1), "operations[0].select[1].mode"),
        (put(0, "kind", "torus", 1), "operations[0].select[1].kind"),
        (put(0, "radius", 0, 1), "select[1].radius"),
        (put(0, "radius", float("nan"), 1), "select[1].radius"),
        (put(0, "radius", True, 1), "select[1].radius"),
        (put(0, "radius", 1e300, 1), "select[1].radius"),
        (put(0, "centre", [0, 0], 1), "select[1].centre"),
        (put(0, "centre", [0, 0, "1"], 1), "select[1].centre"),
        (put(0, "half", [1, -1, 1], 0), "select[0].half"),
        (put(0, "rotation_wxyz", [0, 0, 0, 0], 0), "select[0].rotation_wxyz"),
        (put(0, "points", [], 2), "select[2].points"),
        (put(0, "points", [point] * (o.MAX_POINTS + 1), 2), "20,000"),
        (put(0, "points", [[0, 0]], 2), "select[2].points"),
        (put(0, "fx", 0, 3), "select[3].fx"),
        (put(0, "far", -1, 3), "select[3].far"),
        (put(1, "low", -1, 1), "select[1].low"),
        (put(2, "points", [point, point]), "operations[2].points"),
        (put(2, "above", None), "operations[2].above"),
        (put(3, "end", {}), "operations[3].end"),
        (put(4, "metres", -2), "operations[4].metres"),
    ]


@pytest.mark.parametrize(("value", "words"), broken(), ids=range(len(broken())))
def test_what_is_no_list_of_edits_is_refused_by_name(value: Any, words: str) -> None:
    with pytest.raises(InputError) as caught:
        o.operations_from_json(value, "edits.json")
    assert words in str(caught.value) and str(caught.value).startswith("edits.json: ")


def test_files_are_read_with_their_name_in_every_complaint(tmp_path: Any) -> None:
    path = tmp_path / "edits.json"
    path.write_text(json.dumps(o.operations_to_json(EVERY)))
    assert o.read_operations(path) == EVERY
    path.write_text("{")
    with pytest.raises(InputError, match=r"edits\.json"):
        o.read_operations(path)
