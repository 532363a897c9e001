"""Arms drawn by hash: GrowthBook's cases, the laws of the draw, and its evenness."""

from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import chi2

from experiments.assigning.assignment import (
    BUCKETS,
    assign,
    bucket_of,
    choose,
    hash_v2,
    quantise,
    quantise_many,
    ranges,
)

Cases = dict[str, list[Any]]

# Of a chi-square test that must not fail by accident: once in a billion keys.
RARE = 1e-9

weights_of_arms = st.lists(st.integers(0, BUCKETS), min_size=1, max_size=8).filter(
    lambda weights: sum(weights) <= BUCKETS
)
shares = st.lists(st.one_of(st.just(0.0), st.floats(1e-12, 1.0)), min_size=1, max_size=60).filter(
    lambda values: sum(values) > 0
)


def to_buckets(spans: list[list[float]]) -> tuple[tuple[int, int], ...]:
    return tuple((round(start * BUCKETS), round(end * BUCKETS)) for start, end in spans)


def test_hash_matches_growthbook(growthbook_cases: Cases) -> None:
    # Version 1 and unknown versions are left out: never hash v1 (see the module's docstring).
    version_2 = [case for case in growthbook_cases["hash"] if case[2] == 2]
    assert len(version_2) >= 7
    for seed, value, _, expected in version_2:
        assert hash_v2(seed, value) == expected


def test_choice_matches_growthbook(growthbook_cases: Cases) -> None:
    for name, place, spans, expected in growthbook_cases["chooseVariation"]:
        chosen = choose(round(place * BUCKETS), to_buckets(spans))
        assert chosen == (None if expected == -1 else expected), name


def test_ranges_match_growthbook(growthbook_cases: Cases) -> None:
    # Left out: the cases in which GrowthBook mends a coverage beyond 0 and 1, and weights that fit
    # neither the arms nor 1, which we refuse.
    checked = 0
    for name, (arms, coverage, weights), expected in growthbook_cases["getBucketRange"]:
        weights = weights or [1 / arms] * arms
        if not 0 <= coverage <= 1 or len(weights) != arms or not 0.99 <= sum(weights) <= 1:
            continue
        laid = ranges([round(w * BUCKETS) for w in weights], round(coverage * BUCKETS))
        assert laid == to_buckets(expected), name
        checked += 1
    assert checked == 8


def test_text_is_hashed_by_its_utf_16_units() -> None:
    def fnv(units: list[int]) -> int:
        state = 2166136261
        for unit in units:
            state = (state ^ unit) * 16777619 % 2**32
        return state

    # What `charCodeAt` says of né😀日本 in JavaScript.
    first = fnv([110, 233, 55357, 56832, 26085, 26412])
    assert bucket_of("né", "😀日本") == fnv(list(str(first).encode())) % BUCKETS


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_hash_is_its_bucket_as_a_share(seed: str, value: str) -> None:
    assert 0 <= bucket_of(seed, value) < BUCKETS
    assert hash_v2(seed, value) * BUCKETS == pytest.approx(bucket_of(seed, value), abs=1e-9)


@given(weights_of_arms)
def test_ranges_have_the_widths_of_the_weights_without_gap(weights: list[int]) -> None:
    laid = ranges(weights)
    assert [end - start for start, end in laid] == weights
    assert [start for start, _ in laid] == [0, *(end for _, end in laid[:-1])]


@given(weights_of_arms)
def test_every_bucket_goes_to_one_arm_or_to_none(weights: list[int]) -> None:
    laid = ranges(weights)
    edges = {edge for span in laid for edge in span} | {BUCKETS - 1}
    for bucket in (bucket for edge in edges for bucket in (edge - 1, edge) if bucket >= 0):
        holding = [index for index, (start, end) in enumerate(laid) if start <= bucket < end]
        assert len(holding) <= 1
        assert choose(bucket, laid) == (holding[0] if holding else None)


@given(weights_of_arms, st.integers(0, BUCKETS), st.integers(0, BUCKETS))
def test_more_traffic_only_adds_customers_and_moves_nobody(
    weights: list[int], some: int, more: int
) -> None:
    some, more = sorted([some, more])
    for (start, end), (later_start, later_end), weight in zip(
        ranges(weights, some), ranges(weights, more), weights, strict=True
    ):
        assert start == later_start
        assert end <= later_end <= start + weight


@given(weights_of_arms, st.integers(0, BUCKETS))
def test_traffic_is_the_share_of_every_arm_that_is_used(weights: list[int], traffic: int) -> None:
    for (start, end), weight in zip(ranges(weights, traffic), weights, strict=True):
        assert 0 <= weight * traffic / BUCKETS - (end - start) < 1


@pytest.mark.parametrize("traffic", [-1, BUCKETS + 1])
def test_impossible_traffic_is_refused(traffic: int) -> None:
    with pytest.raises(ValueError, match="traffic must be"):
        ranges([5000, 5000], traffic)


def test_with_half_the_traffic_half_of_each_arm_takes_part() -> None:
    keys = [str(i) for i in range(2000)]
    full = [assign("ramp", key, [5000, 5000]) for key in keys]
    half = [assign("ramp", key, [5000, 5000], 5000) for key in keys]
    assert all(arm in (None, later) for arm, later in zip(half, full, strict=True))
    # Five standard errors of a share of one half.
    assert abs(half.count(None) / len(keys) - 0.5) < 5 * (0.25 / len(keys)) ** 0.5


@pytest.mark.parametrize("weights", [[-1, 5], [6000, 4001]])
def test_impossible_weights_are_refused(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="weights must be"):
        ranges(weights)


def test_assignment_is_the_range_that_holds_the_bucket() -> None:
    assert hash_v2("seed", "a") == 0.0505
    assert assign("seed", "a", [505, 1, 9000]) == 1
    assert assign("seed", "a", [505]) is None


def test_customers_spread_evenly_over_the_buckets() -> None:
    # Sequential keys are the hardest for a weak hash. 100 cells of 100 buckets each.
    n = 50_000
    counts = Counter(bucket_of("spread", f"customer-{i}") // 100 for i in range(n))
    statistic = sum((counts[cell] - n / 100) ** 2 / (n / 100) for cell in range(100))
    assert statistic < chi2.isf(RARE, 99)


def test_two_experiments_assign_independently() -> None:
    n = 40_000
    table = np.zeros((4, 4))
    for i in range(n):
        table[bucket_of("exp-1", str(i)) // 2500, bucket_of("exp-2", str(i)) // 2500] += 1
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / n
    assert ((table - expected) ** 2 / expected).sum() < chi2.isf(RARE, 9)


def test_arms_get_their_weights() -> None:
    n, weights = 40_000, [1000, 3000, 5000]
    counts = Counter(assign("weights", str(i), weights) for i in range(n))
    for arm, weight in enumerate(weights):
        share = weight / BUCKETS
        # Four standard errors, for three arms: false alarm below once in 5,000 keys.
        assert counts[arm] / n == pytest.approx(share, abs=4 * (share * (1 - share) / n) ** 0.5)


@given(shares)
def test_quantised_probabilities_fill_the_buckets_and_keep_what_is_possible(
    values: list[float],
) -> None:
    p = np.array(values) / np.sum(values)
    assume(np.all((p > 0) == (np.array(values) > 0)))
    buckets = quantise(p)
    assert buckets.sum() == BUCKETS
    assert np.array_equal(buckets > 0, p > 0)
    assert buckets.dtype == np.int64


@given(shares)
def test_a_likelier_arm_never_gets_fewer_buckets(values: list[float]) -> None:
    p = np.array(values) / np.sum(values)
    buckets = quantise(p)
    order = np.argsort(p, kind="stable")
    # Equal within rounding counts as equal: which of the two comes first is then open.
    for low, high in pairwise(order):
        assert buckets[low] <= buckets[high] or p[high] - p[low] < 1e-15


@given(
    st.integers(1, 20).flatmap(
        lambda size: st.lists(
            st.lists(
                st.one_of(st.just(0.0), st.floats(1e-12, 1.0)), min_size=size, max_size=size
            ).filter(lambda values: sum(values) > 0),
            min_size=1,
            max_size=5,
        )
    )
)
def test_many_are_quantised_as_each_is(rows: list[list[float]]) -> None:
    p = np.array(rows) / np.sum(rows, axis=1, keepdims=True)
    assert quantise_many(p).tolist() == [quantise(row).tolist() for row in p]


def test_who_has_less_than_a_bucket_among_many_gets_one_and_what_is_wrong_is_refused() -> None:
    small = np.array([[0.5, 0.5], [1e-9, 1 - 1e-9]])
    assert quantise_many(small).tolist() == [[5000, 5000], [1, 9999]]
    with pytest.raises(ValueError, match="sum to 1"):
        quantise_many(np.array([[0.5, 0.5], [-0.5, 1.5]]))


@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=60))
def test_quantising_errs_by_less_than_one_bucket(values: list[float]) -> None:
    p = np.array(values) / np.sum(values)
    assume(np.all(p * BUCKETS >= 1))
    assert np.all(np.abs(quantise(p) - p * BUCKETS) < 1 + 1e-9)


@given(weights_of_arms.filter(lambda weights: sum(weights) > 0))
def test_whole_buckets_stay_as_they_are(weights: list[int]) -> None:
    full = [*weights, BUCKETS - sum(weights)]
    assert quantise(np.array(full) / BUCKETS).tolist() == full


def test_remainders_decide_who_gets_the_last_buckets() -> None:
    assert quantise(np.array([1, 1, 1]) / 3).tolist() == [3334, 3333, 3333]
    assert quantise(np.array([0.50004, 0.49996])).tolist() == [5000, 5000]
    # Shares of 3333.6, 3333.7 and 3332.7 buckets.
    assert quantise(np.array([0.33336, 0.33337, 0.33327])).tolist() == [3333, 3334, 3333]


def test_rare_arms_take_their_bucket_from_the_common_ones() -> None:
    rare = np.full(5000, 1e-9)
    p = np.concatenate([[1 - rare.sum()], rare])
    assert quantise(p).tolist() == [5000, *[1] * 5000]
    # Fixing the first rare arms pushes the 1.5-bucket arms below one in the second round.
    q = np.array([1e-7] * 9000 + [1.5e-4] * 900)
    q = np.append(q, 1 - q.sum())
    assert quantise(q).sum() == BUCKETS
    assert quantise(q).min() == 1


@pytest.mark.parametrize(
    "probabilities",
    [[0.5, 0.4], [1.5, -0.5], [np.nan, 1.0], [], [[1.0]], [np.inf]],
    ids=["short", "negative", "nan", "empty", "matrix", "infinite"],
)
def test_what_is_no_probability_is_refused(probabilities: list[float]) -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        quantise(np.array(probabilities))


def test_more_possible_arms_than_buckets_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 10000 arms"):
        quantise(np.full(BUCKETS + 1, 1 / (BUCKETS + 1)))
