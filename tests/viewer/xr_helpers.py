"""An emulated headset for the page's tests: IWER in the browser, driven and looked at from here."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose

from .conftest import Tab

Array = npt.NDArray[np.float64]
Hand = Literal["left", "right"]

WORLD_FROM_THREE = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""three.js has +y up, Diorama +z (viewer/web/src/coordinates.ts)."""
OPENCV_FROM_THREE = np.diag([1.0, -1.0, -1.0])
"""A camera of three.js looks along -z with +y up."""

SETUP = """
  const device = new IWER.XRDevice(IWER.MODEL, { stereoEnabled: true });
  device.installRuntime({ forceInstall: true });
  const request = navigator.xr.requestSession.bind(navigator.xr);
  navigator.xr.requestSession = async (...args) => (window.session = await request(...args));
  window.device = device;
"""

FRAME = "new Promise((done) => session.requestAnimationFrame(() => done()))"

ROOT = Path(__file__).resolve().parents[2]

LOOK = """
  (async () => {
    const space = await session.requestReferenceSpace("local-floor");
    return new Promise((done) => session.requestAnimationFrame((_, frame) => done({
      picture: document.getElementById("canvas").toDataURL(),
      views: frame.getViewerPose(space).views.map((v) => ({
        projection: [...v.projectionMatrix], room_from_eye: [...v.transform.matrix],
      })),
    })));
  })()
"""

TIPS = """
  (async () => {
    const space = await session.requestReferenceSpace("local-floor");
    return new Promise((done) => session.requestAnimationFrame((_, frame) => done(
      [...session.inputSources].flatMap((s) => ["thumb-tip", "index-finger-tip"].map((joint) => {
        const { x, y, z } = frame.getJointPose(s.hand.get(joint), space).transform.position;
        return [x, y, z];
      })),
    )));
  })()
"""


def headset_script(bundle: Path, model: str = "metaQuest3") -> str:
    """What installs IWER before the page's own code; the build of the page brings it as a development package."""
    built = bundle.resolve()
    # Beside a page that was built by hand, or where the install built it.
    works = [built.with_name(built.name + ".work"), *ROOT.glob("build/*/viewer/web/static.work")]
    found = [p for w in works if (p := w / "node_modules" / "iwer" / "build" / "iwer.min.js").is_file()]
    if not found:
        pytest.skip("IWER is not beside the built page (the page was not built on this machine)")
    return found[0].read_text(encoding="utf-8") + SETUP.replace("MODEL", model)


@dataclass(frozen=True, eq=False)
class Room:
    """Where the headset's room stands in the world: x_in_world = scale * R @ x_in_room + t, R from three's axes."""

    rotation: Array
    translation: Array
    scale: float

    @classmethod
    def parse(cls, numbers: list[float]) -> Room:
        px, py, pz, x, y, z, w, scale = numbers
        turn = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        )
        return cls(WORLD_FROM_THREE @ turn, WORLD_FROM_THREE @ [px, py, pz], scale)

    def in_world(self, point: Any) -> Array:
        return self.scale * self.rotation @ np.asarray(point, float) + self.translation

    def in_room(self, point: Any) -> Array:
        return np.asarray(self.rotation.T @ (np.asarray(point, float) - self.translation) / self.scale)

    @property
    def yaw_rad(self) -> float:
        """How the room's -z is turned from the world's +y, about +z."""
        ahead = self.rotation @ [0.0, 0.0, -1.0]
        return float(np.arctan2(-ahead[0], ahead[1]))


@dataclass(frozen=True, eq=False)
class Eye:
    """One eye's half of the canvas, and the pinhole in the world that it should show."""

    picture: npt.NDArray[np.float32]
    camera: Camera
    pose: Pose

    @property
    def centre(self) -> Array:
        return np.asarray(self.pose.origin_in_source)

    def raised(self, height: float) -> Eye:
        centre = self.centre + [0, 0, height]
        return Eye(self.picture, self.camera, Pose(self.pose.rotation, -self.pose.rotation @ centre))


class Headset:
    """The page's tab with the emulated device."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab
        self.page = tab.page

    def enter(self, mode: Literal["vr", "ar"], settle: int = 6) -> None:
        # On a canvas as small as the tests' the rail of tools is folded away, as on a phone.
        self.page.click("#tools")
        self.page.click(f"#enter-{mode}")
        self.tab.wait(f"document.body.dataset.xr === '{mode}' && document.body.dataset.xrRoom !== undefined")
        self.frames(settle)

    def frames(self, count: int = 2) -> None:
        for _ in range(count):
            self.page.evaluate(FRAME)

    def do(self, script: str, settle: int = 2) -> None:
        """Changes the device, then lets the session draw."""
        self.page.evaluate(f"(() => {{ {script} }})()")
        self.frames(settle)

    def hide_hands(self) -> None:
        """Behind the person, where no eye sees them."""
        hands = "device.controllers.left.position.set(0, 1, 2); device.controllers.right.position.set(0, 1, 2);"
        self.do(hands, settle=4)

    def press(self, hand: Hand, button: str, value: float, settle: int = 2) -> None:
        self.do(f"device.controllers.{hand}.updateButtonValue('{button}', {value})", settle)

    def stick(self, hand: Hand, x: float, y: float, settle: int = 2) -> None:
        self.do(f"device.controllers.{hand}.updateAxes('thumbstick', {x}, {y})", settle)

    def move(self, part: str, x: float, y: float, z: float, settle: int = 1) -> None:
        """`part` of the device, such as controllers.left; the headset itself when it is empty."""
        self.do(f"device{'.' if part else ''}{part}.position.set({x}, {y}, {z})", settle)

    def point(self, part: str, place: Any, target: Any, settle: int = 2) -> None:
        """Puts a controller or hand at a place of the room, its ray (-z) towards a target."""
        way = np.asarray(target, float) - place
        x, y, z = way / np.linalg.norm(way)
        # The shortest turn of (0, 0, -1) to (x, y, z): half way between no turn and twice it.
        turn = np.array([y, -x, 0, 1 - z])
        a, b, c, w = turn / np.linalg.norm(turn)
        px, py, pz = place
        self.do(
            f"const d = device.{part}; d.position.set({px}, {py}, {pz}); d.quaternion.set({a}, {b}, {c}, {w})", settle
        )

    def open_menu(self) -> None:
        if self.data("xrMenu") != "1":
            self.press("right", "b-button", 1)
            self.press("right", "b-button", 0)
        assert self.data("xrMenu") == "1"

    def finger_gap(self) -> float:
        """Metres between the two hands' pinches: half way between the tips of thumb and index finger."""
        tips: list[list[float]] = self.page.evaluate(TIPS)
        left, right = (np.mean(pair, axis=0) for pair in (tips[:2], tips[2:]))
        return float(np.linalg.norm(np.subtract(left, right)))

    def choose(self, row: int, rows: int) -> None:
        """Presses one of the menu's rows with the right trigger."""
        self.open_menu()
        target = menu_row([0, 1.6, 0], [0, 0, -1], rows, row)
        self.point("controllers.right", [0.2, 1.2, -0.1], target)
        self.press("right", "trigger", 1)
        self.press("right", "trigger", 0)

    def still_picture(self) -> npt.NDArray[np.float32]:
        """The page's own picture, outside a session, once it has come to rest."""
        quiet, last = 0, ""
        while quiet < 3:
            self.page.evaluate("new Promise((done) => requestAnimationFrame(() => done()))")
            now = str(self.page.evaluate("document.body.dataset.frames"))
            quiet, last = (quiet + 1, now) if now == last else (0, now)
        picture = PIL.Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        return np.asarray(picture).astype(np.float32) / 255

    @property
    def room(self) -> Room:
        return Room.parse(json.loads(self.page.evaluate("document.body.dataset.xrRoom")))

    def data(self, name: str) -> Any:
        return self.page.evaluate(f"document.body.dataset.{name} ?? null")

    def eyes(self) -> tuple[Eye, Eye]:
        look = self.page.evaluate(LOOK)
        data = base64.b64decode(look["picture"].split(",")[1])
        picture = np.asarray(PIL.Image.open(io.BytesIO(data)).convert("RGB")).astype(np.float32) / 255
        width, room = picture.shape[1] // 2, self.room
        eyes = []
        for index, view in enumerate(look["views"]):
            half = np.ascontiguousarray(picture[:, index * width : (index + 1) * width])
            eyes.append(Eye(half, *pinhole(view, width, picture.shape[0], room)))
        return eyes[0], eyes[1]


def pinhole(view: dict[str, list[float]], width: int, height: int, room: Room) -> tuple[Camera, Pose]:
    """The camera and `cam_from_world` of WebXR's projection and eye pose (column-major matrices)."""
    p = np.reshape(view["projection"], (4, 4)).T
    room_from_eye = np.reshape(view["room_from_eye"], (4, 4)).T
    camera = Camera.pinhole(
        width, height, p[0, 0] * width / 2, p[1, 1] * height / 2, width / 2 * (1 - p[0, 2]), height / 2 * (1 + p[1, 2])
    )
    rotation = (room.rotation @ room_from_eye[:3, :3] @ OPENCV_FROM_THREE).T
    return camera, Pose(rotation, -rotation @ room.in_world(room_from_eye[:3, 3]))


def menu_row(head: Any, ahead: Any, rows: int, row: int) -> Array:
    """The middle of a row of the headset's menu in the room: a board 0.44 m wide, 0.75 m ahead and 0.12 m below the
    eyes, turned to them; its head is 92 and each row 76 pixels high, of 704 across (menu.ts)."""
    head, ahead = np.asarray(head, float), np.asarray(ahead, float)
    level = ahead * [1, 0, 1] / np.linalg.norm(ahead * [1, 0, 1])
    centre = head + 0.75 * level - [0, 0.12, 0]
    normal = (head - centre) / np.linalg.norm(head - centre)
    right = np.cross([0, 1, 0], normal)
    up = np.cross(normal, right / np.linalg.norm(right))
    height = 92 + 76 * rows + 16
    return np.asarray(centre + up * (height / 2 - 92 - 76 * (row + 0.5)) * 0.44 / 704)
