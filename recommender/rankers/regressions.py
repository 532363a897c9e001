"""Solve a small ridge regression for each customer or item, all of which share most of a matrix."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self, cast

import numpy as np
import numpy.typing as npt

from recommender.arrays import ScoreArray, SparseArray

# Of so many entries the factors are looked up at once: 2 megabytes of 64 numbers.
ENTRIES_AT_ONCE = 8192
# A row with more entries has its matrix added up, so that no look-up is larger than this.
LONG = 65_536
# Keeps a matrix of fewer vectors than numbers from being singular, relative to its size.
RIDGE = np.float32(1e-6)
# Of the first square of what is left, where rounding is all that would change.
EXACT = np.float32(1e-11)
TINY = np.float32(1e-30)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Rows of like length, filled up to the longest with entries that weigh nothing.

    Attributes:
        rows: Shape (b,).
        columns: Shape (b, l).
        confidence: Shape (b, l); 0 where there is no entry.
    """

    rows: npt.NDArray[np.integer]
    columns: npt.NDArray[np.integer]
    confidence: ScoreArray


@dataclass(frozen=True, slots=True, eq=False)
class Common:
    """What the matrices of all rows have in common, given all y.

    Attributes:
        matrix: yᵀy + λ I, shape (f, f).
        inverse: Its inverse, shape (f, f).
    """

    matrix: ScoreArray
    inverse: ScoreArray

    @classmethod
    def of(cls, y: ScoreArray, *, penalty: float) -> Self:
        """Multiply y, shape (m, f), by itself, and invert."""
        eye = np.eye(y.shape[1], dtype=np.float32)
        matrix = y.T @ y + np.float32(penalty) * eye
        ridge = RIDGE * np.trace(matrix) / len(matrix) + TINY
        inverse = np.linalg.inv((matrix + ridge * eye).astype(np.float64)).astype(np.float32)
        return cls(matrix, inverse)


@dataclass(frozen=True, slots=True, eq=False)
class Regressions:
    """The x_u that minimise Σ_i c_ui (p_ui - x_u·y_i)² + λ ‖x_u‖², given all y.

    p is 1 and c above 0 where there is an entry; p is 0 and c is 1 elsewhere.

    Attributes:
        confidence: c of the entries, shape (n, m).
        batches: The rows that have any, by length; none if every c is 1, where all rows have one
            matrix.
        long: The rows that are too long for a batch.
    """

    confidence: SparseArray
    batches: tuple[Batch, ...]
    long: tuple[int, ...]

    @classmethod
    def of(cls, confidence: SparseArray) -> Self:
        """Put rows of like length together."""
        if (confidence.data == 1.0).all():
            return cls(confidence, (), ())
        lengths = np.diff(confidence.indptr)
        long = np.flatnonzero(lengths > LONG)
        return cls(confidence, tuple(_batch(confidence)), tuple(long.tolist()))

    def solve(self, y: ScoreArray, x: ScoreArray, common: Common, *, steps: int) -> ScoreArray:
        """Improve x by some steps of conjugate gradients; a row without entries becomes 0.

        What all rows' matrices have in common preconditions: each then is the unit matrix and what
        its few entries add, so that two steps go as far as many plain ones.

        Args:
            y: Shape (m, f).
            x: Where to begin, shape (n, f).
            common: Of this y, with λ.
            steps: How many at most; each adds a product with the looked-up y to the first one.
        """
        if not self.batches and not self.long:
            wanted: ScoreArray = (self.confidence @ y).astype(np.float32)
            return cast(ScoreArray, np.linalg.solve(common.matrix, wanted.T).T)
        solved = np.zeros_like(x)
        for batch in self.batches:
            known = np.take(y, batch.columns, axis=0)  # (b, l, f)
            solved[batch.rows] = _descend(batch, known, x[batch.rows], common, steps)
        for row in self.long:
            solved[row] = _solve_long(self.confidence, row, y, common.matrix)
        return solved


def _batch(confidence: SparseArray) -> Iterator[Batch]:
    """Take rows from the longest to the shortest."""
    starts, lengths = confidence.indptr[:-1], np.diff(confidence.indptr)
    order = np.argsort(-lengths, kind="stable")
    order = order[(lengths[order] > 0) & (lengths[order] <= LONG)]
    first = 0
    while first < len(order):
        longest = int(lengths[order[first]])
        rows = order[first : first + max(1, ENTRIES_AT_ONCE // longest)]
        first += len(rows)
        offsets = np.arange(longest)
        inside = offsets < lengths[rows][:, None]  # (b, l)
        entries = np.where(inside, starts[rows][:, None] + offsets, 0)
        yield Batch(
            rows=rows,
            columns=np.where(inside, confidence.indices[entries], 0),
            confidence=np.where(inside, confidence.data[entries], np.float32(0.0)),
        )


def _descend(
    batch: Batch,
    known: ScoreArray,
    x: ScoreArray,
    common: Common,
    steps: int,
) -> ScoreArray:
    """Improve a batch's x, shape (b, f), with its entries' y looked up, shape (b, l, f)."""
    matrix, inverse = common.matrix, common.inverse
    c = batch.confidence
    above = np.where(c > 0, c - np.float32(1.0), np.float32(0.0))
    residual = np.vecmat(c - above * np.matvec(known, x), known) - x @ matrix
    direction = nearer = residual @ inverse
    size = begun = np.vecdot(residual, nearer)
    for left in reversed(range(steps)):
        met = np.matvec(known, direction)  # (b, l)
        ahead = direction @ matrix
        # Where everything is solved already, 0 by 0 is 0.
        curve = np.vecdot(direction, ahead) + np.vecdot(above * met, met)
        step = (size / np.maximum(curve, TINY))[:, None]
        x = x + step * direction
        if not left or (size <= EXACT * begun).all():
            break
        residual = residual - step * (ahead + np.vecmat(above * met, known))
        nearer = residual @ inverse
        new = np.vecdot(residual, nearer)
        direction = nearer + (new / np.maximum(size, TINY))[:, None] * direction
        size = new
    return x


def _solve_long(confidence: SparseArray, row: int, y: ScoreArray, common: ScoreArray) -> ScoreArray:
    """Add up one row's matrix, which begins with the common one, and solve for it."""
    matrix, wanted = common.astype(np.float64), np.zeros(len(common))
    end = confidence.indptr[row + 1]
    for first in range(confidence.indptr[row], end, LONG):
        entries = slice(first, min(first + LONG, end))
        known, c = y[confidence.indices[entries]], confidence.data[entries]
        matrix += (known * (c - np.float32(1.0))[:, None]).T @ known
        wanted += c @ known
    return np.linalg.solve(matrix, wanted).astype(np.float32)
