"""A matrix with full and sparse rows multiplies as any other."""

import numpy as np
import pytest
from scipy import sparse

from recommender.arrays import SparseArray
from recommender.interactions.histories import Histories
from recommender.rankers import mixed_rows
from recommender.rankers.item_knn import ItemKnn
from recommender.rankers.mixed_rows import MixedRows

N, M = 30, 37


def draw(rng: np.random.Generator, rows: int, columns: int, fill: float) -> SparseArray:
    cells = rng.normal(size=(rows, columns)) * (rng.random((rows, columns)) < fill)
    return sparse.csr_array(cells.astype(np.float32))


def make_matrix(rng: np.random.Generator, kind: str) -> SparseArray:
    full, thin = draw(rng, N, M, 0.8), draw(rng, N, M, 0.02)
    if kind == "full":
        return full
    if kind == "thin":
        return thin
    rows = [(full if row % 3 == 0 else thin)[[row]] for row in range(N)]
    return sparse.csr_array(sparse.vstack(rows))


@pytest.mark.parametrize("kind", ["full", "thin", "mixed"])
@pytest.mark.parametrize("at_once", [1, 20, 10_000])
def test_a_product_is_that_of_dense_matrices(
    kind: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixed_rows, "COLUMNS_AT_ONCE", 10)
    monkeypatch.setattr(mixed_rows, "ENTRIES_AT_ONCE", at_once)
    rng = np.random.default_rng(2)
    matrix, left = make_matrix(rng, kind), draw(rng, 12, N, 0.3)
    mixed = MixedRows.of(matrix)
    assert {"full": N, "thin": 0, "mixed": N // 3}[kind] == len(mixed.full)
    product = mixed.product(left)
    expected = left.toarray().astype(float) @ matrix.toarray().astype(float)
    np.testing.assert_allclose(product, expected, atol=1e-5)
    assert product.dtype == np.float32


def test_who_did_nothing_scores_nothing() -> None:
    mixed = MixedRows.of(make_matrix(np.random.default_rng(3), "mixed"))
    nobody = draw(np.random.default_rng(4), 5, N, 0.0)
    np.testing.assert_array_equal(mixed.product(nobody), np.zeros((5, M)))
    assert mixed.product(draw(np.random.default_rng(4), 0, N, 0.0)).shape == (0, M)


def test_a_ranker_that_learned_anew_scores_by_what_it_learned_last() -> None:
    asked = Histories.of([[0], [2]], n_items=4)
    ranker = ItemKnn(shrinkage=0.0).fit(Histories.of([[0, 1], [2, 3]], n_items=4))
    np.testing.assert_allclose(ranker.score(asked), [[0, 1, 0, 0], [0, 0, 0, 1]])
    ranker.fit(Histories.of([[0, 3], [2, 1]], n_items=4))
    np.testing.assert_allclose(ranker.score(asked), [[0, 0, 0, 1], [0, 1, 0, 0]])
