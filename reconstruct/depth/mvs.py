"""Multi-view stereo: depth from the photos alone, by comparing each with its neighbours. No weights are needed.

For every photo planes are found by PatchMatch (matching.py), first from the photos, then once more with what the
neighbours' planes say; what other photos confirm becomes confident (consistency.py). Photos of lenses that bend lines
are straightened first and the maps bent back. A fisheye gives depth where a straight picture of it reaches; panoramas
are left out with a warning.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import numpy as np
import numpy.typing as npt

from diorama.capture.depth import DepthMap
from diorama.capture.errors import InputError
from diorama.capture.events import Finished, OnEvent, Progressed, Started, Warned, ignore
from diorama.capture.types import Frame, PosedScene
from diorama.kernels import StereoField

from .confidence import confidence_of, normals_of
from .consistency import Agreement, OtherMap, agreement
from .drafts import Draft, Drafts
from .matching import MvsConfig, Neighbour, agree, match, warp_between
from .neighbours import DepthRange, Overlap
from .pictures import Picture, Pictures, straight_camera
from .resample import depth_in_view

Floats = npt.NDArray[np.float32]

STAGE = "depth"

SURE, CAPTURED_STEP_PX = 0.5, 4
"""Depths of a capture app of at least this confidence are where the search begins, one in so many pixels each way."""


class MultiViewStereo:
    """The estimator of depth that needs nothing but posed photos; see `DepthEstimator`.

    Time goes with pixels, neighbours and sweeps: with the defaults about 2.7 s of one core per frame of 640 x 480.
    Memory with eight neighbours: 400 bytes per pixel of the frame at hand (120 MB at 640 x 480), and up to 256 MiB of
    photos kept for later.

    Args:
        config: how it works.
        work: a folder for drafts (6 bytes per pixel and frame). Given one, an interrupted run goes on from it; else a
            temporary folder is used and removed.
    """

    name = "mvs"

    def __init__(self, config: MvsConfig | None = None, work: Path | None = None) -> None:
        self.config = config or MvsConfig()
        self._work = work

    def estimate(
        self, scene: PosedScene, names: Sequence[str] | None = None, *, on_event: OnEvent = ignore
    ) -> Iterator[tuple[str, DepthMap]]:
        frames = {frame.name: frame for frame in scene.registered}
        wanted = [frames[name] for name in (frames if names is None else names)]
        _require_poses(scene)
        began = monotonic()
        on_event(Started(STAGE, len(wanted)))
        with ExitStack() as stack:
            work = self._work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="diorama-depth-")))
            run = _Run(scene, self.config, Drafts(work))
            for done, frame in enumerate(wanted, start=1):
                map_, problem = run.estimate(frame)
                if problem:
                    on_event(Warned(STAGE, problem))
                yield frame.name, map_
                on_event(Progressed(STAGE, done, len(wanted), frame.name))
        on_event(Finished(STAGE, monotonic() - began))


class _Run:
    """What stays the same from frame to frame."""

    def __init__(self, scene: PosedScene, config: MvsConfig, drafts: Drafts) -> None:
        self._scene, self._config, self._drafts = scene, config, drafts
        cameras = {
            frame.name: straight_camera(scene.camera(frame), config.max_size_px)
            for frame in scene.registered
            if scene.camera(frame).model != "EQUIRECTANGULAR"
        }
        self._overlap = Overlap(scene, cameras)
        self._cameras = cameras
        self._pictures = Pictures(scene, config.max_size_px)
        self._near: dict[str, list[str]] = {}
        self._ranges: dict[str, DepthRange] = {}

    def estimate(self, frame: Frame) -> tuple[DepthMap, str | None]:
        """The map as the lens saw it, and a sentence where there is none."""
        taken = self._scene.camera(frame)
        shape = _map_shape(taken.width_px, taken.height_px, self._config.max_size_px)
        nothing = DepthMap(np.zeros(shape, np.float32), np.zeros(shape, np.float32), np.zeros((*shape, 3), np.float32))
        if frame.name not in self._cameras:
            return nothing, (
                f"{frame.name} is a panorama, which multi-view stereo cannot use; cut it into pinhole pictures, or use "
                "the depth of a network."
            )
        near = self._neighbours(frame.name)
        if not near:
            return nothing, f"No other photo sees what {frame.name} sees from elsewhere, so its depth is not known."
        straight = self._straight_map(frame.name, near)
        bent = depth_in_view(straight, self._cameras[frame.name], taken.scaled(shape[1], shape[0]))
        scale = np.float32(1 / self._scene.world_from_input.scale)
        return DepthMap(bent.depth * scale, bent.confidence, bent.normals), None

    def _neighbours(self, name: str) -> list[str]:
        if name not in self._near:
            self._near[name] = self._overlap.neighbours(name, self._config.neighbours)
        return self._near[name]

    def _limits(self, name: str) -> DepthRange:
        if name not in self._ranges:
            limits = self._overlap.depth_range(name)
            captured = self._captured(name)
            self._ranges[name] = limits if captured is None else limits.with_known(*captured)
        return self._ranges[name]

    def _captured(self, name: str) -> tuple[Floats, Floats] | None:
        """Pixels (K, 2) of the straightened picture and depths (K,), world units, of which a capture app is sure."""
        from .fuse import captured_depth

        frame, camera = self._scene.capture.frame(name), self._cameras[name]
        shape = (camera.height_px, camera.width_px)
        map_ = captured_depth(self._scene, frame, shape)
        if map_ is None:
            return None
        sure = depth_in_view(map_.above(SURE), self._scene.camera(frame), camera).depth
        row, column = np.nonzero(sure[::CAPTURED_STEP_PX, ::CAPTURED_STEP_PX])
        row, column = row * CAPTURED_STEP_PX, column * CAPTURED_STEP_PX
        scale = np.float32(self._scene.world_from_input.scale)
        return np.stack([column + 0.5, row + 0.5], axis=1).astype(np.float32), sure[row, column] * scale

    def _straight_map(self, name: str, near: list[str]) -> DepthMap:
        own = self._draft(name)
        picture, limits = self._pictures[name], self._limits(name)
        others = [Neighbour(self._pictures[n], self._known(n)) for n in near]
        field = StereoField.start(own.planes, len(others))
        field = agree(picture, others, field, limits, self._config)
        maps = [_other_map(picture, other, other.inverse_depth) for other in others if other.inverse_depth is not None]
        found = agreement(field.planes, maps)
        return _finished(picture, field, found)

    def _draft(self, name: str) -> Draft:
        """Planes from the photos alone."""
        near, key = self._neighbours(name), self._key(name)
        if self._drafts.has(name, key):
            return self._drafts.load(name, key)
        limits = self._limits(name)
        field = match(self._pictures[name], [Neighbour(self._pictures[n]) for n in near], limits, self._config)
        self._drafts.save(name, key, Draft(field.planes, 1 / limits.far, 1 / limits.near))
        return self._drafts.load(name, key)

    def _known(self, name: str) -> Floats | None:
        """Inverse depths of a draft, 0 where the photo is hidden; None for a photo that has no neighbour."""
        if not self._neighbours(name):
            return None
        rho = self._draft(name).planes[0]
        keep = self._pictures[name].levels[0].keep
        return rho if keep is None else np.where(keep > 0, rho, np.float32(0))

    def _key(self, name: str) -> str:
        limits = self._limits(name)
        made_from = [repr(self._config), f"{limits.near:.9g} {limits.far:.9g}"]
        for n in [name, *self._neighbours(name)]:
            pose = self._scene.cam_from_world[n]
            path = self._scene.capture.image_path(self._scene.capture.frame(n))
            size = path.stat().st_size if path.is_file() else 0
            made_from.append(f"{n} {size} {self._cameras[n]} {pose.matrix().tobytes().hex()}")
        return hashlib.blake2b("|".join(made_from).encode(), digest_size=16).hexdigest()


def _require_poses(scene: PosedScene) -> None:
    for name, pose in scene.cam_from_world.items():
        if not (np.isfinite(pose.rotation).all() and np.isfinite(pose.translation).all()):
            raise InputError(f"The pose of {name} is not a number; run pose again or take the photo out.")


def _map_shape(width: int, height: int, max_size_px: int) -> tuple[int, int]:
    factor = min(1.0, max_size_px / max(width, height))
    return max(1, round(height * factor)), max(1, round(width * factor))


def _other_map(picture: Picture, other: Neighbour, inverse_depth: Floats) -> OtherMap:
    here = (picture.levels[0].camera, picture.cam_from_world)
    there = (other.picture.levels[0].camera, other.picture.cam_from_world)
    return OtherMap(inverse_depth, warp_between(*here, *there), warp_between(*there, *here))


def _finished(picture: Picture, field: StereoField, found: Agreement) -> DepthMap:
    level = picture.levels[0]
    sure = confidence_of(field, found)
    depth = 1 / np.maximum(found.rho, np.float32(1e-30))
    known = np.ones(depth.shape, bool) if level.keep is None else level.keep > 0
    known = known & np.isfinite(depth) & (sure > 0)
    normals = normals_of(field.planes, level)
    return DepthMap(
        np.where(known, depth, 0).astype(np.float32),
        np.where(known, sure, 0).astype(np.float32),
        np.where(known[..., None], normals, 0).astype(np.float32),
    )
