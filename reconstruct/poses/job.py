"""What the parent tells the worker process, as plain data that survives JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Strategy = Literal["exhaustive", "sequential", "spatial", "retrieval"]
MapperName = Literal["incremental", "global"]


@dataclass(frozen=True)
class CameraJob:
    """One camera's starting intrinsics in COLMAP's terms; `has_prior`: the focal length is known, not guessed."""

    model: str
    width_px: int
    height_px: int
    params: tuple[float, ...]
    has_prior: bool


@dataclass(frozen=True)
class Features:
    """How SIFT features are found. `affine` estimates their affine shape and pools descriptors over scales (DSP),
    which matches across wider steps at several times the cost."""

    max_size_px: int = 1280
    count: int = 4096
    peak_threshold: float = 0.0067
    affine: bool = False


@dataclass(frozen=True)
class Matching:
    """Which pairs are compared and how strictly.

    overlap: neighbours in order that are compared (sequential); more are added at powers of two.
    similar: pictures that look alike to compare each with (retrieval; loop detection where sequential).
    nearest: neighbours by GPS (spatial).
    """

    strategy: Strategy = "exhaustive"
    overlap: int = 10
    similar: int = 0
    nearest: int = 0
    max_ratio: float = 0.8
    guided: bool = False


@dataclass(frozen=True)
class Mapping3D:
    """How cameras are solved. `relaxed` accepts weaker evidence: fewer inliers, smaller triangulation angles.

    camera_model: replaces the models of perspective cameras; None keeps them.
    """

    mapper: MapperName = "incremental"
    camera_model: str | None = None
    relaxed: bool = False


@dataclass(frozen=True)
class Attempt:
    """One way of solving for the cameras, from features to poses."""

    features: Features = field(default_factory=Features)
    matching: Matching = field(default_factory=Matching)
    mapping: Mapping3D = field(default_factory=Mapping3D)

    def describe(self) -> str:
        """In a few words, for the report."""
        f, m, p = self.features, self.matching, self.mapping
        words = [
            f"{p.mapper} mapper",
            f"up to {f.count} {'affine ' if f.affine else ''}features at {f.max_size_px} px",
            f"{m.strategy} {'guided ' if m.guided else ''}matching",
        ]
        if p.camera_model is not None:
            words.append(f"camera model {p.camera_model}")
        if p.relaxed:
            words.append("weaker evidence accepted")
        return ", ".join(words)


@dataclass(frozen=True)
class Job:
    """Everything the worker needs. Image ids are the places in `names` plus one.

    camera_of: key into `cameras` for each name. positions_m: GPS in metres (east, north, up) or None, for each name.
    """

    images: str
    masks: str | None
    database: str
    output: str
    names: tuple[str, ...]
    camera_of: tuple[int, ...]
    cameras: Mapping[int, CameraJob]
    positions_m: tuple[tuple[float, float, float] | None, ...]
    attempt: Attempt
    threads: int
    seed: int

    @property
    def shrink(self) -> float:
        """How many pixels of the largest picture's file make one of those that features are found in; 1 or more."""
        longest = max(max(c.width_px, c.height_px) for c in self.cameras.values())
        return max(1.0, longest / self.attempt.features.max_size_px)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Job:
        value: dict[str, Any] = json.loads(text)
        attempt = value.pop("attempt")
        cameras = {int(k): CameraJob(**{**c, "params": tuple(c["params"])}) for k, c in value.pop("cameras").items()}
        positions = tuple(None if p is None else (p[0], p[1], p[2]) for p in value.pop("positions_m"))
        return Job(
            **{**value, "names": tuple(value["names"]), "camera_of": tuple(value["camera_of"])},
            cameras=cameras,
            positions_m=positions,
            attempt=Attempt(
                Features(**attempt["features"]), Matching(**attempt["matching"]), Mapping3D(**attempt["mapping"])
            ),
        )


def fingerprint(*parts: Any) -> str:
    """A short hash of plain data, for naming folders of work that may be reused."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def file_stamp(path: Path) -> tuple[int, int]:
    """Size and modification time, which change when a file does."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns
