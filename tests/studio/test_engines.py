"""Splats and mesh of one export meet in the engine: after the importers have done what the notes say they do."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from diorama.capture.camera import Camera
from diorama.capture.transforms import Pose
from diorama.render.formats.meshes import Y_UP_FROM_Z_UP
from diorama.render.paths import look_at
from diorama.render.rasterize import rasterize
from diorama.render.splats import Splats
from diorama.render.transform import swap_axes
from diorama.studio.engines import ENGINES, TARGETS, Engine, import_notes

Array = npt.NDArray[np.float64]

# From a splat file's numbers to the engine's coordinates in metres, as read in the sources that the notes name: Unreal
# (Italink's plugin): 100 * (x, -z, -y); Unity (aras-p's): as they are; Godot (gdgs): half a turn about z; Blender
# (KIRI's): as they are; web and visionOS: the half turn about z that the notes ask for.
FROM_SPLAT_FILE: dict[Engine, Array] = {
    "unreal": np.array([[1.0, 0, 0], [0, 0, -1], [0, -1, 0]]),
    "unity": np.eye(3),
    "godot": np.diag([-1.0, -1, 1]),
    "blender": np.eye(3),
    "web": np.diag([-1.0, -1, 1]),
    "visionos": np.diag([-1.0, -1, 1]),
}
# From glTF (or USD with +y up) to the engine's coordinates in metres: Unreal's Interchange swaps y and z, Unity's
# glTFast mirrors x, Blender turns +y up to +z up, the others take it as it is.
FROM_GLTF: dict[Engine, Array] = {
    "unreal": np.array([[1.0, 0, 0], [0, 0, 1], [0, 1, 0]]),
    "unity": np.diag([-1.0, 1, 1]),
    "godot": np.eye(3),
    "blender": Y_UP_FROM_Z_UP.T,
    "web": np.eye(3),
    "visionos": np.eye(3),
}
UP: dict[Engine, tuple[float, ...]] = {"unreal": (0, 0, 1), "blender": (0, 0, 1)}
LEFT_HANDED = {"unreal", "unity"}


@pytest.mark.parametrize("engine", ENGINES)
def test_splats_meet_the_mesh_upright_and_not_mirrored(engine: Engine) -> None:
    by_splats = FROM_SPLAT_FILE[engine] @ TARGETS[engine].axes
    by_mesh = FROM_GLTF[engine] @ Y_UP_FROM_Z_UP
    np.testing.assert_array_equal(by_splats, by_mesh)
    np.testing.assert_array_equal(by_splats @ [0, 0, 1], UP.get(engine, (0, 1, 0)))
    # a mirror if and only if the engine counts its axes with the left hand: else everything would be mirrored in it
    assert round(np.linalg.det(by_splats)) == (-1 if engine in LEFT_HANDED else 1)


def letter_r() -> Splats:
    """An R of small splats in the plane y = 0, as seen from -y with +z up; each shines more to one side."""
    rows = ["####.", "#...#", "#...#", "####.", "#.#..", "#..#.", "#...#"]
    at = [(x, z) for z, row in enumerate(reversed(rows)) for x, c in enumerate(row) if c == "#"]
    means = np.array([[x - 2, 0.0, z] for x, z in at], np.float32) * np.float32(0.2)
    n = len(means)
    sh = np.zeros((n, 4, 3), np.float32)
    sh[:, 0] = 1.0
    sh[:, 3, 0] = -0.8  # redder when seen along +x
    quats = np.tile(np.float32([0.92388, 0.0, 0.38268, 0.0]), (n, 1))  # turned about y, and longer one way
    log_scales = np.tile(np.log(np.float32([0.1, 0.04, 0.06])), (n, 1))
    return Splats(means, quats, log_scales, np.full(n, 4.0, np.float32), sh)


def mirrored_view(pose: Pose) -> Pose:
    """What stays of `pose` when the world is mirrored at x and the picture is looked at in a mirror."""
    flip = np.diag([-1.0, 1, 1])
    return Pose(flip @ pose.rotation @ flip, flip @ pose.translation)


@pytest.mark.parametrize("engine", ENGINES)
def test_splats_look_the_same_in_the_engine(engine: Engine) -> None:
    """The file's splats, moved as the plugin moves them, drawn from where a camera of the engine would stand.

    In a left-handed engine the picture is drawn in the mirrored world and mirrored once more: what its renderer does.
    """
    splats = letter_r()
    camera = Camera.pinhole(96, 96, 110, 110, 48, 48)
    pose = look_at([0.7, -3.5, 1.2], [0, 0, 0.6])
    truth = rasterize(splats, camera, pose).rgb
    there = swap_axes(swap_axes(splats, TARGETS[engine].axes), FROM_SPLAT_FILE[engine])
    engine_from_export = FROM_SPLAT_FILE[engine] @ TARGETS[engine].axes
    rotation = pose.rotation @ engine_from_export.T  # the same camera; of a mirrored world a mirrored one
    if engine in LEFT_HANDED:
        flip = np.diag([-1.0, 1, 1])
        seen = rasterize(there, camera, Pose(flip @ rotation, flip @ pose.translation)).rgb[:, ::-1]
    else:
        seen = rasterize(there, camera, Pose(rotation, pose.translation)).rgb
    assert np.abs(truth - truth[:, ::-1]).max() > 0.3, "the letter is no mirror image of itself"
    np.testing.assert_allclose(seen, truth, atol=2e-3)  # float32 and the order of equally near splats


def test_notes_name_the_files() -> None:
    facts = {
        "title": "yard",
        "mesh": "yard_mesh.x",
        "splats": "yard.y",
        "mean": "(1, 2, 3)",
        "unit": "metre",
        "origin": "o",
    }
    for engine in ENGINES:
        notes = import_notes(engine, facts)
        assert "yard_mesh.x" in notes and "yard.y" in notes and "{" not in notes.replace("({url})", "")
        assert notes.isascii() and max(map(len, notes.splitlines())) <= 120
    assert "(1, 2, 3)" in import_notes("godot", facts)
