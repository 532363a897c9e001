"""Groups that were drawn in different ways are joined by what they tell."""

from dataclasses import replace

import numpy as np
import pytest

from recommender.offpolicy.counterfactuals import Log, estimate_values
from recommender.offpolicy.groups import count_by_group

CONTROL, PERSONALISED = 0, 1
RATES = np.array([0.5, 0.1, 0.2])


def test_a_group_by_itself_counts_as_it_is() -> None:
    counts = count_by_group(np.array([1.0, 9.0]), np.array([1.0, 81.0]), np.zeros(2, dtype=int))
    np.testing.assert_array_equal(counts, 1.0)


def test_groups_count_like_the_inverse_of_their_second_moments() -> None:
    group = np.array([0, 0, 0, 1, 1])
    counts = count_by_group(np.zeros(5), np.array([1.0, 2.0, 3.0, 8.0, 8.0]), group)
    assert counts.mean() == pytest.approx(1.0)
    assert counts[0] / counts[-1] == pytest.approx(4.0)


def test_where_only_what_was_drawn_is_known_its_own_weight_stands_for_all() -> None:
    known = count_by_group(np.zeros(4), np.array([4.0, 0.0, 1.0, 1.0]), np.array([0, 0, 1, 1]))
    unknown = count_by_group(
        np.array([2.0, 0.0, 1.0, 1.0]), np.full(4, np.nan), np.array([0, 0, 1, 1])
    )
    np.testing.assert_array_equal(known, unknown)


def test_a_group_without_what_a_policy_wants_says_nothing_of_it() -> None:
    counts = count_by_group(np.zeros(4), np.array([0.0, 0.0, 1.0, 3.0]), np.array([0, 0, 1, 1]))
    np.testing.assert_array_equal(counts, [0.0, 0.0, 2.0, 2.0])
    nowhere = count_by_group(np.zeros(2), np.zeros(2), np.array([0, 1]))
    np.testing.assert_array_equal(nowhere, 1.0)


def draw(rng: np.random.Generator, n: int = 3_000) -> Log:
    """A third are drawn for evenly; the others nearly always get the first offer."""
    group = (rng.random(n) > 1 / 3).astype(np.int64)
    weights = np.where(group[:, None] == CONTROL, 1 / 3, [0.9, 0.05, 0.05])
    action = (rng.random(n)[:, None] > weights.cumsum(axis=1)).sum(axis=1)
    return Log(
        features=np.ones((n, 1)),
        action=action,
        eligible=np.ones((n, 3), dtype=bool),
        weights=weights,
        propensity=weights[np.arange(n), action],
        reward=(rng.random(n) < RATES[action]).astype(float),
        actions=("a", "b", "c"),
        group=group,
    )


@pytest.mark.parametrize("method", ["snips", "dr"])
def test_joined_they_cover_the_truth_and_tell_more_than_counted_alike(method: str) -> None:
    rng, found = np.random.default_rng(3), []
    for _ in range(200):
        log = draw(rng)
        always_b = np.tile([0.0, 1.0, 0.0], (len(log.reward), 1))
        joined, alike = (
            estimate_values({"always b": always_b}, each)[0][method]
            for each in (log, replace(log, group=None))
        )
        width = alike["high"] - alike["low"]
        found.append((joined["estimate"], joined["low"], joined["high"], width))
    estimate, low, high, width = np.array(found).T
    # Variances are as 1 / (s / 3 + (1 - s) / 20) to 3 s + 20 (1 - s), s being the third.
    assert np.mean(high - low) == pytest.approx((6.923 / 14.333) ** 0.5 * width.mean(), rel=0.05)
    covered = np.mean((low <= RATES[1]) & (RATES[1] <= high))
    assert abs(covered - 0.95) < 3 * (0.95 * 0.05 / len(found)) ** 0.5
    assert abs(estimate.mean() - RATES[1]) < 3 * estimate.std() / len(found) ** 0.5


def test_of_a_log_without_the_chances_of_all_offers_groups_are_joined_too() -> None:
    log = draw(np.random.default_rng(3))
    partly = replace(log, weights=np.where(log.group[:, None] == CONTROL, np.nan, log.weights))  # type: ignore[index]
    always_b = np.tile([0.0, 1.0, 0.0], (len(log.reward), 1))
    whole, part = (estimate_values({"b": always_b}, each)[0]["dr"] for each in (log, partly))
    assert part["estimate"] == pytest.approx(whole["estimate"], abs=0.005)
