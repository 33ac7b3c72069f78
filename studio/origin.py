"""Where an export's origin is, and the chain of frames from footage to file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from diorama.capture.transforms import Sim3
from diorama.capture.types import PosedScene

Array = npt.NDArray[np.float64]
Origin = Literal["ground", "centre", "keep"]

UPRIGHT_RAD = np.radians(5.0)
"""An imported world that leans less than this is taken to be upright: its axes mean more to its owner."""

LEVELLED = "hand"
"""The `up_source` of a world that a person set upright or put on its floor."""

IN_WORDS: dict[Origin, str] = {
    "ground": "on the ground, below the middle of what was captured",
    "centre": "the middle of what was captured",
    "keep": "the scene's own",
}


def export_from_world(posed: PosedScene, origin: Origin) -> Sim3:
    """From the scene's world to the frame that is exported: right-handed, +z up, metres where the scene is metric.

    It depends on cameras and points alone, so that splats, mesh, points and cameras of one scene fit together. A world
    that was set upright when poses were solved is only shifted; an imported one that leans is turned upright too, and
    scaled where GPS knows by how much.
    """
    if origin == "keep":
        return Sim3.identity()
    from diorama.reconstruct.poses import upright

    level = upright(posed)
    if posed.up_source == LEVELLED:  # a person said where the floor is: only the middle is still to be found
        middle = (level.world_from_input @ posed.world_from_input.inverse()).inverse().apply(np.zeros(3))
        turned = Sim3(1.0, np.eye(3), np.array([-middle[0], -middle[1], 0.0]))
        return _centred(posed, turned) if origin == "centre" else turned
    turned = level.world_from_input @ posed.world_from_input.inverse()
    lean = float(np.arccos(np.clip(turned.rotation[2, 2], -1, 1)))
    if lean < UPRIGHT_RAD:  # keep the axes, move the ground below the middle to the origin
        foot = turned.inverse().apply(np.zeros(3))
        turned = Sim3(turned.scale, np.eye(3), -turned.scale * foot)
    return _centred(posed, turned) if origin == "centre" else turned


def _centred(posed: PosedScene, turned: Sim3) -> Sim3:
    return Sim3(turned.scale, turned.rotation, turned.translation - [0, 0, _middle_height(posed, turned)])


def _middle_height(posed: PosedScene, export_from: Sim3) -> float:
    """Height above the ground of the middle of what was captured: of the points within reach of the cameras."""
    if not len(posed.points):
        return 0.0
    points = export_from.apply(posed.points.xyz)
    centres = np.array([export_from.apply(p.origin_in_source) for p in posed.cam_from_world.values()])
    reach = 2 * float(np.max(np.linalg.norm(centres[:, :2], axis=1), initial=0.0))
    near = points[np.linalg.norm(points[:, :2], axis=1) <= reach] if reach > 0 else points
    low, high = np.quantile(near[:, 2] if len(near) else points[:, 2], [0.02, 0.98])
    return float((low + high) / 2)


@dataclass(frozen=True, eq=False)
class Chain:
    """How one file relates to the scan. file_from_export: (4, 4), which may mirror; `file_frame` says it in words."""

    posed: PosedScene
    export_from_world: Sim3
    origin: Origin
    file_from_export: Array
    file_frame: str

    @property
    def is_metric(self) -> bool:
        return self.posed.is_metric

    def to_json(self) -> dict[str, Any]:
        """Matrices are 4x4, rows first; `b_from_a` takes column vectors of a to b."""
        file_from_world = self.file_from_export @ self.export_from_world.matrix()
        value: dict[str, Any] = {
            "format": "diorama-export",
            "version": 1,
            "frames": {
                "input": "in which poses were solved or imported",
                "world": "of the scene folder: right-handed, +z up",
                "export": f"right-handed, +z up; origin: {IN_WORDS[self.origin]}",
                "file": self.file_frame,
            },
            "unit": "metre" if self.is_metric else "unknown; the scene is not metric",
            "metric_source": self.posed.metric_source,
            "world_from_input": _both(self.posed.world_from_input),
            "export_from_world": _both(self.export_from_world),
            "file_from_export": self.file_from_export.tolist(),
            "file_from_world": file_from_world.tolist(),
            "world_from_file": np.linalg.inv(file_from_world).tolist(),
            "georeference": None,
        }
        if self.posed.georeference is not None and self.is_metric:
            value["georeference"] = self._on_earth(file_from_world)
        return value

    def _on_earth(self, file_from_world: Array) -> dict[str, Any]:
        from diorama.reconstruct.poses.geodesy import ecef_from_gps, enu_axes
        from diorama.reconstruct.poses.utm import utm_from_enu, zone_of

        gps = self.posed.georeference
        assert gps is not None
        ecef_from_world = np.eye(4)
        ecef_from_world[:3, :3] = enu_axes(gps).T
        ecef_from_world[:3, 3] = ecef_from_gps(gps)
        zone = zone_of(gps)
        return {
            "world_origin": dataclasses.asdict(gps),
            "world_axes": "+x east, +y north, +z up, at the world's origin",
            "heights": "as the cameras wrote them, above the ellipsoid or sea level",
            "ecef_from_world": ecef_from_world.tolist(),  # EPSG:4978
            "ecef_from_file": (ecef_from_world @ np.linalg.inv(file_from_world)).tolist(),
            "utm": {"epsg": zone.epsg, "world_origin": utm_from_enu(np.zeros((1, 3)), gps)[0].tolist()},
        }


def _both(transform: Sim3) -> dict[str, Any]:
    return transform.to_json() | {"matrix": transform.matrix().tolist()}
