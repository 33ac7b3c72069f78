"""COLMAP's text form, written by us, read by pycolmap and by us."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from diorama.capture.camera import Camera
from diorama.capture.colmap import ColmapImage, ColmapModel, read_model
from diorama.capture.colmap_text import write_model_text
from diorama.capture.errors import InputError
from diorama.capture.transforms import Pose


def model() -> ColmapModel:
    rng = np.random.default_rng(1)
    images = tuple(
        ColmapImage(
            i + 1,
            f"day1/img{i}.jpg",
            1 + i % 2,
            Pose.from_quaternion(rng.normal(size=4), rng.normal(size=3)),
            rng.uniform(0, 100, (4, 2)),
            np.array([7, -1, 9, 7 if i else 9]),
        )
        for i in range(3)
    )
    cameras = {
        1: Camera("OPENCV", 100, 80, (90.1, 91.2, 50, 40, 0.1, 0.01, 0, 0)),
        2: Camera.pinhole(100, 80, 90, 90, 50, 40),
    }
    return ColmapModel(
        cameras,
        images,
        np.array([7, 9]),
        rng.normal(size=(2, 3)),
        np.uint8([[1, 2, 3], [4, 5, 6]]),
        np.array([0.5, 1.5]),
    )


def test_pycolmap_reads_the_same(tmp_path: Path) -> None:
    import pycolmap

    wanted = model()
    write_model_text(wanted, tmp_path)
    got = pycolmap.Reconstruction(str(tmp_path))
    assert got.num_images() == 3 and got.num_points3D() == 2
    for image in wanted.images:
        theirs = got.image(image.id)
        assert theirs.name == image.name and theirs.camera_id == image.camera_id
        np.testing.assert_allclose(theirs.cam_from_world().matrix(), image.cam_from_world.matrix()[:3], atol=1e-12)
        np.testing.assert_allclose([p.xy for p in theirs.points2D], image.xy)
    for i, point_id in enumerate(wanted.point_ids.tolist()):
        np.testing.assert_array_equal(got.point3D(point_id).xyz, wanted.xyz[i])
    assert got.point3D(7).track.length() == 5
    np.testing.assert_array_equal(got.camera(1).params, wanted.cameras[1].params)


def test_we_read_the_same(tmp_path: Path) -> None:
    wanted = model()
    write_model_text(wanted, tmp_path)
    got = read_model(tmp_path)
    assert got.cameras == dict(wanted.cameras) and [i.name for i in got.images] == [i.name for i in wanted.images]
    np.testing.assert_array_equal(got.xyz, wanted.xyz)
    np.testing.assert_array_equal(got.images[2].xy, wanted.images[2].xy)
    with pytest.raises(InputError, match="binary"):
        write_model_text(ColmapModel({}, (ColmapImage(1, "a b", 1, Pose.identity()),)), tmp_path)
