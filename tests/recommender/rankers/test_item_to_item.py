"""Markov, item-kNN and EASE do what their formulas say."""

import itertools
import math

import numpy as np
import pytest

from recommender.arrays import FloatArray
from recommender.interactions.histories import Histories
from recommender.rankers import ease
from recommender.rankers.ease import Ease
from recommender.rankers.item_knn import ItemKnn
from recommender.rankers.markov import Markov

LISTS = [[0, 1, 2, 3], [1, 2, 0], [3, 1], [2, 3, 1, 0], [0]]
HISTORIES = Histories.of(LISTS, n_items=5)


def count_followers(lags: int, power: float) -> FloatArray:
    counts = np.zeros((5, 5))
    for each in LISTS:
        for i, j in itertools.combinations(range(len(each)), 2):
            if j - i <= lags:
                counts[each[i], each[j]] += (j - i) ** -power
    return counts


def test_markov_divides_faded_counts_by_their_shrunk_sum() -> None:
    counts = count_followers(lags=2, power=1.0)
    ranker = Markov(lags=2, shrinkage=5.0).fit(HISTORIES)
    expected = counts / (counts.sum(axis=1, keepdims=True) + 5.0)
    np.testing.assert_allclose(ranker.leads.toarray(), expected, rtol=1e-6)


def test_markov_adds_rows_newest_first() -> None:
    ranker = Markov(lags=2, decay=0.8, last=2).fit(HISTORIES)
    leads = ranker.leads.toarray()
    scores = ranker.score(Histories.of([[4, 1, 2]], n_items=5))
    np.testing.assert_allclose(scores[0], leads[2] + 0.8 * leads[1], rtol=1e-6)


def test_markov_may_count_what_came_before() -> None:
    counts = count_followers(lags=3, power=0.5)
    both = counts + 0.5 * counts.T
    ranker = Markov(lags=3, lag_power=0.5, shrinkage=1.0, backward=0.5).fit(HISTORIES)
    expected = both / (both.sum(axis=1, keepdims=True) + 1.0)
    np.testing.assert_allclose(ranker.leads.toarray(), expected, rtol=1e-6)


def test_markov_counts_an_event_by_its_weight_and_never_itself() -> None:
    histories = Histories(
        starts=np.array([0, 3]),
        items=np.array([0, 0, 1]),
        weights=np.array([1.0, 1.0, 4.0]),
        times=np.zeros(3),
        n_items=2,
    )
    ranker = Markov(lags=1, shrinkage=0.5).fit(histories)
    np.testing.assert_allclose(ranker.leads.toarray(), np.array([[0.0, 4 / 4.5], [0.0, 0.0]]))


def test_item_knn_is_a_shrunk_cosine_of_the_nearest() -> None:
    x = HISTORIES.profiles().toarray()
    expected = np.zeros((5, 5))
    for i, j in itertools.permutations(range(5), 2):
        together = float(x[:, i] @ x[:, j])
        expected[i, j] = together / (math.sqrt(x[:, i].sum() * x[:, j].sum()) + 5.0)
    ranker = ItemKnn(neighbours=10, shrinkage=5.0).fit(HISTORIES)
    np.testing.assert_allclose(ranker.leads.toarray(), expected, rtol=1e-6)
    nearest = ItemKnn(neighbours=1, shrinkage=5.0).fit(HISTORIES).leads.toarray()
    for item in range(4):
        kept = np.flatnonzero(nearest[:, item])
        assert kept.tolist() == [int(expected[:, item].argmax())]


def test_ease_solves_its_ridge_regressions() -> None:
    x = HISTORIES.profiles().toarray().astype(float)
    weights = Ease(penalty=2.0).fit(HISTORIES).leads.toarray()
    np.testing.assert_array_equal(np.diag(weights), 0.0)
    for item in range(5):
        others = [other for other in range(5) if other != item]
        known = x[:, others]
        solved = np.linalg.solve(known.T @ known + 2.0 * np.eye(4), known.T @ x[:, item])
        np.testing.assert_allclose(weights[others, item], solved, atol=1e-6)


def test_ease_keeps_the_strongest_weights_of_each_item() -> None:
    whole = Ease(penalty=2.0).fit(HISTORIES).leads.toarray()
    kept = Ease(penalty=2.0, neighbours=2).fit(HISTORIES).leads.toarray()
    for item in range(4):
        strongest = set(np.argsort(-np.abs(whole[:, item]))[:2].tolist())
        assert set(np.flatnonzero(kept[:, item]).tolist()) == strongest


def test_ease_refuses_more_items_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ease, "MOST_ITEMS", 4)
    with pytest.raises(ValueError, match="takes 4 items at most, not 5"):
        Ease().fit(HISTORIES)
