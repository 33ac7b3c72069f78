"""Cameras opened by Blender: where they stand, where they look, how wide; and by Khronos' validator."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diorama.capture.camera import Camera
from diorama.render.formats.cameras import Shot, write_cameras_blender, write_cameras_glb, write_cameras_usd
from diorama.render.paths import CameraPath, look_at

from .conftest import Seen

pytestmark = pytest.mark.slow

LENS = Camera.pinhole(400, 300, 420.0, 420.0, 190.0, 160.0)
FILM = Camera.pinhole(320, 180, 300.0, 300.0, 160.0, 90.0)
SHOT = Shot("one", LENS, look_at([3, -2, 1.5], [0, 0, 0.3], 0.2))
FLIGHT = CameraPath(
    np.arange(4) / 2,
    tuple(look_at([3 * math.sin(a), -3 * math.cos(a), 1 + a / 3], [0, 0, 0.2]) for a in range(4)),
    FILM,
    12.0,
)
WRITERS = {"c.glb": write_cameras_glb, "c.usda": write_cameras_usd, "c.py": write_cameras_blender}


@pytest.mark.parametrize("name", WRITERS)
def test_blender_has_the_cameras(tmp_path: Path, blender: Callable[[Path], Seen], name: str) -> None:
    WRITERS[name]([SHOT], FLIGHT, tmp_path / name)
    cameras = {c["name"]: c for c in blender(tmp_path / name).facts["cameras"]}
    assert len(cameras) == 2, cameras.keys()
    still, moving = (
        cameras[next(n for n in cameras if n.startswith("one"))],
        cameras[next(n for n in cameras if "path" in n)],
    )
    # Blender's cameras look along their -z with +y up, and its world is ours
    flip = np.diag([1.0, -1.0, -1.0, 1.0])
    world = np.array(still["matrices"][0])
    np.testing.assert_allclose(world, np.linalg.inv(SHOT.cam_from_world.matrix()) @ flip, atol=1e-5)
    angle = 2 * math.atan((150 if still["fit"] == "VERTICAL" else 200) / 420)
    assert still["angle_y" if still["fit"] == "VERTICAL" else "angle_x"] == pytest.approx(angle, abs=1e-4)
    if name != "c.glb":  # which has no principal point
        np.testing.assert_allclose(still["shift"], [10 / 400, 10 / 400], atol=1e-5)
    frames = FLIGHT.frames()
    if name == "c.py":  # the one that sets Blender's own rate
        assert moving["fps"] == pytest.approx(12.0) and len(moving["matrices"]) == len(frames)
    # USD counts frames; glTF counts seconds, which Blender spreads over its own 24 a second, from its frame 1 on
    found = np.array(moving["matrices"])
    for i, pose in enumerate(frames[1:], start=1):
        wanted = np.linalg.inv(pose.matrix()) @ flip
        got = found[np.abs(found - wanted).max((1, 2)).argmin()] if name == "c.glb" else found[i]
        np.testing.assert_allclose(got, wanted, atol=1e-4)


def test_khronos_has_nothing_to_say(tmp_path: Path, khronos: Callable[[Path], dict[str, Any]]) -> None:
    write_cameras_glb([SHOT], FLIGHT, tmp_path / "c.glb")
    issues = khronos(tmp_path / "c.glb")["issues"]
    assert issues["numErrors"] == issues["numWarnings"] == 0, issues["messages"]
