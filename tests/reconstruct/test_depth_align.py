"""A network's depth finds its scale: exact lines come back, outliers do no harm, held-out points are kept out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diorama.capture.camera import Camera
from diorama.capture.depth import DepthMap, write_depth
from diorama.capture.transforms import Pose, Sim3
from diorama.capture.types import Capture, Frame, PosedScene, PoseSummary, SparsePoints
from diorama.reconstruct.depth.align import (
    align,
    at_places,
    correct_locally,
    held_out_errors,
    is_held_out,
    sparse_depths,
    summarise,
    without_held_out,
)
from diorama.reconstruct.depth.fuse import SURE, captured_depth, fuse
from diorama.reconstruct.depth.monocular import fit_to_scene

RNG = np.random.default_rng(20261120)


def plane(height: int = 60, width: int = 80) -> np.ndarray:
    """Depth 2 to 8 of a floor seen at a slant: its inverse is linear in the rows."""
    inverse = np.linspace(1 / 8, 1 / 2, height)[:, None]
    return np.broadcast_to(1 / inverse, (height, width)).astype(np.float32).copy()


def scene_of(depth: np.ndarray, folder: Path, count: int = 600, scale: float = 3.0) -> PosedScene:
    """One photo whose sparse points lie exactly on a depth map; a world unit is `scale` units of the solved frame's."""
    height, width = depth.shape
    camera = Camera.pinhole(width, height, width, width, width / 2, height / 2)
    rows, columns = RNG.integers(height, size=count), RNG.integers(width, size=count)
    rays = camera.rays(np.stack([columns + 0.5, rows + 0.5], -1))
    xyz = rays / rays[:, 2:] * depth[rows, columns][:, None] * scale
    points = SparsePoints(xyz, np.zeros((count, 3), np.uint8), np.ones(count), np.full(count, 2, np.int32))
    frame = Frame("a.png", 1)
    capture = Capture(folder / "images", folder / "masks", "synthetic", {1: camera}, {1: True}, (frame,))
    pose = Pose(np.eye(3), np.zeros(3))
    visible = {"a.png": np.arange(count, dtype=np.int32)}
    summary, sim = PoseSummary("truth", 0.0, 1), Sim3(scale, np.eye(3), np.zeros(3))
    return PosedScene(capture, {1: camera}, {"a.png": pose}, points, summary, world_from_input=sim, visible=visible)


@pytest.mark.parametrize("says", ["disparity", "depth"])
def test_an_exact_line_comes_back_in_its_own_space(says: str) -> None:
    z = RNG.uniform(1, 50, 500)
    said = ((1 / z if says == "disparity" else z) - 0.3) / 1.7
    found = align(said.astype(np.float32), z, says)  # type: ignore[arg-type]
    assert found is not None and found.error < 1e-5 and found.count == 500
    # Float32 input: 24 bits of 50, against a slope that the nearest points hold to 1e-6.
    assert found.scale == pytest.approx(1.7, rel=1e-4) and found.shift == pytest.approx(0.3, rel=1e-3)
    np.testing.assert_allclose(found.depth(said.astype(np.float32)), z, rtol=1e-3)


@pytest.mark.parametrize("says", ["disparity", "depth"])
def test_four_outliers_in_ten_do_no_harm(says: str) -> None:
    z = RNG.uniform(1, 50, 400)
    said = (((1 / z if says == "disparity" else z) - 0.1) / 2.0 * RNG.normal(1, 0.01, 400)).astype(np.float32)
    wrong = z.copy()
    wrong[:160] = RNG.uniform(0.2, 200, 160)
    found = align(said, wrong, says)  # type: ignore[arg-type]
    assert found is not None and found.scale == pytest.approx(2.0, rel=0.05)
    error = np.abs(found.depth(said)[160:] / z[160:] - 1)
    assert np.median(error) < 0.03


def test_metres_get_a_scale_and_no_shift() -> None:
    z = RNG.uniform(1, 9, 100)
    found = align((z / 4).astype(np.float32), z, "metres")
    assert found is not None and found.scale == pytest.approx(4.0, rel=1e-5) and found.shift == 0.0


def test_what_cannot_be_aligned_is_refused() -> None:
    z = RNG.uniform(1, 9, 100)
    assert align(z[:11].astype(np.float32), z[:11], "depth") is None, "too few"
    assert align((-z).astype(np.float32), z, "depth") is None, "the opposite of the truth"
    assert align(np.full(100, np.nan, np.float32), z, "depth") is None
    same = align(np.ones(100, np.float32), np.full(100, 5.0), "depth")
    assert same is None or same.error < 1e-6, "a wall seen head on"


def test_nothing_is_said_beyond_reach_and_before_the_camera() -> None:
    z = np.linspace(1, 10, 100)
    found = align((1 / z).astype(np.float32), z, "disparity")
    assert found is not None
    depth = found.depth(np.array([0.5, 0.01, 0.0, -1.0, np.nan], np.float32))
    assert depth[0] == pytest.approx(2.0, rel=1e-4) and (depth[1:] == 0).all()


def test_local_correction_mends_what_a_line_cannot_and_leaves_the_rest() -> None:
    truth = plane(96, 128)
    bent = truth * (1 + 0.2 * np.sin(np.linspace(0, 3, 128)))[None, :].astype(np.float32)
    xy = RNG.uniform(size=(800, 2))
    z = at_places(truth, xy).astype(np.float64)
    mended = correct_locally(bent, xy, z)
    before, after = (np.median(np.abs(v / truth - 1)) for v in (bent, mended))
    assert before > 0.1 and after < 0.02
    left = xy[:, 0] < 0.2
    partly = correct_locally(bent, xy[left], z[left])
    np.testing.assert_allclose(partly[:, -20:], bent[:, -20:], rtol=0.02)


def test_sparse_depths_are_in_the_solved_frame_and_some_are_held_out(tmp_path: Path) -> None:
    depth = plane()
    scene = scene_of(depth, tmp_path)
    sparse = sparse_depths(scene, scene.registered[0])
    np.testing.assert_allclose(sparse.z, at_places(depth, sparse.xy), rtol=1e-6)
    share = sparse.held_out.mean()
    assert 0.12 < share < 0.28, share
    every = is_held_out(np.arange(600))
    assert (every[::2] == is_held_out(np.arange(0, 600, 2))).all(), "a point is held out in all photos or in none"
    perfect = summarise(held_out_errors(DepthMap(depth), sparse))
    assert perfect.median is not None and perfect.median < 1e-6 and perfect.within_5 == 1.0
    off = summarise(held_out_errors(DepthMap(depth * np.float32(1.1)), sparse))
    assert off.median == pytest.approx(0.1, rel=1e-4) and off.within_5 == 0.0
    nothing = summarise(held_out_errors(DepthMap(np.zeros_like(depth)), sparse))
    assert nothing.count == 0 and nothing.median is None and nothing.points > 0


def test_without_tracks_hidden_points_do_not_count(tmp_path: Path) -> None:
    near, far = scene_of(plane() / 10, tmp_path, 6_000), scene_of(plane(), tmp_path)
    both = SparsePoints(
        np.concatenate([near.points.xyz, far.points.xyz]),
        np.zeros((6600, 3), np.uint8),
        np.ones(6600),
        np.full(6600, 2, np.int32),
    )
    scene = PosedScene(far.capture, far.cameras, far.cam_from_world, both, far.summary)
    sparse = sparse_depths(scene, scene.registered[0])
    # About 4 near points fall into a cell of the picture: one cell in 40 holds none, and its far points stay.
    assert (sparse.z < 3).sum() > 5_000 and (sparse.z > 3).sum() < 60, (len(sparse.z), (sparse.z > 3).sum())


def test_held_out_points_never_reach_the_fit(tmp_path: Path) -> None:
    """Their depths are doubled: the map must not change, and the error must show it."""
    depth = plane()
    scene = scene_of(depth, tmp_path)
    frame, said = scene.registered[0], (1 / depth - 0.05).astype(np.float32)
    sparse = sparse_depths(scene, frame)
    fitted = fit_to_scene(said, "disparity", *sparse.used())
    assert fitted is not None and np.nanmedian(held_out_errors(fitted.map_, sparse)) < 1e-3
    scene.points.xyz[is_held_out(np.arange(len(scene.points)))] *= 2
    moved = sparse_depths(scene, frame)
    again = fit_to_scene(said, "disparity", *moved.used())
    assert again is not None
    np.testing.assert_array_equal(again.map_.depth, fitted.map_.depth)
    assert np.nanmedian(held_out_errors(again.map_, moved)) == pytest.approx(0.5, abs=1e-3)


def test_an_estimator_does_not_see_held_out_points(tmp_path: Path) -> None:
    scene = scene_of(plane(), tmp_path)
    seen = without_held_out(scene)
    gone = is_held_out(np.arange(600))
    np.testing.assert_array_equal(seen.points.xyz, scene.points.xyz[~gone])
    np.testing.assert_array_equal(seen.visible["a.png"], np.arange((~gone).sum()))
    some = replace(scene, visible={"a.png": np.array([599, 5, 7, 100], np.int32)})
    kept = [i for i in (599, 5, 7, 100) if not gone[i]]
    found = without_held_out(some)
    np.testing.assert_array_equal(found.points.xyz[found.visible["a.png"]], scene.points.xyz[kept])


def test_confidence_is_the_share_of_good_depths(tmp_path: Path) -> None:
    depth = plane()
    scene = scene_of(depth, tmp_path, count=60)
    xy, z = sparse_depths(scene, scene.registered[0]).used()
    exact = fit_to_scene((1 / depth - 0.05).astype(np.float32), "disparity", xy, z)
    assert exact is not None and exact.map_.confidence is not None and exact.map_.confidence.mean() > 0.5
    noise = fit_to_scene(RNG.uniform(0.1, 0.9, depth.shape).astype(np.float32), "disparity", xy, z)
    assert noise is None or (noise.map_.confidence is not None and noise.map_.confidence.mean() < 0.2)


def test_fusion_takes_stereo_where_it_is_sure_and_the_surest_elsewhere() -> None:
    def wide(*columns: float) -> np.ndarray:
        """Each value 6 pixels wide, 8 high, so that most have company."""
        return np.tile(np.repeat(np.array(columns, np.float32), 6), (8, 1))

    stereo = DepthMap(wide(1, 1, 1, 0), wide(SURE, 0.4, 0.02, 0.9))
    network = DepthMap(wide(2, 2, 2, 2), wide(0.9, 0.3, 0.3, 0.2))
    fused, shares = fuse({"mvs": stereo, "network": network})
    # The mean of 25 pixels decides at the end of what stereo is sure of; there the network takes the last column.
    inner = [0, 1, 2, 8, 9, 14, 15, 20, 21]
    np.testing.assert_array_equal(fused.depth[4, inner], [1, 1, 1, 1, 1, 2, 2, 2, 2])
    assert fused.confidence is not None
    np.testing.assert_allclose(fused.confidence[4, [1, 9, 15, 20]], [SURE, 0.4, 0.3, 0.2])
    assert shares["mvs"] + shares["network"] == pytest.approx(1.0) and 0.4 < shares["mvs"] < 0.51
    alone, shares = fuse({"mvs": stereo})
    np.testing.assert_array_equal(alone.depth, stereo.depth)
    assert shares == {"mvs": 0.75} and alone.confidence is not None and alone.confidence[0, -1] == 0
    normals = np.zeros((8, 24, 3), np.float32)
    normals[..., 2] = -1
    fused, _ = fuse({"mvs": DepthMap(stereo.depth, stereo.confidence, normals), "network": network})
    assert fused.normals is not None
    np.testing.assert_array_equal(fused.normals[..., 2], np.where(fused.depth == 1, -1, 0))


def test_a_lone_match_amid_doubt_does_not_count() -> None:
    sure = np.zeros((9, 9), np.float32)
    sure[4, 4] = 0.95
    stereo = DepthMap(np.ones((9, 9), np.float32), sure)
    network = DepthMap(np.full((9, 9), 2, np.float32), np.full((9, 9), 0.4, np.float32))
    fused, _ = fuse({"mvs": stereo, "network": network})
    assert (fused.depth == 2).all()


def test_an_apps_depth_is_brought_to_the_cameras_unit(tmp_path: Path) -> None:
    depth = plane()
    scene = scene_of(depth, tmp_path)
    frame = scene.registered[0]
    assert captured_depth(scene, frame, (30, 40)) is None
    write_depth(
        DepthMap(depth * np.float32(0.5), np.full(depth.shape, 0.7, np.float32)), scene.capture.depth_path(frame)
    )
    found = captured_depth(scene, frame, (60, 80))
    assert found is not None and found.confidence is not None
    np.testing.assert_allclose(found.depth, depth, rtol=2e-3)  # stored to 1e-4, points anywhere within a pixel
    np.testing.assert_allclose(found.confidence, 0.7, atol=1 / 255)
    write_depth(DepthMap(RNG.uniform(1, 9, depth.shape).astype(np.float32)), scene.capture.depth_path(frame))
    said: list[object] = []
    assert captured_depth(scene, frame, (60, 80), said.append) is None and "disagrees" in str(said[0])
