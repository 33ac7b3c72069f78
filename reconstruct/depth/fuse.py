"""One map of a photo from several: each pixel from whoever is surest of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from diorama.capture.depth import DepthMap, read_depth
from diorama.capture.events import OnEvent, Warned, ignore
from diorama.capture.types import Frame, PosedScene

from .align import Floats, align, at_places, sparse_depths, without_held_out
from .estimator import DepthEstimator
from .monocular import NetworkDepth, unknown, why_not
from .networks import resized

SURE = 0.5
"""From this confidence on, depth seen by several photos is taken, however sure a network is."""

LONE = 0.1
"""What the confidence of a match amid doubt is worth."""

CAUTION = 2.7
"""Stereo's confidence c is the share within 1 %; within 5 % are about 1 - (1 - c)^2.7 (on the synthetic terrace 0.47,
0.74, 0.91, 0.97 for c of 0.2, 0.4, 0.6, 0.8), which is what a network's confidence says."""

ANCHOR = 0.7
"""Depth of at least this confidence is what a network is fitted to."""

CAPTURED = 0.9
"""Confidence of a capture app's depth where it gives none of its own."""


class FusedDepth:
    """See `DepthEstimator`. Several photos' depth where it is sure, a capture app's and a network's elsewhere.

    Any of the three may be missing. The network is fitted to what the others are sure of as well as to sparse points.

    network: the one that fills in. shares: by frame name, which share of its pixels each contributed.
    """

    name = "fused"

    def __init__(
        self,
        stereo: DepthEstimator | None,
        network: NetworkDepth | None,
        *,
        captured: bool = True,
        max_size_px: int = 640,
    ) -> None:
        self._stereo, self.network, self._captured, self._max_size_px = stereo, network, captured, max_size_px
        self.shares: dict[str, dict[str, float]] = {}

    def estimate(
        self, scene: PosedScene, names: Sequence[str] | None = None, *, on_event: OnEvent = ignore
    ) -> Iterator[tuple[str, DepthMap]]:
        frames = {frame.name: frame for frame in scene.registered}
        wanted = list(frames) if names is None else list(names)
        if self._stereo is not None:
            found = self._stereo.estimate(without_held_out(scene), wanted, on_event=on_event)
        elif self.network is not None:
            found = self.network.estimate(scene, wanted, on_event=on_event)
        else:
            found = self._blank(frames, wanted, scene)
        for name, map_ in found:
            yield name, self._fused(scene, frames[name], map_, on_event)

    def _blank(
        self, frames: dict[str, Frame], names: Sequence[str], scene: PosedScene
    ) -> Iterator[tuple[str, DepthMap]]:
        return ((name, unknown(scene, frames[name], self._max_size_px)) for name in names)

    def _fused(self, scene: PosedScene, frame: Frame, first: DepthMap, tell: OnEvent) -> DepthMap:
        by_name = {"network" if self._stereo is None else "mvs": first}
        shape = (first.depth.shape[0], first.depth.shape[1])
        if self._captured and (app := captured_depth(scene, frame, shape, tell)) is not None:
            by_name["captured"] = app
        if self._stereo is not None and self.network is not None:
            fitted = self.network.fitted(scene, frame, fuse(by_name)[0].above(ANCHOR), shape)
            if fitted is not None:
                by_name["network"] = fitted.map_
            else:
                tell(Warned("depth", why_not(scene, frame)))
        map_, shares = fuse(by_name)
        self.shares[frame.name] = shares
        return map_


def fuse(maps: dict[str, DepthMap]) -> tuple[DepthMap, dict[str, float]]:
    """Maps of one shape by the name of who made them, and which share of the pixels each gave.

    Where `mvs` is sure, and most of its neighbours are, it is taken, elsewhere whoever is surest: lone matches amid
    doubt are chance. Normals come from the same map as the depth.
    """
    names = list(maps)
    depths = np.stack([maps[n].depth for n in names])
    sure = np.where(depths > 0, np.stack([_confidence_of(maps[n]) for n in names]), -1.0)
    rank = sure.copy()
    if "mvs" in maps:
        stereo = names.index("mvs")
        of_many = _majority(sure[stereo] >= SURE)
        alone = (sure[stereo] >= SURE) & ~of_many
        fair = 1.0 - (1.0 - np.clip(np.where(alone, LONE, sure[stereo]), 0.0, 1.0)) ** CAUTION
        rank[stereo] = np.where(depths[stereo] > 0, np.where(of_many, 2.0 + sure[stereo], fair), -1.0)
    chosen = rank.argmax(axis=0)[None]
    depth = np.take_along_axis(depths, chosen, 0)[0]
    confidence = np.maximum(np.take_along_axis(sure, chosen, 0)[0], 0.0).astype(np.float32)
    normals = None
    if any(maps[n].normals is not None for n in names):
        blank = np.zeros((*depth.shape, 3), np.float32)
        every = np.stack([blank if (of := maps[n].normals) is None else of for n in names])
        normals = np.take_along_axis(every, chosen[..., None], 0)[0]
    known = depth > 0
    shares = {name: float(((chosen[0] == i) & known).mean()) for i, name in enumerate(names)}
    return DepthMap(np.ascontiguousarray(depth), confidence, normals), shares


def captured_depth(scene: PosedScene, frame: Frame, shape: tuple[int, int], tell: OnEvent = ignore) -> DepthMap | None:
    """The capture app's map of a frame at a size, or None; brought to the cameras' scale by the sparse points.

    Where cameras came with the depth the two agree; where cameras were found anew, their unit is another one.
    """
    path = scene.capture.depth_path(frame)
    if not path.is_file():
        return None
    map_ = read_depth(path)
    sparse = sparse_depths(scene, frame)
    xy, z = sparse.used()
    said = np.where(map_.depth > 0, map_.depth, np.float32(np.nan))
    line = align(at_places(said, xy), z, "metres")
    if line is not None and line.error > 0.2:
        tell(Warned("depth", f"{path.name} disagrees with the points of its photo by {line.error:.0%}; left out."))
        return None
    depth = map_.depth * np.float32(line.scale if line is not None else 1.0)
    confidence = np.full_like(depth, CAPTURED) if map_.confidence is None else map_.confidence
    height, width = shape
    row = (np.arange(height) * depth.shape[0] // height)[:, None]
    column = (np.arange(width) * depth.shape[1] // width)[None, :]
    smooth = resized(np.where(depth > 0, depth, np.float32(np.nan)), width, height)
    nearest = depth[row, column]  # a mean over an edge is a place where nothing is
    same = np.isfinite(smooth) & (np.abs(smooth - nearest) <= 0.03 * nearest)
    return DepthMap(np.where(same, smooth, nearest).astype(np.float32), confidence[row, column] * (nearest > 0))


def _majority(sure: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which of the pixels (h, w) have most of the 5x5 around them in company."""
    from scipy.ndimage import uniform_filter

    company: npt.NDArray[np.bool_] = sure & (uniform_filter(sure.astype(np.float32), 5, mode="nearest") > 0.5)
    return company


def _confidence_of(map_: DepthMap) -> Floats:
    return np.ones_like(map_.depth) if map_.confidence is None else map_.confidence
