"""Depth by a network, photo by photo, in the scale of the cameras."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from diorama.capture.depth import DepthMap
from diorama.capture.errors import InputError
from diorama.capture.events import Finished, OnEvent, Progressed, Started, Warned, ignore
from diorama.capture.types import Frame, PosedScene

from .align import (
    MIN_POINTS,
    Alignment,
    Array,
    Floats,
    align,
    at_places,
    correct_locally,
    sparse_depths,
    spread,
)
from .networks import DepthNetwork, resized

GOOD = 0.05
"""Confidence is the expected share of depths that are off by at most this much, relatively."""

EDGE = 0.1
"""Between neighbouring pixels, a step in depth of this share is an edge, over which networks smear."""

_CONFIDENCE_REACH = 0.08

_ELSEWHERE = 0.3
"""Of the usual confidence, what is left where no point is around: in the sky, on blank walls."""


@dataclass(frozen=True)
class Fitted:
    """One photo's map by a network, and the line that brought it to scale."""

    map_: DepthMap
    line: Alignment


class NetworkDepth:
    """See `DepthEstimator`. Depth is aligned to each photo's sparse points, but for those held out (align.py).

    lines: by frame name, how each photo was aligned, for those estimated so far.
    """

    name = "network"

    def __init__(self, network: DepthNetwork, max_size_px: int = 640) -> None:
        self.network, self.max_size_px = network, max_size_px
        self.lines: dict[str, Alignment] = {}

    def estimate(
        self, scene: PosedScene, names: Sequence[str] | None = None, *, on_event: OnEvent = ignore
    ) -> Iterator[tuple[str, DepthMap]]:
        frames = {frame.name: frame for frame in scene.registered}
        wanted = list(frames) if names is None else list(names)
        started = time.monotonic()
        on_event(Started("depth", len(wanted)))
        for done, name in enumerate(wanted, start=1):
            fitted = self.fitted(scene, frames[name])
            if fitted is None:
                on_event(Warned("depth", why_not(scene, frames[name])))
            yield name, fitted.map_ if fitted else unknown(scene, frames[name], self.max_size_px)
            on_event(Progressed("depth", done, len(wanted), self.network.network.name))
        on_event(Finished("depth", time.monotonic() - started))

    def fitted(
        self, scene: PosedScene, frame: Frame, known: DepthMap | None = None, shape: tuple[int, int] | None = None
    ) -> Fitted | None:
        """One photo's map, or None where nothing ties the network to the scene.

        known: depth that is sure, to which the network is fitted as well as to the points. shape: (h, w) of the map;
            None for `max_size_px`.
        """
        camera = scene.camera(frame)
        if camera.lens == "equirectangular":  # there is no z all around
            return None
        rgb = read_rgb(scene, frame)
        said = self.network.predict(rgb, self.max_size_px)
        height, width = shape or map_size(scene, frame, self.max_size_px)
        said = resized(said, width, height)
        # A network that says metres is right up to a shift, too, where the lens is not the one it learnt with.
        says = "disparity" if self.network.form.says == "disparity" else "depth"
        fitted = fit_to_scene(said, says, *samples(scene, frame, None))
        if known is not None:
            # How sure it is stays what the points say: known depth is known where depth is easy.
            again = fit_to_scene(said, says, *samples(scene, frame, known))
            if again is not None and fitted is not None and fitted.map_.confidence is not None:
                sure = fitted.map_.confidence * (again.map_.depth > 0)
                fitted = Fitted(DepthMap(again.map_.depth, sure), fitted.line)
        if fitted is not None:
            self.lines[frame.name] = fitted.line
        return fitted


def fit_to_scene(said: Floats, says: Any, xy: Array, z: Array) -> Fitted | None:
    """A line through all places (S, 2) of depth (S,), what is left taken out around them, and how sure that is."""
    line = align(at_places(said, xy), z, says)
    if line is None:
        return None
    depth = line.depth(said)
    if not (depth > 0).any():
        return None
    confidence = _confidence(depth, xy, z)
    return Fitted(DepthMap(correct_locally(depth, xy, z), confidence * (depth > 0)), line)


def samples(scene: PosedScene, frame: Frame, known: DepthMap | None, most: int = 2_000) -> tuple[Array, Array]:
    """Places (S, 2) and depths (S,) that a map must agree with: sparse points, but for those held out, and pixels of
    `known`, spread evenly."""
    xy, z = sparse_depths(scene, frame).used()
    if known is None:
        return xy, z
    rows, columns = np.nonzero(known.depth > 0)
    if len(rows):
        chosen = np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64)
        rows, columns = rows[chosen], columns[chosen]
        height, width = known.depth.shape
        places = np.stack([(columns + 0.5) / width, (rows + 0.5) / height], axis=1)
        xy, z = np.concatenate([xy, places]), np.concatenate([z, known.depth[rows, columns].astype(np.float64)])
    return xy, z


def read_rgb(scene: PosedScene, frame: Frame) -> npt.NDArray[np.uint8]:
    """The frame's picture as the lens drew it, uint8 (H, W, 3).

    Raises InputError when it cannot be read.
    """
    import PIL.Image

    path = scene.capture.image_path(frame)
    try:
        with PIL.Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be read as a picture ({error}); run ingest again.") from error


def map_size(scene: PosedScene, frame: Frame, long_px: int) -> tuple[int, int]:
    """(h, w) of a frame's map whose longer side is `long_px`, or the photo's where that is smaller."""
    camera = scene.camera(frame)
    scale = min(1.0, long_px / max(camera.width_px, camera.height_px))
    return max(1, round(camera.height_px * scale)), max(1, round(camera.width_px * scale))


def unknown(scene: PosedScene, frame: Frame, long_px: int) -> DepthMap:
    """The map that says nothing."""
    zeros = np.zeros(map_size(scene, frame, long_px), np.float32)
    return DepthMap(zeros, zeros.copy())


def why_not(scene: PosedScene, frame: Frame) -> str:
    """Why a network's depth of a frame could not be used, in one sentence."""
    if scene.camera(frame).lens == "equirectangular":
        return f"{frame.name} is a panorama, which depth networks cannot see; it has no network depth."
    count = len(sparse_depths(scene, frame).used()[0])
    if count < MIN_POINTS:
        return f"{frame.name} sees only {count} points, too few to give a network's depth its scale; it has none."
    return f"{frame.name}: the network's depth does not agree with the points it sees; it is left out."


def _confidence(depth: Floats, xy: Array, z: Array) -> Floats:
    """(h, w): the share of points around that are within `GOOD` of a map that was corrected by the other half of them,
    `_ELSEWHERE` of the usual share where there are none around, and little at edges."""
    half = np.arange(len(z)) % 2 == 0
    good = np.zeros(len(z))
    for one in (half, ~half):
        corrected = at_places(correct_locally(depth, xy[one], z[one]), xy[~one]).astype(np.float64)
        good[~one] = np.abs(corrected / z[~one] - 1.0) <= GOOD
    share = spread(xy, good, depth.shape, _CONFIDENCE_REACH, _ELSEWHERE * float(good.mean()))
    return (np.clip(share, 0.0, 1.0) * np.where(_is_edge(depth), 0.3, 1.0)).astype(np.float32)


def _is_edge(depth: Floats) -> npt.NDArray[np.bool_]:
    logs = np.log(np.maximum(depth, 1e-12))
    edge = np.zeros(depth.shape, bool)
    for axis in (0, 1):
        step = np.abs(np.diff(logs, axis=axis)) > EDGE
        ahead, behind = (slice(1, None), slice(None, -1)) if axis == 0 else (np.s_[:, 1:], np.s_[:, :-1])
        edge[ahead] |= step
        edge[behind] |= step
    return edge
