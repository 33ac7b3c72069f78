"""Posed scenes to measure on: real footage, posed once and kept, and synthetic places with their true cameras."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from diorama.capture.camera import Camera
from diorama.capture.ingest import ingest
from diorama.capture.store import load_capture, load_posed, save_posed
from diorama.capture.types import Capture, Frame, PosedScene, PoseSummary, SparsePoints
from diorama.reconstruct.poses import estimate_poses
from diorama.render.synthetic import write_synthetic_footage

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / "build" / "bench"
SHARED = ROOT.parent / "shared"
BASELINE = SHARED / "baselines" / "brighton_und"
"""brighton_beach with the cameras that other programs were measured with."""


def footage_folder() -> Path:
    return Path(os.environ.get("DIORAMA_FOOTAGE", SHARED / "footage"))


def real(name: str) -> PosedScene:
    """A set of the footage folder by name, or `baseline`; frames and cameras are found once and kept in `CACHE`."""
    sources = {p.parent.name: p for p in sorted(footage_folder().glob("photos/*/images"))}
    sources |= {p.name: p for p in sorted(footage_folder().glob("video/*.mp4"))} | {"baseline": BASELINE}
    if name not in sources or not sources[name].exists():
        raise SystemExit(f"The set {name} is not there; set DIORAMA_FOOTAGE to a folder with photos/{name}/images.")
    place = CACHE / name
    if not (place / "poses").is_dir():
        found = ingest([sources[name]], place / "frames")
        posed = found.imported or estimate_poses(found.capture, place / "work")
        save_posed(posed, place / "poses.partial")
        (place / "poses.partial").rename(place / "poses")
    return load_posed(place / "poses", load_capture(place / "frames"))


def synthetic(frames: int, width: int, height: int, *, seed: int = 0, points: int = 4000) -> PosedScene:
    """The synthetic terrace with its true cameras; sparse points are exact hits of random pixels."""
    from diorama.render.synthetic import orbit_cameras, phone_camera, synthetic_scene

    folder = CACHE / f"terrace_{frames}_{width}x{height}_{seed}"
    if not (folder / "truth.json").is_file():
        write_synthetic_footage(folder, frames, width, height, seed, suffix=".png")
    place, camera = synthetic_scene("terrace", seed), phone_camera(width, height)
    poses = {f"frame_{i:04d}.png": p for i, p in enumerate(orbit_cameras(place, frames, seed), start=1)}
    rng, found, colours = np.random.default_rng([seed, 5]), [], []
    small = camera.scaled(width // 4, height // 4)
    for pose in list(poses.values()):
        rgb, depth = place.render(small, pose, samples=1)
        y, x = np.nonzero(depth > 0)
        chosen = rng.choice(len(x), min(len(x), -(-points // frames)), replace=False)
        z = depth[y[chosen], x[chosen]].astype(np.float64)
        rays = np.stack([(x[chosen] + 0.5 - small.cx) / small.fx, (y[chosen] + 0.5 - small.cy) / small.fy], 1)
        in_camera = np.column_stack([rays * z[:, None], z])
        found.append(pose.inverse().apply(in_camera))
        colours.append(rgb[y[chosen], x[chosen]])
    return posed_scene(folder, camera, poses, np.concatenate(found), np.concatenate(colours))


def posed_scene(folder: Path, camera: Camera, poses: dict, points: np.ndarray, colours: np.ndarray) -> PosedScene:
    """A scene of the pictures in `folder`, all taken by `camera` at `poses` (cam_from_world by file name)."""
    frames = tuple(Frame(name, 1) for name in poses)
    capture = Capture(folder, folder / "masks", "photos", {1: camera}, {1: True}, frames, given=len(frames))
    count = len(points)
    sparse = SparsePoints(points, colours, np.zeros(count), np.full(count, 3, np.int32))
    return PosedScene(capture, {1: camera}, poses, sparse, PoseSummary("truth", 0.0, 1), is_metric=True)
