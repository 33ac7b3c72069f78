"""Where the texture changes from one photo to another: photos fade into each other over a face, and what their colours
still differ by is spread over the surface (the global step of Waechter et al. 2014, "Let There Be Color!")."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .photos import Look, Welded

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

SMOOTHNESS = 0.1
"""How much, over an edge of the surface, corrections may change, against what is left at seams (Waechter's lambda)."""

HOLD = 1e-3


@dataclass(frozen=True, eq=False)
class Patches:
    """One node for each place and each photo that a face around it is textured from.

    place, photo: (K,). weight: (K,) share of the faces around the place that take the photo; they add up to 1.
    colours: (K, 3) what the photo shows there, 0 to 255 with its exposure undone, NaN where it does not see the place.
    corrections: (K, 3) to be added.
    """

    place: Ints
    photo: Ints
    weight: Floats
    colours: Floats
    corrections: Floats


def patches_of(look: Look, welded: Welded, label: Ints, factors: Floats, *, level: bool) -> Patches:
    """The nodes, with corrections that level the seams, or without."""
    chosen: npt.NDArray[np.bool_] = np.asarray(label >= 0)
    faces, labels = welded.faces[chosen], label[chosen]
    span = max(len(look.names), 1)
    keys = (faces * span + labels[:, None]).reshape(-1)
    nodes, of_corner, count = np.unique(keys, return_inverse=True, return_counts=True)
    place, photo = nodes // span, nodes % span
    around = np.bincount(place, weights=count, minlength=len(welded.vertices))
    weight = (count / np.maximum(around[place], 1)).astype(np.float32)
    colours = look.colours[photo, place].astype(np.float32) * factors[photo]
    colours[~look.sees[photo, place]] = np.nan
    corrections = np.zeros_like(colours)
    if level and len(nodes):
        corrections = _levelled(place, colours, of_corner.reshape(-1, 3))
    return Patches(place, photo, weight, colours, corrections)


def _levelled(place: Ints, colours: Floats, corners: Ints) -> Floats:
    """Least squares over the nodes: equal colours where nodes share a place, smooth corrections within a patch."""
    from scipy.sparse import coo_matrix, identity
    from scipy.sparse.linalg import cg

    known = ~np.isnan(colours.sum(axis=1))
    here = np.flatnonzero((place[:-1] == place[1:]) & known[:-1] & known[1:])  # nodes are sorted by place
    if not len(here):
        return np.zeros_like(colours)
    n = len(place)

    def difference(a: Ints, b: Ints) -> coo_matrix:
        rows = np.arange(len(a))
        values = np.r_[np.ones(len(a)), -np.ones(len(b))]
        return coo_matrix((values, (np.r_[rows, rows], np.r_[a, b])), shape=(len(a), n)).tocsr()

    seams = difference(here, here + 1)
    inside = np.unique(
        np.sort(np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]]), axis=1), axis=0
    )
    smooth = difference(inside[:, 0], inside[:, 1])
    system = (seams.T @ seams + SMOOTHNESS * (smooth.T @ smooth) + HOLD * identity(n)).tocsr()
    gap = (colours[here + 1] - colours[here]).astype(np.float64)
    found = [cg(system, seams.T @ gap[:, channel], rtol=1e-3, maxiter=300)[0] for channel in range(3)]
    return np.stack(found, axis=1).astype(np.float32)


def place_colours(look: Look, welded: Welded, patches: Patches, factors: Floats) -> Floats:
    """(P, 3) 0 to 255: each place's colour; places that no photo sees take their neighbours'."""
    n = len(welded.vertices)
    known = ~np.isnan(patches.colours.sum(axis=1))
    weight = np.bincount(patches.place[known], patches.weight[known], minlength=n)
    shown = patches.weight[:, None] * (patches.colours + patches.corrections)
    total = np.stack(
        [np.bincount(patches.place[known], shown[known, channel], minlength=n) for channel in range(3)], axis=1
    )
    rest = (weight <= 0) & look.sees.any(axis=0)
    for index in range(len(look.names)):
        also = rest & look.sees[index]
        total[also] += look.colours[index, also] * factors[index]
        weight[also] += 1
    colours = np.where(weight[:, None] > 0, total / np.maximum(weight, 1e-6)[:, None], np.nan)
    return _spread_over(colours, welded.faces)


def _spread_over(colours: npt.NDArray[np.float64], faces: Ints) -> Floats:
    """Unknown places take the mean of known neighbours, ring by ring; a part without any takes the mean of all."""
    from scipy.sparse import coo_matrix

    known = ~np.isnan(colours.sum(axis=1))
    if not known.any():
        return np.full(colours.shape, 128, np.float32)
    n = len(colours)
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    graph = coo_matrix((np.ones(2 * len(pairs)), (pairs.reshape(-1), pairs[:, ::-1].reshape(-1))), shape=(n, n)).tocsr()
    values = np.where(known[:, None], colours, 0.0)
    while not known.all():
        weight = graph @ known.astype(np.float64)
        new = ~known & (weight > 0)
        if not new.any():
            break
        values[new] = (graph @ values)[new] / weight[new, None]
        known = known | new
    values[~known] = values[known].mean(axis=0)
    return values.astype(np.float32)
