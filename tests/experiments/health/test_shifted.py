"""Segments that arms fill differently: scipy as the oracle, and what is not judged."""

from dataclasses import replace

import pytest
from scipy import stats

from experiments.health.base import HealthContext, Segment
from experiments.health.shifted import check_shifted
from tests.experiments.health.contexts import make_context, make_phase


def split(free: tuple[int, int], pro: tuple[int, int], *, strata: str | None) -> HealthContext:
    """Count customers of two arms of one size by their plan."""
    segments = tuple(
        Segment("plan", value, (make_phase(*((5000, count) for count in counts)),))
        for value, counts in (("free", free), ("pro", pro))
    )
    return replace(make_context(), segments=segments, strata=strata)


@pytest.mark.parametrize(
    ("shift", "severity"), [(0, None), (15, None), (35, "warning"), (60, "blocking")]
)
def test_two_segments_are_compared_by_their_shares(shift: int, severity: str | None) -> None:
    free, pro = (500 + shift, 500 - shift), (500 - shift, 500 + shift)
    finding = check_shifted(split(free, pro, strata="plan"))
    assert (finding and finding.severity) == severity
    if finding is not None:
        oracle = stats.chi2_contingency([free, pro], correction=False).pvalue
        # The plan is known, so the variance is that of the plan and not of what was counted.
        assert finding.evidence["p_value"] == pytest.approx(oracle, rel=0.15)
        assert "Where plan is free, counted were" in finding.detail


def test_what_is_no_stratum_makes_only_its_own_results_doubtful() -> None:
    finding = check_shifted(split((600, 400), (400, 600), strata="country"))
    assert finding is not None
    assert finding.severity == "warning"
    assert finding.detail.endswith("Do not read the results by plan.")


def test_an_arm_that_is_too_large_everywhere_has_shifted_no_attribute() -> None:
    assert check_shifted(split((900, 100), (900, 100), strata="plan")) is None


def test_a_handful_of_customers_tells_nothing() -> None:
    assert check_shifted(split((9, 0), (0, 900), strata="plan")) is None
