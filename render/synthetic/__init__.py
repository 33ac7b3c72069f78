"""Exact synthetic footage: small textured places, ray-traced, with cameras and depths that are known.

The demo is made of it, and tests of every stage compare with its truth.
"""

from .compare import CameraAgreement, compare_cameras
from .footage import SyntheticTruth, orbit_cameras, phone_camera, read_truth, views, write_synthetic_footage
from .places import PLACES, synthetic_scene
from .posed import posed_scene
from .scene import SyntheticScene
from .surface import SurfaceErrors, cameras_around, surface_errors, true_surface

__all__ = [
    "PLACES",
    "CameraAgreement",
    "SurfaceErrors",
    "SyntheticScene",
    "SyntheticTruth",
    "cameras_around",
    "compare_cameras",
    "orbit_cameras",
    "phone_camera",
    "posed_scene",
    "read_truth",
    "surface_errors",
    "synthetic_scene",
    "true_surface",
    "views",
    "write_synthetic_footage",
]
