"""What a person may ask of the pose stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from diorama.capture.camera import CameraModel
from diorama.capture.errors import InputError

Matching = Literal["auto", "exhaustive", "sequential", "spatial", "retrieval"]
Mapper = Literal["auto", "incremental", "global"]


@dataclass(frozen=True)
class PoseConfig:
    """Options of the pose stage. What is left on "auto" or None is chosen by the footage and, where the result is not
    good enough, changed step by step.

    matching: which pairs of frames are compared. auto: neighbours in time and revisited places for video, every pair
        for up to 200 photos, neighbours by GPS for more, else pictures that look alike.
    mapper: COLMAP's incremental mapper or its global one (GLOMAP).
    camera_model: the lens model to solve for. auto: SIMPLE_RADIAL, then richer ones where it does not fit.
    max_size_px: photos are looked at no larger than this on their longer side.
    max_features: feature points per picture.
    attempts: how often to try at most before the best result so far is taken.
    patience_s: no further attempt is begun after this time.
    threads: CPU threads; None takes all cores. One thread and the same seed give the same poses.
    seed: of every random choice.
    distance: a known distance: two frames or points "x,y,z" of the world, and the metres between them.
    use_gps: place the world by the photos' GPS where it is good enough.
    """

    matching: Matching = "auto"
    mapper: Mapper = "auto"
    camera_model: Literal["auto"] | CameraModel = "auto"
    max_size_px: int | None = None
    max_features: int | None = None
    attempts: int = 5
    patience_s: float = 1200.0
    threads: int | None = None
    seed: int = 0
    distance: tuple[str, str, float] | None = None
    use_gps: bool = True

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise InputError("attempts must be at least 1.")
        if self.threads is not None and self.threads < 1:
            raise InputError("threads must be at least 1.")
        if self.max_size_px is not None and self.max_size_px < 64:
            raise InputError("max_size_px must be at least 64: smaller pictures have no features.")
        if self.max_features is not None and self.max_features < 100:
            raise InputError("max_features must be at least 100: fewer cannot fix a camera.")
