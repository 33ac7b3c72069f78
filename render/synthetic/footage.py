"""Footage of a synthetic place as a person would film it, with the truth beside it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np

from diorama.capture.camera import Camera
from diorama.capture.errors import InputError
from diorama.capture.events import Finished, OnEvent, Progressed, Started, ignore
from diorama.capture.transforms import Pose

from ..paths import look_at
from .places import synthetic_scene
from .scene import Bytes, Floats, SyntheticScene

FOCAL_35MM = 26
"""Focal length written into EXIF, for the 43.27 mm diagonal of a 35 mm frame, as telephones state it."""
TRUTH_FILE = "truth.json"
TRUTH_VERSION = 1
_BUILD_STEPS = 12  # building the place takes about as long as this many frames
_DIAGONAL_35MM = math.hypot(36, 24)
_MAX_TRUTH_BYTES = 64 << 20


@dataclass(frozen=True, eq=False)
class SyntheticTruth:
    """What is known about synthetic footage: one camera, and where it stood for each file name.

    size_m: the scene size that position errors are measured against.
    """

    place: str
    seed: int
    camera: Camera
    cam_from_world: Mapping[str, Pose]
    size_m: float


def phone_camera(width_px: int, height_px: int, k1: float = 0.0) -> Camera:
    """A telephone's main camera: 26 mm equivalent, a pinhole, or SIMPLE_RADIAL with distortion `k1`."""
    focal = FOCAL_35MM / _DIAGONAL_35MM * math.hypot(width_px, height_px)
    if k1:
        return Camera("SIMPLE_RADIAL", width_px, height_px, (focal, width_px / 2, height_px / 2, k1))
    return Camera.pinhole(width_px, height_px, focal, focal, width_px / 2, height_px / 2)


def orbit_cameras(scene: SyntheticScene, count: int, seed: int = 0) -> list[Pose]:
    """`cam_from_world` of a walk around the scene: a round at each of its heights, never a perfect circle.

    Distance, height and aim wander slowly, as a hand does; the same seed gives the same walk.
    """
    if count < 1:
        raise ValueError("a walk needs at least one camera")
    phases = np.random.default_rng([seed, 7]).random((6, 2)) * 2 * math.pi
    poses = []
    for i in range(count):
        done = i / count * len(scene.heights_m)
        level = min(int(done), len(scene.heights_m) - 1)
        wander = [
            math.sin(2 * math.pi * done * f + p)
            for f, p in zip((1.3, 2.1, 1.7, 2.9, 2.3, 1.9), phases[:, 0], strict=True)
        ]
        to_next = scene.heights_m[min(level + 1, len(scene.heights_m) - 1)] - scene.heights_m[level]
        climb = np.clip((done - level - 0.85) / 0.15, 0, 1)
        height = scene.heights_m[level] + to_next * climb * climb * (3 - 2 * climb) + 0.05 * wander[0]
        low, high = scene.stand_m
        radius = (low + high) / 2 + (high - low) * (0.32 * wander[1] + 0.16 * wander[2])
        angle = 2 * math.pi * done + 0.05 * wander[3]
        focus = np.array(scene.focus)
        eye = np.array([focus[0] + radius * math.cos(angle), focus[1] + radius * math.sin(angle), height])
        aim = focus + 0.05 * radius * np.array([wander[4], wander[5], 0.6 * wander[0]])
        poses.append(look_at(eye, aim, 0.02 * wander[3]))
    return poses


def write_synthetic_footage(
    folder: str | Path,
    frames: int = 40,
    width: int = 640,
    height: int = 480,
    seed: int = 0,
    *,
    place: str = "terrace",
    k1: float = 0.0,
    suffix: str = ".jpg",
    on_event: OnEvent = ignore,
) -> SyntheticTruth:
    """Photos of a synthetic place in `folder`, with EXIF focal length, and `truth.json` once they are all there.

    suffix: ".jpg" (quality 95) or ".png". The same arguments write the same pixels.
    """
    if suffix not in (".jpg", ".png"):
        raise ValueError(f"synthetic footage is written as .jpg or .png, not {suffix!r}")
    began = monotonic()
    on_event(Started("render", _BUILD_STEPS + frames))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    scene = synthetic_scene(place, seed)
    on_event(Progressed("render", _BUILD_STEPS, _BUILD_STEPS + frames, "the place is built"))
    camera = phone_camera(width, height, k1)
    poses = {f"frame_{i:04d}{suffix}": p for i, p in enumerate(orbit_cameras(scene, frames, seed), start=1)}

    def shoot(name: str) -> str:
        picture, _ = scene.render(camera, poses[name])
        _write_photo(folder / name, picture)
        return name

    pool = ThreadPoolExecutor(max(1, os.cpu_count() or 1))
    try:
        for done, job in enumerate(as_completed([pool.submit(shoot, name) for name in poses]), start=1):
            on_event(Progressed("render", _BUILD_STEPS + done, _BUILD_STEPS + frames, job.result()))
    finally:
        pool.shutdown(cancel_futures=True)
    truth = SyntheticTruth(place, seed, camera, poses, scene.size_m)
    _write_truth(folder / TRUTH_FILE, truth)
    on_event(Finished("render", monotonic() - began))
    return truth


def _write_photo(path: Path, picture: Bytes) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[271], exif[272] = "Diorama", "Synthetic"
    details = exif.get_ifd(0x8769)
    details[37386], details[41989] = float(FOCAL_35MM), FOCAL_35MM
    partial = path.with_name(f".{path.name}.part")
    options = {"quality": 95, "subsampling": 0} if path.suffix == ".jpg" else {}
    Image.fromarray(picture).save(partial, "JPEG" if path.suffix == ".jpg" else "PNG", exif=exif, **options)
    partial.replace(path)


def _write_truth(path: Path, truth: SyntheticTruth) -> None:
    camera = truth.camera
    data = {
        "version": TRUTH_VERSION,
        "place": truth.place,
        "seed": truth.seed,
        "size_m": truth.size_m,
        "camera": {
            "model": camera.model,
            "width_px": camera.width_px,
            "height_px": camera.height_px,
            "params": list(camera.params),
        },
        "cam_from_world": {
            name: {"quaternion_wxyz": pose.quaternion.tolist(), "translation_m": pose.translation.tolist()}
            for name, pose in truth.cam_from_world.items()
        },
    }
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(json.dumps(data, indent=1))
    partial.replace(path)


def read_truth(folder: str | Path) -> SyntheticTruth:
    """The truth beside synthetic footage. Raises InputError when it is missing or not ours."""
    path = Path(folder) / TRUTH_FILE
    try:
        if path.stat().st_size > _MAX_TRUTH_BYTES:
            raise InputError(f"{path} is too large to be the truth of synthetic footage; render the footage again.")
        data = json.loads(path.read_bytes())
        if data["version"] != TRUTH_VERSION:
            raise InputError(f"{path} is of version {data['version']}, not {TRUTH_VERSION}; render the footage again.")
        c = data["camera"]
        camera = Camera(c["model"], int(c["width_px"]), int(c["height_px"]), tuple(float(p) for p in c["params"]))
        poses = {
            str(name): Pose.from_quaternion(p["quaternion_wxyz"], p["translation_m"])
            for name, p in data["cam_from_world"].items()
        }
        return SyntheticTruth(str(data["place"]), int(data["seed"]), camera, poses, float(data["size_m"]))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; render the footage with its truth first.") from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path} is not the truth of synthetic footage ({error}); render the footage again."
        ) from error


def views(
    scene: SyntheticScene, count: int = 8, width: int = 96, height: int = 72, seed: int = 0
) -> list[tuple[Camera, Pose, Bytes, Floats]]:
    """Small pinhole views in memory, for tests: camera, `cam_from_world`, picture and depth of each."""
    camera = phone_camera(width, height)
    return [(camera, pose, *scene.render(camera, pose)) for pose in orbit_cameras(scene, count, seed)]
