"""Depth maps on disk and through other lenses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from diorama.capture.camera import Camera
from diorama.capture.depth import DepthMap, read_depth, write_depth
from diorama.capture.errors import InputError
from diorama.capture.undistort import undistorted_camera
from diorama.reconstruct.depth import depth_in_view, load_depth_maps, save_depth_map

LENS = Camera("OPENCV", 160, 120, (130.0, 128.0, 81.0, 59.0, -0.2, 0.05, 0.002, -0.001))


def sloped(camera: Camera) -> DepthMap:
    """The plane z = 4 + 0.6 x + 0.3 y (in the camera's axes) as a pinhole sees it."""
    x, y = np.meshgrid(np.arange(camera.width_px) + 0.5, np.arange(camera.height_px) + 0.5)
    rays = camera.rays(np.stack([x, y], -1))
    rays = rays / rays[..., 2:]
    depth = 4.0 / (1.0 - 0.6 * rays[..., 0] - 0.3 * rays[..., 1])
    return DepthMap(depth.astype(np.float32), np.full(depth.shape, 0.5, np.float32))


def test_a_map_survives_its_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    depth = np.exp(rng.uniform(np.log(0.5), np.log(500), (37, 51))).astype(np.float32)
    depth[rng.random(depth.shape) < 0.1] = 0
    depth[0, :3] = [np.nan, np.inf, -2]
    normals = rng.normal(size=(37, 51, 3))
    normals = (normals / np.linalg.norm(normals, axis=-1, keepdims=True)).astype(np.float32)
    write_depth(DepthMap(depth, rng.random(depth.shape).astype(np.float32), normals), tmp_path / "a.npz")
    back = read_depth(tmp_path / "a.npz")
    known = np.isfinite(depth) & (depth > 0)
    assert np.array_equal(back.depth > 0, known)
    # Half a step of log(500 / 0.5) / 65534, and float32's own rounding.
    assert np.abs(back.depth[known] / depth[known] - 1).max() < 0.5 * np.log(1000) / 65534 + 1e-6
    assert back.normals is not None and np.abs(back.normals - normals).max() <= 0.5 / 127 + 1e-6
    assert (tmp_path / "a.npz").stat().st_size < 37 * 51 * (2 + 1 + 3) + 1500
    write_depth(back, tmp_path / "b.npz")
    again = read_depth(tmp_path / "b.npz")
    for one, other in ((back.depth, again.depth), (back.confidence, again.confidence), (back.normals, again.normals)):
        assert one is not None and other is not None and np.allclose(one, other, rtol=1e-6)  # nothing creeps


@pytest.mark.parametrize("value", [0.0, 2.5])
def test_maps_of_one_value(tmp_path: Path, value: float) -> None:
    write_depth(DepthMap(np.full((1, 1), value, np.float32)), tmp_path / "a.npz")
    assert read_depth(tmp_path / "a.npz").depth.item() == value


def test_files_that_are_no_maps(tmp_path: Path) -> None:
    code, limits = np.ones((2, 2), np.uint16), np.array([1.0, 2.0])
    bad: dict[str, dict[str, np.ndarray]] = {
        "range": {"depth_code": code, "depth_range": np.array([2.0, 1.0])},
        "nan": {"depth_code": code, "depth_range": np.array([np.nan, 1.0])},
        "kind": {"depth_code": code.astype(np.float32), "depth_range": limits},
        "flat": {"depth_code": code[0], "depth_range": limits},
        "other": {"depth_code": code, "depth_range": limits, "confidence": np.ones((3, 2), np.uint8)},
        "normals": {"depth_code": code, "depth_range": limits, "normals": np.ones((2, 2), np.int8)},
        "pickle": {"depth_code": code, "depth_range": np.array([{}, {}], dtype=object)},
        "nothing": {},
    }
    for name, arrays in bad.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)  # type: ignore[arg-type]
        with pytest.raises(InputError, match=name):
            read_depth(tmp_path / f"{name}.npz")


def test_maps_are_read_when_asked_for_and_forgotten_again(tmp_path: Path) -> None:
    for i in range(4):
        save_depth_map(tmp_path / "depth", f"in/frame_{i}.png", DepthMap(np.full((10, 10), 1.0 + i, np.float32)))
    maps = load_depth_maps(tmp_path, memory_bytes=1000)  # two maps of 400 bytes
    assert list(maps) == [f"in/frame_{i}.png" for i in range(4)] and "in/frame_9.png" not in maps
    assert [m.depth[0, 0] for m in maps.values()] == [1, 2, 3, 4]
    assert len(maps._kept) == 2 and maps["in/frame_3.png"] is maps["in/frame_3.png"]
    (tmp_path / "depth/in/frame_0.png.npz").write_bytes(b"no")
    with pytest.raises(InputError, match=r"frame_0\.png\.npz"):
        maps["in/frame_0.png"]
    with pytest.raises(KeyError):
        maps["nobody"]
    with pytest.raises(InputError, match="leaves"):
        save_depth_map(tmp_path / "depth", "../outside.png", DepthMap(np.ones((1, 1), np.float32)))
    assert not load_depth_maps(tmp_path / "nowhere")


def test_a_plane_through_a_lens_and_back() -> None:
    straight = undistorted_camera(LENS)
    truth, through = sloped(straight), sloped(LENS)
    seen = depth_in_view(truth, straight, LENS)
    known = seen.depth > 0
    # Inverse depth is linear over a plane: what is left is float32. At the rim half a pixel is extrapolated flat.
    assert known.mean() > 0.9 and np.median(np.abs(seen.depth / through.depth - 1)[known]) < 1e-6
    inner = depth_in_view(through, LENS, straight)
    assert (inner.depth > 0).all() and inner.confidence is not None and (inner.confidence == 0.5).all()
    assert np.percentile(np.abs(inner.depth / truth.depth - 1), 99) < 1e-3  # a lens bends lines a little within a pixel
    half = depth_in_view(truth, straight, straight.scaled(straight.width_px // 2, straight.height_px // 2))
    assert half.depth.shape == (straight.height_px // 2, straight.width_px // 2)


def test_no_depth_between_two_surfaces() -> None:
    camera = Camera.pinhole(8, 8, 8, 8, 4, 4)
    steps = np.full((4, 4), 2.0, np.float32)
    steps[:, 2:] = 5.0
    shown = depth_in_view(DepthMap(steps), camera.scaled(4, 4), camera).depth
    assert set(np.unique(shown)) == {2.0, 5.0} and (shown[:, :4] == 2).all()
