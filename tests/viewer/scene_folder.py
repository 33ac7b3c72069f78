"""A scene folder without a pipeline behind it: a floor, a ball on it and a haze, seen by four cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from diorama.capture.camera import Camera
from diorama.capture.store import save_capture, save_posed
from diorama.capture.types import Capture, Frame, PosedScene, PoseSummary, SparsePoints
from diorama.render.formats import write_splats
from diorama.render.paths import look_at
from diorama.render.splats import SH_C0, Splats
from diorama.studio.scene import Scene, StageName, StageRecord
from diorama.studio.show import filmer
from diorama.studio.versions import SceneVersions, find_version, viewer_scene
from diorama.viewer.bundle import bundle_files
from diorama.viewer.films import Films, film_routes
from diorama.viewer.scene_site import PageFiles
from diorama.viewer.server import create_app
from diorama.viewer.version_sites import API, version_routes, with_offers

from .conftest import TOKEN

FLOOR, BALL, HAZE = 400, 200, 60
CAMERA = Camera.pinhole(64, 48, 60.0, 60.0, 32.0, 24.0)


def yard_splats() -> Splats:
    """A grey floor of 20 x 20 splats at z = 0, three units wide; a red ball of radius 0.4 about (0, 0, 0.6); faint
    white haze of large splats about (1, 1, 1.2). In this order."""
    rng = np.random.default_rng(3)
    side = np.linspace(-1.5, 1.5, 20)
    floor = np.stack([*(a.ravel() for a in np.meshgrid(side, side)), np.zeros(FLOOR)], 1)
    way = rng.normal(size=(BALL, 3))
    ball = [0, 0, 0.6] + 0.4 * way / np.linalg.norm(way, axis=1, keepdims=True)
    haze = [1, 1, 1.2] + rng.uniform(-0.3, 0.3, (HAZE, 3))
    means = np.concatenate([floor, ball, haze])
    sizes = np.repeat([0.09, 0.08, 0.2], [FLOOR, BALL, HAZE])
    logits = np.repeat([4.0, 4.0, -2.5], [FLOOR, BALL, HAZE])
    colours = np.repeat([[0.45, 0.45, 0.45], [0.8, 0.15, 0.1], [0.9, 0.9, 0.9]], [FLOOR, BALL, HAZE], axis=0)
    arrays = (
        means,
        np.tile([1.0, 0, 0, 0], (len(means), 1)),
        np.log(np.repeat(sizes[:, None], 3, 1) * [1, 1, 0.5]),
        logits,
        ((colours - 0.5) / SH_C0)[:, None],
    )
    return Splats(*(np.ascontiguousarray(a, np.float32) for a in arrays))


def make_scene_folder(root: Path, splats: Splats | None = None) -> Scene:
    """Four cameras around the middle, grey photos, not metric."""
    splats = splats or yard_splats()
    images = root / "frames" / "images"
    images.mkdir(parents=True)
    eyes = [(2.6, 0, 1.6), (0, -2.9, 1.5), (-2.6, 0, 1.6), (0, 2.9, 1.7)]
    names = [f"photo {i + 1}.jpg" for i in range(len(eyes))]
    for name in names:
        PIL.Image.new("RGB", (CAMERA.width_px, CAMERA.height_px), (90, 90, 90)).save(images / name)
    frames = tuple(Frame(name, 1) for name in names)
    capture = Capture(images, root / "frames" / "masks", "photos", {1: CAMERA}, {1: True}, frames, given=len(frames))
    posed = PosedScene(
        capture,
        {1: CAMERA},
        {name: look_at(eye, (0, 0, 0.5)) for name, eye in zip(names, eyes, strict=True)},
        SparsePoints.empty(),
        PoseSummary("import", None, 1),
    )
    save_capture(capture, root / "frames")
    save_posed(posed, root / "poses")
    (root / "splats").mkdir()
    write_splats(splats, root / "splats" / "splats.ply")
    done: dict[StageName, dict[str, object]] = {
        "ingest": {"imported_poses": True},
        "pose": {},
        "train": {"splats": len(splats)},
    }
    stages: dict[StageName, StageRecord] = {
        name: StageRecord(name, None, {}, {}, 1.0, 1, "2026-01-01T00:00:00Z", result) for name, result in done.items()
    }
    Scene(root, ("footage",), stages).save()
    return Scene.open(root)


def edited_app(scene: Scene, page: Path, scratch: Path, port: int) -> Any:
    """The application of `diorama view` for this scene."""
    version = find_version(scene)
    routes = version_routes(SceneVersions(scene.root), PageFiles(bundle_files(page)), scratch)
    shown = with_offers(viewer_scene(scene, version), API, version.number)
    films = film_routes(Films(filmer(scene), scratch))
    return create_app(shown, page, token=TOKEN, port=port, scratch=scratch, routes=[routes, films])
