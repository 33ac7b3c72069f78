"""How well estimated cameras agree with the true ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from diorama.capture.transforms import Pose, Sim3, umeyama


@dataclass(frozen=True, eq=False)
class CameraAgreement:
    """Errors of estimated cameras after the similarity that fits their centres best to the true ones.

    Rotation errors are angles; position errors are shares of the scene size, the diameter of the sphere about the
    mean true centre that holds all true centres. `count` cameras have both an estimate and a truth.
    """

    median_rotation_rad: float
    max_rotation_rad: float
    median_position: float
    max_position: float
    count: int
    truth_from_estimated: Sim3


def compare_cameras(estimated: Mapping[str, Pose], truth: Mapping[str, Pose]) -> CameraAgreement:
    """Compare `cam_from_world` poses by name; names with only one of the two are left out.

    Raises ValueError when fewer than three names are common.
    """
    names = [name for name in truth if name in estimated]
    if len(names) < 3:
        raise ValueError(f"only {len(names)} cameras have both an estimate and a truth; three are needed")
    centres = np.array([estimated[n].origin_in_source for n in names])
    true_centres = np.array([truth[n].origin_in_source for n in names])
    truth_from_estimated = umeyama(centres, true_centres)
    every = np.array([pose.origin_in_source for pose in truth.values()])
    size = 2 * float(np.linalg.norm(every - every.mean(0), axis=1).max())
    position = np.linalg.norm(truth_from_estimated.apply(centres) - true_centres, axis=1) / size
    rotation = np.array(
        [_angle(truth_from_estimated.transform_camera(estimated[n]).rotation, truth[n].rotation) for n in names]
    )
    return CameraAgreement(
        float(np.median(rotation)),
        float(rotation.max()),
        float(np.median(position)),
        float(position.max()),
        len(names),
        truth_from_estimated,
    )


def _angle(a: np.ndarray, b: np.ndarray) -> float:
    """The angle between two rotations; exact for small ones too, where the arc cosine of the trace is not."""
    difference = a @ b.T
    sine = np.linalg.norm(
        [difference[2, 1] - difference[1, 2], difference[0, 2] - difference[2, 0], difference[1, 0] - difference[0, 1]]
    )
    return float(np.arctan2(sine, np.trace(difference) - 1))
