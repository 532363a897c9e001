"""Health checks: scipy and real experiments as oracles, and what each check says."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.health import CHECKS
from experiments.health.base import ArmCount, Finding, HealthContext
from experiments.health.moved import check_moved
from experiments.health.no_exposures import check_no_exposures
from experiments.health.srm import check_sample_ratio

Check = Callable[[HealthContext], Finding | None]


def context(*arms: tuple[int, int], moved: int = 0) -> HealthContext:
    """Make a context from weight and customers of arms called A, B, C..."""
    return HealthContext(
        tuple(ArmCount("ABCDEF"[i], weight, count) for i, (weight, count) in enumerate(arms)),
        moved,
    )


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
    finding = check_sample_ratio(context(*arms))
    if min(expected) < 5 or oracle.pvalue >= 0.01:
        assert finding is None
    else:
        assert finding is not None
        assert finding.severity == ("blocking" if oracle.pvalue < 0.001 else "warning")
        assert finding.evidence["chi2"] == pytest.approx(oracle.statistic)
        assert finding.evidence["p_value"] == pytest.approx(oracle.pvalue, rel=1e-6)


def test_a_sound_experiment_has_no_finding(references: dict[str, Any]) -> None:
    known = references["hillstrom"]["srm_equal_thirds"]
    hillstrom = context(*((3333, count) for count in known["counts"]))
    assert [check(hillstrom) for check in CHECKS] == [None] * len(CHECKS)


def test_cookie_cats_is_worth_a_look_and_no_more(references: dict[str, Any]) -> None:
    known = references["cookie_cats"]["srm_50_50"]
    finding = check_sample_ratio(context(*((5000, count) for count in known["counts"])))
    assert finding is not None
    assert finding.severity == "warning"
    assert finding.evidence["p_value"] == pytest.approx(known["p_value"], rel=1e-9)
    assert finding.detail == (
        "Counted were 45,489 in A (planned 45,094) and 44,700 in B (planned 45,094). Chance does "
        "this rarely (p = 0.0086): look for customers lost or added in one arm before trusting a "
        "close result."
    )


def test_an_arm_without_weight_takes_no_degree_of_freedom() -> None:
    # With a third arm counted in, p would be .135 instead of .0455 and the test blunt.
    finding = check_sample_ratio(context((5000, 5200), (5000, 4800), (0, 0)))
    assert finding is not None
    assert finding.evidence["df"] == 1


def test_a_customer_in_an_arm_without_weight_blocks() -> None:
    finding = check_sample_ratio(context((5000, 100), (5000, 100), (0, 1), (0, 0)))
    assert finding is not None
    assert (finding.code, finding.severity) == ("customers_in_empty_arm", "blocking")
    assert finding.evidence == {"C": 1}
    assert finding.detail.startswith("C should get no customers")


def test_an_absurd_ratio_has_words_too() -> None:
    finding = check_sample_ratio(context((5000, 1_000_000), (5000, 1)))
    assert finding is not None
    assert finding.severity == "blocking"
    assert "p below 10⁻³⁰⁰" in finding.detail


@pytest.mark.parametrize(
    "few",
    [context(), context((5000, 9)), context((5000, 0), (5000, 0)), context((5000, 9), (1, 0))],
)
def test_too_few_customers_or_arms_have_no_ratio(few: HealthContext) -> None:
    assert check_sample_ratio(few) is None


def test_an_arm_that_stays_empty_blocks() -> None:
    # Half of 10 customers missing by chance: 2^-10 < .001.
    finding = check_no_exposures(context((5000, 10), (5000, 0)))
    assert finding is not None
    assert finding.severity == "blocking"
    assert finding.evidence == {"arms": ["B"], "probability": pytest.approx(2**-10)}
    assert "none of them in B" in finding.detail


def test_an_arm_that_is_empty_in_a_young_experiment_warns() -> None:
    finding = check_no_exposures(context((5000, 9), (5000, 0)))
    assert finding is not None
    assert finding.severity == "warning"


@pytest.mark.parametrize(
    "fine",
    [context((5000, 0), (5000, 0)), context((5000, 7), (5000, 1)), context((5000, 7), (0, 0))],
    ids=["nobody came", "all have some", "empty by plan"],
)
def test_arms_with_customers_or_none_planned_are_fine(fine: HealthContext) -> None:
    assert check_no_exposures(fine) is None


@pytest.mark.parametrize(
    ("moved", "severity"),
    [(0, None), (10, None), (11, "warning"), (110, "warning"), (111, "blocking")],
)
def test_moved_customers_matter_by_their_share(moved: int, severity: str | None) -> None:
    # 990 + 10 is exactly 1 %; 990 + 110 is exactly 10 %.
    finding = check_moved(context((5000, 500), (5000, 490), moved=moved))
    assert (finding and finding.severity) == severity


@pytest.mark.parametrize("check", CHECKS)
def test_every_finding_can_be_stored(check: Check) -> None:
    broken = context((5000, 900), (5000, 0), moved=200)
    finding = check(broken)
    assert finding is not None
    assert json.loads(json.dumps(finding.evidence)) == finding.evidence
    assert finding.title
    assert finding.detail.endswith(".")
