"""Do to sparse matrices what rankers need: scale their rows, and keep the strongest entries."""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recommender.arrays import ScoreArray, SparseArray


def strongest(matrix: SparseArray, k: int) -> SparseArray:
    """Keep each row's k entries furthest from 0; of equal ones, the lower column's."""
    kept = np.ones(len(matrix.data), dtype=bool)
    for row in np.flatnonzero(np.diff(matrix.indptr) > k):
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        size = np.abs(matrix.data[part])
        least = np.partition(size, -k)[-k]
        kept[part] = size >= least
        spare = np.count_nonzero(kept[part]) - k
        if spare:
            equal = np.flatnonzero(size == least)
            by_column = equal[np.argsort(matrix.indices[part][equal])]
            kept[part.start + by_column[-spare:]] = False
    counts = np.concatenate([[0], np.cumsum(kept)]).astype(matrix.indptr.dtype)
    entries = (matrix.data[kept], matrix.indices[kept], counts[matrix.indptr])
    strong: SparseArray = sparse.csr_array(entries, shape=matrix.shape)
    strong.sort_indices()
    return strong


def without_zeros(matrix: ScoreArray) -> SparseArray:
    """Keep what is not 0 of a dense matrix."""
    kept = matrix != 0
    starts = np.concatenate([[0], np.cumsum(np.count_nonzero(kept, axis=1))])
    columns = np.flatnonzero(kept) % matrix.shape[1]
    return sparse.csr_array((matrix[kept], columns, starts), shape=matrix.shape)


def without_self(matrix: SparseArray) -> SparseArray:
    """Leave out the diagonal."""
    rows = rows_of(matrix)
    other = rows != matrix.indices
    cells = (matrix.data[other].astype(np.float32), (rows[other], matrix.indices[other]))
    return sparse.csr_array(cells, shape=matrix.shape)


def scale_rows(matrix: SparseArray, factors: npt.NDArray[np.floating]) -> SparseArray:
    """Multiply each row by a number, shape (n,)."""
    data = matrix.data * np.repeat(factors, np.diff(matrix.indptr)).astype(np.float32)
    return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def row_sums(matrix: SparseArray) -> ScoreArray:
    """Add up each row, shape (n,)."""
    sums = np.bincount(rows_of(matrix), weights=matrix.data, minlength=matrix.shape[0])
    return sums.astype(np.float32)


def column_sums(matrix: SparseArray) -> ScoreArray:
    """Add up each column, shape (m,)."""
    sums = np.bincount(matrix.indices, weights=matrix.data, minlength=matrix.shape[1])
    return sums.astype(np.float32)


def squared(matrix: SparseArray) -> SparseArray:
    """Square every entry."""
    return sparse.csr_array((matrix.data**2, matrix.indices, matrix.indptr), shape=matrix.shape)


def marks(matrix: SparseArray) -> SparseArray:
    """Put 1 in the place of every entry."""
    ones = np.ones_like(matrix.data)
    return sparse.csr_array((ones, matrix.indices, matrix.indptr), shape=matrix.shape)


def rows_of(matrix: SparseArray) -> npt.NDArray[np.int64]:
    """Say in which row each stored entry is."""
    return np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
