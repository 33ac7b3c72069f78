"""`diorama export`: everything a scene has, in files that others read, each with the way back to the scan."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diorama.capture.camera import Camera
from diorama.capture.errors import InputError
from diorama.capture.events import Warned
from diorama.capture.transforms import Pose, Sim3, quaternion_from_rotation, rotation_from_quaternion
from diorama.capture.types import Capture, Frame, Gps, PosedScene, PoseSummary, SparsePoints
from diorama.reconstruct.poses.geodesy import ecef_from_gps
from diorama.reconstruct.poses.world import transformed
from diorama.render.formats import read_splats
from diorama.render.formats.meshes import GlbOptions, read_mesh, write_glb
from diorama.render.mesh import Mesh, MeshAsset, Texture
from diorama.render.paths import look_at
from diorama.studio import pipeline
from diorama.studio.export import ExportRequest, run_export
from diorama.studio.origin import Chain, export_from_world
from diorama.studio.scene import Scene
from diorama.studio.sizing import within

from .conftest import diorama


def grid(faces: int, texture: Texture | None) -> Mesh:
    """A floor of 4 x 4 units at z = 0 and a wall behind it, of so many triangles."""
    side = max(1, round((faces / 4) ** 0.5))
    t = np.linspace(-2, 2, side + 1)
    x, y = (a.ravel() for a in np.meshgrid(t, t))
    floor = np.stack([x, y, 0 * x], 1)
    wall = np.stack([x, 2 + 0 * x, y + 2], 1)
    i = np.arange(side * (side + 1)).reshape(side, side + 1)[:, :-1].ravel()
    quads = np.stack([i, i + 1, i + side + 2, i, i + side + 2, i + side + 1], 1).reshape(-1, 3)
    uv = np.stack([(x + 2) / 4, (y + 2) / 4], 1)
    vertices = np.concatenate([floor, wall]).astype(np.float32)
    triangles = np.concatenate([quads, quads + len(x)]).astype(np.int32)
    return Mesh(vertices, triangles, None, np.concatenate([uv, uv]).astype(np.float32), None, texture)


def mesh_asset() -> MeshAsset:
    texture = Texture(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8))
    box = grid(4, None)
    return MeshAsset((grid(400, texture), grid(100, texture)), Mesh(box.vertices, box.faces))


@pytest.fixture(scope="module")
def scene_folder(scanned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scanned scene with a mesh in it."""
    folder = tmp_path_factory.mktemp("exported") / "yard"
    shutil.copytree(scanned, folder)
    (folder / "mesh").mkdir(exist_ok=True)
    write_glb(mesh_asset(), folder / "mesh" / "mesh.glb", options=GlbOptions(texture="png"))
    return folder


def exported(folder: Path, out: Path, **request: Any) -> dict[str, Any]:
    return run_export(Scene.open(folder), ExportRequest(folder=out, **request))


def matrix(path: str, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array(json.loads(Path(path).read_text())[name])


def test_an_engine_gets_splats_mesh_and_notes(scene_folder: Path, tmp_path: Path) -> None:
    made = exported(scene_folder, tmp_path, engine="unity")
    assert [(m["what"], m["format"]) for m in made["files"]] == [("splats", "ply"), ("mesh", "glb")]
    assert abs(made["loss_db"]) < 0.01, "the same picture, back from Unity's mirrored axes"
    notes = Path(made["notes"]).read_text()
    assert "yard.ply" in notes and "yard_mesh.glb" in notes
    names = {"yard.ply", "yard.ply.export.json", "yard_mesh.glb", "yard_mesh.glb.export.json", "IMPORT-unity.txt"}
    assert {p.name for p in tmp_path.iterdir()} == names
    head = (tmp_path / "yard.ply").read_bytes()[:2000]
    assert b"comment" not in head and b"f_rest_44" in head, "as the plugin takes it: three bands, no comments"
    file_from_world = matrix(made["files"][0]["sidecar"], "file_from_world")
    assert np.linalg.det(file_from_world[:3, :3]) == pytest.approx(-1)
    splats = pipeline.load_splats(Scene.open(scene_folder))
    expected = splats.means @ file_from_world[:3, :3].T + file_from_world[:3, 3]
    np.testing.assert_allclose(read_splats(tmp_path / "yard.ply").means, expected, atol=1e-5)


def test_the_report_lists_every_export(scene_folder: Path) -> None:
    scene = Scene.open(scene_folder)
    run_export(scene, ExportRequest(engine="web"))
    run_export(scene, ExportRequest("laz"))
    page = pipeline.run_report(scene).read_text()
    rows = json.loads((scene_folder / "report" / "report.json").read_text())["export"]
    assert {"web sog", "web mesh glb", "points laz", "ply"} <= set(rows)
    assert rows["web mesh glb"]["loss_db"] is None and rows["web sog"]["loss_db"] is not None
    assert "web mesh glb" in page and "exports/web/yard_mesh.glb" in page
    assert {p.name for p in (scene_folder / "exports" / "web").iterdir()} >= {"IMPORT-web.txt", "yard.sog"}


def test_splats_and_mesh_share_their_origin(scene_folder: Path, tmp_path: Path) -> None:
    made = exported(scene_folder, tmp_path, engine="blender", origin="centre")
    shifts = [matrix(m["sidecar"], "file_from_world")[:3, 3] for m in made["files"]]
    turned = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]) @ shifts[0]  # glTF's axes; Blender turns them back
    np.testing.assert_allclose(shifts[1], turned, atol=1e-9)
    mesh = read_mesh(tmp_path / "yard_mesh.glb").lods[0]
    np.testing.assert_allclose(mesh.vertices.min(0), np.array([-2, -2, 0]) + shifts[0], atol=1e-5)


@pytest.mark.parametrize(("form", "count"), [("glb", 1), ("obj", 4), ("ply", 2), ("usd", 2), ("usdz", 1)])
def test_meshes_in_every_format(scene_folder: Path, tmp_path: Path, form: str, count: int) -> None:
    made = exported(scene_folder, tmp_path, format=form, what="mesh")
    assert made["faces"][0] == len(grid(400, None)) and made["lowest"] == 0.0 and made["size"] == [4, 4, 4]
    files = [p for p in tmp_path.iterdir() if not p.name.endswith(".export.json")]
    assert len(files) == count and made["bytes"] == sum(p.stat().st_size for p in files)
    file_from_world = matrix(made["sidecar"], "file_from_world")
    up = file_from_world[:3, :3] @ [0, 0, 1]
    assert up.tolist() == ([0, 0, 1] if form == "ply" else [0, 1, 0])


def test_points_and_cameras(scene_folder: Path, tmp_path: Path) -> None:
    import laspy
    import pycolmap

    from diorama.capture.ingest import IngestConfig, ingest
    from diorama.capture.points_ply import read_points

    cloud = exported(scene_folder, tmp_path, format="laz")
    assert cloud["what"] == "points" and cloud["source"] == "opaque splats"
    assert (
        len(laspy.read(cloud["path"]))
        == cloud["points"]
        == len(read_points(Path(exported(scene_folder, tmp_path, format="ply", what="points")["path"])))
    )
    posed = pipeline.load_posed_scene(Scene.open(scene_folder))
    for form in ("colmap", "colmap-text"):
        made = exported(scene_folder, tmp_path / form, format=form)
        model = pycolmap.Reconstruction(str(Path(made["path"]) / "sparse" / "0"))
        assert made["what"] == "cameras" and model.num_images() == len(posed.registered) == made["cameras"]
        for image in model.images.values():
            wanted = posed.cam_from_world[image.name]
            np.testing.assert_allclose(image.cam_from_world().matrix(), wanted.matrix()[:3], atol=1e-9)
            assert (Path(made["path"]) / "images" / image.name).is_file()
    made = exported(scene_folder, tmp_path, format="transforms")
    again = ingest([Path(made["path"])], tmp_path / "read", IngestConfig())
    assert again.imported is not None
    for name, pose in again.imported.cam_from_world.items():
        source = next(n for n in posed.cam_from_world if Path(n).stem == Path(name).stem)
        np.testing.assert_allclose(pose.matrix(), posed.cam_from_world[source].matrix(), atol=1e-9)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"format": "fbx"}, "fbx is not known"),
        ({"format": "laz", "what": "mesh"}, "does not hold mesh"),
        ({"format": "spz", "what": "cameras"}, "does not hold cameras"),
    ],
)
def test_what_cannot_be_is_said(scene_folder: Path, tmp_path: Path, request_: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        exported(scene_folder, tmp_path, **request_)


def test_the_command(scanned: Path, tmp_path: Path) -> None:
    diorama("export", scanned, "--format", "glb", "--what", "mesh").assert_bad_input("no mesh", "diorama mesh")
    diorama("export", scanned, "--for", "maya").assert_bad_input("unreal")
    diorama("export", scanned).assert_bad_input("--format", "--for")
    ran = diorama("export", scanned, "--for", "godot", "-o", tmp_path, "--json")
    assert ran.code == 0, ran.err
    value: Any = ran.json()
    assert [m["what"] for m in value["files"]] == ["splats"] and Path(value["notes"]).is_file()
    note = Path(value["notes"]).read_text()
    means = read_splats(value["path"]).means.astype(np.float64).mean(0)
    assert "({:.4f}, {:.4f}, {:.4f})".format(*(np.array([-1, -1, 1]) * means)) in note


def test_a_laz_with_gps_is_on_the_map(scene_folder: Path, tmp_path: Path) -> None:
    import laspy

    folder = tmp_path / "yard"
    shutil.copytree(scene_folder, folder)
    poses = json.loads((folder / "poses" / "poses.json").read_text())
    gps = {"latitude_deg": 45.0, "longitude_deg": 15.0, "altitude_m": 120.0}
    (folder / "poses" / "poses.json").write_text(json.dumps(poses | {"is_metric": True, "georeference": gps}))
    made = exported(folder, tmp_path / "map", format="laz")
    assert made["epsg"] == 32633
    on_map = laspy.read(made["path"])
    local = exported(folder, tmp_path / "local", format="laz", origin="centre")
    assert "epsg" not in local and np.abs(laspy.read(local["path"]).xyz).max() < 1e4
    world = laspy.read(exported(scene_folder, tmp_path / "world", format="laz")["path"]).xyz
    # on the central meridian: 0.9996 times metres east and north, and 4982950.400 m north of the equator
    near = np.linalg.norm(world, axis=1) < 50
    wanted = world[near] * [0.9996, 0.9996, 1] + [500_000, 4_982_950.400, 120]
    np.testing.assert_allclose(on_map.xyz[near], wanted, atol=0.02)
    assert json.loads(Path(made["sidecar"]).read_text())["georeference"]["utm"]["epsg"] == 32633


def test_meshes_are_held_to_a_size() -> None:
    told: list[Warned] = []

    def tell(event: object) -> None:
        if isinstance(event, Warned):
            told.append(event)

    asset = mesh_asset()
    fits = within(asset, 100, 32, tell)
    assert [len(m) for m in fits.lods] == [100] and not told
    assert fits.lods[0].texture is not None and fits.lods[0].texture.base_colour.shape == (32, 32, 3)
    assert within(asset, None, None, tell).lods == asset.lods
    same = within(asset, None, 32, tell).lods
    assert same[0].texture is same[1].texture, "levels still share their textures"
    assert [len(m) for m in within(asset, 10, None, tell).lods] == [100]
    assert len(told) == 1 and "--faces 10" in told[0].message


def circle(tilt: Pose, gps: Gps | None = None) -> PosedScene:
    """Twelve cameras round a heap on a floor at z = 0, all turned by `tilt`."""
    rng = np.random.default_rng(5)
    floor = np.stack([*rng.uniform(-3, 3, (2, 1500)), np.zeros(1500)], 1)
    heap = rng.normal(size=(500, 3)) * 0.2 + [0.0, 0.0, 0.6]
    xyz = np.concatenate([floor, heap])
    angles = np.arange(12) / 12 * 2 * np.pi
    poses = {f"{i}.jpg": look_at([3 * np.cos(a), 3 * np.sin(a), 1.4], [0, 0, 0.4]) for i, a in enumerate(angles)}
    camera = Camera.pinhole(100, 80, 90, 90, 50, 40)
    capture = Capture(Path(), Path(), "photos", {1: camera}, {1: True}, tuple(Frame(n, 1) for n in poses))
    points = SparsePoints(xyz, np.zeros((2000, 3), np.uint8), np.zeros(2000), np.full(2000, 3, np.int32))
    scene = PosedScene(capture, {1: camera}, poses, points, PoseSummary("x", 1.0, 1), is_metric=True, georeference=gps)
    return dataclasses.replace(
        transformed(scene, Sim3(1.0, tilt.rotation, tilt.translation)), world_from_input=Sim3.identity()
    )


@pytest.mark.parametrize("angle_deg", [0.0, 100.0])
def test_the_origin_is_on_the_ground(angle_deg: float) -> None:
    half = np.radians(angle_deg) / 2
    tilt = Pose(rotation_from_quaternion([np.cos(half), np.sin(half), 0, 0]), np.array([5.0, 6.0, 7.0]))
    scene = circle(tilt)
    e = export_from_world(scene, "ground")
    ground = e.apply(tilt.apply([[0, 0, 0], [2, 0, 0], [0, 2, 0]]))
    np.testing.assert_allclose(ground[:, 2], 0, atol=0.02)  # the plane is found among noise-free points
    np.testing.assert_allclose(ground[0, :2], 0, atol=0.3)  # the median of what is seen
    assert e.scale == 1.0
    if angle_deg == 0:
        np.testing.assert_array_equal(e.rotation, np.eye(3))  # what is upright keeps its axes
    centre = export_from_world(scene, "centre")
    middle = centre.apply(tilt.apply([[0, 0, 0]]))[0]
    assert -0.9 < middle[2] < -0.2, "half the height of what was captured below"
    np.testing.assert_array_equal(export_from_world(scene, "keep").matrix(), np.eye(4))


def test_the_chain_leads_back_to_the_earth() -> None:
    gps = Gps(55.70, 13.19, 42.0)
    turn = rotation_from_quaternion([0.9, 0.1, -0.2, 0.3])
    scene = dataclasses.replace(circle(Pose.identity(), gps), world_from_input=Sim3(2.0, turn, np.array([1.0, 2, 3])))
    flip = np.diag([-1.0, 1, 1, 1])
    value = json.loads(
        json.dumps(Chain(scene, Sim3(1.0, turn.T, np.array([3.0, 4, 5])), "ground", flip, "f").to_json())
    )
    in_file = np.array([0.3, -0.2, 0.7, 1.0])
    world = np.array(value["world_from_file"]) @ in_file
    np.testing.assert_allclose(np.array(value["file_from_world"]) @ world, in_file, atol=1e-9)
    back = Sim3.from_json(value["export_from_world"]).apply(world[:3]) * [-1, 1, 1]
    np.testing.assert_allclose(back, in_file[:3], atol=1e-9)
    np.testing.assert_allclose(quaternion_from_rotation(turn), value["world_from_input"]["rotation_wxyz"], atol=1e-12)
    earth = value["georeference"]
    origin = np.array(earth["ecef_from_world"]) @ [0, 0, 0, 1]
    np.testing.assert_allclose(origin[:3], ecef_from_gps(gps), atol=1e-6)
    np.testing.assert_allclose(
        np.array(earth["ecef_from_file"]) @ in_file, np.array(earth["ecef_from_world"]) @ world, atol=1e-6
    )
    assert earth["utm"]["epsg"] == 32633
    assert (
        Chain(dataclasses.replace(scene, georeference=None), Sim3.identity(), "keep", flip, "f").to_json()[
            "georeference"
        ]
        is None
    )
