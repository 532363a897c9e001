"""Multiply the profiles of customers with themselves, some items at a time."""

from collections.abc import Iterator

import numpy as np

from recommender.arrays import FloatArray, IntArray, ScoreArray, SparseArray

# What is done for an item, in cells of a product with a dense block: for a pair of entries in a
# product of sparse matrices, and to look through a row of the result, sparse or dense.
PAIR_COST, ENTRY_COST, CELL_COST = 20.0, 40.0, 16.0
# A dense block of profiles has so many cells at most, and a sparse one so many pairs.
CELLS_AT_ONCE = 2**24
PAIRS_AT_ONCE = 2**22
# Of a sparse product that is as full as this, a dense matrix is looked through faster.
FULL = 1 / 8
WIDEST, NARROWEST = 128, 8


def overlaps(x: SparseArray) -> Iterator[tuple[IntArray, "ScoreArray | SparseArray"]]:
    """Say what items have in common with all others: rows of xᵀx, of every item once.

    Items whose customers did much are multiplied as dense blocks, the others as sparse ones, so
    that neither a catalogue nor its customers ever make a dense matrix of both.

    Args:
        x: Profiles, shape (n, n_items).

    Yields:
        Some items, shape (w,), and their rows, shape (w, n_items), dense or sparse.
    """
    flipped = x.T.tocsr()
    pairs = count_pairs(x)
    as_sparse = pairs * PAIR_COST + np.minimum(pairs, x.shape[1]) * ENTRY_COST
    is_common = as_sparse > x.nnz + x.shape[1] * CELL_COST
    common, rare = np.flatnonzero(is_common), np.flatnonzero(~is_common)
    width = int(np.clip(CELLS_AT_ONCE // max(x.shape[0], 1), NARROWEST, WIDEST))
    for first in range(0, len(common), width):
        items = common[first : first + width]
        block = np.ascontiguousarray(flipped[items].toarray().T)  # (n, w)
        yield items, np.ascontiguousarray((flipped @ block).T)
    parts = np.cumsum(pairs[rare]) // PAIRS_AT_ONCE
    for items in np.split(rare, np.flatnonzero(np.diff(parts)) + 1):
        if len(items):
            shared = flipped[items] @ x
            cells = len(items) * x.shape[1]
            yield items, shared.toarray() if shared.nnz > FULL * cells else shared


def count_pairs(x: SparseArray) -> FloatArray:
    """Count the entries of everybody who has an item, shape (n_items,)."""
    lengths = np.diff(x.indptr)
    weights = np.repeat(lengths, lengths).astype(np.float64)
    return np.bincount(x.indices, weights=weights, minlength=x.shape[1]).astype(np.float64)
