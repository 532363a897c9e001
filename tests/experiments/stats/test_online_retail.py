"""Adjustment on a real shop's customers: intervals get shorter, and still hold."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm

from benchmarks.adjustment import Customers, Gain, measure_gain, read_hillstrom, read_shop

CUT = "2011-06-09"


@pytest.fixture(scope="module")
def shop(shared_file: Callable[[str], Path]) -> dict[str, Customers]:
    """Spend, capped spend and orders of 90 days."""
    read = read_shop(shared_file("data/online_retail.parquet"), cut=CUT, days=90)
    return {customers.name.partition(":")[0]: customers for customers in read}


def gain(customers: Customers, *, splits: int = 40) -> Gain:
    return measure_gain(customers, splits=splits, seed=3)


def explained(customers: Customers) -> float:
    """R squared of the outcome on all covariates, by statsmodels."""
    return float(sm.OLS(customers.outcome, sm.add_constant(customers.covariates)).fit().rsquared)


def test_covariates_are_those_of_a_plan_of_both_metrics(shop: dict[str, Customers]) -> None:
    # Spend over 28 and 112 days; orders and any over 28; orders over 112.
    assert shop["spend"].covariates.shape == (2_787, 5)
    spend_28, spend_112, orders_28, any_28, orders_112 = shop["spend"].covariates.T
    assert (spend_28 <= spend_112 + 1e-6).all()
    assert np.array_equal(any_28, (orders_28 > 0).astype(float))
    assert (orders_28 <= orders_112).all()


def test_customers_are_those_who_had_ordered_before(shop: dict[str, Customers]) -> None:
    assert all(len(customers.outcome) == 2_787 for customers in shop.values())


def test_intervals_of_capped_spend_are_a_fifth_shorter_than_with_peers_cuped(
    shop: dict[str, Customers],
) -> None:
    """The bar is 15%."""
    found = gain(shop["spend, capped"])
    assert found.to_cuped <= 0.80
    assert found.to_none <= 0.65
    assert found.to_best <= 1.0


def test_intervals_of_orders_are_shorter_too(shop: dict[str, Customers]) -> None:
    found = gain(shop["orders"])
    assert found.to_cuped <= 0.92
    assert found.to_none <= 0.75


def test_where_three_customers_decide_capped_covariates_gain_less(
    shop: dict[str, Customers],
) -> None:
    """Uncapped spend is mostly that of a few, whom only their uncapped past foretells."""
    found = gain(shop["spend"])
    assert found.to_none < 0.8
    assert found.to_cuped > 1.0


@pytest.mark.parametrize("name", ["spend, capped", "orders"])
def test_an_interval_shrinks_as_much_as_the_covariates_explain(
    shop: dict[str, Customers], name: str
) -> None:
    expected = math.sqrt(1 - explained(shop[name]))
    assert gain(shop[name]).to_none == pytest.approx(expected, rel=0.02)


def test_what_nothing_foretells_gains_nothing(shared_file: Callable[[str], Path]) -> None:
    found = gain(read_hillstrom(shared_file("data/hillstrom.csv.gz")), splits=20)
    assert 0.97 < found.to_none < 1.0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["spend, capped", "orders"])
def test_random_splits_are_called_different_as_often_as_promised(
    shop: dict[str, Customers], name: str
) -> None:
    splits = 2_000
    tolerance = 3 * math.sqrt(0.05 * 0.95 / splits)
    assert gain(shop[name], splits=splits).called / splits == pytest.approx(0.05, abs=tolerance)
