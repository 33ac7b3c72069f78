"""COLMAP models: against pycolmap, by round trip, and against files that lie."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from diorama.capture import Camera, InputError, Pose
from diorama.capture.colmap import ColmapImage, ColmapModel, read_model, write_model


def a_model(cameras: int = 2, images: int = 3, points: int = 5) -> ColmapModel:
    rng = np.random.default_rng(1)
    known = [
        Camera("SIMPLE_RADIAL", 640, 480, (500.0, 320.0, 240.0, 0.01)),
        Camera("OPENCV_FISHEYE", 100, 50, (60.0, 61.0, 50.0, 25.0, 0.1, 0.2, 0.3, 0.4)),
    ]
    taken = [
        ColmapImage(
            7 * i + 1,
            f"folder/shot {i}.jpg",
            i % cameras + 1,
            Pose.from_quaternion(rng.normal(size=4), rng.normal(size=3)),
            rng.uniform(0, 50, (points + 2, 2)),
            np.array([-1, *(10 * rng.permutation(points) + 3), -1]),
        )
        for i in range(images)
    ]
    return ColmapModel(
        dict(enumerate(known[:cameras], start=1)),
        tuple(taken),
        10 * np.arange(points) + 3,
        rng.normal(size=(points, 3)),
        rng.integers(0, 255, (points, 3), dtype=np.uint8),
        rng.uniform(0, 1, points),
    )


def assert_equal(a: ColmapModel, b: ColmapModel, tolerance: float) -> None:
    assert dict(a.cameras) == dict(b.cameras)
    assert [(i.id, i.name, i.camera_id) for i in a.images] == [(i.id, i.name, i.camera_id) for i in b.images]
    for x, y in zip(a.images, b.images, strict=True):
        np.testing.assert_allclose(x.cam_from_world.matrix(), y.cam_from_world.matrix(), atol=tolerance)
        np.testing.assert_array_equal(x.xy, y.xy)
        np.testing.assert_array_equal(x.point_ids, y.point_ids)
    for name in ("point_ids", "xyz", "rgb_srgb", "error_px"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_round_trip(tmp_path: Path) -> None:
    model = a_model()
    write_model(model, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cameras.bin", "images.bin", "points3D.bin"]
    # Only the quaternion's normalising rounds.
    assert_equal(read_model(tmp_path), model, 1e-14)


def test_an_empty_model_round_trips(tmp_path: Path) -> None:
    write_model(ColmapModel({}, ()), tmp_path)
    model = read_model(tmp_path)
    assert not model.images and len(model.xyz) == 0 and model.visible() == {}


def test_pycolmap_opens_what_we_write_and_we_read_its_text(tmp_path: Path) -> None:
    import pycolmap

    model = a_model()
    write_model(model, tmp_path)
    theirs = pycolmap.Reconstruction(tmp_path)
    assert theirs.num_reg_images() == 3 and theirs.num_points3D() == 5
    for image in model.images:
        other = theirs.images[image.id]
        assert other.name == image.name
        np.testing.assert_allclose(other.cam_from_world().matrix(), image.cam_from_world.matrix()[:3], atol=1e-14)
        assert [p.point3D_id if p.has_point3D() else -1 for p in other.points2D] == image.point_ids.tolist()
    assert theirs.points3D[3].track.length() == 3
    text = tmp_path / "text"
    text.mkdir()
    theirs.write_text(text)
    again = read_model(text)
    # COLMAP writes text with 17 digits and sorts as it likes.
    by_id = {i.id: i for i in again.images}
    for image in model.images:
        np.testing.assert_allclose(by_id[image.id].cam_from_world.matrix(), image.cam_from_world.matrix(), atol=1e-12)
        np.testing.assert_array_equal(by_id[image.id].point_ids, image.point_ids)
    assert dict(again.cameras) == dict(model.cameras)


def test_visible_says_who_sees_what() -> None:
    model = a_model()
    assert all(np.array_equal(seen, np.arange(5)) for seen in model.visible().values())
    image = ColmapImage(1, "a", 1, Pose.identity(), np.zeros((4, 2)), np.array([13, 99, -1, 3]))
    model = ColmapModel(model.cameras, (image,), model.point_ids, model.xyz, model.rgb_srgb, model.error_px)
    assert model.visible()["a"].tolist() == [0, 1]  # 99 is no point, 3 and 13 are the first two


def test_a_gauge_model_with_negative_z_is_kept_exactly(tmp_path: Path) -> None:
    """Half a turn about x: quaternion (0, 1, 0, 0), the case where w is zero."""
    pose = Pose.from_quaternion([0, 1, 0, 0], [1, 2, -3])
    write_model(ColmapModel(a_model().cameras, (ColmapImage(1, "a", 1, pose),)), tmp_path)
    back = read_model(tmp_path).images[0].cam_from_world
    np.testing.assert_allclose(back.rotation, np.diag([1.0, -1.0, -1.0]), atol=1e-15)
    assert back.translation.tolist() == [1, 2, -3]


@pytest.mark.parametrize("name", ["cameras.bin", "images.bin", "points3D.bin"])
def test_cut_and_lengthened_files_are_refused(tmp_path: Path, name: str) -> None:
    write_model(a_model(), tmp_path)
    whole = (tmp_path / name).read_bytes()
    for cut in sorted({0, 3, 8, 20, len(whole) // 2, len(whole) - 1}):
        (tmp_path / name).write_bytes(whole[:cut])
        with pytest.raises(InputError, match=r"\."):
            read_model(tmp_path)
    (tmp_path / name).write_bytes(whole + b"\0")
    with pytest.raises(InputError, match="more than it says"):
        read_model(tmp_path)


def test_a_huge_count_is_refused_before_allocating(tmp_path: Path) -> None:
    write_model(a_model(), tmp_path)
    (tmp_path / "points3D.bin").write_bytes(struct.pack("<Q", 2**60))
    with pytest.raises(InputError, match="claims 1,152,921,504,606,846,976 points"):
        read_model(tmp_path)


@pytest.mark.parametrize(("number", "name"), [(7, "FOV"), (99, "number 99")])
def test_an_unknown_camera_model_is_named(tmp_path: Path, number: int, name: str) -> None:
    write_model(a_model(), tmp_path)
    (tmp_path / "cameras.bin").write_bytes(struct.pack("<QIiQQ5d", 1, 1, number, 64, 48, 1, 1, 1, 1, 1))
    with pytest.raises(InputError, match=f"camera model {name}.*not supported"):
        read_model(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_poses_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    write_model(a_model(), tmp_path)
    data = bytearray((tmp_path / "images.bin").read_bytes())
    struct.pack_into("<d", data, 8 + 4 + 8, value)
    (tmp_path / "images.bin").write_bytes(bytes(data))
    with pytest.raises(InputError, match="not finite"):
        read_model(tmp_path)


def test_text_models_may_have_comments_blank_lines_and_names_with_spaces(tmp_path: Path) -> None:
    (tmp_path / "cameras.txt").write_text("# c\n3 PINHOLE 64 48 50 51 32 24\n")
    (tmp_path / "images.txt").write_text(
        "# i\n1 1 0 0 0 0 0 5 3 my photo.jpg\n\n2 1 0 0 0 1 0 5 3 b.jpg\n1.5 2.5 9 3 4 -1\n"
    )
    (tmp_path / "points3D.txt").write_text("9 1 2 3 255 0 10 0.5 2 0\n")
    model = read_model(tmp_path)
    assert [i.name for i in model.images] == ["my photo.jpg", "b.jpg"]
    assert model.images[1].point_ids.tolist() == [9, -1] and model.visible()["b.jpg"].tolist() == [0]
    assert model.rgb_srgb.tolist() == [[255, 0, 10]]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("cameras.txt", "1 PINHOLE 64 48 50 51 32\n"),
        ("cameras.txt", "1 PINHOLE 64 48 nan 51 32 24\n"),
        ("cameras.txt", "1 NOVEL 64 48 50 51 32 24\n"),
        ("cameras.txt", "1 PINHOLE 64 48 50 51 32 24\n1 PINHOLE 64 48 50 51 32 24\n"),
        ("images.txt", "1 1 0 0 0 0 0\n\n"),
        ("images.txt", "1 0 0 0 0 0 0 5 1 a.jpg\n\n"),
        ("images.txt", "1 1 0 0 0 0 0 5 1 a.jpg\n1 2\n"),
        ("images.txt", "1 1 0 0 0 0 0 5 1 a.jpg\n1 2 x\n"),
        ("images.txt", "1 1 0 0 0 0 0 5 2 a.jpg\n\n"),
        ("images.txt", "1 1 0 0 0 0 0 5 1 a.jpg\n\n1 1 0 0 0 0 0 5 1 b.jpg\n\n"),
        ("points3D.txt", "1 2 3\n"),
        ("points3D.txt", "1 2 inf 3 0 0 0 1\n"),
        ("points3D.txt", "1 0 0 0 0 0 0 1\n1 0 0 0 0 0 0 1\n"),
        ("images.txt", "\xff\xfe"),
    ],
)
def test_broken_text_models_are_refused(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / "cameras.txt").write_text("1 PINHOLE 64 48 50 51 32 24\n")
    (tmp_path / "images.txt").write_text("1 1 0 0 0 0 0 5 1 a.jpg\n\n")
    (tmp_path / "points3D.txt").write_text("1 0 0 0 0 0 0 1\n")
    read_model(tmp_path)
    (tmp_path / file).write_text(text, encoding="latin-1")
    with pytest.raises(InputError):
        read_model(tmp_path)


@pytest.mark.parametrize(
    "place",
    ["imports/sfm_formats/colmap_bin", "photos/lund_door/colmap_ground_truth", "../baselines/brighton_und/sparse/0"],
)
def test_real_models_agree_with_pycolmap(footage: Path, place: str, tmp_path: Path) -> None:
    import pycolmap

    folder = footage / place
    if not folder.is_dir():
        pytest.skip(f"{place} is not there")
    model, theirs = read_model(folder), pycolmap.Reconstruction(folder)
    assert len(model.images) == theirs.num_reg_images() and len(model.xyz) == theirs.num_points3D()
    for image in model.images:
        other = theirs.images[image.id].cam_from_world().matrix()
        # The text model's quaternions have six digits; pycolmap takes them as they are, we make them unit.
        np.testing.assert_allclose(image.cam_from_world.matrix()[:3], other, atol=5e-6)
    write_model(model, tmp_path)
    again = pycolmap.Reconstruction(tmp_path)
    assert again.summary() == theirs.summary()
