"""Sort what each customer is shown."""

from dataclasses import dataclass

import numpy as np

from recommender.arrays import IntArray, ScoreArray
from recommender.rankers.selection import highest


@dataclass(frozen=True, slots=True, eq=False)
class Slates:
    """What each customer is shown, best first.

    Attributes:
        items: Shape (n, k); -1 where nothing more can be shown.
        scores: Shape (n, k), falling in each row; -inf where there is no item.
    """

    items: IntArray
    scores: ScoreArray


def best(scores: ScoreArray, *, k: int) -> Slates:
    """Find the k highest of each row, (n, n_items) to (n, k); of equal ones the lower number."""
    n, n_items = scores.shape
    cells = highest(scores, k=k)
    rows, columns = np.divmod(cells, max(n_items, 1))
    places = np.arange(len(cells)) - np.searchsorted(rows, np.arange(n))[rows]
    items = np.full((n, k), -1, dtype=np.int64)
    values = np.full((n, k), -np.inf, dtype=np.float32)
    items[rows, places] = columns
    values[rows, places] = scores.ravel()[cells]
    order = np.argsort(-values, axis=1)
    found = np.take_along_axis(values, order, axis=1)
    tied = np.flatnonzero((found[:, 1:] == found[:, :-1]).any(axis=1))
    # Columns rise in each row, so that a stable sort, which is slower, keeps the lower one first.
    order[tied] = np.argsort(-values[tied], axis=1, kind="stable")
    return Slates(
        items=np.take_along_axis(items, order, axis=1),
        scores=found,
    )
