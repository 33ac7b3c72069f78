"""Meshes as OpenUSD: .usd, .usda, .usdc, and .usdz with its textures inside, for Apple's platforms.

The stage has +y up and metres (what RealityKit and Quick Look want; the others read it from the stage). Under the
default prim lie the levels of detail as a variant set `LOD` (the finest is chosen), a material of UsdPreviewSurface,
and the collider as guide geometry with UsdPhysics' collision schema, which renderers do not show.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from diorama.capture.errors import InputError

from ...mesh import Mesh, MeshAsset, Texture
from ..common import os_reason, written_whole
from .joining import parts
from .pictures import EXTENSIONS, PictureFormat, encoded, linear_from_srgb
from .placing import Y_UP_FROM_Z_UP, placed

USD_EXTENSIONS = (".usd", ".usda", ".usdc", ".usdz")


def write_usd_mesh(
    asset: MeshAsset, path: Path, name: str | None = None, *, texture_format: PictureFormat = "jpeg"
) -> list[Path]:
    """Writes the asset; textures lie beside the file, or in it where that is a .usdz. Returns the files, the USD last.

    Raises InputError when there is nothing to write or the disk is full.
    """
    if not len(asset.lods[0]):
        raise InputError(f"{path} was not written because the mesh has no faces.")
    path.parent.mkdir(parents=True, exist_ok=True)
    packed = path.suffix.lower() == ".usdz"
    beside = Path(tempfile.mkdtemp(prefix=f".{path.stem[:40]}.", dir=path.parent))
    try:
        layer = beside / (f"{path.stem}.usdc" if packed else path.name)
        pictures = _Builder(beside, path.stem, texture_format).build(asset, layer, prim_name(name or path.stem))
        if packed:
            package(layer, beside / path.name)
            pictures = []
        made = [path.with_name(p.name) for p in pictures]
        for picture in pictures:
            picture.replace(path.with_name(picture.name))
        (beside / path.name).replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {os_reason(error)}.") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return [*made, path]


def prim_name(text: str) -> str:
    """`text` as a USD identifier: letters, digits and underscores, no digit first."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", text) or "Scene"
    return name if not name[0].isdigit() else f"_{name}"


def package(layer: Path, target: Path) -> None:
    """A .usdz of a layer and the files it names: stored, not compressed, and aligned to 64 bytes, as usdz wants it.

    Raises InputError when it cannot be made.
    """
    from pxr import Sdf, UsdUtils

    done = UsdUtils.CreateNewUsdzPackage(Sdf.AssetPath(str(layer)), str(target))
    if not done:
        raise InputError(f"{target.name} could not be packed; see that the disk has room.")


def new_stage(layer: Path, root: str) -> tuple[Any, Any]:
    """A stage with +y up, metres and a default prim /`root` of kind component; and that prim's Xform."""
    from pxr import Kind, Usd, UsdGeom

    stage = Usd.Stage.CreateNew(str(layer))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    xform = UsdGeom.Xform.Define(stage, f"/{root}")
    stage.SetDefaultPrim(xform.GetPrim())
    Usd.ModelAPI(xform.GetPrim()).SetKind(Kind.Tokens.component)
    stage.GetRootLayer().comment = "Made by Diorama"
    return stage, xform


class _Builder:
    def __init__(self, folder: Path, stem: str, form: PictureFormat) -> None:
        self.folder, self.stem, self.form = folder, stem, form
        self.pictures: list[Path] = []
        self.materials: dict[int, Any] = {}

    def build(self, asset: MeshAsset, layer: Path, root: str) -> list[Path]:
        """Writes the layer; returns the pictures it names."""
        self.stage, xform = new_stage(layer, root)
        self.root = f"/{root}"
        lods = [m for m in asset.lods if len(m)]
        if len(lods) == 1:
            self._mesh(lods[0], f"{self.root}/Mesh")
        else:
            levels = xform.GetPrim().GetVariantSets().AddVariantSet("LOD")
            materials = [self._material(m) for m in lods]
            for i, (mesh, material) in enumerate(zip(lods, materials, strict=True)):
                levels.AddVariant(f"LOD{i}")
                levels.SetVariantSelection(f"LOD{i}")
                with levels.GetVariantEditContext():
                    self._mesh(mesh, f"{self.root}/Mesh", material)
            levels.SetVariantSelection("LOD0")
        if asset.collider is not None:
            for i, part in enumerate(parts(asset.collider)):
                self._collider(part, f"{self.root}/Collider_{i:02d}")
        self.stage.GetRootLayer().Save()
        return self.pictures

    def _mesh(self, mesh: Mesh, at: str, material: Any = None) -> None:
        from pxr import Sdf, UsdGeom, UsdShade, Vt

        full = placed(mesh if mesh.normals is not None else mesh.with_normals(), Y_UP_FROM_Z_UP)
        prim = self._geometry(full, at)
        prim.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(full.normals))
        prim.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
        api = UsdGeom.PrimvarsAPI(prim)
        if full.uvs is not None:
            st = api.CreatePrimvar("st", Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.vertex)
            st.Set(Vt.Vec2fArray.FromNumpy(full.uvs))
        if full.colours is not None and full.texture is None:
            linear = (linear_from_srgb(full.colours) / np.float32(65535)).astype(np.float32)
            colour = prim.CreateDisplayColorPrimvar(UsdGeom.Tokens.vertex)
            colour.Set(Vt.Vec3fArray.FromNumpy(linear))
        UsdShade.MaterialBindingAPI.Apply(prim.GetPrim()).Bind(material or self._material(mesh))

    def _geometry(self, mesh: Mesh, at: str) -> Any:
        from pxr import UsdGeom, Vt

        prim = UsdGeom.Mesh.Define(self.stage, at)
        prim.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(mesh.vertices))
        prim.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(mesh), 3, np.int32)))
        prim.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(np.ascontiguousarray(mesh.faces.reshape(-1))))
        prim.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
        prim.CreateExtentAttr(Vt.Vec3fArray.FromNumpy(np.stack(mesh.bounds)))
        return prim

    def _collider(self, mesh: Mesh, at: str) -> None:
        from pxr import UsdGeom, UsdPhysics

        prim = self._geometry(placed(mesh, Y_UP_FROM_Z_UP), at)
        prim.CreatePurposeAttr(UsdGeom.Tokens.guide)
        UsdPhysics.CollisionAPI.Apply(prim.GetPrim())
        UsdPhysics.MeshCollisionAPI.Apply(prim.GetPrim()).CreateApproximationAttr(UsdPhysics.Tokens.convexHull)

    def _material(self, mesh: Mesh) -> Any:
        """The material of a texture, once, however many levels share it."""
        from pxr import Sdf, UsdShade

        key = id(mesh.texture) if mesh.texture is not None else -1 if mesh.colours is not None else -2
        if key in self.materials:
            return self.materials[key]
        at = f"{self.root}/Materials/Surface" + (f"_{len(self.materials)}" if self.materials else "")
        self.stage.DefinePrim(f"{self.root}/Materials", "Scope")
        material = UsdShade.Material.Define(self.stage, at)
        surface = UsdShade.Shader.Define(self.stage, f"{at}/Preview")
        surface.CreateIdAttr("UsdPreviewSurface")
        surface.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(1.0)
        surface.CreateInput("metallic", Sdf.ValueTypeNames.Float).Set(0.0)
        material.CreateSurfaceOutput().ConnectToSource(surface.ConnectableAPI(), "surface")
        diffuse = surface.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f)
        if mesh.texture is not None:
            self._texture(mesh.texture, at, surface, diffuse)
        elif mesh.colours is not None:
            reader = self._primvar(at, "Colour", "float3", "displayColor")
            diffuse.ConnectToSource(reader.CreateOutput("result", Sdf.ValueTypeNames.Float3))
        else:
            diffuse.Set((0.8, 0.8, 0.8))
        self.materials[key] = material
        return material

    def _texture(self, texture: Texture, at: str, surface: Any, diffuse: Any) -> None:
        from pxr import Sdf

        reader = self._primvar(at, "Place", "float2", "st")
        place = reader.CreateOutput("result", Sdf.ValueTypeNames.Float2)
        base = self._sampler(f"{at}/BaseColour", "base_colour", texture.base_colour, self.form, place)
        base.CreateInput("sourceColorSpace", Sdf.ValueTypeNames.Token).Set("sRGB")
        diffuse.ConnectToSource(base.CreateOutput("rgb", Sdf.ValueTypeNames.Float3))
        if texture.normal_map is not None:
            normal = self._sampler(f"{at}/Normal", "normal", texture.normal_map, "png", place)
            normal.CreateInput("sourceColorSpace", Sdf.ValueTypeNames.Token).Set("raw")
            normal.CreateInput("scale", Sdf.ValueTypeNames.Float4).Set((2, 2, 2, 2))
            normal.CreateInput("bias", Sdf.ValueTypeNames.Float4).Set((-1, -1, -1, -1))
            target = surface.CreateInput("normal", Sdf.ValueTypeNames.Normal3f)
            target.ConnectToSource(normal.CreateOutput("rgb", Sdf.ValueTypeNames.Float3))

    def _primvar(self, at: str, name: str, kind: str, primvar: str) -> Any:
        from pxr import Sdf, UsdShade

        reader = UsdShade.Shader.Define(self.stage, f"{at}/{name}")
        reader.CreateIdAttr(f"UsdPrimvarReader_{kind}")
        reader.CreateInput("varname", Sdf.ValueTypeNames.String).Set(primvar)
        return reader

    def _sampler(self, at: str, suffix: str, picture: Any, form: PictureFormat, place: Any) -> Any:
        from pxr import Sdf, UsdShade

        used = len(self.pictures) // 2
        file = self.folder / f"{self.stem}_{suffix}{f'_{used}' if used else ''}{EXTENSIONS[form]}"
        with written_whole(file) as target:
            target.write(encoded(picture, form))
        self.pictures.append(file)
        sampler = UsdShade.Shader.Define(self.stage, at)
        sampler.CreateIdAttr("UsdUVTexture")
        sampler.CreateInput("file", Sdf.ValueTypeNames.Asset).Set(f"./{file.name}")
        sampler.CreateInput("st", Sdf.ValueTypeNames.Float2).ConnectToSource(place)
        for axis in ("wrapS", "wrapT"):
            sampler.CreateInput(axis, Sdf.ValueTypeNames.Token).Set("clamp")
        return sampler
