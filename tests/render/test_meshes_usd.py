"""USD meshes, read by usd-core and judged by its validators (those that usdchecker runs)."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diorama.render.formats.meshes import Y_UP_FROM_Z_UP
from diorama.render.formats.meshes.usd import prim_name, write_usd_mesh
from diorama.render.mesh import MeshAsset

from .mesh_assets import asset, box, letters, picture_at, white_corners


def complaints(path: Path) -> list[str]:
    """What all validators of this usd-core say about a file."""
    from pxr import Usd, UsdValidation

    registry = UsdValidation.ValidationRegistry()
    found = [registry.GetOrLoadValidatorByName(m.name) for m in registry.GetAllValidatorMetadata() if not m.isSuite]
    assert len(found) >= 20
    context = UsdValidation.ValidationContext([v for v in found if v])
    return [f"{e.GetName()}: {e.GetMessage()}" for e in context.Validate(Usd.Stage.Open(str(path)))]


@pytest.mark.parametrize("suffix", ["usdz", "usda", "usdc", "usd"])
def test_validators_have_nothing_to_say(tmp_path: Path, suffix: str) -> None:
    made = write_usd_mesh(asset(), tmp_path / f"box.{suffix}")
    assert made[-1] == tmp_path / f"box.{suffix}" and len(made) == (1 if suffix == "usdz" else 3)
    assert sorted(tmp_path.iterdir()) == sorted(made), "nothing is left over"
    assert complaints(made[-1]) == []


def test_the_validators_do_complain(tmp_path: Path) -> None:
    from pxr import Sdf, Usd, UsdGeom, UsdShade

    write_usd_mesh(asset(), tmp_path / "box.usda")
    stage = Usd.Stage.Open(str(tmp_path / "box.usda"))
    stage.GetRootLayer().ClearDefaultPrim()
    normal = UsdShade.Shader(stage.GetPrimAtPath("/box/Materials/Surface/Normal"))
    normal.CreateInput("sourceColorSpace", Sdf.ValueTypeNames.Token).Set("sRGB")
    UsdGeom.Xform.Define(stage, "/other")
    stage.GetRootLayer().Save()
    (tmp_path / "box_base_colour.jpg").unlink()
    assert len(complaints(tmp_path / "box.usda")) >= 2


@pytest.mark.parametrize("suffix", ["usdz", "usda"])
def test_size_axes_and_picture(tmp_path: Path, suffix: str) -> None:
    from pxr import Gf, Usd, UsdGeom

    path = tmp_path / f"2 stones.{suffix}"  # no identifier, and a blank
    write_usd_mesh(MeshAsset((box(),)), path, texture_format="png")
    stage = Usd.Stage.Open(str(path))
    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    assert stage.GetDefaultPrim().GetName() == "_2_stones"
    cache = UsdGeom.BBoxCache(Usd.TimeCode.Default(), [UsdGeom.Tokens.default_])
    size = cache.ComputeWorldBound(stage.GetDefaultPrim()).ComputeAlignedRange()
    assert Gf.IsClose(size.GetMin(), Gf.Vec3d(-1, 0, -0.5), 1e-6) and Gf.IsClose(
        size.GetMax(), Gf.Vec3d(1, 0.5, 0.5), 1e-6
    )
    mesh = UsdGeom.Mesh(stage.GetPrimAtPath("/_2_stones/Mesh"))
    points, faces = np.array(mesh.GetPointsAttr().Get()), np.array(mesh.GetFaceVertexIndicesAttr().Get()).reshape(-1, 3)
    uvs = np.array(UsdGeom.PrimvarsAPI(mesh).GetPrimvar("st").Get())
    picture = letters()
    for point, outward in white_corners(Y_UP_FROM_Z_UP):
        u, v = picture_at(points, faces, uvs, point, outward)
        assert picture[int((1 - v) * picture.shape[0]), int(u * picture.shape[1])].tolist() == [255, 255, 255]


def test_levels_are_variants_and_the_collider_is_a_guide(tmp_path: Path) -> None:
    from pxr import Usd, UsdGeom, UsdPhysics

    write_usd_mesh(asset(), tmp_path / "box.usdc")
    stage = Usd.Stage.Open(str(tmp_path / "box.usdc"))
    levels = stage.GetDefaultPrim().GetVariantSets().GetVariantSet("LOD")
    counts = []
    for name in levels.GetVariantNames():
        levels.SetVariantSelection(name)
        counts.append(len(UsdGeom.Mesh(stage.GetPrimAtPath("/box/Mesh")).GetFaceVertexCountsAttr().Get()))
    assert counts == [12, 10, 8]
    colliders = [p for p in stage.Traverse() if p.HasAPI(UsdPhysics.MeshCollisionAPI)]
    assert [str(p.GetPath()) for p in colliders] == ["/box/Collider_00", "/box/Collider_01"]
    assert all(UsdGeom.Imageable(p).ComputePurpose() == "guide" for p in colliders)


def test_usdz_is_stored_and_aligned(tmp_path: Path) -> None:
    write_usd_mesh(asset(), tmp_path / "box.usdz")
    data = (tmp_path / "box.usdz").read_bytes()
    with zipfile.ZipFile(tmp_path / "box.usdz") as archive:
        assert archive.namelist()[0] == "box.usdc"
        for info in archive.infolist():
            name, extra = (
                int.from_bytes(data[info.header_offset + k : info.header_offset + k + 2], "little") for k in (26, 28)
            )
            assert info.compress_type == zipfile.ZIP_STORED and (info.header_offset + 30 + name + extra) % 64 == 0


def test_names_become_identifiers() -> None:
    names: dict[str, Any] = {"Tür 1": "T_r_1", "1": "_1", "": "Scene", "a-b": "a_b"}
    for given, expected in names.items():
        assert prim_name(given) == expected
