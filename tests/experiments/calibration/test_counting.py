"""Columns counted on simulated customers, against counting by hand."""

import numpy as np
import pytest

from experiments.calibration.counting import Counter
from experiments.calibration.customers import CART, ORDER, VISIT, Log, Sample
from experiments.metrics.columns import (
    SECONDS_PER_DAY,
    AtMost,
    Column,
    Cut,
    Events,
    Filter,
    Mature,
    Predicted,
    Reached,
    Total,
    Window,
)
from experiments.stats.quantile import quantile_levels

ORDERS, VISITS, CARTS = Events(ORDER), Events(VISIT), Events(CART)


def days(opens: float, closes: float) -> Window:
    return Window(round(opens * SECONDS_PER_DAY), round(closes * SECONDS_PER_DAY))


def log(*events: tuple[int, float, float]) -> Log:
    customer, day, value = zip(*events, strict=True)
    return Log(np.array(customer), np.array(day, dtype=float), np.array(value, dtype=float))


# Four customers, exposed on days 1, 2, 3 and 9.
SAMPLE = Sample(
    is_treated=np.array([False, True, True, False]),
    country=np.array([0, 0, 1, 1]),
    exposed_on=np.array([1.0, 2.0, 3.0, 9.0]),
    logs={
        ORDER: log((0, -2, 7), (0, 1, 10), (0, 1.5, 5), (1, 3, 40), (2, 6, 1), (3, 0, 99)),
        VISIT: log((0, 0.5, 1), (1, 2, 1), (2, 0, 1)),
        CART: log((0, 0.2, 1), (0, 0.7, 1), (1, 1, 1), (2, 0, 1)),
    },
)
COUNTER = Counter(SAMPLE, day=8.0)


@pytest.mark.parametrize(
    ("column", "counted"),
    [
        (Total("count", ORDERS), [2, 1, 0]),  # The third customer's order comes on day 9.
        (Total("sum", ORDERS), [15, 40, 0]),
        (Total("any", ORDERS), [1, 1, 0]),
        (Total("sum", ORDERS, cap=20.0), [15, 20, 0]),
        (Total("sum", ORDERS, window=days(-28, 0)), [7, 0, 0]),
        (Total("sum", ORDERS, window=days(1.2, 3)), [5, 0, 0]),
        (Total("sum", ORDERS, mature_after=6 * SECONDS_PER_DAY), [15, 40, 0]),
        (Total("sum", ORDERS, mature_after=7 * SECONDS_PER_DAY), [15, 0, 0]),
        (Mature(6 * SECONDS_PER_DAY), [1, 1, 0]),
        (AtMost(Total("sum", ORDERS), per_customer=False), [2, 1, 0]),
        (AtMost(Total("sum", ORDERS), per_customer=False, threshold=10.0), [2, 0, 0]),
        (Reached((VISITS,)), [1, 1, 1]),
        (Reached((VISITS, CARTS)), [1, 0, 1]),  # The second one's cart came before the visit.
        (Reached((VISITS, CARTS, ORDERS)), [1, 0, 0]),
    ],
)
def test_columns_count_what_has_happened_by_then(column: Column, counted: list[float]) -> None:
    assert COUNTER.count([column])[:, 0].tolist() == counted


def test_only_the_customers_exposed_by_then_are_seen() -> None:
    assert COUNTER.customers == 3
    assert COUNTER.is_treated.tolist() == [False, True, True]
    assert COUNTER.country.tolist() == [0, 0, 1]
    assert COUNTER.age.tolist() == [7, 6, 5]


def test_a_cap_is_a_quantile_of_the_totals_that_are_not_zero() -> None:
    cut = Cut(Total("sum", ORDERS), 0.9)
    assert COUNTER.find_thresholds([cut]) == [[pytest.approx(15 + 0.9 * 25)]]


def test_thresholds_of_values_spread_around_the_level() -> None:
    cut = Cut(AtMost(Total("sum", ORDERS), per_customer=False), 0.5, is_spread=True)
    (found,) = COUNTER.find_thresholds([cut])
    expected = np.quantile([10.0, 5.0, 40.0], quantile_levels(0.5, 3))
    assert found == pytest.approx(sorted(set(expected)))


def test_where_nothing_has_happened_there_is_no_threshold() -> None:
    cut = Cut(Total("sum", ORDERS, window=days(20, 21)), 0.9)
    assert COUNTER.find_thresholds([cut]) == [[]]


@pytest.mark.parametrize(
    "column",
    [
        Predicted("churn"),
        Total("sum", ORDERS, less=VISITS),
        Total("sum", ORDERS, from_property="margin"),
        Total("any", Events(ORDER, (Filter("size", "exists"),))),
        AtMost(Total("sum", ORDERS), per_customer=True),
    ],
)
def test_what_is_not_simulated_is_refused(column: Column) -> None:
    with pytest.raises(TypeError, match="no simulation"):
        COUNTER.count([column])


def test_totals_of_customers_are_not_cut_into_thresholds() -> None:
    with pytest.raises(TypeError, match="no simulation cuts"):
        COUNTER.find_thresholds([Cut(AtMost(Total("sum", ORDERS), per_customer=True), 0.5)])
