"""Versions of a scene: made beside the original, shown and exported in place of it, and never in its way."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diorama.capture.errors import InputError
from diorama.render.formats import read_splats
from diorama.render.formats.meshes import GlbOptions, write_glb
from diorama.render.mesh import Mesh, MeshAsset
from diorama.render.operations import Delete, Floor, Keep, Scale, operations_to_json
from diorama.render.selection import Box, Everything, Opacity, Step
from diorama.studio import pipeline, versions
from diorama.studio.export import ExportRequest, run_export
from diorama.studio.origin import export_from_world
from diorama.studio.scene import Scene
from diorama.viewer.jobs import NotFoundError

from .conftest import diorama

FAINT = Delete((Step("add", Opacity(0.0, 0.3)),))
DOUBLE = Scale((0, 0, 0), (1, 0, 0), 2.0)
TILTED = Floor(((0, 0, 0.5), (1, 0, 0.7), (0, 1, 0.5)), above=(0, 0, 9))


@pytest.fixture
def scene(scanned: Path, tmp_path: Path) -> Scene:
    shutil.copytree(scanned, tmp_path / "yard")
    return Scene.open(tmp_path / "yard")


def original(scene: Scene) -> versions.Version:
    return versions.find_version(scene, 0)


def digest(path: Path) -> bytes:
    return path.read_bytes()


def test_a_version_is_made_beside_the_original_and_is_the_current_one(scene: Scene) -> None:
    before = digest(scene.folder("train") / "splats.ply")
    splats = pipeline.load_splats(scene)
    made = versions.save_version(scene, [FAINT], original(scene), "Without haze")
    expected = int((splats.opacities > 0.3).sum())
    assert (made.number, made.name, made.splats, made.removed) == (1, "Without haze", expected, len(splats) - expected)
    assert 0 < expected < len(splats), "otherwise this test shows nothing"
    assert digest(scene.folder("train") / "splats.ply") == before
    fresh = Scene.open(scene.root)
    assert fresh.version == 1 and versions.find_version(fresh).number == 1
    left = versions.load_splats(fresh, versions.find_version(fresh))
    assert np.array_equal(left.means, splats.select(splats.opacities > 0.3).means)
    assert json.loads((scene.root / "versions" / "0001" / "edits.json").read_text()) == operations_to_json([FAINT])
    assert not list((scene.root / ".work").glob("version-*"))


def test_versions_build_on_each_other_and_cameras_go_along(scene: Scene) -> None:
    """Scaled in one version and put on its floor in the next: every camera sees the same pixels in both worlds."""
    first = versions.save_version(scene, [DOUBLE], original(scene))
    second = versions.save_version(scene, [TILTED], first)
    assert (second.parent, second.is_scaled, second.is_levelled) == (1, True, True)
    place = TILTED.new_from_world() @ DOUBLE.new_from_world()
    assert np.allclose(second.world_from_original.matrix(), place.matrix())
    before, after = pipeline.load_posed_scene(scene), versions.load_posed_scene(scene, second)
    assert after.is_metric and after.metric_source == "distance" and after.georeference is None
    old, new = pipeline.load_splats(scene), versions.load_splats(scene, second)
    assert np.allclose(new.means, place.apply(old.means), atol=1e-4)
    for frame in before.registered:
        camera = before.camera(frame)
        a = camera.project(before.cam_from_world[frame.name].apply(old.means.astype(float)))
        b = camera.project(after.cam_from_world[frame.name].apply(new.means.astype(float)))
        near = np.isfinite(a).all(1) & (np.abs(a) < 1e4).all(1)
        assert np.allclose(a[near], b[near], atol=0.05), "float32 means of the file at a few hundred pixels"
    back = after.world_from_input.inverse().apply(after.points.xyz)
    assert np.allclose(back, before.world_from_input.inverse().apply(before.points.xyz))


def test_mesh_and_collider_go_along(scene: Scene, tmp_path: Path) -> None:
    corner = np.array([[0, 0, 0.5], [1, 0, 0.7], [0, 1, 0.5]], np.float32)
    mesh = Mesh(corner, np.array([[0, 1, 2]], np.int32))
    (scene.root / "mesh").mkdir()
    write_glb(MeshAsset((mesh,), mesh), scene.root / "mesh" / "mesh.glb", options=GlbOptions(texture="png"))
    version = versions.save_version(scene, [TILTED], original(scene))
    run_export(scene, ExportRequest("glb", what="mesh", folder=tmp_path))
    from diorama.render.formats.meshes import read_glb

    for asset in (read_glb(tmp_path / "yard_mesh.glb"), versions.moved_mesh(MeshAsset((mesh,), mesh), version)):
        assert np.allclose(asset.lods[0].vertices[:, 2], 0, atol=1e-6), "the triangle is the floor now"
        assert asset.collider is not None and np.allclose(asset.collider.vertices[:, 2], 0, atol=1e-6)


def test_exports_take_the_current_version_or_the_one_that_is_asked_for(scene: Scene, tmp_path: Path) -> None:
    versions.save_version(scene, [Keep((Step("add", Opacity(0.5, 1.0)),))], original(scene), "Solid")
    counts = {}
    for wanted in (None, "0", "solid"):
        out = tmp_path / str(wanted)
        made = run_export(Scene.open(scene.root), ExportRequest("ply", folder=out, version=wanted))
        counts[wanted] = len(read_splats(made["path"]))
        assert made.get("version", 0) == (0 if wanted == "0" else 1)
    assert counts[None] == counts["solid"] < counts["0"] == len(pipeline.load_splats(scene))


def test_a_floor_set_by_hand_is_an_export_s_ground(scene: Scene) -> None:
    """However steep: what a person said about up is not overruled by what the cameras say."""
    steep = Floor(((0, 0, 0), (1, 0, 1), (0, 1, 0)), above=(0, 0, 9))
    posed = versions.load_posed_scene(scene, versions.save_version(scene, [steep], original(scene)))
    moved = export_from_world(posed, "ground")
    assert np.array_equal(moved.rotation, np.eye(3)) and moved.scale == 1 and moved.translation[2] == 0
    untouched = export_from_world(dataclasses.replace(posed, up_source="cameras"), "ground")
    assert not np.allclose(untouched.rotation, np.eye(3)), "otherwise this test shows nothing"


def test_a_version_of_another_training_is_not_taken_by_itself(scene: Scene) -> None:
    versions.save_version(scene, [FAINT], original(scene))
    record = scene.stages["train"]
    scene = Scene.open(scene.root)
    scene.stages["train"] = dataclasses.replace(record, fingerprint="another")
    scene.save()
    scene = Scene.open(scene.root)
    assert versions.find_version(scene).number == 0
    assert versions.find_version(scene, 1).number == 1, "asked for, it is still there"
    assert [v.is_stale for v in versions.SceneVersions(scene.root).list()] == [False, True]
    assert versions.is_stale(scene, versions.find_version(scene, 1))


def test_choosing_renaming_and_deleting(scene: Scene) -> None:
    store = versions.SceneVersions(scene.root)
    for name in ("One", "Two"):
        store.save([FAINT], parent=0, name=name)
    assert store.current() == 2
    store.use(1)
    assert store.current() == 1
    assert store.rename(1, "  Ein \n Name ").name == "Ein Name"
    store.delete(1)
    assert store.current() == 0 and [v.number for v in store.list()] == [0, 2]
    assert store.save([FAINT], parent=2).number == 3, "a number is not given twice while later ones are there"
    assert not (scene.root / "versions" / "0001").exists() and not list((scene.root / ".work").glob("version-*"))


@pytest.mark.parametrize("name", ["", " ", "7", "Original", "x" * 81, "a\x00b"])
def test_names_that_mean_nothing_or_something_else_are_refused(name: str) -> None:
    with pytest.raises(InputError):
        versions.checked_name(name)


def test_what_cannot_be_is_refused_and_leaves_nothing(scene: Scene) -> None:
    store = versions.SceneVersions(scene.root)
    with pytest.raises(InputError, match="Nothing of the scene"):
        store.save([Delete((Step("add", Everything()),))], parent=0)
    with pytest.raises(NotFoundError):
        store.save([FAINT], parent=7)
    with pytest.raises(InputError, match="cannot be deleted"):
        store.delete(0)
    with pytest.raises(InputError, match="keeps its name"):
        store.rename(0, "Mine")
    with scene.lock(), pytest.raises(InputError, match="another Diorama"):
        store.save([FAINT], parent=0)
    assert not (scene.root / "versions").exists() and not list((scene.root / ".work").glob("version-*"))


@pytest.mark.parametrize(
    "change", [{"splats": -1}, {"world_from_original": {}}, {"name": 5}, {"schema": 99}, {"is_scaled": "yes"}]
)
def test_a_damaged_version_is_left_out_and_the_others_stay(scene: Scene, change: dict[str, Any]) -> None:
    store = versions.SceneVersions(scene.root)
    store.save([FAINT], parent=0)
    store.save([FAINT], parent=0)
    path = scene.root / "versions" / "0002" / "version.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert [v.number for v in store.list()] == [0, 1] and store.current() == 0
    assert store.save([FAINT], parent=0).number == 3


def test_the_command_line(scene: Scene, tmp_path: Path) -> None:
    edits = tmp_path / "edits.json"
    edits.write_text(json.dumps(operations_to_json([DOUBLE, Keep((Step("add", Box((0, 0, 0), (99, 99, 99))),))])))
    made = diorama("edit", scene.root, "--edits", edits, "--name", "Twice", "--json")
    assert made.code == 0, made.err
    found: Any = made.json()["versions"]
    assert [(v["number"], v["name"], v["is_current"], v["is_metric"]) for v in found][1:] == [(1, "Twice", True, True)]
    plain = tmp_path / "plain.ply"
    converted = diorama("convert", scene.root, plain, "--version", "twice", "--json")
    assert converted.code == 0, converted.err
    again = tmp_path / "again.ply"
    assert diorama("convert", scene.folder("train") / "splats.ply", again, "--edits", edits).code == 0
    assert np.array_equal(read_splats(plain).means, read_splats(again).means), "the same edits, the same splats"
    assert diorama("edit", scene.root, "--use", 0).out.startswith("*   0  Original")
    diorama("export", scene.root, "--format", "ply", "--version", "nine").assert_bad_input("no version 'nine'", "Twice")
    diorama("convert", plain, again, "--version", 1).assert_bad_input("no scene folder")
    diorama("edit", scene.root, "--name", "X").assert_bad_input("--edits")
    edits.write_text("[]")
    diorama("edit", scene.root, "--edits", edits).assert_bad_input("edits.json")
