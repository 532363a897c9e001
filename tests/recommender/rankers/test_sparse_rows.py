"""The strongest entries of rows are kept, and of equal ones the lower columns'."""

import numpy as np
from scipy import sparse

from recommender.rankers.sparse_rows import strongest


def test_each_row_keeps_its_strongest() -> None:
    table = np.array([[0.0, 3.0, -4.0, 1.0], [0.0, 0.0, 2.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    kept = strongest(sparse.csr_array(table.astype(np.float32)), 2).toarray()
    np.testing.assert_array_equal(kept, [[0, 3, -4, 0], [0, 0, 2, 0], [1, 1, 0, 0]])


def test_it_is_what_sorting_keeps() -> None:
    rng = np.random.default_rng(2)
    table = rng.integers(-5, 6, size=(30, 40)).astype(np.float32)
    kept = strongest(sparse.csr_array(table), 7).toarray()
    for row in range(30):
        order = np.lexsort((np.arange(40), -np.abs(table[row])))[:7]
        expected = np.zeros(40)
        expected[order] = table[row][order]
        np.testing.assert_array_equal(kept[row], expected)
