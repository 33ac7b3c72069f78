"""Which attempt comes first, and which comes next when the gate is not passed.

What limits an attempt decides the next: frames that no verified pair connects need more features or more pairs; frames
that are connected but not registered need another mapper, weaker demands or another lens model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from diorama.capture.types import Capture

from .config import PoseConfig
from .gate import ENOUGH_SHARE, Judgement
from .job import Attempt, Features, Mapping3D, Matching, Strategy

EXHAUSTIVE_LIMIT = 200
RETRY_EXHAUSTIVE_LIMIT = 120
# Above this many frames the incremental mapper's repeated bundle adjustment takes longer than the global mapper.
GLOBAL_FIRST = 400

# Frames of a video lie close together, and there are many pairs of them: fewer features are enough to begin with.
VIDEO_FEATURES = 2500
MANY_PHOTOS = 60
LEVELS = (
    Features(max_size_px=1280, count=4096),
    Features(max_size_px=2000, count=12000, peak_threshold=0.004),
    Features(max_size_px=1600, count=8192, affine=True),
)


def first_attempt(capture: Capture, config: PoseConfig) -> Attempt:
    """The fast one, which is enough for well taken footage."""
    mapper = config.mapper
    if mapper == "auto":
        mapper = "global" if len(capture.frames) > GLOBAL_FIRST else "incremental"
    model = None if config.camera_model == "auto" else config.camera_model
    return Attempt(_levels(capture, config)[0], _matching(capture, config), Mapping3D(mapper, model))


def next_attempt(capture: Capture, config: PoseConfig, tried: Sequence[tuple[Attempt, Judgement]]) -> Attempt | None:
    """The most promising attempt not tried yet; None when there is none."""
    done = [a for a, _ in tried]
    last, judgement = tried[-1]
    unmatched = judgement.connected < ENOUGH_SHARE * judgement.total
    deeper = _deeper(capture, config, last)
    candidates = [deeper] if deeper is not None and unmatched else []
    candidates += [replace(last, mapping=m) for m in _other_mappings(config, last.mapping, judgement)]
    candidates += [deeper] if deeper is not None else []
    return next((a for a in candidates if a not in done), None)


def _other_mappings(config: PoseConfig, last: Mapping3D, judgement: Judgement) -> list[Mapping3D]:
    """Other ways to solve from the same matches, most promising first."""
    found = []
    model = None if config.camera_model == "auto" else config.camera_model
    if not judgement.lens_fits and config.camera_model == "auto":
        found += [replace(last, camera_model="RADIAL"), replace(last, camera_model="OPENCV")]
    if judgement.registered < ENOUGH_SHARE * judgement.total or judgement.contradicted > 0:
        if config.mapper != "global":
            found.append(Mapping3D("incremental", model, relaxed=True))
        if config.mapper != "incremental":
            found.append(Mapping3D("global", model))
        if config.mapper != "global":
            found.append(Mapping3D("incremental", model))
    return found


def _deeper(capture: Capture, config: PoseConfig, last: Attempt) -> Attempt | None:
    """More features and more pairs than the last attempt; None at the bottom."""
    levels = _levels(capture, config)
    place = levels.index(last.features)
    if place + 1 == len(levels):
        return None
    matching = _matching(capture, config)
    if config.matching == "auto" and len(capture.frames) <= RETRY_EXHAUSTIVE_LIMIT:
        matching = Matching("exhaustive")
    elif matching.strategy != "exhaustive":
        matching = replace(
            matching, overlap=matching.overlap * 2, similar=max(20, matching.similar * 2), nearest=matching.nearest * 2
        )
    return Attempt(
        levels[place + 1],
        replace(matching, guided=place >= 1),
        replace(last.mapping, mapper="global" if config.mapper == "global" else "incremental", relaxed=False),
    )


def _levels(capture: Capture, config: PoseConfig) -> list[Features]:
    """How to look for features, the cheapest way first."""
    levels = list(LEVELS)
    if capture.source == "video":
        levels[0] = replace(levels[0], count=VIDEO_FEATURES)
    elif len(capture.frames) > MANY_PHOTOS:
        # The time to match a pair grows with the square of the features: keep it level as pairs become many.
        levels = [replace(f, count=max(2000, f.count * MANY_PHOTOS // len(capture.frames))) for f in levels]
    return [
        replace(level, max_size_px=config.max_size_px or level.max_size_px, count=config.max_features or level.count)
        for level in levels
    ]


def _matching(capture: Capture, config: PoseConfig) -> Matching:
    count = len(capture.frames)
    placed = sum(f.exif.gps is not None for f in capture.frames)
    strategy: Strategy
    if config.matching != "auto":
        strategy = config.matching
    elif capture.source == "video" and count > 20:
        strategy = "sequential"
    elif count <= EXHAUSTIVE_LIMIT:
        strategy = "exhaustive"
    else:
        strategy = "spatial" if placed > 0.8 * count else "retrieval"
    if strategy == "exhaustive":
        return Matching("exhaustive")
    if strategy == "sequential":
        return Matching("sequential", overlap=6, similar=4)
    if strategy == "spatial":
        return Matching("spatial", overlap=3, nearest=24)
    return Matching("retrieval", overlap=3, similar=24)
