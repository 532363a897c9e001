"""Checks: against the binomial distribution itself, and what they let pass."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.calibration.promises import Check, Promise, Row
from experiments.calibration.tallies import Followed, Place, Tally


def row(promise: Promise = "exactly", *, stated: float = 0.05, **counts: int) -> Row:
    """A thousand experiments of either kind that keep all promises, but for these counts."""
    good = {
        "up": 25,
        "down": 25,
        "difference_below": 25,
        "difference_above": 25,
        "lift_below": 25,
        "lift_above": 25,
    }
    tally = Tally(runs=1000, compared=1000, differences=1000, lifts=1000, **{**good, **counts})
    return Row("mean", "healthy", "none", "rule", promise, tally, tally, stated)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_check_is_two_one_sided_binomial_tests(count: tuple[int, int]) -> None:
    seen, of = count
    fewer = stats.binom.cdf(seen, of, 0.04) >= 0.005
    more = stats.binom.sf(seen - 1, of, 0.06) >= 0.005
    assert Check("misses", seen, of, 0.04, 0.06).is_kept == (fewer and more)


def test_a_promise_at_its_bound_is_broken_by_chance_in_one_of_a_hundred() -> None:
    counts = np.arange(1001)
    broken = [not Check("x", int(count), 1000, 0.05, 0.05).is_kept for count in counts]
    assert 0.005 < stats.binom.pmf(counts, 1000, 0.05)[broken].sum() < 0.01


def test_nothing_seen_breaks_no_promise() -> None:
    assert Check("misses", 0, 0, 0.04, 0.06).is_kept


def test_a_row_that_keeps_all_promises_breaks_none() -> None:
    assert row().broken == []


@pytest.mark.parametrize(
    ("counts", "broken"),
    [
        ({"up": 50}, ["false positives"]),
        ({"up": 5}, ["false positives"]),
        ({"lift_below": 60}, ["lift covered"]),
        ({"difference_below": 5, "difference_above": 5}, ["difference covered"]),
        ({"difference_below": 48, "difference_above": 2}, ["difference missed on both sides"]),
        ({"lift_below": 1, "lift_above": 49}, ["lift missed on both sides"]),
    ],
)
def test_a_broken_promise_is_named(counts: dict[str, int], broken: list[str]) -> None:
    assert row("exactly", **counts).broken == broken


def test_who_promises_at_most_may_have_fewer() -> None:
    few = {"up": 2, "down": 1, "difference_below": 3, "difference_above": 2}
    assert row("at most", **few, lift_below=2, lift_above=2).broken == []
    assert row("at most", up=50).broken == ["false positives"]


def test_who_states_an_error_is_held_to_it() -> None:
    assert row("as stated", stated=0.2, up=100, down=100).broken == []
    assert row("as stated", stated=0.2).broken == ["false positives"]


def followed(place: Place | None) -> Followed:
    return Followed("up", place, place)


def test_tallies_add_up() -> None:
    tally = sum(
        map(Tally.of, [None, followed(None), followed("below"), followed("around")]), Tally()
    )
    assert tally == Tally(
        runs=4, compared=3, up=3, differences=2, difference_below=1, lifts=2, lift_below=1
    )
    assert tally.called == 3
