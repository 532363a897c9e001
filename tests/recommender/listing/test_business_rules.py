"""Each rule does to a list what it says, and nothing else."""

import math

import numpy as np
import pytest

from recommender.listing.business_rules import (
    Ranked,
    Shelf,
    boost,
    cap_categories,
    diversify,
    leave_out,
    only_in_stock,
    within_prices,
)

RANKED = Ranked(np.array([4, 2, 0, 3, 1]), np.array([0.9, 0.8, 0.6, 0.3, 0.1]))
SHELF = Shelf(
    in_stock=np.array([True, True, False, True, True]),
    category=np.array([7, 7, 7, 8, 7]),
    price=np.array([10.0, 20.0, 30.0, math.nan, 40.0]),
)
NOTHING = Ranked(np.array([], dtype=np.int64), np.array([]))


def items(ranked: Ranked) -> list[int]:
    return [int(item) for item in ranked.items]


def test_what_cannot_be_had_is_not_shown() -> None:
    assert items(only_in_stock(RANKED, SHELF)) == [4, 0, 3, 1]


def test_what_was_seen_or_bought_is_left_out() -> None:
    left = leave_out(RANKED, {4, 3})
    assert items(left) == [2, 0, 1]
    np.testing.assert_array_equal(left.scores, [0.8, 0.6, 0.1])


def test_prices_keep_both_ends_and_need_to_be_known() -> None:
    assert items(within_prices(RANKED, SHELF, low=10, high=30)) == [2, 0, 1]


def test_a_boost_ranks_anew() -> None:
    boosted = boost(RANKED, {1: 9.5, 4: 0.5})
    assert items(boosted) == [1, 2, 0, 4, 3]
    np.testing.assert_allclose(boosted.scores, [0.95, 0.8, 0.6, 0.45, 0.3])


@pytest.mark.parametrize(("scores", "factor"), [([0.5], -1.0), ([-0.5], 1.0)])
def test_a_boost_refuses_negative_numbers(scores: list[float], factor: float) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        boost(Ranked(np.array([0]), np.array(scores)), {0: factor})


def test_each_category_keeps_its_best() -> None:
    assert items(cap_categories(RANKED, SHELF, most=2)) == [4, 2, 3]
    assert items(cap_categories(NOTHING, SHELF, most=2)) == []


VECTORS = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])


def test_a_diverse_list_takes_something_unlike_the_first() -> None:
    assert items(diversify(RANKED, VECTORS, k=3, taste=0.4)) == [4, 3, 2]


def test_taste_alone_keeps_the_order() -> None:
    assert items(diversify(RANKED, VECTORS, k=9, taste=1.0)) == [4, 2, 0, 3, 1]


def test_nothing_stays_nothing() -> None:
    assert items(diversify(NOTHING, VECTORS, k=3, taste=0.5)) == []


def test_equal_scores_can_be_diversified() -> None:
    flat = Ranked(np.array([0, 2, 1]), np.ones(3))
    assert items(diversify(flat, VECTORS, k=2, taste=0.5)) == [0, 1]


def test_taste_is_a_share() -> None:
    with pytest.raises(ValueError, match="Taste must be in"):
        diversify(RANKED, VECTORS, k=2, taste=1.5)
