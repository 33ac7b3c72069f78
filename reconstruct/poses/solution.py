"""What a mapper found, as arrays on disk: written by the worker, read by the parent, nothing pickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from diorama.capture.camera import Camera, CameraModel
from diorama.capture.transforms import Pose
from diorama.capture.types import SparsePoints

if TYPE_CHECKING:
    import pycolmap

SOLUTION = "solution.npz"


@dataclass(frozen=True, eq=False)
class Solution:
    """The largest model of one attempt, and the names of the frames in the smaller ones.

    cameras: solved intrinsics by the job's camera key.
    names, cam_from_input: registered frames, in the job's order.
    observed_point, observed_frame: (K,) indices into `points` and `names`, one entry for each observation.
    others: names of the frames of every other model, largest first.
    error_px: mean reprojection error over all observations.
    """

    cameras: Mapping[int, Camera]
    names: tuple[str, ...]
    camera_of: tuple[int, ...]
    cam_from_input: tuple[Pose, ...]
    points: SparsePoints
    observed_point: npt.NDArray[np.int32]
    observed_frame: npt.NDArray[np.int32]
    others: tuple[tuple[str, ...], ...]
    error_px: float

    @staticmethod
    def empty() -> Solution:
        none = np.zeros(0, np.int32)
        return Solution({}, (), (), (), SparsePoints.empty(), none, none, (), float("nan"))

    @property
    def centres(self) -> npt.NDArray[np.float64]:
        """Camera centres (M, 3) in the input frame."""
        return np.array([p.origin_in_source for p in self.cam_from_input]).reshape(-1, 3)

    def renamed(self, new: Mapping[str, str]) -> Solution:
        """The same with other names for the frames."""
        others = tuple(tuple(new[n] for n in group) for group in self.others)
        return replace(self, names=tuple(new[n] for n in self.names), others=others)

    def save(self, path: Path) -> None:
        """Write as one npz file, beside and renamed."""
        meta: dict[str, Any] = {
            "cameras": {k: (c.model, c.width_px, c.height_px, c.params) for k, c in self.cameras.items()},
            "names": self.names,
            "camera_of": self.camera_of,
            "others": self.others,
            "error_px": None if np.isnan(self.error_px) else self.error_px,
        }
        poses = np.array([np.column_stack([p.rotation, p.translation]) for p in self.cam_from_input])
        beside = path.with_name(path.name + ".part")
        with beside.open("wb") as file:
            np.savez(
                file,
                meta=np.frombuffer(json.dumps(meta).encode(), np.uint8),
                cam_from_input=poses.reshape(-1, 3, 4),
                xyz=self.points.xyz,
                rgb=self.points.rgb_srgb,
                error=self.points.error_px,
                track_length=self.points.track_length,
                observed_point=self.observed_point,
                observed_frame=self.observed_frame,
            )
        beside.replace(path)

    @staticmethod
    def load(path: Path) -> Solution:
        with np.load(path, allow_pickle=False) as a:
            meta = json.loads(a["meta"].tobytes())
            points = SparsePoints(a["xyz"], a["rgb"], a["error"], a["track_length"])
            cameras = {
                int(k): Camera(cast(CameraModel, model), w, h, tuple(params))
                for k, (model, w, h, params) in meta["cameras"].items()
            }
            return Solution(
                cameras,
                tuple(meta["names"]),
                tuple(meta["camera_of"]),
                tuple(Pose.from_matrix(m) for m in a["cam_from_input"]),
                points,
                a["observed_point"],
                a["observed_frame"],
                tuple(tuple(o) for o in meta["others"]),
                float("nan") if meta["error_px"] is None else meta["error_px"],
            )


def solution_from_models(models: Mapping[int, pycolmap.Reconstruction]) -> Solution:
    """The arrays of the largest of COLMAP's models; image ids give the frames' order. Runs in the worker."""
    ranked = sorted(models.values(), key=lambda m: (-m.num_reg_images(), -m.num_points3D()))
    ranked = [m for m in ranked if m.num_reg_images() > 0]
    if not ranked:
        return Solution.empty()
    model = ranked[0]
    model.update_point_3d_errors()
    point_ids = sorted(model.point3D_ids())
    index = {pid: k for k, pid in enumerate(point_ids)}
    stored = [model.point3D(pid) for pid in point_ids]
    points = SparsePoints(
        np.array([p.xyz for p in stored], np.float64).reshape(-1, 3),
        np.array([p.color for p in stored], np.uint8).reshape(-1, 3),
        np.array([p.error for p in stored], np.float64),
        np.array([p.track.length() for p in stored], np.int32),
    )
    images = [model.image(i) for i in sorted(model.reg_image_ids())]
    seen = [np.array([index[o.point3D_id] for o in m.get_observation_points2D()], np.int32) for m in images]
    frame = [np.full(len(s), k, np.int32) for k, s in enumerate(seen)]
    used = {m.camera_id for m in images}
    cameras = {
        cid: Camera(cast(CameraModel, c.model_name), c.width, c.height, tuple(float(v) for v in c.params))
        for cid, c in model.cameras.items()
        if cid in used
    }
    poses = [m.cam_from_world() for m in images]
    return Solution(
        cameras,
        tuple(m.name for m in images),
        tuple(m.camera_id for m in images),
        tuple(Pose(np.array(p.rotation.matrix()), np.array(p.translation)) for p in poses),
        points,
        np.concatenate(seen),
        np.concatenate(frame),
        _other_groups([{m.image(i).name for i in m.reg_image_ids()} for m in ranked]),
        float(model.compute_mean_reprojection_error()),
    )


def _other_groups(models: list[set[str]]) -> tuple[tuple[str, ...], ...]:
    """Frames of each model after the first that no model before it has: COLMAP's models may share frames."""
    taken, groups = set(models[0]), []
    for names in models[1:]:
        groups.append(tuple(sorted(names - taken)))
        taken |= names
    return tuple(g for g in groups if g)
