"""Meshes opened by Blender and by Khronos' validator: upright, in metres, on the ground, textured, not mirrored."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from diorama.render.formats.meshes import GlbOptions, write_glb, write_mesh
from diorama.render.mesh import MeshAsset

from .conftest import Seen


def _load(name: str) -> ModuleType:
    path = Path(__file__).parents[1] / "render" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


assets = _load("mesh_assets")
pytestmark = pytest.mark.slow

CASES = {
    "box.glb": ("glb", True),
    "box.obj": ("obj", True),
    "box.usdz": ("usdz", True),
    "box.usda": ("usd", True),
    "box.usdc": ("usd", True),
    "box.ply": ("ply", False),  # Blender gives meshes from PLY no material
}


@pytest.mark.parametrize("name", CASES)
def test_blender_sees_the_box_as_it_is(tmp_path: Path, blender: Callable[[Path], Seen], name: str) -> None:
    form, textured = CASES[name]
    full = MeshAsset((assets.box(normal_map=form != "ply"),))
    write_mesh(full, tmp_path / name, form)
    seen = blender(tmp_path / name)
    np.testing.assert_allclose(seen.bounds, [[-1, -0.5, 0], [1, 0.5, 0.5]], atol=1e-5)
    picture = 255 * seen.base if textured else assets.letters().astype(float)
    assert picture.shape == (192, 288, 3)
    faces = np.arange(3 * len(seen.corners)).reshape(-1, 3)
    for point, outward in assets.white_corners(np.eye(3)):
        u, v = assets.picture_at(seen.corners.reshape(-1, 3), faces, seen.uvs.reshape(-1, 2), point, outward)
        colour = picture[int((1 - v) * 192), int(u * 288)]
        assert colour.min() > 235, (outward, colour)  # white but for JPEG
    # OBJ's `norm` is an extension of others that Blender does not read
    assert seen.facts["normal_maps"] == (1 if textured and form != "obj" else 0)
    _look_at(seen.picture, textured)


def _look_at(path: Path, textured: bool) -> None:
    """The rendering from in front, above and right: front yellow below, top violet above, right red on the right."""
    import PIL.Image

    picture = np.asarray(PIL.Image.open(path).convert("RGB")).astype(int)
    if not textured:
        return
    r, g, b = picture[..., 0], picture[..., 1], picture[..., 2]
    yellow, violet, red = (
        (r > 140) & (g > 100) & (b < 90),
        (r > 120) & (g < 110) & (b > 120),
        (r > 150) & (g < 90) & (b < 90),
    )
    middles = {}
    for name, mask in {"front": yellow, "top": violet, "right": red}.items():
        assert mask.sum() > 300, f"{name} is not to be seen in {path}"
        middles[name] = np.argwhere(mask).mean(0)
    assert middles["top"][0] < middles["front"][0] and middles["right"][1] > middles["front"][1]


@pytest.mark.parametrize("lods", ["msft", "nodes", "none"])
@pytest.mark.parametrize("kind", ["full", "plain", "colours"])
def test_khronos_has_nothing_to_say(
    tmp_path: Path, khronos: Callable[[Path], dict[str, Any]], lods: Any, kind: str
) -> None:
    given = {
        "full": assets.asset(),
        "plain": MeshAsset((assets.box(texture=False),)),
        "colours": MeshAsset((assets.box(texture=False, colours=True),)),
    }[kind]
    write_glb(
        given, tmp_path / "a.glb", options=GlbOptions(lods=lods, collider="{name}_{part}" if lods == "nodes" else None)
    )
    issues = khronos(tmp_path / "a.glb")["issues"]
    assert issues["numErrors"] == issues["numWarnings"] == 0, issues["messages"]
    # the validator does not know MSFT_lod; our picture's sides are no powers of two
    known = {"UNSUPPORTED_EXTENSION", "UNUSED_OBJECT", "IMAGE_NPOT_DIMENSIONS"}
    assert {m["code"] for m in issues["messages"]} <= known


def test_khronos_does_complain(tmp_path: Path, khronos: Callable[[Path], dict[str, Any]]) -> None:
    write_glb(assets.asset(), tmp_path / "a.glb")
    data = (tmp_path / "a.glb").read_bytes()
    (tmp_path / "b.glb").write_bytes(data.replace(b'"VEC3"', b'"VEC2"', 1))
    assert khronos(tmp_path / "b.glb")["issues"]["numErrors"] > 0


@pytest.mark.parametrize("suffix", ["usdz", "usda", "usdc"])
def test_usdchecker_has_nothing_to_say(
    tmp_path: Path, usdchecker: Callable[[Path], dict[str, list[str]]], suffix: str
) -> None:
    write_mesh(assets.asset(), tmp_path / f"a.{suffix}", "usdz" if suffix == "usdz" else "usd")
    assert usdchecker(tmp_path / f"a.{suffix}") == {"plain": [], "arkit": []}


def test_usdchecker_does_complain(tmp_path: Path, usdchecker: Callable[[Path], dict[str, list[str]]]) -> None:
    write_mesh(assets.asset(), tmp_path / "a.usda", "usd")
    text = (tmp_path / "a.usda").read_text()
    (tmp_path / "b.usda").write_text(text.replace('upAxis = "Y"', 'upAxis = "Z"').replace('defaultPrim = "a"', ""))
    found = usdchecker(tmp_path / "b.usda")
    assert found["plain"] and any("upAxis" in c for c in found["arkit"])
