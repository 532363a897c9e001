"""Single customers among many: raw rows as the oracle, and how often sound shops are warned of."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.health.base import Finding, Largest
from experiments.health.outliers import check_outliers
from experiments.stats.moments import Moments
from tests.experiments.health.contexts import make_context, make_moments


def check(*values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Finding | None:
    largest = tuple(
        Largest("spend", "AB"[i], float(rows.max()), Moments.of(rows[:, None]))
        for i, rows in enumerate(values)
    )
    return check_outliers(replace(make_context(), largest=largest))


@given(st.integers(0, 10_000), st.floats(50.0, 2000.0))
def test_the_share_of_variation_is_that_of_the_rows(seed: int, outlier: float) -> None:
    rows = np.random.default_rng(seed).gamma(2.0, 5.0, 2000)
    rows[0] = outlier
    finding = check(rows)
    squares = (rows - rows.mean()) ** 2
    share = squares[rows.argmax()] / squares.sum()
    assert (finding is not None) == (share > 0.5)
    if finding is not None:
        (found,) = finding.evidence["found"]
        assert found["share_of_variation"] == pytest.approx(share)
        assert found["total"] == pytest.approx(rows.sum())


def test_the_worst_place_is_named_and_the_others_counted() -> None:
    rng = np.random.default_rng(1)
    rows = [np.append(rng.gamma(2.0, 5.0, 2000), extra) for extra in (2000.0, 5000.0)]
    finding = check(*rows)
    assert finding is not None
    assert "A single customer in B makes 5,000 of" in finding.detail
    assert "The same holds in 1 more places." in finding.detail


def test_without_the_outlier_half_of_the_customers_are_enough() -> None:
    """What the bound means: the squared error of the mean more than halves."""
    rows = np.append(np.random.default_rng(2).gamma(2.0, 5.0, 2000), 900.0)
    assert check(rows) is not None
    assert rows[:-1].var() < rows.var() / 2


def test_one_of_a_few_buyers_is_no_outlier() -> None:
    rows = np.zeros(5000)
    rows[:20] = 30.0
    rows[0] = 500.0
    assert check(rows) is None


@pytest.mark.parametrize(("n", "variance"), [(0, 0.0), (1, 0.0), (2, 2.0), (50, 0.0)])
def test_hardly_any_customers_have_no_outlier(n: int, variance: float) -> None:
    moments = make_moments(n, 1.0 if n else 0.0, variance)
    largest = (Largest("spend", "A", 2.0, moments),)
    assert check_outliers(replace(make_context(), largest=largest)) is None


@pytest.mark.parametrize(("buyers", "most"), [(300, 0.05), (1000, 0.02)])
def test_lognormal_spend_seldom_has_an_outlier(buyers: int, most: float) -> None:
    """Sigma 1, a tenth of all customers buying; the rates are those stated in the module."""
    rng = np.random.default_rng(3)
    runs = 300
    found = 0
    for _ in range(runs):
        rows = np.zeros(10 * buyers)
        rows[:buyers] = rng.lognormal(3, 1.0, buyers)
        found += check(rows) is not None
    assert found / runs <= most
