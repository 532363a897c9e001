"""Measures of slates agree with the numbers that one works out by hand."""

import math

import numpy as np
import pytest

from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts
from recommender.judging import rank_metrics

SLATES = np.array([[3, 1, 0], [2, 0, -1]])
ANSWERS = Histories.of([[1, 0, 4], [3]], n_items=5)
FOUND = rank_metrics.hits(SLATES, ANSWERS)


def test_hits_are_of_the_same_customer() -> None:
    np.testing.assert_array_equal(FOUND, [[False, True, True], [False, False, False]])


def test_an_empty_place_hits_nothing() -> None:
    # The last item of the customer before would have this number.
    found = rank_metrics.hits(np.array([[0], [-1]]), Histories.of([[4], [1]], n_items=5))
    assert not found.any()


def test_gain_is_a_part_of_the_best_possible() -> None:
    gain = rank_metrics.ndcg(FOUND, ANSWERS.lengths)
    best = 1 + 1 / math.log2(3) + 1 / 2
    np.testing.assert_allclose(gain, [(1 / math.log2(3) + 1 / 2) / best, 0.0])


def test_recall_rank_and_precision() -> None:
    np.testing.assert_allclose(rank_metrics.recall(FOUND, ANSWERS.lengths), [2 / 3, 0])
    np.testing.assert_allclose(rank_metrics.reciprocal_rank(FOUND), [1 / 2, 0])
    precision = rank_metrics.average_precision(FOUND, ANSWERS.lengths)
    np.testing.assert_allclose(precision, [(1 / 2 + 2 / 3) / 3, 0])


def test_more_answers_than_places_can_still_be_met_fully() -> None:
    found = np.ones((1, 2), dtype=bool)
    assert rank_metrics.ndcg(found, np.array([7]))[0] == pytest.approx(1.0)
    assert rank_metrics.average_precision(found, np.array([7]))[0] == pytest.approx(1.0)


def test_coverage_counts_what_anybody_is_shown() -> None:
    assert rank_metrics.coverage(SLATES, 5) == pytest.approx(4 / 5)


def test_novelty_is_surprise_in_bits() -> None:
    counts = np.array([4.0, 2.0, 2.0, 0.0, 0.0])
    bits = rank_metrics.novelty(SLATES, counts)
    np.testing.assert_allclose(bits, [(3 + 2 + 1) / 3, (2 + 1) / 2])


def test_popularity_is_held_against_what_customers_meet() -> None:
    counts = np.array([4.0, 2.0, 2.0, 6.0, 1.0])
    asked = Histories.of([[1, 2], [4]], n_items=5)
    lift = rank_metrics.popularity_lift(SLATES, asked, counts)
    assert lift == pytest.approx(((6 + 2 + 4) / 3 + 3) / 2 / ((2 + 1) / 2) - 1)


def test_popularity_of_newcomers_is_held_against_nothing() -> None:
    asked = Histories.of([[], []], n_items=5)
    assert rank_metrics.popularity_lift(SLATES, asked, np.ones(5)) == 0.0


FACTS = ItemFacts.of([["a"], ["a"], ["b"], ["a", "b"], []])


def test_diversity_is_one_less_the_mean_cosine() -> None:
    diversity = rank_metrics.diversity(np.array([[0, 1, 3], [0, 2, -1], [0, -1, -1]]), FACTS)
    like = (1 + math.sqrt(0.5) + math.sqrt(0.5)) / 3
    np.testing.assert_allclose(diversity, [1 - like, 1.0, 0.0], rtol=1e-5)


def test_a_slate_with_the_history_s_mix_is_calibrated() -> None:
    asked = Histories.of([[0, 2], [0], []], n_items=5)
    far = rank_metrics.miscalibration(np.array([[3, -1], [2, 2], [0, 2]]), asked, FACTS)
    # Of two attributes in halves, only the other half is shown: ln(1 / 0.01).
    np.testing.assert_allclose(far, [0.0, math.log(100), 0.0], atol=1e-6)
