"""Sample ratio mismatch: scipy and real experiments, phases, looks, and error by simulation."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.health.base import HealthContext, Segment
from experiments.health.srm import check_sample_ratio
from tests.experiments.health.contexts import make_context, make_phase

PER_DAY, DAYS = 2000, 28


@given(
    st.lists(st.tuples(st.integers(1, 3000), st.integers(0, 5000)), min_size=2, max_size=3).filter(
        lambda arms: sum(count for _, count in arms) > 0
    )
)
def test_sample_ratio_agrees_with_scipy(arms: list[tuple[int, int]]) -> None:
    counts = [count for _, count in arms]
    total = sum(weight for weight, _ in arms)
    expected = [sum(counts) * weight / total for weight, _ in arms]
    oracle = stats.chisquare(counts, expected)
    finding = check_sample_ratio(make_context(*arms))
    if min(expected) < 5 or oracle.pvalue >= 0.01:
        assert finding is None
    else:
        assert finding is not None
        assert finding.severity == ("blocking" if oracle.pvalue < 0.001 else "warning")
        assert finding.evidence["chi2"] == pytest.approx(oracle.statistic)
        assert finding.evidence["p_value"] == pytest.approx(oracle.pvalue, rel=1e-6)


def test_cookie_cats_is_worth_a_look_and_no_more(references: dict[str, Any]) -> None:
    known = references["cookie_cats"]["srm_50_50"]
    finding = check_sample_ratio(make_context(*((5000, count) for count in known["counts"])))
    assert finding is not None
    assert finding.severity == "warning"
    assert finding.evidence["p_value"] == pytest.approx(known["p_value"], rel=1e-9)
    assert finding.detail == (
        "Counted were 45,489 in A (planned 45,094) and 44,700 in B (planned 45,094). Chance does "
        "this rarely (p = 0.0086): look for customers lost or added in one arm before trusting a "
        "close result."
    )


def test_an_arm_without_weight_takes_no_degree_of_freedom() -> None:
    finding = check_sample_ratio(make_context((5000, 5200), (5000, 4800), (0, 0)))
    assert finding is not None
    assert finding.evidence["df"] == 1


def test_a_customer_in_an_arm_without_weight_blocks() -> None:
    finding = check_sample_ratio(make_context((5000, 100), (5000, 100), (0, 1), (0, 0)))
    assert finding is not None
    assert (finding.code, finding.severity) == ("customers_in_empty_arm", "blocking")
    assert finding.evidence == {"C": 1}
    assert finding.detail.startswith("C should get no customers, yet")


def test_an_absurd_ratio_has_words_too() -> None:
    finding = check_sample_ratio(make_context((5000, 1_000_000), (5000, 1)))
    assert finding is not None
    assert finding.severity == "blocking"
    assert "p below 10⁻³⁰⁰" in finding.detail


@pytest.mark.parametrize(
    "few",
    [
        make_context(),
        make_context((5000, 9)),
        make_context((5000, 0), (5000, 0)),
        make_context((5000, 9), (1, 0)),
    ],
)
def test_too_few_customers_or_arms_have_no_ratio(few: HealthContext) -> None:
    assert check_sample_ratio(few) is None


def test_a_change_of_weights_is_no_mismatch() -> None:
    # All to A at first, then half and half: A holds nine tenths, as planned.
    ramped = replace(
        make_context((5000, 90_000), (5000, 10_000)),
        phases=(make_phase((10_000, 80_000), (0, 0)), make_phase((5000, 10_000), (5000, 10_000))),
    )
    assert check_sample_ratio(ramped) is None
    assert check_sample_ratio(replace(ramped, phases=())) is not None


def test_a_mismatch_inside_a_phase_is_found() -> None:
    context = replace(
        make_context((5000, 90_300), (5000, 9700)),
        phases=(make_phase((10_000, 80_000), (0, 0)), make_phase((5000, 10_300), (5000, 9700))),
    )
    finding = check_sample_ratio(context)
    assert finding is not None
    assert finding.evidence["expected"] == [10_000, 10_000]
    assert finding.evidence["p_value"] == pytest.approx(2 * stats.norm.sf(600 / math.sqrt(20_000)))


def test_a_customer_in_an_arm_while_it_had_no_weight_blocks() -> None:
    context = replace(
        make_context((5000, 900), (5000, 402)),
        phases=(make_phase((10_000, 500), (0, 2)), make_phase((5000, 400), (5000, 400))),
    )
    finding = check_sample_ratio(context)
    assert finding is not None
    assert finding.evidence == {"B": 2}
    assert "while their weight was 0" in finding.detail


def test_a_broken_segment_is_named() -> None:
    context = replace(
        make_context((5000, 5000), (5000, 4600)),
        segments=(
            Segment("device", "phone", (make_phase((5000, 2000), (5000, 1600)),)),
            Segment("device", "desktop", (make_phase((5000, 3000), (5000, 3000)),)),
        ),
    )
    finding = check_sample_ratio(context)
    assert finding is not None
    assert "The cause is likely where device is phone: there 2,000 in A (planned 1,800)" in (
        finding.detail
    )
    assert finding.evidence["suspects"][0]["is_cause"]


def test_a_mismatch_that_is_everywhere_has_no_segment() -> None:
    context = replace(
        make_context((5000, 5000), (5000, 4600)),
        segments=(
            Segment("device", "phone", (make_phase((5000, 2000), (5000, 1840)),)),
            Segment("device", "desktop", (make_phase((5000, 3000), (5000, 2760)),)),
        ),
    )
    finding = check_sample_ratio(context)
    assert finding is not None
    assert "No segment stands out" in finding.detail


def test_at_an_early_look_it_takes_more() -> None:
    # p = .005: below the level of a single test, above that of the third of many looks.
    context = make_context((5000, 5140), (5000, 4860))
    assert check_sample_ratio(context) is not None
    looked_at = replace(context, fraction=0.3, earlier=(0.1, 0.2))
    assert check_sample_ratio(looked_at) is None
    assert check_sample_ratio(replace(looked_at, fraction=1.0, earlier=())) is not None


def test_three_arms_are_each_tested_against_the_rest() -> None:
    # Only C is off: z = -3.35 of its own; .01 shared by three arms asks for 2.94.
    context = replace(
        make_context((5000, 10_070), (2500, 5070), (2500, 4800)), fraction=1.0, earlier=()
    )
    finding = check_sample_ratio(context)
    assert finding is not None
    assert finding.severity == "warning"


def detection_days(share: float, *, runs: int, seed: int) -> Sequence[int | None]:
    """Return the day of the first finding in each of many experiments, looked at daily."""
    rng = np.random.default_rng(seed)
    days: list[int | None] = []
    fractions = [day / DAYS for day in range(1, DAYS + 1)]
    for _ in range(runs):
        in_a = rng.binomial(PER_DAY, share, DAYS).cumsum().tolist()
        days.append(
            next(
                (
                    day
                    for day, (count, fraction) in enumerate(
                        zip(in_a, fractions, strict=True), start=1
                    )
                    if check_sample_ratio(
                        replace(
                            make_context((5000, count), (5000, PER_DAY * day - count)),
                            fraction=fraction,
                            earlier=tuple(fractions[: day - 1]),
                        )
                    )
                ),
                None,
            )
        )
    return days


@pytest.mark.slow
def test_daily_looks_warn_of_sound_experiments_as_seldom_as_promised() -> None:
    """The bar: a family error of .01 over 28 looks; three standard errors of 3,000 runs."""
    runs = 3000
    warned = sum(day is not None for day in detection_days(0.5, runs=runs, seed=1)) / runs
    assert warned <= 0.01 + 3 * math.sqrt(0.01 * 0.99 / runs)


@pytest.mark.slow
def test_a_split_of_51_to_49_is_found_within_two_weeks() -> None:
    """The bar: by day 14 at 2,000 customers a day; what is never found counts as day 29."""
    days = [day or DAYS + 1 for day in detection_days(0.51, runs=500, seed=2)]
    assert np.median(days) <= 13
    assert np.mean(days) <= 14
