"""Vector quantisation: many rows become indices into a palette, in seconds where plain k-means takes minutes.

Two levels: k-means over a sample finds about sqrt(n) coarse cells; every cell then gets its share of the palette, by
how many rows it holds and how far they lie apart, and runs k-means of its own. The cost is rows * sqrt(n) instead of
rows * n distances (tree-structured search: Gersho and Gray, "Vector Quantization and Signal Compression", 1992).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..splats import Floats

Indices = npt.NDArray[np.intp]

SAMPLE = 1 << 16
BLOCK = 1 << 14
COARSE_ROUNDS, FINE_ROUNDS = 8, 6
REFINABLE, REFINE_ROUNDS = 1 << 29, 2
MIN_SHARE = 0.5  # of the palette is shared out by the number of rows alone, so that no cell starves


def nearest(rows: Floats, centres: Floats) -> tuple[Indices, Floats]:
    """Index (N,) of the nearest of centres (n, D) for rows (N, D), and the squared distances (N,)."""
    index, distance = np.empty(len(rows), np.intp), np.empty(len(rows), np.float32)
    half_norms = 0.5 * (centres * centres).sum(1)
    block = max(256, BLOCK * 256 // max(256, len(centres)))
    for start in range(0, len(rows), block):
        part = rows[start : start + block]
        score = part @ centres.T
        score -= half_norms
        best = score.argmax(1)
        index[start : start + block] = best
        distance[start : start + block] = (part * part).sum(1) - 2 * score[np.arange(len(part)), best]
    return index, np.maximum(distance, 0)


def cell_means(rows: Floats, weights: Floats, index: Indices, count: int) -> tuple[Floats, Floats]:
    """Weighted means (count, D) of the rows of each index, zero where there are none, and weights (count,)."""
    total = np.bincount(index, weights, count).astype(np.float32)
    sums = np.stack([np.bincount(index, weights * column, count) for column in rows.T], 1)
    means: Floats = (sums / np.maximum(total, 1e-30)[:, None]).astype(np.float32)
    return means, total


def lloyd(rows: Floats, weights: Floats, count: int, rounds: int, rng: np.random.Generator) -> Floats:
    """Centres (at most count, D) by weighted k-means; cells that empty are moved to the rows that fit worst."""
    if len(rows) <= count:
        return rows.copy()
    chance = weights / weights.sum()
    # Not by weight alone: a few heavy rows would take all seats. Its square root still favours what is seen.
    chance = np.sqrt(chance)
    centres = rows[rng.choice(len(rows), count, replace=False, p=chance / chance.sum())].copy()
    for _ in range(rounds):
        index, distance = nearest(rows, centres)
        centres, total = cell_means(rows, weights, index, count)
        empty = np.flatnonzero(total <= 0)
        if len(empty):
            centres[empty] = rows[np.argpartition(distance * weights, -len(empty))[-len(empty) :]]
    return centres


def make_palette(rows: Floats, weights: Floats, count: int, seed: int = 0) -> tuple[Floats, Indices]:
    """A palette (n <= count, D) of rows (N, D) and the index (N,) of each row's entry.

    Where rows times entries allow it, a few rounds over the whole palette mend the borders between cells.

    weights: (N,) > 0, how much a row's squared error counts. The same input gives the same palette on any number of
    threads, up to how BLAS rounds.
    """
    rng = np.random.default_rng(seed)
    if len(rows) <= count:
        return rows.copy(), np.arange(len(rows))
    coarse_count = max(1, round(np.sqrt(count / 2)))
    sample = rng.choice(len(rows), min(len(rows), SAMPLE), replace=False)
    coarse = lloyd(rows[sample], weights[sample], coarse_count, COARSE_ROUNDS, rng)
    cell, distance = nearest(rows, coarse)
    shares = _shares(cell, distance * weights, weights, len(coarse), count)
    order = np.argsort(cell, kind="stable")
    ends = np.cumsum(np.bincount(cell, minlength=len(coarse)))
    palette: list[Floats] = []
    index, at = np.empty(len(rows), np.intp), 0
    for c, end in enumerate(ends):
        members = order[(ends[c - 1] if c else 0) : end]
        if len(members) == 0:
            continue
        inside = rows[members]
        some = members if len(members) <= SAMPLE else rng.choice(members, SAMPLE, replace=False)
        centres = lloyd(rows[some], weights[some], int(shares[c]), FINE_ROUNDS, rng)
        found, _ = nearest(inside, centres)
        used, found = np.unique(found, return_inverse=True)
        index[members] = at + found
        palette.append(centres[used])
        at += len(used)
    entries = np.concatenate(palette)
    if len(rows) * len(entries) <= REFINABLE:
        for _ in range(REFINE_ROUNDS):
            index, distance = nearest(rows, entries)
            entries, total = cell_means(rows, weights, index, len(entries))
            empty = np.flatnonzero(total <= 0)
            entries[empty] = rows[np.argsort(-distance * weights)[: len(empty)]]
        index, _ = nearest(rows, entries)
    return entries, index


def _shares(cell: Indices, errors: Floats, weights: Floats, cells: int, count: int) -> Indices:
    """How many of `count` entries each cell gets: at least one, at most its rows, the rest by size and error.

    Panter and Dite's rule: for least error, density goes with the third root of the square of error per entry in one
    dimension and with weight ** (D / (D + 2)) in many; harmonics are many, so it is nearly linear in error.
    """
    rows = np.bincount(cell, minlength=cells)
    error = np.bincount(cell, errors, cells)
    part = MIN_SHARE * rows / rows.sum() + (1 - MIN_SHARE) * error / max(float(error.sum()), 1e-30)
    shares: Indices = np.minimum(np.maximum(1, np.floor(part * (count - cells))).astype(np.intp), np.maximum(rows, 1))
    for c in np.argsort(-error)[: max(0, count - int(shares.sum()))]:
        shares[c] += shares[c] < rows[c]
    return shares


def codebook(values: Floats, count: int = 256, rounds: int = 24) -> Floats:
    """`count` ascending numbers that stand for values (M,) with little squared error: k-means in one dimension.

    Lloyd's rounds run over a histogram of 2^16 bins, so that millions of values cost no more than thousands.
    """
    flat = np.ascontiguousarray(values, np.float32).reshape(-1)
    low, high = float(flat.min()), float(flat.max())
    if high <= low:
        return np.full(count, low, np.float32)
    bins = 1 << 16
    tally, edges = np.histogram(flat, bins, (low, high))
    middles = 0.5 * (edges[1:] + edges[:-1])
    # The start is uniform in the third root of the density, which is where least squares ends up (Panter and Dite).
    density = np.cbrt(np.convolve(tally, np.full(257, 1 / 257), "same")) + 1e-3
    spread = np.cumsum(density)
    centres = np.interp((np.arange(count) + 0.5) / count * spread[-1], spread, middles)
    sums, counts = np.cumsum(tally * middles), np.cumsum(tally)
    for _ in range(rounds):
        cuts = np.searchsorted(middles, 0.5 * (centres[1:] + centres[:-1]))
        ends = np.concatenate([cuts, [bins]]) - 1
        totals = np.diff(np.where(ends >= 0, counts[ends], 0), prepend=0)
        means = np.diff(np.where(ends >= 0, sums[ends], 0), prepend=0) / np.maximum(totals, 1)
        centres = np.sort(np.where(totals > 0, means, centres))
    book: Floats = centres.astype(np.float32)
    return book


def codes(values: Floats, book: Floats) -> npt.NDArray[np.uint8]:
    """The index of the nearest entry of an ascending codebook, of the shape of `values`."""
    cuts = 0.5 * (book[1:] + book[:-1])
    result: npt.NDArray[np.uint8] = np.searchsorted(cuts, values).astype(np.uint8)
    return result
