"""Footage in: readers, frame choice, picture quality, masks, and the plain data types every stage speaks."""

from .camera import Camera, CameraModel
from .errors import InputError
from .events import Evaluated, Event, Finished, OnEvent, Progressed, Started, Warned
from .ingest import IngestConfig, Ingested, ingest
from .store import load_capture, load_posed, save_capture, save_posed
from .transforms import Pose, Sim3
from .types import Capture, Exif, Frame, Gps, PosedScene, PoseSummary, Quality, Rejected, SparsePoints

__all__ = [
    "Camera",
    "CameraModel",
    "Capture",
    "Evaluated",
    "Event",
    "Exif",
    "Finished",
    "Frame",
    "Gps",
    "IngestConfig",
    "Ingested",
    "InputError",
    "OnEvent",
    "Pose",
    "PoseSummary",
    "PosedScene",
    "Progressed",
    "Quality",
    "Rejected",
    "Sim3",
    "SparsePoints",
    "Started",
    "Warned",
    "ingest",
    "load_capture",
    "load_posed",
    "save_capture",
    "save_posed",
]
