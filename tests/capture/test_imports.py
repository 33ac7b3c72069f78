"""Scenes that bring their cameras: poses stay exactly as given, through ingest, saving and loading."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diorama.capture import (
    Camera,
    Capture,
    Gps,
    InputError,
    Pose,
    PosedScene,
    Sim3,
    ingest,
    load_capture,
    load_posed,
    save_posed,
)
from diorama.capture.colmap import ColmapImage, ColmapModel, read_model, write_model
from diorama.capture.depth import read_depth
from diorama.capture.points_ply import read_points, write_points
from diorama.capture.types import SparsePoints

Window = Callable[..., np.ndarray]


@pytest.fixture
def project(tmp_path: Path, window: Window) -> tuple[Path, ColmapModel]:
    """A COLMAP project of four pictures in two folders, two cameras, five points."""
    rng = np.random.default_rng(0)
    root = tmp_path / "project"
    images = []
    for i in range(4):
        name = f"{'ab'[i % 2]}/shot {i}.jpg"
        path = root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(window(60 * i, 30 * i)).save(path)
        pose = Pose.from_quaternion(rng.normal(size=4), rng.normal(size=3))
        xy = rng.uniform(0, 200, (5, 2))
        images.append(ColmapImage(i + 3, name, i % 2 + 1, pose, xy, np.array([1, 2, 3, -1, 5 if i else -1])))
    cameras = {
        1: Camera("SIMPLE_RADIAL", 320, 240, (300.0, 160.0, 120.0, 0.01)),
        2: Camera("PINHOLE", 320, 240, (310.0, 311.0, 150.0, 130.0)),
    }
    model = ColmapModel(
        cameras,
        tuple(images),
        np.arange(1, 6),
        rng.normal(size=(5, 3)),
        rng.integers(0, 255, (5, 3), dtype=np.uint8),
        np.full(5, 0.5),
    )
    write_model(model, root / "sparse" / "0")
    return root, model


def test_a_colmap_project_keeps_its_poses(project: tuple[Path, ColmapModel], tmp_path: Path) -> None:
    root, model = project
    result = ingest([root], tmp_path / "frames")
    scene = result.imported
    assert scene is not None and result.capture.source == "colmap" and scene.capture is result.capture
    assert [f.name for f in result.capture.frames] == ["a/shot_0.jpg", "a/shot_2.jpg", "b/shot_1.jpg", "b/shot_3.jpg"]
    stored = {i.name.replace(" ", "_"): i for i in read_model(root / "sparse" / "0").images}
    for frame in result.capture.frames:
        image = stored[frame.name]
        pose = scene.cam_from_world[frame.name]
        np.testing.assert_array_equal(pose.matrix(), image.cam_from_world.matrix())
        assert scene.camera(frame) == model.cameras[image.camera_id]
    np.testing.assert_array_equal(scene.world_from_input.matrix(), np.eye(4))
    np.testing.assert_array_equal(scene.points.xyz, model.xyz)
    assert scene.points.track_length.tolist() == [4, 4, 4, 0, 3]
    assert scene.visible["a/shot_0.jpg"].tolist() == [0, 1, 2] and scene.visible["b/shot_1.jpg"].tolist() == [
        0,
        1,
        2,
        4,
    ]
    assert (scene.up_source, scene.is_metric, scene.summary.components) == ("import", False, 1)
    assert scene.summary.reprojection_error_px == 0.5 and all(result.capture.has_prior.values())


@pytest.mark.parametrize("given", ["", "sparse", "sparse/0"])
def test_a_project_by_any_of_its_folders(project: tuple[Path, ColmapModel], tmp_path: Path, given: str) -> None:
    assert len(ingest([project[0] / given], tmp_path / "frames").capture.frames) == 4


def test_the_largest_of_several_models_is_read(project: tuple[Path, ColmapModel], tmp_path: Path) -> None:
    root, model = project
    write_model(replace(model, images=model.images[:2]), root / "sparse" / "1")
    capture = ingest([root], tmp_path / "frames").capture
    assert len(capture.frames) == 4 and "holds 2 models; 0, the largest" in capture.warnings[0]


def test_missing_and_unposed_pictures_are_told(
    project: tuple[Path, ColmapModel], window: Window, tmp_path: Path
) -> None:
    root, _ = project
    (root / "images" / "b" / "shot 3.jpg").unlink()
    Image.fromarray(window(900, 900)).save(root / "images" / "extra.jpg")
    result = ingest([root], tmp_path / "frames")
    assert len(result.capture.frames) == 3 and result.capture.given == 5 and result.imported is not None
    assert [r.name for r in result.capture.rejected] == ["b/shot 3.jpg"]
    assert [(r.name, r.reason) for r in result.imported.unregistered] == [
        ("extra.jpg", "the imported model has no pose for it")
    ]
    assert len(result.capture.warnings) == 2 and result.imported.points.track_length.tolist() == [3, 3, 3, 0, 2]
    shutil.rmtree(root / "images")
    with pytest.raises(InputError, match="None of the 4 pictures"):
        ingest([root], tmp_path / "again")


def test_pictures_of_another_size_scale_their_camera(project: tuple[Path, ColmapModel], tmp_path: Path) -> None:
    root, model = project
    for path in (root / "images").rglob("*.jpg"):
        with Image.open(path) as image:
            half = image.resize((160, 120) if path.stem != "shot 2" else (160, 160))
        half.save(path)
    result = ingest([root], tmp_path / "frames")
    assert result.imported is not None
    assert dict(result.imported.cameras) == {i: c.scaled(160, 120) for i, c in model.cameras.items()}
    assert [r.name for r in result.capture.rejected] == ["a/shot 2.jpg"]
    assert "160x160 pixels where its camera has 320x240" in result.capture.rejected[0].reason


def test_the_exif_orientation_of_posed_pictures_is_not_applied(
    project: tuple[Path, ColmapModel], tmp_path: Path
) -> None:
    """Intrinsics and poses belong to the stored pixels; the tag must not turn them in the next program either."""
    root, _ = project
    path = root / "images" / "a" / "shot 0.jpg"
    exif = Image.Exif()
    exif[274] = 6
    with Image.open(path) as image:
        stored = np.asarray(image)
        image.copy().save(path, exif=exif, quality=95, subsampling=0)
    capture = ingest([root], tmp_path / "frames").capture
    with Image.open(capture.images / "a" / "shot_0.jpg") as image:
        assert image.size == (320, 240) and image.getexif().get(274, 1) == 1
        assert np.abs(np.asarray(image).astype(int) - stored).mean() < 4


def test_names_that_lead_out_of_the_project_are_refused(project: tuple[Path, ColmapModel], tmp_path: Path) -> None:
    root, model = project
    evil = replace(model.images[0], name="../../secret.jpg")
    write_model(replace(model, images=(evil, *model.images[1:])), root / "sparse" / "0")
    (tmp_path / "secret.jpg").write_bytes(b"x")
    with pytest.raises(InputError, match="lies outside"):
        ingest([root], tmp_path / "frames")


def test_one_posed_picture_is_no_scene(project: tuple[Path, ColmapModel], footage: Path, tmp_path: Path) -> None:
    root, model = project
    write_model(replace(model, images=model.images[:1]), root / "sparse" / "0")
    with pytest.raises(InputError, match="1 posed image"):
        ingest([root], tmp_path / "frames")
    with pytest.raises(InputError, match="1 posed picture"):
        ingest([footage / "imports" / "brush_blender_mini"], tmp_path / "frames")


def assert_same_scene(a: PosedScene, b: PosedScene, tolerance: float) -> None:
    assert dict(a.cameras) == dict(b.cameras) and list(a.cam_from_world) == list(b.cam_from_world)
    for name, pose in a.cam_from_world.items():
        np.testing.assert_allclose(pose.matrix(), b.cam_from_world[name].matrix(), atol=tolerance)
        np.testing.assert_array_equal(a.visible[name], b.visible[name])
    for field in ("xyz", "rgb_srgb", "error_px", "track_length"):
        np.testing.assert_array_equal(getattr(a.points, field), getattr(b.points, field))
    np.testing.assert_allclose(a.world_from_input.matrix(), b.world_from_input.matrix(), atol=tolerance)
    for field in ("summary", "unregistered", "is_metric", "metric_source", "up_source", "warnings", "georeference"):
        assert getattr(a, field) == getattr(b, field)


def facing(scene: PosedScene) -> PosedScene:
    """The scene with its points in front of every camera, so that each may see them."""
    poses = {n: Pose(p.rotation, np.array([0, 0, 20.0])) for n, p in scene.cam_from_world.items()}
    return replace(scene, cam_from_world=poses)


def test_a_posed_scene_comes_back_from_disk(project: tuple[Path, ColmapModel], tmp_path: Path) -> None:
    import pycolmap

    imported = ingest([project[0]], tmp_path / "scene" / "frames").imported
    assert imported is not None
    scene = replace(
        facing(imported),
        world_from_input=Sim3(0.5, Pose.from_quaternion([1, 2, 3, 4], [0, 0, 0]).rotation, np.array([1.0, 2.0, 3.0])),
        is_metric=True,
        metric_source="gps",
        georeference=Gps(55.7, 13.2, 40.0),
        warnings=("careful",),
    )
    poses = tmp_path / "scene" / "poses"
    save_posed(scene, poses)
    assert_same_scene(load_posed(poses, load_capture(tmp_path / "scene" / "frames")), scene, 1e-14)
    theirs = pycolmap.Reconstruction(poses / "sparse" / "0")
    assert theirs.num_reg_images() == 4 and theirs.num_points3D() == 5
    # Observations are projections: with the world's points they reproject onto themselves.
    image = next(i for i in theirs.images.values() if i.name == "a/shot_0.jpg")
    for point in image.get_observation_points2D():
        projected = image.project_point(theirs.points3D[point.point3D_id].xyz)
        np.testing.assert_allclose(projected, point.xy, atol=1e-6)
    (tmp_path / "scene").rename(tmp_path / "moved")
    moved = tmp_path / "moved"
    back = load_posed(moved / "poses", load_capture(moved / "frames"))
    assert back.capture.image_path(back.capture.frames[0]).is_file()
    # Our transforms.json opens again, with the same poses and points.
    again = ingest([moved / "poses" / "transforms.json"], tmp_path / "again").imported
    assert again is not None and len(again.points) == 5
    for name, pose in scene.cam_from_world.items():
        np.testing.assert_allclose(again.cam_from_world[name].matrix(), pose.matrix(), atol=1e-14)


def test_poses_of_another_capture_or_a_newer_program_are_refused(
    project: tuple[Path, ColmapModel], tmp_path: Path
) -> None:
    imported = ingest([project[0]], tmp_path / "frames").imported
    assert imported is not None
    save_posed(imported, tmp_path / "poses")
    other = replace(imported.capture, frames=imported.capture.frames[:2])
    with pytest.raises(InputError, match="another capture"):
        load_posed(tmp_path / "poses", other)
    path = tmp_path / "poses" / "poses.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": 2}))
    with pytest.raises(InputError, match="newer Diorama"):
        load_posed(tmp_path / "poses", imported.capture)


def test_saving_again_replaces_the_model(project: tuple[Path, ColmapModel], tmp_path: Path) -> None:
    imported = ingest([project[0]], tmp_path / "frames").imported
    assert imported is not None
    save_posed(imported, tmp_path / "poses")
    (tmp_path / "poses" / "sparse" / "0" / "rigs.bin").write_bytes(b"stale")
    save_posed(imported, tmp_path / "poses")
    assert sorted(p.name for p in (tmp_path / "poses").iterdir()) == [
        "poses.json",
        "sparse",
        "sparse.ply",
        "transforms.json",
    ]
    assert not (tmp_path / "poses" / "sparse" / "0" / "rigs.bin").exists()


def test_a_nerfstudio_set_with_masks_alpha_and_points(window: Window, tmp_path: Path) -> None:
    root = tmp_path / "set"
    (root / "train").mkdir(parents=True)
    frames = []
    for i in range(3):
        rgba = np.dstack([window(50 * i, 40 * i), np.full((240, 320), 255, np.uint8)])
        rgba[:, : 10 * i, 3] = 0
        Image.fromarray(rgba).save(root / "train" / f"r_{i}.png")
        matrix = np.eye(4)
        matrix[0, 3] = i
        frames.append({"file_path": f"./train/r_{i}", "transform_matrix": matrix.tolist()})
    mask = np.full((240, 320), 255, np.uint8)
    mask[:100] = 0
    Image.fromarray(mask).save(root / "m.png")
    frames[2]["mask_path"] = "m.png"
    millimetres = np.full((24, 32), 2500, np.uint16)
    millimetres[0, 0] = 0
    Image.fromarray(millimetres).save(root / "d_1.png")
    np.save(root / "d_2.npy", np.full((24, 32, 1), 1500.0))
    (root / "d_0.png").write_bytes(b"no picture")
    for i, kind in enumerate(("png", "png", "npy")):
        frames[i]["depth_file_path"] = f"d_{i}.{kind}"
    points = SparsePoints(np.eye(3), np.eye(3, dtype=np.uint8) * 200, np.zeros(3), np.zeros(3, np.int32))
    write_points(points, root / "cloud.ply")
    value = {"camera_angle_x": 0.8, "frames": frames, "ply_file_path": "cloud.ply"}
    (root / "transforms_train.json").write_text(json.dumps(value))
    (root / "transforms_test.json").write_text(json.dumps(value))
    result = ingest([root], tmp_path / "frames")
    scene = result.imported
    assert scene is not None and result.capture.source == "transforms"
    assert [f.mask for f in result.capture.frames] == [None, "train/r_1.png.png", "train/r_2.png.png"]
    with Image.open(result.capture.masks / "train" / "r_2.png.png") as image:
        kept = np.asarray(image)
    assert not kept[:100].any() and not kept[:, :20].any() and kept[100:, 20:].all()
    assert len(scene.cameras) == 1 and scene.cameras[1].fx == pytest.approx(160 / np.tan(0.4))
    np.testing.assert_array_equal(scene.points.xyz, np.eye(3))
    assert scene.points.rgb_srgb[0].tolist() == [200, 0, 0]
    assert scene.cam_from_world["train/r_1.png"].origin_in_source.tolist() == [1, 0, 0]
    assert "transforms_test.json" in result.capture.warnings[0]
    paths = [result.capture.depth_path(f) for f in result.capture.frames]
    assert [p.is_file() for p in paths] == [False, True, True]
    assert any("1 depth map(s) cannot be read" in w for w in result.capture.warnings)
    depth = read_depth(paths[1]).depth
    assert depth[0, 0] == 0 and np.allclose(depth[1:], 2.5) and np.allclose(read_depth(paths[2]).depth, 1.5)


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_point_clouds_of_every_form(tmp_path: Path, form: str) -> None:
    header = (
        f"ply\nformat {form} 1.0\ncomment x\nelement vertex 2\nproperty double x\nproperty float y\nproperty float z\n"
    )
    header += (
        "property uchar red\nproperty uchar green\nproperty uchar blue\nelement face 0\nproperty list uchar int i\n"
    )
    header += "end_header\n"
    rows = [(1.5, 2.0, -3.0, 10, 20, 30), (np.nan, 0.0, 0.0, 1, 2, 3)]
    order = ">" if "big" in form else "<"
    kinds = [("x", order + "f8"), ("y", order + "f4"), ("z", order + "f4"), ("r", "u1"), ("g", "u1"), ("b", "u1")]
    body = np.array(rows, kinds).tobytes()
    if form == "ascii":
        body = "\n".join(" ".join(map(str, row)) for row in rows).encode()
    (tmp_path / "a.ply").write_bytes(header.encode() + body)
    points = read_points(tmp_path / "a.ply")
    assert points.xyz.tolist() == [[1.5, 2, -3]] and points.rgb_srgb.tolist() == [[10, 20, 30]]


def ply(form: str, count: int, properties: str, body: str) -> bytes:
    return f"ply\nformat {form} 1.0\nelement vertex {count}\n{properties}end_header\n{body}".encode()


XYZ = "".join(f"property float {axis}\n" for axis in "xyz")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"ply\n",
        ply("ascii", 9999999999, XYZ, ""),
        ply("binary_little_endian", 9, XYZ, ""),
        ply("ascii", 1, "property list uchar float x\n", "1 2\n"),
        ply("ascii", 1, "property float x\nproperty float y\n", "1 2\n"),
        ply("ascii", 1, XYZ, "1 2 z\n"),
        ply("ascii", 1, XYZ, "1 2\n"),
    ],
)
def test_broken_point_clouds_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.ply").write_bytes(data)
    with pytest.raises(InputError):
        read_points(tmp_path / "a.ply")


def test_a_real_project_keeps_its_poses(footage: Path, tmp_path: Path) -> None:
    import pycolmap

    root = footage.parent / "baselines" / "brighton_und"
    if not root.is_dir():
        pytest.skip("the baseline is not there")
    result = ingest([root], tmp_path / "frames")
    theirs = pycolmap.Reconstruction(root / "sparse" / "0")
    assert result.imported is not None and len(result.capture.frames) == 18
    for image in theirs.images.values():
        pose = result.imported.cam_from_world[image.name]
        np.testing.assert_allclose(pose.matrix()[:3], image.cam_from_world().matrix(), atol=1e-15)
    assert isinstance(result.capture, Capture) and len(result.imported.points) == theirs.num_points3D()
