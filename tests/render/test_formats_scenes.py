"""Splats in glTF and OpenUSD: attributes checked by hand and by usd-core, frames, hostile files."""

from __future__ import annotations

import dataclasses
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from diorama.capture.errors import InputError
from diorama.capture.events import Event, Warned
from diorama.render import Splats
from diorama.render.formats import read_splats, write_splats
from diorama.render.splats import SH_C0
from diorama.render.transform import with_up


def make_splats(count: int = 5, degree: int = 3) -> Splats:
    rng = np.random.default_rng(0)
    arrays = (
        rng.normal(size=(count, 3)) * 3,
        rng.normal(size=(count, 4)),
        rng.uniform(-6, 1, (count, 3)),
        rng.uniform(-4, 4, count),
        rng.normal(0, 0.3, (count, (degree + 1) ** 2, 3)),
    )
    return Splats(*(np.ascontiguousarray(a, np.float32) for a in arrays)).normalized()


def worst(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    return float(np.abs(np.asarray(a, np.float64) - b).max())


def assert_same(a: Splats, b: Splats, tolerance: float = 3e-6) -> None:
    for name in ("means", "quats", "log_scales", "logit_opacities", "sh"):
        assert worst(getattr(a, name), getattr(b, name)) <= tolerance, (
            name
        )  # float32 exp, log and rotations there and back
    assert a.up == b.up and a.is_antialiased == b.is_antialiased


# ---- glTF


def document(path: Path) -> tuple[dict[str, Any], bytes]:
    data = path.read_bytes()
    size = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + size]), data[28 + size :]


def column(top: dict[str, Any], binary: bytes, name: str) -> npt.NDArray[np.float32]:
    """An attribute by glTF's words alone, without the reader under test."""
    accessor = top["accessors"][top["meshes"][0]["primitives"][0]["attributes"][name]]
    view = top["bufferViews"][accessor["bufferView"]]
    width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
    assert accessor["componentType"] == 5126 and "byteStride" not in view
    return np.frombuffer(binary, "<f4", accessor["count"] * width, view["byteOffset"]).reshape(-1, width)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_gltf_attributes_are_what_the_extension_says(tmp_path: Path, degree: int) -> None:
    splats = dataclasses.replace(make_splats(degree=degree), up="+y")  # so that nothing is turned
    write_splats(splats, tmp_path / "a.glb")
    top, binary = document(tmp_path / "a.glb")
    primitive = top["meshes"][0]["primitives"][0]
    assert top["extensionsUsed"] == ["KHR_gaussian_splatting"] and "extensionsRequired" not in top
    assert primitive["mode"] == 0
    how = primitive["extensions"]["KHR_gaussian_splatting"]
    assert how["kernel"] == "ellipse" and how["colorSpace"] == "srgb_rec709_display"
    k = "KHR_gaussian_splatting:"
    coefficients = [f"{k}SH_DEGREE_{d}_COEF_{n}" for d in range(degree + 1) for n in range(2 * d + 1)]
    wanted = {"POSITION", "COLOR_0", k + "ROTATION", k + "SCALE", k + "OPACITY", *coefficients}
    assert set(primitive["attributes"]) == wanted
    assert np.array_equal(column(top, binary, "POSITION"), splats.means)
    assert np.array_equal(column(top, binary, k + "ROTATION"), splats.quats[:, [1, 2, 3, 0]])
    assert np.allclose(column(top, binary, k + "SCALE"), np.exp(splats.log_scales), rtol=1e-6)
    opacity = column(top, binary, k + "OPACITY")[:, 0]
    assert np.allclose(opacity, 1 / (1 + np.exp(-splats.logit_opacities.astype(float))), rtol=1e-6)
    for i, name in enumerate(coefficients):
        assert np.array_equal(column(top, binary, name), splats.sh[:, i]), name
    bounds = top["accessors"][primitive["attributes"]["POSITION"]]
    assert np.array_equal(np.float32(bounds["min"]), splats.means.min(0))
    colour = top["accessors"][primitive["attributes"]["COLOR_0"]]
    assert colour["componentType"] == 5121 and colour["normalized"] and colour["type"] == "VEC4"
    at = top["bufferViews"][colour["bufferView"]]["byteOffset"]
    rgba = np.frombuffer(binary, "u1", 20, at).reshape(5, 4) / 255
    assert worst(rgba[:, :3], np.clip(0.5 + SH_C0 * splats.sh[:, 0], 0, 1)) <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("up", ["+z", "-y", "+y"])
@pytest.mark.parametrize("name", ["a.glb", "a.gltf"])
def test_gltf_has_y_up_and_gives_the_same_numbers_back(tmp_path: Path, name: str, up: str) -> None:
    splats = dataclasses.replace(make_splats(), up=up, is_antialiased=up == "-y")
    write_splats(splats, tmp_path / name)
    assert_same(splats, read_splats(tmp_path / name))
    if name == "a.glb":
        positions = column(*document(tmp_path / name), "POSITION")
        x, y, z = splats.means.T
        wanted = {"+z": (x, z, -y), "-y": (-x, -y, z), "+y": (x, y, z)}[up]
        assert np.array_equal(positions, np.column_stack(wanted))


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    top, binary = document(path)
    change(top)
    text = json.dumps(top).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(binary), 0x004E4942) + binary
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)


def test_gltf_nodes_place_their_splats(tmp_path: Path) -> None:
    """Twice as large, a quarter turn about y, one up; the parent two to the right. Others' files are y down."""
    path = tmp_path / "a.glb"
    splats = dataclasses.replace(make_splats(), up="+y")
    write_splats(splats, path)

    def change(top: dict[str, Any]) -> None:
        half = np.sqrt(0.5)
        child = {"mesh": 0, "scale": [2, 2, 2], "rotation": [0, half, 0, half], "translation": [0, 1, 0]}
        top["nodes"] = [{"children": [1], "matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 2, 0, 0, 1]}, child]
        del top["asset"]["extras"]

    rewrite(path, change)
    back = with_up(read_splats(path), "+y")
    x, y, z = splats.means.T.astype(float)
    assert worst(np.column_stack([2 * z + 2, 2 * y + 1, -2 * x]), back.means) < 1e-5
    assert worst(splats.log_scales + np.log(2), back.log_scales) < 1e-5
    assert read_splats(path).up == "-y"


def primitive(top: dict[str, Any]) -> Any:
    return top["meshes"][0]["primitives"][0]


def put(*keys: Any, to: Any) -> Callable[[dict[str, Any]], object]:
    def change(top: dict[str, Any]) -> None:
        at: Any = top
        for key in keys[:-1]:
            at = at[key]
        at[keys[-1]] = to

    return change


MESH = ("meshes", 0, "primitives", 0)
KHR = "KHR_gaussian_splatting"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put(*MESH, "extensions", to={}), "without Gaussian splats"),
        (put(*MESH, "extensions", KHR, "kernel", to="cube"), "cube"),
        (put(*MESH, "extensions", KHR, "extensions", to={"EXT_packed": {}}), "EXT_packed"),
        (put(*MESH, "mode", to=4), "no points"),
        (put(*MESH, "attributes", "POSITION", to=99), r"accessors\[99\]"),
        (put(*MESH, "attributes", f"{KHR}:SCALE", to=2), "for each splat"),
        (put(*MESH, "attributes", f"{KHR}:OPACITY", to=0), "for each splat"),
        (put("accessors", 0, "count", to=10**9), "claims"),
        (put("accessors", 0, "count", to=4), "for each splat"),
        (put("bufferViews", 0, "byteLength", to=10**9), "ends beyond"),
        (put("nodes", 0, "children", to=[0]), "tree"),
        (put("nodes", 0, "children", to=["x"]), "number"),
        (put("nodes", 0, "scale", to=[1, 2, 1]), "stretches"),
        (put("nodes", 0, "scale", to=[-1, 1, 1]), "mirrors"),
        (put("nodes", 0, "scale", to=[0, 0, 0]), "flattens"),
        (put("nodes", 0, "rotation", to=[0, 0, 0, 0]), "length zero"),
        (put("nodes", 0, "translation", to=[1e300, 0, 0]), "no number"),
        (put("nodes", 0, "mesh", to=7), r"meshes\[7\]"),
        (put("scenes", to=[{"nodes": [5]}]), r"nodes\[5\]"),
        (put("asset", to={"version": "1.0"}), "1.0"),
        (lambda top: primitive(top)["attributes"].pop(f"{KHR}:SH_DEGREE_2_COEF_3"), "SH_DEGREE_2_COEF_3"),
        (lambda top: primitive(top)["attributes"].pop(f"{KHR}:ROTATION"), "ROTATION"),
    ],
)
def test_gltfs_that_make_no_sense(tmp_path: Path, change: Callable[[dict[str, Any]], object], words: str) -> None:
    path = tmp_path / "a.glb"
    write_splats(make_splats(), path)
    rewrite(path, change)
    with pytest.raises(InputError, match=words) as caught:
        read_splats(path)
    message = str(caught.value)
    assert path.name in message and message.endswith(".") and "\n" not in message


def test_gltf_data_outside_its_folder_is_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_splats(make_splats(), folder / "a.gltf")
    (folder / "a.bin").rename(tmp_path / "a.bin")
    text = (folder / "a.gltf").read_text()
    for uri in ("../a.bin", "%2e%2e/a.bin", str(tmp_path / "a.bin"), "http://example.com/a.bin"):
        (folder / "a.gltf").write_text(text.replace('"a.bin"', json.dumps(uri)))
        with pytest.raises(InputError, match=r"a\.gltf"):
            read_splats(folder / "a.gltf")


def test_fuzz_of_glb(tmp_path: Path) -> None:
    seed = 4
    rng, path = np.random.default_rng(seed), tmp_path / "a.glb"
    write_splats(make_splats(6, 1), path)
    data = path.read_bytes()
    for i in range(400):
        changed = bytearray(data[: rng.integers(1, len(data))] if i % 8 == 0 else data)
        for at in rng.integers(0, len(changed) if i % 2 else min(len(changed), 2500), rng.integers(1, 5)):
            changed[at] = rng.integers(0, 256)
        path.write_bytes(changed)
        try:
            splats = read_splats(path)
            assert np.isfinite(splats.means).all() and np.isfinite(splats.sh).all(), seed
        except InputError as error:
            assert path.name in str(error), seed


def test_values_that_are_no_splats_are_left_out(tmp_path: Path) -> None:
    splats = make_splats()
    path = tmp_path / "a.glb"
    write_splats(splats, path)
    top, binary = document(path)
    body = bytearray(binary)
    for name, value in ((f"{KHR}:OPACITY", 1.5), (f"{KHR}:SCALE", -1.0), ("POSITION", np.nan)):
        view = top["bufferViews"][top["accessors"][primitive(top)["attributes"][name]]["bufferView"]]
        row = {f"{KHR}:OPACITY": 0, f"{KHR}:SCALE": 12, "POSITION": 24}[name]
        body[view["byteOffset"] + row : view["byteOffset"] + row + 4] = struct.pack("<f", value)
    path.write_bytes(path.read_bytes()[: -len(binary)] + bytes(body))
    events: list[Event] = []
    assert len(read_splats(path, on_event=events.append)) == 2  # of five, three have one such value each
    assert [type(e) for e in events] == [Warned]


# ---- OpenUSD


@pytest.mark.parametrize(("name", "up"), [("a.usda", "+z"), ("a.usdc", "-y"), ("a.usd", "+y"), ("a.usdz", "+z")])
def test_usd_core_sees_what_we_meant_and_its_validators_are_content(tmp_path: Path, name: str, up: str) -> None:
    from pxr import Usd, UsdGeom, UsdValidation, UsdVol

    splats = dataclasses.replace(make_splats(degree=2), up=up)
    write_splats(splats, tmp_path / name)
    stage = Usd.Stage.Open(str(tmp_path / name))
    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    field = UsdVol.ParticleField3DGaussianSplat(stage.GetPrimAtPath("/a/Splats"))
    turned = with_up(splats, "+y")
    assert np.array_equal(np.array(field.GetPositionsAttr().Get()), turned.means)
    real = np.array([q.GetReal() for q in field.GetOrientationsAttr().Get()])
    assert np.allclose(real, turned.quats[:, 0], atol=1e-7)
    first = field.GetOrientationsAttr().Get()[0].GetImaginary()
    assert np.allclose(first, turned.quats[0, 1:], atol=1e-7)
    assert np.allclose(np.array(field.GetScalesAttr().Get()), turned.scales, rtol=1e-6)
    assert np.allclose(np.array(field.GetOpacitiesAttr().Get()), turned.opacities, rtol=1e-6)
    assert field.GetRadianceSphericalHarmonicsDegreeAttr().Get() == 2
    coefficients = np.array(field.GetRadianceSphericalHarmonicsCoefficientsAttr().Get())
    assert np.array_equal(coefficients.reshape(5, 9, 3), turned.sh)  # by splat, then by degree and order
    registry = UsdValidation.ValidationRegistry()
    every = [registry.GetOrLoadValidatorByName(m.name) for m in registry.GetAllValidatorMetadata() if not m.isSuite]
    found = UsdValidation.ValidationContext([v for v in every if v]).Validate(stage)
    assert [f"{e.GetName()}: {e.GetMessage()}" for e in found] == []
    assert_same(splats, read_splats(tmp_path / name))


def test_usd_of_others_in_halves_and_centimetres_placed_by_a_parent(tmp_path: Path) -> None:
    from pxr import Gf, Usd, UsdGeom, UsdVol

    path = tmp_path / "a.usda"
    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageUpAxis(stage, "Z")
    UsdGeom.SetStageMetersPerUnit(stage, 0.01)
    UsdGeom.Xform.Define(stage, "/world").AddTranslateOp().Set(Gf.Vec3d(0, 0, 100))
    field = UsdVol.ParticleField3DGaussianSplat.Define(stage, "/world/splats")
    field.CreatePositionshAttr([(100, 200, 300)])
    field.CreateScaleshAttr([(1, 1, 1)])
    stage.GetRootLayer().Save()
    splats = with_up(read_splats(path), "+z")
    assert worst(splats.means, np.array([[1, 2, 4]])) < 1e-6 and np.allclose(splats.log_scales, np.log(0.01))
    assert splats.sh.shape == (1, 1, 3) and splats.opacities[0] > 0.999 and not splats.sh.any()


def test_usds_that_make_no_sense(tmp_path: Path) -> None:
    write_splats(make_splats(), tmp_path / "good.usdc")
    good = (tmp_path / "good.usdc").read_bytes()
    path = tmp_path / "a.usdc"
    for data in (good[:40], good[: len(good) // 2], good[:8] + bytes(100), good[:100] + b"\xff" * 400 + good[500:]):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"a\.usdc .*\.$"):
            read_splats(path)
    (tmp_path / "other.usda").write_text('#usda 1.0\ndef Xform "x" {}\n')
    for body, words in (
        ("", "no ParticleField"),
        ('def "x" (references = @other.usda@</x>) {}', "other files"),
        ('def "x" (payload = @/etc/passwd@) {}', "other files"),
        ("def ParticleField3DGaussianSplat {", "damaged"),
        ('def ParticleField3DGaussianSplat "s" { \npoint3f[] positions = []\nfloat3[] scales = []\n}', "no splats"),
        ('def ParticleField3DGaussianSplat "s" { \npoint3f[] positions = [(0,0,0)]\n}', "no scales"),
        ("(" * 100_000, "damaged|fails"),
    ):
        usda = tmp_path / "b.usda"
        usda.write_text(f"#usda 1.0\n{body}\n")
        with pytest.raises(InputError, match=words) as caught:
            read_splats(usda)
        assert "b.usda" in str(caught.value) and "\n" not in str(caught.value)


def test_real_glb_agrees_with_its_ply(footage: Path) -> None:
    folder = footage / "splats" / "playbot4"
    truth, found = (read_splats(folder / f"playbot4.{kind}") for kind in ("ply", "glb"))
    assert np.array_equal(truth.means, found.means) and worst(truth.sh, found.sh) < 1e-5
    assert worst(truth.log_scales, found.log_scales) < 1e-5
    dots = np.abs((truth.normalized().quats.astype(np.float64) * found.quats).sum(1))
    assert dots.min() > 1 - 1e-6


@pytest.mark.slow
def test_fuzz_of_usd(tmp_path: Path) -> None:
    """A process each, so few at a time: usable splats or one sentence, and never a crash of ours."""
    seed = 9
    rng, path = np.random.default_rng(seed), tmp_path / "a.usdc"
    write_splats(make_splats(6, 1), tmp_path / "good.usdc")
    data = (tmp_path / "good.usdc").read_bytes()
    for i in range(60):
        changed = bytearray(data[: rng.integers(9, len(data))] if i % 6 == 0 else data)
        for at in rng.integers(8, len(changed), rng.integers(1, 8)):
            changed[at] = rng.integers(0, 256)
        path.write_bytes(changed)
        try:
            assert np.isfinite(read_splats(path).means).all(), seed
        except InputError as error:
            assert path.name in str(error), seed
