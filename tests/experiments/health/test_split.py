"""Splits of customers: scipy as the oracle with one phase, simulation with several."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.health.split import Split
from tests.experiments.health.contexts import make_phase

arms = st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 5000)), min_size=2, max_size=4)


@given(arms)
def test_one_phase_is_pearsons_chi_square(arms: list[tuple[int, int]]) -> None:
    counts = np.array([count for _, count in arms])
    weights = np.array([weight for weight, _ in arms])
    expected = counts.sum() * weights / weights.sum()
    oracle = stats.chisquare(counts, expected)
    chi2, df, p_value = Split.of([make_phase(*arms)]).test()
    assert chi2 == pytest.approx(oracle.statistic, rel=1e-7)
    assert df == len(arms) - 1
    assert p_value == pytest.approx(oracle.pvalue, rel=1e-5)


def test_the_measured_example_has_the_p_value_without_the_empty_arm() -> None:
    # With a third arm counted in, p would be .135 and the test blunt.
    chi2, df, p_value = Split.of([make_phase((5000, 5100), (5000, 4900), (0, 0))]).test()
    assert chi2 == pytest.approx(4.0)
    assert df == 1
    assert p_value == pytest.approx(0.0455, abs=5e-5)


@given(arms)
def test_each_arm_against_the_rest_is_a_binomial(arms: list[tuple[int, int]]) -> None:
    split = Split.of([make_phase(*arms)])
    n = sum(count for _, count in arms)
    for p_value, (weight, count) in zip(split.p_values(), arms, strict=True):
        share = weight / sum(weight for weight, _ in arms)
        z = (count - n * share) / np.sqrt(n * share * (1 - share))
        assert p_value == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-9)


def test_a_phase_with_one_arm_says_nothing() -> None:
    ramp = make_phase((10_000, 70_000), (0, 0))
    even = make_phase((5000, 5100), (5000, 4900))
    assert Split.of([ramp, even]).test() == Split.of([even]).test()
    assert Split.of([ramp]).least_expected == 0.0


def test_arms_that_come_and_go_are_counted_while_they_are_there() -> None:
    split = Split.of([make_phase((5000, 10), (5000, 20)), make_phase((0, 0), (2500, 5), (2500, 9))])
    assert split.labels == ("A", "B", "C")
    assert split.counted.tolist() == [10, 25, 9]
    assert split.expected.tolist() == [15, 22, 7]


def test_over_phases_of_different_weights_p_values_are_uniform() -> None:
    """1,000 experiments of three arms and three phases, by Kolmogorov & Smirnov."""
    rng = np.random.default_rng(8)
    weights = [(9000, 500, 500), (5000, 2500, 2500), (0, 5000, 5000)]
    p_values = [
        Split.of(
            [
                make_phase(*zip(w, rng.multinomial(n, np.array(w) / 10_000).tolist(), strict=True))
                for w, n in zip(weights, (4000, 1000, 2000), strict=True)
            ]
        ).test()[2]
        for _ in range(1000)
    ]
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def test_a_part_and_the_rest_make_the_whole() -> None:
    part = Split.of([make_phase((5000, 40), (5000, 60)), make_phase((2000, 10), (8000, 20))])
    rest = Split.of([make_phase((5000, 80), (5000, 70)), make_phase((2000, 50), (8000, 90))])
    whole = Split.of([make_phase((5000, 120), (5000, 130)), make_phase((2000, 60), (8000, 110))])
    left = whole.without(part)
    assert left.customers == rest.customers
    assert left.test() == pytest.approx(rest.test())


def test_two_parts_differ_as_two_shares_do() -> None:
    # z of two binomial shares whose variances are known from the plan.
    one = Split.of([make_phase((5000, 450), (5000, 550))])
    other = Split.of([make_phase((5000, 2000), (5000, 2000))])
    z = (0.45 - 0.5) / np.sqrt(0.25 / 1000 + 0.25 / 4000)
    assert one.differs_from(other) == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-9)


def test_parts_of_other_arms_cannot_be_taken_away() -> None:
    whole = Split.of([make_phase((5000, 10), (5000, 20))])
    part = Split.of([make_phase((5000, 1), (2500, 2), (2500, 3))])
    with pytest.raises(ValueError, match="the part has arms"):
        whole.without(part)
