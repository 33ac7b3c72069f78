"""Exact synthetic footage: small textured places, ray-traced, with cameras and depths that are known.

The demo is made of it, and tests of every stage compare with its truth.
"""

from .compare import CameraAgreement, compare_cameras
from .footage import SyntheticTruth, orbit_cameras, phone_camera, read_truth, views, write_synthetic_footage
from .places import PLACES, synthetic_scene
from .posed import posed_scene
from .scene import SyntheticScene

__all__ = [
    "PLACES",
    "CameraAgreement",
    "SyntheticScene",
    "SyntheticTruth",
    "compare_cameras",
    "orbit_cameras",
    "phone_camera",
    "posed_scene",
    "read_truth",
    "synthetic_scene",
    "views",
    "write_synthetic_footage",
]
