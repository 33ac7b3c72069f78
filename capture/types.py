"""The plain data that flows between stages: frames, captures and posed scenes.

World frame: right-handed, +z up, ground near z = 0, metres when `is_metric`, else scene units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from .camera import Camera
from .transforms import Pose, Sim3

Source = Literal["video", "photos", "colmap", "transforms", "synthetic"]


@dataclass(frozen=True)
class Gps:
    """Where EXIF says the camera stood: WGS 84, degrees; altitude in metres above the ellipsoid or sea level."""

    latitude_deg: float
    longitude_deg: float
    altitude_m: float | None = None


@dataclass(frozen=True)
class Exif:
    """What the camera wrote about one photo; None where it said nothing."""

    make: str | None = None
    model: str | None = None
    lens: str | None = None
    focal_mm: float | None = None
    focal_35mm: float | None = None
    exposure_s: float | None = None
    f_number: float | None = None
    iso: float | None = None
    taken_at: str | None = None
    gps: Gps | None = None


@dataclass(frozen=True)
class Quality:
    """Numbers that say how useful one picture is.

    sharpness: a measure of fine detail, comparable between neighbours of one footage only.
    relative_sharpness: sharpness over the median of its neighbours; below about 0.6 is blurred for its place.
    clipped_dark, clipped_bright: shares (0 to 1) of pixels at the ends of the range.
    motion_px: median motion of tracked features to the chosen frame before, at 1000 px longer side; None for the first.
    overlap: share of the tracked features of the chosen frame before that are still seen; None for the first.
    """

    sharpness: float
    relative_sharpness: float
    clipped_dark: float
    clipped_bright: float
    motion_px: float | None = None
    overlap: float | None = None


@dataclass(frozen=True)
class Frame:
    """One chosen picture: an upright 8-bit sRGB file `name` in the capture's image folder.

    name: POSIX path relative to `Capture.images`; unique.
    camera_id: key of `Capture.cameras`.
    mask: POSIX path relative to `Capture.masks`, or None; 0 hides a pixel, anything else keeps it; same size.
    time_s: presentation time in its video.
    source: the name of the file it came from, as the person knows it.
    """

    name: str
    camera_id: int
    mask: str | None = None
    time_s: float | None = None
    source: str = ""
    exif: Exif = field(default_factory=Exif)
    quality: Quality | None = None


@dataclass(frozen=True)
class Rejected:
    """A picture that was not used, and why, in words a person can act on."""

    name: str
    reason: str


@dataclass(frozen=True)
class Capture:
    """Footage made ready: chosen frames on disk, their cameras' priors and what was left out.

    images, masks: folders that hold the frames' files. `masks` need not exist when no frame has one.
    cameras: by id; `has_prior[id]` says that the focal length is known (EXIF or an import), not guessed.
    given: pictures in the footage before choice (decoded video frames, photo files).
    """

    images: Path
    masks: Path
    source: Source
    cameras: Mapping[int, Camera]
    has_prior: Mapping[int, bool]
    frames: tuple[Frame, ...]
    rejected: tuple[Rejected, ...] = ()
    given: int = 0
    warnings: tuple[str, ...] = ()

    def image_path(self, frame: Frame) -> Path:
        return self.images / frame.name

    def mask_path(self, frame: Frame) -> Path | None:
        return None if frame.mask is None else self.masks / frame.mask

    def depth_path(self, frame: Frame) -> Path:
        """Where the frame's depth map is if it has one (see depth.py)."""
        return self.images.parent / "depth" / f"{frame.name}.npz"

    def frame(self, name: str) -> Frame:
        for frame in self.frames:
            if frame.name == name:
                return frame
        raise KeyError(name)


@dataclass(frozen=True, eq=False)
class SparsePoints:
    """Triangulated points: positions in the world (P, 3) float64, colours (P, 3) uint8 sRGB, errors (P,) in pixels,
    and the number of frames that see each (P,) int32."""

    xyz: npt.NDArray[np.float64]
    rgb_srgb: npt.NDArray[np.uint8]
    error_px: npt.NDArray[np.float64]
    track_length: npt.NDArray[np.int32]

    @staticmethod
    def empty() -> SparsePoints:
        return SparsePoints(np.zeros((0, 3)), np.zeros((0, 3), np.uint8), np.zeros(0), np.zeros(0, np.int32))

    def __len__(self) -> int:
        return len(self.xyz)


@dataclass(frozen=True)
class PoseSummary:
    """How the cameras were found and how far to trust them."""

    mapper: str
    reprojection_error_px: float | None
    components: int
    attempts: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class PosedScene:
    """A capture whose cameras are known.

    cameras: solved intrinsics by camera id, possibly distorted, at the size of the frames' files.
    cam_from_world: by frame name, registered frames only.
    world_from_input: from the frame in which poses were solved or imported to the upright world, for going back.
    is_metric, metric_source: whether a world unit is a metre, and who says so ("gps", "distance", "import").
    up_source: who says which way is up ("gravity", "gps", "cameras", "ground plane", "import").
    georeference: where on earth the world's origin is, +x east, +y north; None where unknown.
    visible: for each registered frame, indices into `points` of what it sees; empty where unknown.
    """

    capture: Capture
    cameras: Mapping[int, Camera]
    cam_from_world: Mapping[str, Pose]
    points: SparsePoints
    summary: PoseSummary
    unregistered: tuple[Rejected, ...] = ()
    world_from_input: Sim3 = field(default_factory=Sim3.identity)
    is_metric: bool = False
    metric_source: str | None = None
    up_source: str = "input"
    visible: Mapping[str, npt.NDArray[np.int32]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    georeference: Gps | None = None

    @property
    def registered(self) -> tuple[Frame, ...]:
        """Frames whose camera is known, in the capture's order."""
        return tuple(f for f in self.capture.frames if f.name in self.cam_from_world)

    @property
    def has_tracks(self) -> bool:
        """Whether it is known which frames see which points; imports often do not say."""
        return any(len(indices) for indices in self.visible.values())

    def camera(self, frame: Frame) -> Camera:
        return self.cameras[frame.camera_id]
