"""Histories keep their order through every cut."""

from typing import Any

import numpy as np
import pytest

from recommender.interactions.histories import Histories

HISTORIES = Histories.of([[5, 1, 5, 2], [], [3]], n_items=6)


def test_ages_count_from_the_newest() -> None:
    np.testing.assert_array_equal(HISTORIES.ages, [3, 2, 1, 0, 0])
    np.testing.assert_array_equal(HISTORIES.customers, [0, 0, 0, 0, 2])
    assert len(HISTORIES) == 3


def test_cuts_keep_the_customers() -> None:
    without = HISTORIES.without_last(1)
    assert [without.items_of(customer).tolist() for customer in range(3)] == [[5, 1, 5], [], []]
    newest = HISTORIES.newest(2)
    assert [newest.items_of(customer).tolist() for customer in range(3)] == [[5, 2], [], [3]]


def test_customers_come_in_the_order_asked_for() -> None:
    some = HISTORIES.of_customers(np.array([2, 0]))
    assert [some.items_of(row).tolist() for row in range(2)] == [[3], [5, 1, 5, 2]]


def test_an_item_counts_by_its_strongest_event() -> None:
    histories = Histories(
        starts=np.array([0, 3]),
        items=np.array([0, 1, 0]),
        weights=np.array([8.0, 1.0, 1.0]),
        times=np.zeros(3),
        n_items=2,
    )
    np.testing.assert_allclose(histories.profiles(decay=0.5).toarray(), [[2.0, 0.5]])
    np.testing.assert_allclose(histories.counts(), [9.0, 1.0])


def test_profiles_of_nothing_are_empty() -> None:
    assert Histories.of([[], []], n_items=4).profiles().toarray().sum() == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"items": np.array([0, 9])}, "must lie in 0 … 2"),
        ({"weights": np.array([1.0, 0.0])}, "Weights must be above 0"),
        ({"times": np.zeros(3)}, "as many weights and times"),
    ],
)
def test_histories_that_cannot_be_are_refused(change: dict[str, Any], words: str) -> None:
    parts: dict[str, Any] = {
        "starts": np.array([0, 2]),
        "items": np.array([0, 1]),
        "weights": np.ones(2),
        "times": np.zeros(2),
    }
    with pytest.raises(ValueError, match=words):
        Histories(**(parts | change), n_items=3)


@pytest.mark.parametrize("decay", [1.0, 0.7])
def test_a_profile_is_the_strongest_event_of_each_item(decay: float) -> None:
    rng = np.random.default_rng(4)
    lengths = rng.integers(0, 12, 30)
    count = int(lengths.sum())
    histories = Histories(
        starts=np.concatenate([[0], np.cumsum(lengths)]),
        items=rng.integers(0, 9, count),
        weights=rng.choice([0.5, 1.0, 3.0], count),
        times=np.zeros(count),
        n_items=9,
    )
    expected = np.zeros((30, 9))
    for customer in range(30):
        first, end = histories.starts[customer : customer + 2]
        for event in range(first, end):
            item = histories.items[event]
            worth = histories.weights[event] * decay ** (end - 1 - event)
            expected[customer, item] = max(expected[customer, item], worth)
    profiles = histories.profiles(decay=decay)
    np.testing.assert_allclose(profiles.toarray(), expected, rtol=1e-6)
    assert profiles.nnz == np.count_nonzero(expected)


def test_who_has_few_events_keeps_them_all() -> None:
    histories = Histories.of([[1, 2], [], [3]], n_items=4)
    assert histories.newest(2).items.tolist() == [1, 2, 3]
    assert histories.newest(1).items.tolist() == [2, 3]
