"""What photos of one surface agree on: their exposures, which of them is wrong where, and which shows a face best."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from .photos import Look, Welded

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

MAX_PLACES = 8_000
"""Exposures are solved on so many places; medians over them hardly move."""

MIN_SHARED = 40
"""Places that two photos must share for their ratio to count."""

HOLD = 0.3
"""Weight of a photo's own exposure against that of a usual photo's pairs."""

LARGEST_FACTOR = 3.0
USABLE = (8, 247)
"""Values beyond are clipped or noise, and say nothing of exposure."""

OFF = 0.1
"""A face's colour this far, 0 to 1, from the photos' median is half as believable as to be something else's."""

COHERENCE = 0.6
"""What a neighbour's photo is worth, as a logarithm of quality: at most e^(3 * 0.6) of quality is given up for it."""


def exposure_factors(look: Look) -> Floats:
    """(C, 3): by which each photo's sRGB values are multiplied so that places look alike in all photos.

    Least squares on the logarithms: for each pair of photos the median log ratio of the places that both see, and each
    photo held to its own exposure (`HOLD`). Without that hold, what lenses darken towards the rim adds up from pair to
    pair, and a strip of photos that were metered alike ends in another colour than it begins.
    """
    count = len(look.names)
    shared = np.flatnonzero(look.sees.sum(axis=0) >= 2)
    shared = shared[:: max(1, len(shared) // MAX_PLACES)]
    colours = look.colours[:, shared].astype(np.float32)
    use = look.sees[:, shared] & ((colours > USABLE[0]) & (colours < USABLE[1])).all(axis=2)
    logs = np.log(np.maximum(colours, 1))
    system, right = np.zeros((count, count)), np.zeros((count, 3))
    for i in range(count):
        for j in range(i + 1, count):
            both = np.flatnonzero(use[i] & use[j])
            if len(both) < MIN_SHARED:
                continue
            ratio = np.median(logs[j, both] - logs[i, both], axis=0)  # what photo i lacks of photo j
            system[[i, j], [i, j]] += 1
            system[[i, j], [j, i]] -= 1
            right[i] += ratio
            right[j] -= ratio
    hold = HOLD * max(float(np.diag(system).mean()), 1.0)
    gains = np.linalg.solve(system + hold * np.eye(count), right)
    factors: Floats = np.exp(np.clip(gains, -np.log(LARGEST_FACTOR), np.log(LARGEST_FACTOR))).astype(np.float32)
    return factors


def with_outliers_down(look: Look, welded: Welded, factors: Floats) -> Look:
    """Quality falls where a photo shows a face in another colour than most photos do: passers-by, reflections, and
    places where surface and photo do not fit. Where only two photos see a face neither is right."""
    quality = look.quality.copy()
    seen_by = (quality > 0).sum(axis=0)
    asked = np.flatnonzero(seen_by >= 3)
    for part in np.array_split(asked, max(1, len(asked) * len(look.names) // 2_000_000)):
        faces = welded.faces[part]
        shown = np.stack([look.colours[:, faces[:, k]].astype(np.float32) for k in range(3)]).mean(axis=0) / 255
        shown *= factors[:, None]
        has = quality[:, part] > 0
        middle = np.nanmedian(np.where(has[..., None], shown, np.nan), axis=0)
        off = np.abs(shown - middle).max(axis=2)
        quality[:, part] *= np.where(has, np.exp(-((off / OFF) ** 2) * np.log(2)), 0)
    return dataclasses.replace(look, quality=quality)


def best_photos(look: Look, welded: Welded, *, sweeps: int = 10, seed: int = 0) -> Ints:
    """(F,): the photo that each face is textured from, -1 where none sees it.

    Quality decides, and neighbours that agree: few large patches have few seams. Minimised by iterated conditional
    modes over random halves of the faces, in the spirit of Lempitsky and Ivanov 2007.
    """
    quality = look.quality
    faces = np.arange(quality.shape[1])
    label = np.where(quality.max(axis=0, initial=0) > 0, quality.argmax(axis=0), -1).astype(np.int64)
    beside = neighbours_of(welded)
    rng = np.random.default_rng(seed)
    with np.errstate(divide="ignore"):
        worth = np.log(quality)
    for _ in range(sweeps):
        half = faces[(rng.random(len(faces)) < 0.5) & (label >= 0)]
        around = np.where(beside[half] >= 0, label[beside[half]], -1)
        candidates = np.column_stack([label[half], around])
        agreement = (candidates[:, :, None] == around[:, None, :]).sum(axis=2)
        score = worth[np.maximum(candidates, 0), half[:, None]] + COHERENCE * agreement
        score = np.where(candidates >= 0, score, -np.inf)
        label[half] = candidates[np.arange(len(half)), score.argmax(axis=1)]
    return label


def neighbours_of(welded: Welded) -> Ints:
    """(F, 3): the face across each side, -1 where there is none or more than one."""
    from .clean import edges_of

    count = len(welded.faces)
    _, _, edge = edges_of(welded.faces.astype(np.int32))
    order = np.argsort(edge, kind="stable")
    pairs = order[(np.bincount(edge) == 2)[edge[order]]].reshape(-1, 2)
    beside = np.full(3 * count, -1, np.int64)
    beside[pairs[:, 0]], beside[pairs[:, 1]] = pairs[:, 1] % count, pairs[:, 0] % count
    return beside.reshape(3, count).T
