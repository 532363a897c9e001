"""Assignments that are not independent: scipy as the oracle."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from experiments.health.base import Finding, Overlap
from experiments.health.dependence import check_dependence
from tests.experiments.health.contexts import make_context, make_moments

tables = st.integers(2, 3).flatmap(
    lambda columns: st.lists(
        st.lists(st.integers(100, 400), min_size=columns, max_size=columns), min_size=2, max_size=3
    )
)


def make_overlap(counts: list[list[int]], *, name: str = "Other") -> Overlap:
    return Overlap(
        name,
        {
            ("ABC"[i], "xyz"[j]): make_moments(n, 0.0, 0.0)
            for i, row in enumerate(counts)
            for j, n in enumerate(row)
        },
    )


def check(*overlaps: Overlap) -> Finding | None:
    return check_dependence(replace(make_context(), overlaps=overlaps))


@given(tables)
def test_independence_is_pearsons_test(counts: list[list[int]]) -> None:
    oracle = stats.chi2_contingency(np.array(counts), correction=False).pvalue
    finding = check(make_overlap(counts))
    if oracle >= 0.01:
        assert finding is None
    else:
        assert finding is not None
        assert finding.severity == ("blocking" if oracle < 0.001 else "warning")
        assert finding.evidence["found"][0]["p_value"] == pytest.approx(oracle, rel=1e-6)


def test_several_experiments_are_judged_together() -> None:
    dependent, even = [[300, 200], [210, 290]], [[250, 250], [250, 250]]
    overlaps = [make_overlap(dependent, name="tied"), *[make_overlap(even)] * 4]
    raw = [stats.chi2_contingency(dependent, correction=False).pvalue, 1.0, 1.0, 1.0, 1.0]
    finding = check(*overlaps)
    assert finding is not None
    (found,) = finding.evidence["found"]
    assert found["experiment"] == "tied"
    assert found["p_value"] == pytest.approx(multipletests(raw, method="fdr_bh")[1][0])


def test_equally_broken_experiments_are_all_named() -> None:
    overlaps = [make_overlap([[300, 200], [200, 300]], name=name) for name in ("one", "two")]
    finding = check(*overlaps)
    assert finding is not None
    assert "the arms of one and two" in finding.detail


def test_an_identical_assignment_is_beyond_any_number() -> None:
    finding = check(make_overlap([[9000, 0], [0, 9000]]))
    assert finding is not None
    assert finding.severity == "blocking"


@pytest.mark.parametrize(
    "counts",
    [[[500, 500]], [[500, 500], [0, 0]], [[0, 0], [0, 0]], [[9, 0], [0, 4]], []],
    ids=["one arm", "one arm with customers", "nobody", "too few", "no cells"],
)
def test_without_two_arms_each_nothing_is_tested(counts: list[list[int]]) -> None:
    assert check(make_overlap(counts)) is None
