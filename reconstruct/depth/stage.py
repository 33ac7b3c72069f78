"""Depth of all photos of a scene into a folder, resumable photo by photo, with its error against held-out points."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from diorama.capture.depth import DepthMap
from diorama.capture.errors import InputError
from diorama.capture.events import Event, Finished, OnEvent, Progressed, Started, ignore
from diorama.capture.files import read_json, write_json
from diorama.capture.types import Frame, PosedScene
from diorama.render.models import NETWORKS, Network, find_model, named_file

from .align import Array, held_out_errors, sparse_depths, summarise
from .estimator import DepthEstimator
from .fuse import FusedDepth
from .monocular import NetworkDepth
from .networks import DepthNetwork
from .store import depth_path, save_depth_map

Method = Literal["auto", "mvs", "network"]
RECORD = "depth.json"
DRAFTS = ".drafts"
"""What stereo keeps until all frames are done, so that a run that was stopped goes on from it."""


@dataclass(frozen=True)
class DepthSettings:
    """What decides a scene's depth maps.

    method: `mvs` compares photos; `network` looks at one at a time; `auto` does both where a network is at hand, and
        takes the capture app's depth in.
    network: name in the registry, None for none. size_px: longer side of the maps.
    """

    method: Method = "auto"
    network: str | None = None
    size_px: int = 640

    def __post_init__(self) -> None:
        """Raises InputError when a value makes no sense."""
        if self.method not in get_args(Method):
            raise InputError(f"--method {self.method} is not known; choose auto, mvs or network.")
        if not 16 <= self.size_px <= 8_192:
            raise InputError(f"--size {self.size_px} must be 16 to 8192 pixels.")


@dataclass(frozen=True)
class NetworkFile:
    """A network and its file, checked: by the registry's hash, or named by a person."""

    network: Network
    path: Path
    sha256: str


def choose_network(
    method: Method,
    name: str | None = None,
    models: Path | None = None,
    file: Path | None = None,
    explain: Callable[[str], None] = lambda _: None,
) -> NetworkFile | None:
    """The network a stage uses; None for `mvs`, and for `auto` where none is at hand (nothing is downloaded for it).

    Args:
        name: the one asked for; None for the first at hand in the registry's order of preference. models: a folder.
        file: the network's file, taken as it is. explain: hears what should be known of the choice.

    Raises:
        InputError: an unknown name, a network that was asked for and is not to be had, a file that is missing.
    """
    known = {n: network for n, network in NETWORKS.items() if network.depth is not None}
    if name is not None and name not in known:
        raise InputError(f"--network {name} is not known; choose one of {', '.join(known)}.")
    if file is not None:
        if name is None:
            raise InputError("--network-file needs --network NAME, which says how the file is fed.")
        return NetworkFile(known[name], file, named_file(name, file, explain))
    if method == "mvs":
        return None
    if name is not None:
        words: list[str] = []
        path = find_model(name, models, explain=words.append)
        if path is None:
            raise InputError(" ".join(words) or f"{name} is not on this machine.")
        return NetworkFile(known[name], path, known[name].sha256 or "")
    for network in sorted(known.values(), key=lambda n: n.preference):
        path = find_model(network.name, models, download=False)
        if path is not None:
            return NetworkFile(network, path, network.sha256 or "")
    if method == "network":
        raise InputError(
            "No depth network is on this machine; give the folder that holds one with --models, or name one to "
            f"download with --network ({', '.join(n for n, e in known.items() if e.source)})."
        )
    return None


def estimate_depths(
    scene: PosedScene,
    out: Path,
    settings: DepthSettings,
    network: NetworkFile | None,
    *,
    on_event: OnEvent = ignore,
) -> dict[str, Any]:
    """Writes `out/FRAMENAME.npz` for each registered frame and `out/depth.json`; returns its summary.

    Frames whose map lies there already are left: Ctrl-C stops between two frames, and the same call goes on.

    Raises:
        InputError: no frame has a camera, a picture cannot be read, the network fails.
    """
    frames = {frame.name: frame for frame in scene.registered}
    if not frames:
        raise InputError("No frame of this scene has a camera pose, so there is no depth to find; run pose first.")
    rows = {name: row for name in frames if (row := _done(out, name)) is not None}
    left = [name for name in frames if name not in rows]
    started = last = time.monotonic()
    on_event(Started("depth", len(frames)))
    drafts = out / DRAFTS
    estimator = _estimator(settings, network, drafts)
    inner = _shifted(on_event, len(rows), len(frames))
    if left:
        for name, map_ in estimator.estimate(scene, left, on_event=inner):
            save_depth_map(out, name, map_)
            now = time.monotonic()
            rows[name] = _row(scene, frames[name], map_.depth, estimator) | {"seconds": round(now - last, 3)}
            write_json(_row_path(out, name), rows[name])
            last = now
    summary = _summary(rows, settings, network)
    told = [{"name": name} | {k: v for k, v in rows[name].items() if k != "errors"} for name in frames]
    write_json(out / RECORD, summary | {"frames": told})
    for name in frames:
        _row_path(out, name).unlink(missing_ok=True)
    shutil.rmtree(drafts, ignore_errors=True)
    on_event(Finished("depth", time.monotonic() - started))
    return summary


def read_record(folder: Path) -> dict[str, Any]:
    """`depth.json` of a folder of maps; empty where there is none."""
    path = folder / RECORD
    return read_json(path) if path.is_file() else {}


def _estimator(settings: DepthSettings, network: NetworkFile | None, work: Path) -> DepthEstimator:
    mono = None
    if network is not None:
        mono = NetworkDepth(DepthNetwork(network.network, network.path), settings.size_px)
    if settings.method == "network" and mono is not None:
        return mono
    from .matching import MvsConfig
    from .mvs import MultiViewStereo

    stereo = MultiViewStereo(MvsConfig(max_size_px=settings.size_px), work)
    is_auto = settings.method == "auto"
    return FusedDepth(stereo, mono if is_auto else None, captured=is_auto, max_size_px=settings.size_px)


def _shifted(on_event: OnEvent, before: int, total: int) -> OnEvent:
    """Progress of the rest as progress of all; one beginning and one end."""

    def tell(event: Event) -> None:
        if isinstance(event, Started | Finished):
            return
        if isinstance(event, Progressed):
            event = dataclasses.replace(event, done=event.done + before, total=total)
        on_event(event)

    return tell


def _row_path(out: Path, name: str) -> Path:
    path = depth_path(out, name)
    return path.with_name(path.name.removesuffix(".npz") + ".row.json")


def _done(out: Path, name: str) -> dict[str, Any] | None:
    """What was noted of a frame whose map is whole."""
    path = _row_path(out, name)
    return read_json(path) if depth_path(out, name).is_file() and path.is_file() else None


def _row(scene: PosedScene, frame: Frame, depth: Any, estimator: DepthEstimator) -> dict[str, Any]:
    errors = held_out_errors(DepthMap(depth), sparse_depths(scene, frame))
    mono = estimator if isinstance(estimator, NetworkDepth) else getattr(estimator, "network", None)
    line = mono.lines.get(frame.name) if isinstance(mono, NetworkDepth) else None
    shares: Mapping[str, float] = getattr(estimator, "shares", {}).get(frame.name, {})
    return {
        "known_share": float((depth > 0).mean()),
        "shares": {name: round(share, 4) for name, share in shares.items()},
        "held_out": dataclasses.asdict(summarise(errors)),
        "errors": [None if np.isnan(e) else round(float(e), 6) for e in errors],
        "line": None if line is None else {k: v for k, v in dataclasses.asdict(line).items() if k != "far"},
    }


def _summary(
    rows: Mapping[str, Mapping[str, Any]], settings: DepthSettings, network: NetworkFile | None
) -> dict[str, Any]:
    every: Array = np.array(
        [np.nan if e is None else e for row in rows.values() for e in row["errors"]], dtype=np.float64
    )
    lines = [row["line"]["error"] for row in rows.values() if row["line"] is not None]
    names = sorted({name for row in rows.values() for name in row["shares"]})
    return {
        "method": settings.method,
        "network": None if network is None else network.network.name,
        "network_sha256": None if network is None else network.sha256,
        "size_px": settings.size_px,
        "maps": len(rows),
        "empty": [name for name, row in rows.items() if row["known_share"] == 0],
        "known_share": float(np.mean([row["known_share"] for row in rows.values()])),
        "shares": {n: float(np.mean([row["shares"].get(n, 0.0) for row in rows.values()])) for n in names},
        "held_out": dataclasses.asdict(summarise(every)),
        "network_line_error": float(np.median(lines)) if lines else None,
        "seconds_per_frame": float(np.median([row["seconds"] for row in rows.values()])),
    }
