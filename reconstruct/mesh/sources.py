"""What a surface is made of: splats, depth maps, or depth maps with splats where these know nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from diorama.capture.depth import DepthMap
from diorama.capture.errors import InputError
from diorama.capture.types import PosedScene

from .config import MeshConfig
from .consistency import depth_at, neighbours
from .views import DepthView

Found = Literal["splats", "depth", "both"]

MIN_DEPTH_SHARE = 0.5
"""Of the frames that must have a depth map for `auto` to take them."""

WHOLE = 0.9
"""Depth maps that are sure of this share of their pixels need no splats to fill in."""

FEW = 0.1
"""Maps that are sure of less are worth nothing."""

PROBES = 16
"""Maps that are read to say how much they know."""

BESIDE = 0.02
"""A depth drawn of splats this close to one that a map knows, relative to it, is the same surface again."""


@dataclass(frozen=True)
class Choice:
    """source: what to make a surface of. reason: why, a sentence's end."""

    source: Found
    reason: str


def choose(scene: PosedScene, config: MeshConfig, splats: bool, maps: Mapping[str, DepthMap]) -> Choice:
    """What the config asks for, else the better of what there is.

    Photos compared give a smoother surface than splats, but only where they match: foliage, glass and what moves stay
    unknown. So depth maps come first, and splats fill in where many of their pixels are unsure.

    splats: whether there are any. maps: by frame name.

    Raises InputError when what is asked for is not there.
    """
    have = [frame for frame in scene.registered if frame.name in maps]
    if config.source != "auto":
        wanted = ("splats", "depth") if config.source == "both" else (config.source,)
        if "splats" in wanted and not splats:
            raise InputError("This scene has no splats to make a mesh of; run train first, or use --from depth.")
        if "depth" in wanted and not have:
            raise InputError("This scene has no depth maps to make a mesh of; run depth first, or use --from splats.")
        return Choice(config.source, "as asked")
    if not have and not splats:
        raise InputError("This scene has neither splats nor depth maps to make a mesh of; run depth or train first.")
    if not have:
        return Choice("splats", "there are no depth maps")
    if not splats:
        return Choice("depth", "there are no splats")
    if any(scene.camera(frame).lens == "equirectangular" for frame in have):
        return Choice("splats", "depth maps of panoramas cannot be fused")
    share = len(have) / len(scene.registered)
    if share < MIN_DEPTH_SHARE:
        return Choice("splats", f"only {share:.0%} of the pictures have a depth map")
    sure = sure_share(scene, maps, config.fusion.min_confidence)
    told = f"depth maps are sure of {sure:.0%} of their pixels"
    if sure < FEW:
        return Choice("splats", told)
    return Choice("depth", told) if sure >= WHOLE else Choice("both", f"{told}, splats fill in the rest")


def sure_share(scene: PosedScene, maps: Mapping[str, DepthMap], confidence: float) -> float:
    """Which share of the pixels of a few maps, evenly chosen, is known with so much confidence."""
    have = [frame.name for frame in scene.registered if frame.name in maps]
    if not have:
        return 0.0
    few = np.unique(np.linspace(0, len(have) - 1, min(len(have), PROBES)).round().astype(int))
    return float(np.mean([(maps[have[i]].above(confidence).depth > 0).mean() for i in few]))


def filled_in(known: Sequence[DepthView], drawn: Sequence[DepthView], count: int) -> list[DepthView]:
    """Depth maps with what splats say where neither the map nor those of `count` neighbours know anything.

    known: depth that holds, of some frames. drawn: depth of splats that holds, of these frames and others, in the same
    cameras. A point of splats goes where a neighbour's map sees the same surface, which is smoother, or looks through
    the point; what is hidden behind something there stays.
    """
    by_name = {view.name: view for view in known}
    blank = [by_name.get(d.name, dataclasses.replace(d, depth=np.zeros_like(d.depth))) for d in drawn]
    result = []
    for index, (own, splat) in enumerate(zip(blank, drawn, strict=True)):
        new = (splat.depth > 0) & (own.depth == 0)
        points = splat.points()[new]
        stays = np.ones(len(points), bool)
        for other in neighbours(drawn, index, count):
            seen, expected = depth_at(blank[other], points)
            stays &= (seen <= 0) | (expected > seen * (1 + BESIDE))
        depth = own.depth.copy()
        depth[new] = np.where(stays, splat.depth[new], 0)
        result.append(dataclasses.replace(own, depth=depth))
    names = {view.name for view in drawn}
    return result + [view for view in known if view.name not in names]
