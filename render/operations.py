"""Edits of a scene as objects: what was done, in order, to be done again elsewhere, and its JSON.

    {
      "format": "diorama-edits", "version": 1,
      "operations": [
        {"op": "delete", "select": [{"mode": "add", "kind": "sphere", "centre": [0, 0, 1], "radius": 0.5}]},
        {"op": "keep", "select": [{"mode": "add", "kind": "box", "centre": [0, 0, 1], "half": [2, 2, 1]}]},
        {"op": "floor", "points": [[0, 0, 0], [1, 0, 0.1], [0, 1, 0]], "above": [0, 0, 2]},
        {"op": "up", "start": [1, 1, 0], "end": [1.1, 1, 2]},
        {"op": "scale", "a": [0, 0, 0], "b": [1, 0, 0], "metres": 2.5}
      ]
    }

Every operation speaks of the world that the ones before it left. `floor`, `up` and `scale` move the world, and with it
everything that has a place in it: cameras, mesh, collider. The page does the same (web/src/features/edit/).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from diorama.capture.errors import InputError
from diorama.capture.files import Fields, read_json
from diorama.capture.transforms import Sim3

from .selection import (
    IDENTITY,
    Box,
    Everything,
    Mode,
    Opacity,
    Placed,
    Region,
    Size,
    Sphere,
    Step,
    Stroke,
    Tube,
    select,
)
from .splats import Splats
from .transform import transform_splats

Array = npt.NDArray[np.float64]
Vec3 = tuple[float, float, float]

FORMAT, VERSION = "diorama-edits", 1
MAX_FILE_BYTES = 8 << 20
MAX_OPERATIONS = 1_000
MAX_STEPS = 10_000
"""Of all selections together."""
MAX_POINTS = 20_000
"""Of all brushes together: each is compared with every splat."""
MAX_ABS = 1e9
MAX_SCALE = 1e6
MIN_ANGLE_RAD = math.radians(1.0)
MODES: tuple[Mode, ...] = ("add", "subtract", "intersect", "toggle")


@dataclass(frozen=True)
class Delete:
    """The selected splats are taken out."""

    select: tuple[Step, ...]


@dataclass(frozen=True)
class Keep:
    """All but the selected splats are taken out: a crop."""

    select: tuple[Step, ...]


@dataclass(frozen=True)
class Floor:
    """Three points of the floor: it becomes z = 0, with `above`, a point over it, above; the points' middle stays over
    its place."""

    points: tuple[Vec3, Vec3, Vec3]
    above: Vec3

    def new_from_world(self) -> Sim3:
        """Raises InputError where the points make no plane."""
        a, b, c = (np.array(p) for p in self.points)
        middle = (a + b + c) / 3
        normal = np.cross(b - a, c - a)
        # Twice the area over the square of the longest side is the sine of an angle, or less.
        longest = max(float(v @ v) for v in (b - a, c - b, a - c))
        if not np.linalg.norm(normal) > math.sin(MIN_ANGLE_RAD) * longest:
            raise InputError("The three points of the floor lie on one line; pick them farther apart.")
        normal = normal / np.linalg.norm(normal)
        if normal @ (np.array(self.above) - middle) < 0:
            normal = -normal
        rotation = turn_to_z(normal)
        return Sim3(1.0, rotation, np.array([middle[0], middle[1], 0.0]) - rotation @ middle)


@dataclass(frozen=True)
class Up:
    """The way from `start` to `end` becomes +z; `start` stays where it is."""

    start: Vec3
    end: Vec3

    def new_from_world(self) -> Sim3:
        """Raises InputError where the points coincide."""
        start = np.array(self.start)
        way = np.array(self.end) - start
        length = float(np.linalg.norm(way))
        if not length > 1e-9:
            raise InputError("The two points that say which way is up coincide; pick two apart.")
        rotation = turn_to_z(way / length)
        return Sim3(1.0, rotation, start - rotation @ start)


@dataclass(frozen=True)
class Scale:
    """The world is scaled about its origin so that `a` and `b` are `metres` apart; it is metric from then on."""

    a: Vec3
    b: Vec3
    metres: float

    def new_from_world(self) -> Sim3:
        """Raises InputError where the points coincide or the scale is absurd."""
        distance = float(np.linalg.norm(np.array(self.a) - np.array(self.b)))
        if not distance > 0 or not 1 / MAX_SCALE <= self.metres / distance <= MAX_SCALE:
            raise InputError(f"{self.metres:g} m between points that are {distance:g} apart give no usable scale.")
        return Sim3(self.metres / distance, np.eye(3), np.zeros(3))


Operation = Delete | Keep | Floor | Up | Scale
Placing = Floor | Up | Scale


@dataclass(frozen=True, eq=False)
class Edited:
    """What operations made of splats.

    new_from_world: from the world before to the one after. is_scaled: whether a measured distance made it metric.
    removed: for each operation how many splats it took out.
    """

    splats: Splats
    new_from_world: Sim3
    is_scaled: bool
    removed: tuple[int, ...]


def apply_operations(splats: Splats, operations: Sequence[Operation]) -> Edited:
    """The splats after all operations, in their order.

    What is left is moved once, at the end: selections in between look at exact places, not at rounded ones.

    Raises InputError when nothing would be left, or an operation makes no sense.
    """
    left = np.arange(len(splats))
    centres = splats.means.astype(np.float64)
    opacities = splats.opacities.astype(np.float64)
    sizes = np.exp(splats.log_scales.max(1).astype(np.float64))
    place, removed = Sim3.identity(), []
    for number, operation in enumerate(operations, start=1):
        if isinstance(operation, Delete | Keep):
            at = Placed(place.apply(centres[left]), opacities[left], place.scale * sizes[left])
            chosen = select(operation.select, at)
            stays = chosen if isinstance(operation, Keep) else ~chosen
            if not stays.any():
                raise InputError(f"Nothing of the scene would be left after edit {number} of {len(operations)}.")
            removed.append(int(len(left) - stays.sum()))
            left = left[stays]
        else:
            place = operation.new_from_world() @ place
            removed.append(0)
            if not 1 / MAX_SCALE <= place.scale <= MAX_SCALE or not (np.abs(place.translation) <= MAX_ABS).all():
                raise InputError(f"Edit {number} of {len(operations)} moves the scene out of all proportion.")
    kept = splats if len(left) == len(splats) else splats.select(left)
    moves = any(isinstance(o, Placing) for o in operations)
    is_scaled = any(isinstance(o, Scale) for o in operations)
    return Edited(transform_splats(kept, place) if moves else kept, place, is_scaled, tuple(removed))


def turn_to_z(direction: npt.ArrayLike) -> Array:
    """The smallest rotation (3, 3) that takes a unit direction to +z; half a turn about x from straight down."""
    x, y, z = (float(v) for v in np.asarray(direction, np.float64))
    if z < -1 + 1e-12:
        return np.diag([1.0, -1.0, -1.0])
    f = 1 / (1 + z)
    return np.array([[1 - f * x * x, -f * x * y, -x], [-f * x * y, 1 - f * y * y, -y], [x, y, z]])


def operations_to_json(operations: Sequence[Operation]) -> dict[str, Any]:
    """The document that `operations_from_json` reads."""
    return {"format": FORMAT, "version": VERSION, "operations": [_operation_json(o) for o in operations]}


def read_operations(path: str | Path) -> tuple[Operation, ...]:
    """Operations from a JSON file. Raises InputError when it holds none."""
    return operations_from_json(read_json(Path(path), MAX_FILE_BYTES), str(path))


def operations_from_json(value: Any, source: str) -> tuple[Operation, ...]:
    """Operations from their document, or from an object with their list under `operations`. `source` names it.

    Raises InputError that names the field, for anything that is not exactly this.
    """
    top = Fields(Path(source), value)
    if top.text("format", FORMAT) != FORMAT:
        raise top.fail("format", f'is not "{FORMAT}"')
    if top.has("version") and top.integer("version", 1, 1 << 30) > VERSION:
        raise top.fail("version", "is newer than this Diorama; update it")
    items = top.items("operations")
    if not 1 <= len(items) <= MAX_OPERATIONS:
        raise top.fail("operations", f"holds {len(items)} edits; there may be 1 to {MAX_OPERATIONS}")
    reader = _Reader()
    return tuple(reader.operation(f) for f in top.objects("operations"))


class _Reader:
    """Reads operations and counts what bounds the work they ask for."""

    def __init__(self) -> None:
        self.steps = self.points = 0

    def operation(self, f: Fields) -> Operation:
        op = f.text("op")
        if op in ("delete", "keep"):
            steps = tuple(self.step(s) for s in f.objects("select"))
            if not steps:
                raise f.fail("select", "is empty")
            return Delete(steps) if op == "delete" else Keep(steps)
        if op == "floor":
            points = f.items("points")
            if len(points) != 3:
                raise f.fail("points", f"holds {len(points)} points; a floor is said by 3")
            a, b, c = (_vector(f, "points", p, 3) for p in points)
            return Floor((a, b, c), _vec3(f, "above"))
        if op == "up":
            return Up(_vec3(f, "start"), _vec3(f, "end"))
        if op == "scale":
            return Scale(_vec3(f, "a"), _vec3(f, "b"), _above_zero(f, "metres"))
        raise f.fail("op", f"is {op[:40]!r}; it is one of delete, keep, floor, up, scale")

    def step(self, f: Fields) -> Step:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise f.fail("kind", f"comes after {MAX_STEPS} steps, which is all that is read")
        mode = f.text("mode")
        for known in MODES:
            if mode == known:
                return Step(known, self.region(f))
        raise f.fail("mode", f"is {mode[:40]!r}; it is one of {', '.join(MODES)}")

    def region(self, f: Fields) -> Region:
        kind = f.text("kind")
        if kind == "all":
            return Everything()
        if kind == "box":
            half = _vec3(f, "half")
            if min(half) < 0:
                raise f.fail("half", "is negative")
            return Box(_vec3(f, "centre"), half, _quaternion(f, "rotation_wxyz"))
        if kind == "sphere":
            return Sphere(_vec3(f, "centre"), _above_zero(f, "radius"))
        if kind == "tube":
            return Tube(self.line(f, "points", 3), _above_zero(f, "radius"))
        if kind == "stroke":
            return self.stroke(f)
        if kind == "opacity":
            return Opacity(_from_zero(f, "low", 0.0), _from_zero(f, "high", 1.0))
        if kind == "size":
            return Size(_from_zero(f, "low", 0.0), _from_zero(f, "high", 0.0) if f.has("high") else None)
        raise f.fail("kind", f"is {kind[:40]!r}; it is one of all, box, sphere, tube, stroke, opacity, size")

    def stroke(self, f: Fields) -> Stroke:
        fx, fy, cx, cy = (_bounded(f, name, f.number(name)) for name in ("fx", "fy", "cx", "cy"))
        if not (fx > 0 and fy > 0):
            raise f.fail("fx", "and fy of a camera are above 0")
        return Stroke(
            *(fx, fy, cx, cy),
            _quaternion(f, "rotation_wxyz"),
            _vec3(f, "translation"),
            self.line(f, "points_px", 2),
            _above_zero(f, "radius_px"),
            _from_zero(f, "near", 0.0),
            _above_zero(f, "far") if f.has("far") else None,
        )

    def line(self, f: Fields, name: str, count: int) -> tuple[Any, ...]:
        items = f.items(name)
        self.points += len(items)
        if not items or self.points > MAX_POINTS:
            raise f.fail(name, f"holds no points, or with those before it more than {MAX_POINTS:,}")
        return tuple(_vector(f, name, item, count) for item in items)


def _bounded(f: Fields, name: str, number: float) -> float:
    if not abs(number) <= MAX_ABS:
        raise f.fail(name, f"is beyond {MAX_ABS:g}")
    return number


def _above_zero(f: Fields, name: str) -> float:
    number = _bounded(f, name, f.number(name))
    if not number > 0:
        raise f.fail(name, "is not above 0")
    return number


def _from_zero(f: Fields, name: str, default: float) -> float:
    number = _bounded(f, name, f.number(name, default))
    if number < 0:
        raise f.fail(name, "is below 0")
    return number


def _vector(f: Fields, name: str, value: Any, count: int) -> Any:
    numbers = Fields(f.path, {name: value}, f.where).numbers(name, count)
    return tuple(_bounded(f, name, number) for number in numbers)


def _vec3(f: Fields, name: str) -> Vec3:
    x, y, z = (_bounded(f, name, number) for number in f.numbers(name, 3))
    return x, y, z


def _quaternion(f: Fields, name: str) -> tuple[float, float, float, float]:
    if not f.has(name):
        return IDENTITY
    w, x, y, z = (_bounded(f, name, number) for number in f.numbers(name, 4))
    if not math.hypot(w, x, y, z) > 1e-6:
        raise f.fail(name, "is no rotation")
    return w, x, y, z


_OPS: dict[type[Any], str] = {Delete: "delete", Keep: "keep", Floor: "floor", Up: "up", Scale: "scale"}
_KINDS: dict[type[Any], str] = {
    Everything: "all",
    Box: "box",
    Sphere: "sphere",
    Tube: "tube",
    Stroke: "stroke",
    Opacity: "opacity",
    Size: "size",
}


def _operation_json(operation: Operation) -> dict[str, Any]:
    if isinstance(operation, Delete | Keep):
        steps = [{"mode": s.mode, "kind": _KINDS[type(s.region)], **_plain(s.region)} for s in operation.select]
        return {"op": _OPS[type(operation)], "select": steps}
    return {"op": _OPS[type(operation)], **_plain(operation)}


def _plain(value: Any) -> Mapping[str, Any]:
    """A dataclass's fields; what is None is left out, tuples become lists."""

    def plain(v: Any) -> Any:
        return [plain(x) for x in v] if isinstance(v, tuple) else v

    return {name: plain(v) for name, v in dataclasses.asdict(value).items() if v is not None}
