"""Mesh files: what is written is read back by us and by trimesh, with the size, the axes and the picture it had."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from diorama.capture.errors import InputError
from diorama.render.formats.gltf import read_gltf
from diorama.render.formats.meshes import Y_UP_FROM_Z_UP, GlbOptions, placed, read_mesh, write_glb
from diorama.render.formats.meshes.obj import write_obj
from diorama.render.formats.meshes.pictures import linear_from_srgb, srgb_from_linear
from diorama.render.formats.meshes.ply import write_mesh_ply
from diorama.render.formats.meshes.tangents import tangents
from diorama.render.mesh import Mesh, MeshAsset

from .mesh_assets import CELL, SIDES, SIZE_M, asset, box, letters, picture_at, white_corners


def write_png_glb(asset: MeshAsset, path: Path) -> None:
    write_glb(asset, path, options=GlbOptions(texture="png"))


def write_png_obj(asset: MeshAsset, path: Path) -> None:
    write_obj(asset, path, texture_format="png")


WRITERS: dict[str, Callable[[MeshAsset, Path], object]] = {
    "box.glb": write_png_glb,
    "box.obj": write_png_obj,
    "box.ply": write_mesh_ply,
}


@pytest.mark.parametrize("name", WRITERS)
def test_meshes_come_back_as_they_were(tmp_path: Path, name: str) -> None:
    full = box(colours=name != "box.obj", texture=True)
    if name == "box.glb":  # colours would tint the texture there
        full = dataclasses.replace(full, colours=None)
    WRITERS[name](MeshAsset((full,)), tmp_path / name)
    back = read_mesh(tmp_path / name).lods[0]
    assert back.normals is not None and back.uvs is not None and back.texture is not None
    assert full.normals is not None and full.uvs is not None
    # corners of triangles, since readers may number vertices anew
    np.testing.assert_allclose(back.vertices[back.faces], full.vertices[full.faces], atol=1e-6)
    np.testing.assert_allclose(back.normals[back.faces], full.normals[full.faces], atol=1e-6)
    np.testing.assert_allclose(back.uvs[back.faces], full.uvs[full.faces], atol=1e-6)
    np.testing.assert_array_equal(back.texture.base_colour, letters())
    if full.colours is not None:
        np.testing.assert_array_equal(back.colours, full.colours)


@pytest.mark.parametrize("name", ["box.glb", "box.obj", "box.ply"])
def test_vertex_colours_come_back(tmp_path: Path, name: str) -> None:
    full = box(texture=False, colours=True)
    WRITERS[name](MeshAsset((full,)), tmp_path / name)
    back = read_mesh(tmp_path / name).lods[0]
    assert back.colours is not None and full.colours is not None
    np.testing.assert_array_equal(back.colours[back.faces], full.colours[full.faces])


@pytest.mark.parametrize("name", WRITERS)
def test_another_reader_sees_the_right_size_up_and_picture(tmp_path: Path, name: str) -> None:
    import trimesh

    WRITERS[name](MeshAsset((box(),)), tmp_path / name)
    mesh = trimesh.load(tmp_path / name, force="mesh", process=False)
    axes = np.eye(3) if name.endswith(".ply") else Y_UP_FROM_Z_UP
    ends = np.sort(np.array([[-1, -0.5, 0], [1, 0.5, 0.5]]) @ axes.T, axis=0)
    np.testing.assert_allclose(mesh.bounds, ends, atol=1e-6)
    assert mesh.volume == pytest.approx(np.prod(SIZE_M), rel=1e-5)  # negative when faces were turned inside out
    if name.endswith(".ply"):
        uvs = np.stack([mesh.metadata["_ply_raw"]["vertex"]["data"][c] for c in "st"], axis=1)
        picture = letters()
    else:
        uvs = mesh.visual.uv
        material = mesh.visual.material
        picture = np.asarray(material.baseColorTexture if name.endswith(".glb") else material.image)
    for point, outward in white_corners(axes):  # trimesh counts v from below in every format
        u, v = picture_at(mesh.vertices, mesh.faces, uvs, point, outward)
        row, column = int((1 - v) * picture.shape[0]), int(u * picture.shape[1])
        assert picture[row, column, :3].tolist() == [255, 255, 255], (outward, row % CELL, column % CELL)


def test_levels_and_collider_come_back(tmp_path: Path) -> None:
    write_glb(asset(), tmp_path / "a.glb")
    back = read_mesh(tmp_path / "a.glb")
    assert [len(m) for m in back.lods] == [12, 10, 8]
    assert back.collider is not None and len(back.collider) == 24
    assert back.lods[0].texture is not None and back.lods[0].texture is not back.lods[1].colours
    top = read_gltf(tmp_path / "a.glb").top.value
    assert top["extensionsUsed"] == ["MSFT_lod"] and len(top["images"]) == 2, "levels share their pictures"
    assert top["scenes"][0]["nodes"] == [0] and top["scenes"][1]["name"] == "collider"
    assert len(top["nodes"][0]["extras"]["MSFT_screencoverage"]) == 3


def test_engines_names(tmp_path: Path) -> None:
    options = GlbOptions(lods="nodes", collider="UCX_{name}_LOD0_{part}")
    write_glb(asset(), tmp_path / "a.glb", "stone", options)
    top = read_gltf(tmp_path / "a.glb").top.value
    names = [top["nodes"][i]["name"] for i in top["scenes"][0]["nodes"]]
    assert names == ["stone_LOD0", "stone_LOD1", "stone_LOD2", "UCX_stone_LOD0_00", "UCX_stone_LOD0_01"]
    write_glb(asset(), tmp_path / "b.glb", "stone", GlbOptions(lods="none", collider="{name}{part}-convcolonly"))
    top = read_gltf(tmp_path / "b.glb").top.value
    assert [n["name"] for n in top["nodes"]] == ["stone", "stone00-convcolonly", "stone01-convcolonly"]


def test_tangents_follow_the_picture() -> None:
    mesh = box(normal_map=True)
    t = tangents(mesh)
    for i, (_, _, _, right, top) in enumerate(SIDES):
        corner = slice(4 * i, 4 * i + 4)
        np.testing.assert_allclose(t[corner, :3], np.tile(np.float32(right), (4, 1)), atol=1e-6)
        assert mesh.normals is not None
        up = t[corner, 3:] * np.cross(mesh.normals[corner], t[corner, :3])
        np.testing.assert_allclose(up, np.tile(np.float32(top), (4, 1)), atol=1e-6)
    mirrored = dataclasses.replace(mesh, uvs=(mesh.uvs * np.float32([-1, 1])) if mesh.uvs is not None else None)
    np.testing.assert_allclose(tangents(mirrored)[:, :3], -t[:, :3], atol=1e-6)
    np.testing.assert_allclose(tangents(mirrored)[:, 3], -t[:, 3])
    no_picture = dataclasses.replace(mesh, uvs=np.zeros((24, 2), np.float32))
    lost = tangents(no_picture)
    np.testing.assert_allclose(np.linalg.norm(lost[:, :3], axis=1), 1, atol=1e-6)
    np.testing.assert_allclose((lost[:, :3] * mesh.normals).sum(1), 0, atol=1e-6)


def test_a_mirror_turns_faces_round() -> None:
    mesh = placed(box(), np.diag([-2.0, 2.0, 2.0]), [0, 0, 1])
    np.testing.assert_allclose(mesh.bounds, [[-2, -1, 1], [2, 1, 2]])
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(np.float64) for i in range(3))
    assert np.einsum("ij,ij->i", a - [0, 0, 1.5], np.cross(b - a, c - a)).min() > 0, "still outward"
    np.testing.assert_allclose(mesh.face_normals(), np.repeat(mesh.normals[::4], 2, axis=0), atol=1e-6)
    with pytest.raises(ValueError, match="rotation"):
        placed(box(), np.diag([1.0, 2.0, 1.0]))


def test_colours_survive_linear_light() -> None:
    bytes_ = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(srgb_from_linear(linear_from_srgb(bytes_) / 65535.0), bytes_)
    assert linear_from_srgb(np.uint8([188]))[0] == pytest.approx(0.5029 * 65535, rel=1e-3)  # IEC 61966-2-1


def test_nodes_are_placed_and_mirrored(tmp_path: Path) -> None:
    """A foreign file: the mesh hangs under a turned, scaled and mirrored node."""
    import trimesh

    scene = trimesh.Scene()
    flip = np.diag([-3.0, 3.0, 3.0, 1.0])
    flip[:3, 3] = [1, 2, 3]
    scene.add_geometry(trimesh.creation.box((1, 1, 1)), transform=flip)
    scene.export(tmp_path / "s.glb")
    mesh = read_mesh(tmp_path / "s.glb").lods[0]
    np.testing.assert_allclose(mesh.bounds, [[-0.5, -4.5, 0.5], [2.5, -1.5, 3.5]], atol=1e-5)  # x, -z, y
    centre = np.array([1, -3, 2])
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(np.float64) for i in range(3))
    assert np.einsum("ij,ij->i", a - centre, np.cross(b - a, c - a)).min() > 0


def test_polygons_are_cut_into_triangles(tmp_path: Path) -> None:
    quad = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf -4 -3 -2 -1\nf 1//  2// 3//\n"
    (tmp_path / "q.obj").write_text(quad)
    mesh = read_mesh(tmp_path / "q.obj").lods[0]
    assert len(mesh) == 3 and mesh.area() == pytest.approx(1.5)
    head = "ply\nformat ascii 1.0\nelement vertex 4\nproperty double x\nproperty double y\nproperty double z\n"
    head += "element face 1\nproperty list uchar int vertex_index\nend_header\n"
    (tmp_path / "q.ply").write_text(head + "0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3\n")
    assert read_mesh(tmp_path / "q.ply").lods[0].area() == pytest.approx(1.0)


def test_paths_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "x.mtl").write_text("newmtl a\n")
    (inner / "a.obj").write_text("mtllib ../x.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nf 1/1 2/1 3/1\n")
    with pytest.raises(InputError, match="outside"):
        read_mesh(inner / "a.obj")


@pytest.mark.parametrize("name", WRITERS)
def test_fuzzed_meshes_give_a_sentence_or_a_mesh(tmp_path: Path, name: str) -> None:
    WRITERS[name](MeshAsset((box(),)), tmp_path / name)
    good = (tmp_path / name).read_bytes()
    whole = min(len(good), 5000)  # most of a GLB is its picture
    for seed in range(250):
        draw = random.Random(seed)
        data = bytearray(good[: draw.randrange(len(good))] if seed % 5 == 0 else good)
        for _ in range(draw.randrange(1, 8)):
            data[draw.randrange(max(1, min(whole, len(data))))] = draw.choice((draw.randrange(256), 0x2D, 0x39, 0xFF))
        (tmp_path / name).write_bytes(data)
        try:
            mesh = read_mesh(tmp_path / name)
        except InputError as error:
            assert "\n" not in str(error) and name.split(".", maxsplit=1)[0] in str(error), f"seed {seed}: {error}"
        else:
            assert len(mesh.lods[0]), f"seed {seed}"


def test_nothing_to_write(tmp_path: Path) -> None:
    for name, write in WRITERS.items():
        with pytest.raises(InputError, match="no faces"):
            write(MeshAsset((Mesh.empty(),)), tmp_path / name)
    assert not list(tmp_path.iterdir())
