"""Hold a sparse matrix some of whose rows are nearly full, so that products with it are fast."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import sparse

from recommender.arrays import IntArray, ScoreArray, SparseArray

# A cell of a full row costs about an eighth of an entry of a sparse one.
FULL = 1 / 8
# So many columns of 4,000 rows, or fewer of more, go through a core's cache.
COLUMNS_AT_ONCE = 256
# So many entries of sparse rows are copied at once, or one customer's.
ENTRIES_AT_ONCE = 2**18


@dataclass(frozen=True, slots=True, eq=False)
class MixedRows:
    """A matrix whose fuller rows are dense blocks of columns.

    Attributes:
        source: The matrix itself.
        full: Which of its rows are dense, rising.
        blocks: Their columns, some at a time, each of shape (len(full), w).
        rest: The other rows, and nothing where a row is dense, of the shape of all.
    """

    source: SparseArray
    full: IntArray
    blocks: tuple[ScoreArray, ...]
    rest: SparseArray

    @classmethod
    def of(cls, matrix: SparseArray) -> Self:
        """Take the fuller rows apart."""
        n, m = matrix.shape
        lengths = np.diff(matrix.indptr)
        is_full = lengths > FULL * m
        full = np.flatnonzero(is_full)
        dense = matrix[full].toarray() if len(full) else np.empty((0, m), np.float32)
        kept = ~np.repeat(is_full, lengths)
        starts = np.concatenate([[0], np.cumsum(np.where(is_full, 0, lengths))])
        rest = (matrix.data[kept], matrix.indices[kept], starts.astype(matrix.indptr.dtype))
        return cls(
            source=matrix,
            full=full,
            blocks=tuple(
                np.ascontiguousarray(dense[:, first : first + COLUMNS_AT_ONCE])
                for first in range(0, m if len(full) else 0, COLUMNS_AT_ONCE)
            ),
            rest=sparse.csr_array(rest, shape=(n, m)),
        )

    def product(self, left: SparseArray) -> ScoreArray:
        """Multiply, (b, n) by (n, m) to (b, m), as an array of its own."""
        scores = np.empty((left.shape[0], self.rest.shape[1]), dtype=np.float32)
        if self.rest.nnz:
            self._add_up(left, scores)
        else:
            scores[:] = 0.0
        if len(self.full):
            weights = left if len(self.full) == left.shape[1] else left[:, self.full]
            for place, block in enumerate(self.blocks):
                first = place * COLUMNS_AT_ONCE
                scores[:, first : first + block.shape[1]] += weights @ block
        return scores

    def _add_up(self, left: SparseArray, scores: ScoreArray) -> None:
        """Write the product with the rest into scores.

        The rows that are asked for are copied one after the other, and added up where they belong
        as if they were the entries of one matrix, which takes less than half of a sparse product.
        """
        lengths = np.diff(self.rest.indptr)[left.indices].astype(np.int64)
        ends = np.concatenate([[0], np.cumsum(lengths)])[left.indptr]  # (b + 1,)
        first = 0
        while first < len(scores):
            last = int(np.searchsorted(ends, ends[first] + ENTRIES_AT_ONCE, side="right")) - 1
            last = max(last, first + 1)
            asked = slice(left.indptr[first], left.indptr[last])
            rows = self.rest[left.indices[asked]]
            data = rows.data * np.repeat(left.data[asked], lengths[asked])
            starts = (ends[first : last + 1] - ends[first]).astype(rows.indptr.dtype)
            some = sparse.csr_array(
                (data, rows.indices, starts), shape=(last - first, scores.shape[1])
            )
            some.toarray(out=scores[first:last])  # which adds up entries of the same cell
            first = last
