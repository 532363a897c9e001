"""The highest cells of rows are those that sorting all of them finds."""

import numpy as np
import pytest

from recommender.arrays import ScoreArray
from recommender.rankers import selection
from recommender.rankers.selection import highest
from recommender.rankers.slates import best


def sort_everything(scores: ScoreArray, *, k: int, floor: float = -np.inf) -> list[list[int]]:
    """Sort each row by falling score, then by column, in plain Python."""
    rows = []
    for row in scores.tolist():
        kept = [column for column, score in enumerate(row) if score > floor]
        rows.append(sorted(kept, key=lambda column: (-row[column], column))[:k])
    return rows


def draw(kind: str, n: int, m: int) -> ScoreArray:
    rng = np.random.default_rng(n + m)
    if kind == "different":
        scores = rng.normal(size=(n, m))
    elif kind == "equal":
        scores = rng.integers(0, 3, size=(n, m)).astype(float)
    elif kind == "mostly zero":
        scores = rng.random((n, m)) * (rng.random((n, m)) < 0.02)
    else:  # little is left to be shown
        scores = np.where(rng.random((n, m)) < 0.01, rng.normal(size=(n, m)), -np.inf)
    return scores.astype(np.float32)


@pytest.mark.parametrize("kind", ["different", "equal", "mostly zero", "nearly nothing left"])
@pytest.mark.parametrize("floor", [-np.inf, 0.0])
@pytest.mark.parametrize(("n", "m", "k"), [(7, 700, 3), (5, 1000, 10), (6, 40, 7), (3, 5, 9)])
def test_the_highest_cells_are_those_of_a_sort(
    kind: str, floor: float, n: int, m: int, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "CELLS_AT_ONCE", 3 * m)
    scores = draw(kind, n, m)
    expected = sort_everything(scores, k=k, floor=floor)
    cells = [row * m + column for row, columns in enumerate(expected) for column in sorted(columns)]
    assert highest(scores, k=k, floor=floor).tolist() == cells


@pytest.mark.parametrize("kind", ["different", "equal", "mostly zero", "nearly nothing left"])
@pytest.mark.parametrize(("n", "m", "k"), [(7, 700, 3), (6, 40, 7), (3, 5, 9), (0, 5, 2)])
def test_slates_are_sorted_and_end_in_empty_places(kind: str, n: int, m: int, k: int) -> None:
    scores = draw(kind, n, m)
    slates = best(scores, k=k)
    assert slates.items.shape == slates.scores.shape == (n, k)
    for row, columns in enumerate(sort_everything(scores, k=k)):
        empty = k - len(columns)
        assert slates.items[row].tolist() == [*columns, *[-1] * empty]
        np.testing.assert_array_equal(
            slates.scores[row], [*scores[row, columns], *[-np.inf] * empty]
        )


def test_high_cells_that_share_groups_are_told_apart() -> None:
    n, m, k = 4, 1000, 10
    scores = draw("different", n, m)
    # Fewer groups than cells are wanted hold all that is high, so the bound is too low.
    scores[:, np.arange(m) % (selection.GROUPS * k) < k - 1] += 100.0
    expected = sort_everything(scores, k=k)
    cells = [row * m + column for row, columns in enumerate(expected) for column in sorted(columns)]
    assert highest(scores, k=k).tolist() == cells


def test_nothing_is_the_highest_of_no_columns() -> None:
    assert highest(np.empty((4, 0), np.float32), k=3).tolist() == []
    assert (best(np.empty((4, 0), np.float32), k=2).items == -1).all()
