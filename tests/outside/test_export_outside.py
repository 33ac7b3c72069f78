"""A scanned scene exported by the command line and opened in Blender: metres, upright, on the ground, textured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diorama.capture.nerfstudio import write_transforms
from diorama.render.formats.meshes import GlbOptions, write_glb
from diorama.render.synthetic import write_synthetic_footage

from .conftest import Seen
from .test_meshes_outside import assets

pytestmark = pytest.mark.slow


def diorama(*args: object) -> Any:
    command = [sys.executable, "-m", "diorama.studio", *map(str, args), "--json", "--quiet"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, env=os.environ)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures of a place with known cameras, splats trained for a moment, and the box with letters for a mesh."""
    folder = tmp_path_factory.mktemp("outside")
    truth = write_synthetic_footage(folder / "images", 10, 96, 72, place="minimal", suffix=".png")
    names = {name: f"images/{name}" for name in truth.cam_from_world}
    write_transforms(folder / "transforms.json", dict.fromkeys(names, truth.camera), truth.cam_from_world, names)
    scene = folder / "yard"
    diorama("scan", folder / "transforms.json", "-o", scene, "--steps", 30, "--max-size", 96, "--max-splats", 500)
    (scene / "mesh").mkdir()
    write_glb(assets.asset(), scene / "mesh" / "mesh.glb", options=GlbOptions(texture="png"))
    return scene


@pytest.mark.parametrize(
    "arguments",
    [("--for", "blender"), ("--for", "visionos"), ("--format", "obj", "--what", "mesh", "--origin", "ground")],
)
def test_the_mesh_arrives(
    scene: Path, tmp_path: Path, blender: Callable[[Path], Seen], arguments: tuple[str, ...]
) -> None:
    made = next(m for m in diorama("export", scene, *arguments, "-o", tmp_path)["files"] if m["what"] == "mesh")
    seen = blender(Path(made["path"]))
    chain = json.loads(Path(made["sidecar"]).read_text())
    shift = np.array(chain["export_from_world"]["translation"])
    np.testing.assert_allclose(seen.bounds, np.array([[-1, -0.5, 0], [1, 0.5, 0.5]]) + shift, atol=1e-4)
    assert abs(seen.bounds[0, 2]) < 0.1, "where the ground is follows from few points here"
    faces = np.arange(3 * len(seen.corners)).reshape(-1, 3)
    for point, outward in assets.white_corners(np.eye(3)):
        u, v = assets.picture_at(seen.corners.reshape(-1, 3), faces, seen.uvs.reshape(-1, 2), point + shift, outward)
        assert seen.base[int((1 - v) * 192), int(u * 288)].min() > 0.92, outward


def test_the_cameras_arrive(scene: Path, tmp_path: Path, blender: Callable[[Path], Seen]) -> None:
    made = diorama("export", scene, "--for", "blender", "--what", "cameras", "-o", tmp_path)
    cameras = blender(Path(made["path"])).facts["cameras"]
    assert len(cameras) == made["cameras"] + 1 == 11, "and the path along them"


def test_the_splats_arrive(scene: Path, tmp_path: Path, blender: Callable[[Path], Seen]) -> None:
    """Blender's own PLY import, which KIRI's add-on calls: as many, in our axes, with all that a splat has."""
    from diorama.render.formats import read_splats

    made = diorama("export", scene, "--for", "blender", "--what", "splats", "-o", tmp_path)
    seen = blender(Path(made["path"])).facts["vertices"]
    wanted = {"f_dc_0", "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"}
    assert seen["count"] == made["splats"] and wanted <= set(seen["attributes"])
    splats = read_splats(scene / "splats" / "splats.ply")
    shift = np.array(json.loads(Path(made["sidecar"]).read_text())["export_from_world"]["translation"])
    box = np.stack([splats.means.min(0), splats.means.max(0)]) + shift
    np.testing.assert_allclose(seen["box"], box, rtol=1e-5, atol=1e-4)


def test_khronos_has_nothing_to_say(scene: Path, tmp_path: Path, khronos: Callable[[Path], dict[str, Any]]) -> None:
    for engine in ("unreal", "unity", "godot", "web"):
        made = diorama("export", scene, "--for", engine, "--what", "mesh", "-o", tmp_path / engine)
        issues = khronos(Path(made["path"]))["issues"]
        assert issues["numErrors"] == issues["numWarnings"] == 0, (engine, issues["messages"])
