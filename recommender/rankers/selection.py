"""Find the highest cells of each row of a dense matrix, a few rows at a time."""

from typing import cast

import numpy as np

from recommender.arrays import BoolArray, IntArray, ScoreArray

# A megabyte of scores, which stays in a core's cache while it is looked through.
CELLS_AT_ONCE = 2**18
# Columns are put into so many groups for each cell that is wanted. Of as many groups as cells, the
# highest hold the bound from below; the more groups, the fewer other cells reach it.
GROUPS = 16
# Rows of more candidates than this for each wanted cell have many equal ones.
MANY = 4


def highest(scores: ScoreArray, *, k: int, floor: float = -np.inf) -> IntArray:
    """Number each row's k highest cells, of equal ones those of the lower columns.

    Args:
        scores: Shape (n, m), without nan.
        k: How many cells of a row at most.
        floor: Cells of this or less are never among them.

    Returns:
        Row times m plus column, rising.
    """
    n, m = scores.shape
    rows_at_once = max(1, CELLS_AT_ONCE // max(m, 1))
    find = _find_directly if 2 * GROUPS * k > m else _find_by_groups
    found = [np.empty(0, np.int64)]
    for first in range(0, n if k and m else 0, rows_at_once):
        cells = find(scores[first : first + rows_at_once], k=k, floor=floor)
        found.append(cells + first * m)
    return cast(IntArray, np.concatenate(found))


def _find_directly(scores: ScoreArray, *, k: int, floor: float) -> IntArray:
    """Compare all cells with each row's k-th highest."""
    m = scores.shape[1]
    if k >= m:
        return cast(IntArray, np.flatnonzero(scores > floor))
    bounds = np.maximum(np.partition(scores, m - k, axis=1)[:, m - k], np.float32(floor))
    return _reach(scores, bounds, k=k, most=k, floor=floor)[0]


def _find_by_groups(scores: ScoreArray, *, k: int, floor: float) -> IntArray:
    """Look closer only at what reaches the k-th highest of the groups' highest cells."""
    n, m = scores.shape
    n_groups = GROUPS * k
    whole = m - m % n_groups
    tops = scores[:, :whole].reshape(n, -1, n_groups).max(axis=1)  # (n, n_groups)
    tops[:, : m - whole] = np.maximum(tops[:, : m - whole], scores[:, whole:])
    bounds = np.partition(tops, n_groups - k, axis=1)[:, n_groups - k]
    bounds = np.maximum(bounds, np.float32(floor))
    cells, counts = _reach(scores, bounds, k=k, most=MANY * k, floor=floor)
    near = np.full((n, counts.max()), -np.inf, dtype=np.float32)
    inside = np.arange(near.shape[1]) < counts[:, None]
    near[inside] = scores.ravel()[cells]
    kept = np.zeros(near.size, dtype=bool)
    kept[_find_directly(near, k=k, floor=floor)] = True
    return cells[kept.reshape(near.shape)[inside]]


def _reach(
    scores: ScoreArray, bounds: ScoreArray, *, k: int, most: int, floor: float
) -> tuple[IntArray, IntArray]:
    """Find the cells that reach their row's bound, of crowded rows only the k highest.

    Returns:
        Row times m plus column, rising, and how many each row has.
    """
    n, m = scores.shape
    ends = np.arange(1, n + 1) * m
    reach = scores >= bounds[:, None]
    cells = np.flatnonzero(reach)
    counts = np.diff(np.searchsorted(cells, ends), prepend=0)
    crowded = np.flatnonzero((counts > most) | (bounds <= floor))
    if len(crowded):
        for row in crowded:
            reach[row] = _mark_row(scores[row], k=k, bound=bounds[row], floor=floor)
        cells = np.flatnonzero(reach)
        counts = np.diff(np.searchsorted(cells, ends), prepend=0)
    return cells, counts


def _mark_row(scores: ScoreArray, *, k: int, bound: np.float32, floor: float) -> BoolArray:
    """Mark a row's k highest cells, none of which is below a bound, shape (m,)."""
    marked = scores > bound
    places = np.flatnonzero(marked)
    if len(places) > k:  # the bound is too low
        order = np.argsort(-scores[places], kind="stable")
        marked[places[order[k:]]] = False
    elif bound > floor:
        marked[np.flatnonzero(scores == bound)[: k - len(places)]] = True
    return marked
