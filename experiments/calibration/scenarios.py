"""The situations in which every metric type is calibrated: one line adds one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from experiments.calibration.counting import Counter
from experiments.calibration.customers import (
    CART,
    ORDER,
    VISIT,
    Amounts,
    Behaviour,
    Orders,
    Return,
    Steps,
)
from experiments.measuring.layout import Measured, read_metric
from experiments.metrics.base import Thresholds
from experiments.plan import PlannedMetric

# Customers come in evenly over so many days, and the experiment is looked at after each.
DAYS = 14

# What the metric comes to in the control, given what an analysis has and the thresholds it found.
Truth = Callable[[Counter, Thresholds], float]


@dataclass(frozen=True, slots=True)
class Scenario:
    """An experiment of which everything is known.

    Attributes:
        kind: The metric's type, a key of `METRICS`.
        name: Of the situation.
        params: What that type needs.
        behaviour: What customers do.
        truth: What the metric comes to in the control.
        customers: In both arms together, at the end.
        treated: The share in the treatment.
        lift: The treatment's true lift when it has one.
        is_sparse: Whether there is too little at some looks to say anything, so that a rule finds
            less than it may.
        has_strata: Whether the type is compared within strata.
    """

    kind: str
    name: str
    params: dict[str, Any]
    behaviour: Behaviour
    truth: Truth
    customers: int
    treated: float = 0.5
    lift: float = 0.2
    is_sparse: bool = False
    has_strata: bool = True

    @property
    def measured(self) -> Measured:
        """The metric, as a plan would have it as its goal."""
        return read_metric(
            PlannedMetric(self.kind, self.kind, self.kind, self.params, True, "goal")
        )


def share(chance: float) -> Truth:
    """Return the truth of a share of customers that does not depend on when one looks."""
    return lambda counter, thresholds: chance


def late_share(chance: float, *, days: float) -> Truth:
    """Return the truth of a share of customers who take up to so many days."""
    return lambda counter, thresholds: chance * float((counter.age.clip(max=days) / days).mean())


def spend(orders: Orders) -> Truth:
    """Return the truth of a mean per customer who orders at most once, capped or not."""

    def truth(counter: Counter, thresholds: Thresholds) -> float:
        caps = thresholds[0] if thresholds else ()
        return orders.mean * (orders.amounts.mean(cap=caps[0]) if caps else orders.amounts.mean())

    return truth


def per_order(amounts: Amounts) -> Truth:
    """Return the truth of the mean amount of an order."""
    mean = amounts.mean()
    return lambda counter, thresholds: mean


def percentile(amounts: Amounts, level: float) -> Truth:
    """Return the truth of a quantile of the amounts of orders."""
    value = amounts.quantile(level)
    return lambda counter, thresholds: value


HEALTHY = "healthy sample"
FEW = "about 10 conversions in each arm"
UNEQUAL = "arms of 90% and 10%"
FEW_UNEQUAL = "arms of 90% and 10%, about 10 conversions in the smaller"
LATE = "orders come up to a week later"
HEAVY = "heavy tails: 3% buy, sigma 1"
CAPPED = "the same, capped at the 99th percentile"
SEVERAL = "healthy sample, several correlated values of a customer"
HEAVY_OFTEN = "heavy tails: 0.3 orders of a customer, sigma 1"

_BOUGHT: dict[str, Any] = {"event": ORDER}
_PER_ORDER = {
    "numerator": {"event": ORDER, "of": "value"},
    "denominator": {"event": ORDER, "of": "count"},
}
_MEDIAN, _P90 = {**_BOUGHT, "percentile": 50}, {**_BOUGHT, "percentile": 90}
_CAPPED = {**_BOUGHT, "cap": {"percentile": 99}}
_CAME_BACK = {"event": VISIT, "from_day": 1, "to_day": 3}
# Those of the last three days are not known yet.
_KNOWN = (DAYS - 3) / DAYS
_STEPS = {"steps": [{"event": VISIT}, {"event": CART}, {"event": ORDER}]}

_TAIL = Amounts(0.6, 0.8)
_HEAVY = Orders(0.03, amounts=_TAIL)
_ALIKE = Amounts(0.4, 0.4)
_OFTEN = Orders(2.0, "often", "amount", _ALIKE)
_HEAVY_OFTEN = Orders(0.3, "often", "amount", _TAIL)
_ONCE = Orders(0.01, "once", "amount")


def _come_back(chance: float) -> Return:
    return Return(chance, 1.0, 3.0)


SCENARIOS = (
    Scenario("conversion", HEALTHY, _BOUGHT, Orders(0.1), share(0.1), 4_000),
    Scenario(
        "conversion", FEW, _BOUGHT, Orders(0.01), share(0.01), 2_000, lift=0.5, is_sparse=True
    ),
    Scenario("conversion", UNEQUAL, _BOUGHT, Orders(0.1), share(0.1), 8_000, treated=0.1),
    Scenario(
        "conversion", LATE, _BOUGHT, Orders(0.1, within_days=7.0), late_share(0.1, days=7.0), 4_000
    ),
    Scenario("mean", HEALTHY, _BOUGHT, Orders(0.1), spend(Orders(0.1)), 4_000),
    Scenario(
        "mean", FEW, _BOUGHT, Orders(0.01), spend(Orders(0.01)), 2_000, lift=0.5, is_sparse=True
    ),
    Scenario("mean", HEAVY, _BOUGHT, _HEAVY, spend(_HEAVY), 12_000),
    Scenario("mean", CAPPED, _CAPPED, _HEAVY, spend(_HEAVY), 12_000),
    Scenario("mean", UNEQUAL, _BOUGHT, Orders(0.1), spend(Orders(0.1)), 8_000, treated=0.1),
    Scenario(
        "mean",
        FEW_UNEQUAL,
        _BOUGHT,
        Orders(0.01),
        spend(Orders(0.01)),
        10_000,
        treated=0.1,
        lift=0.5,
        is_sparse=True,
    ),
    Scenario("ratio", SEVERAL, _PER_ORDER, _OFTEN, per_order(_ALIKE), 3_000),
    Scenario("ratio", FEW, _PER_ORDER, _ONCE, per_order(_ONCE.amounts), 2_000, is_sparse=True),
    Scenario("ratio", HEAVY_OFTEN, _PER_ORDER, _HEAVY_OFTEN, per_order(_TAIL), 8_000),
    Scenario("ratio", UNEQUAL, _PER_ORDER, _OFTEN, per_order(_ALIKE), 5_000, treated=0.1),
    Scenario(
        "ratio",
        FEW_UNEQUAL,
        _PER_ORDER,
        _ONCE,
        per_order(_ONCE.amounts),
        10_000,
        treated=0.1,
        is_sparse=True,
    ),
    Scenario("quantile", SEVERAL, _P90, _OFTEN, percentile(_ALIKE, 0.9), 3_000, has_strata=False),
    Scenario(
        "quantile",
        FEW,
        _MEDIAN,
        _ONCE,
        percentile(_ONCE.amounts, 0.5),
        2_000,
        is_sparse=True,
        has_strata=False,
    ),
    Scenario(
        "quantile", HEAVY_OFTEN, _P90, _HEAVY_OFTEN, percentile(_TAIL, 0.9), 8_000, has_strata=False
    ),
    Scenario(
        "quantile",
        UNEQUAL,
        _P90,
        _OFTEN,
        percentile(_ALIKE, 0.9),
        5_000,
        treated=0.1,
        has_strata=False,
    ),
    Scenario("retention", HEALTHY, _CAME_BACK, _come_back(0.12), share(0.12), 4_000),
    Scenario(
        "retention",
        FEW,
        _CAME_BACK,
        _come_back(0.01 / _KNOWN),
        share(0.01 / _KNOWN),
        2_000,
        lift=0.5,
        is_sparse=True,
    ),
    Scenario("retention", UNEQUAL, _CAME_BACK, _come_back(0.12), share(0.12), 8_000, treated=0.1),
    Scenario("funnel", HEALTHY, _STEPS, Steps(0.08), share(0.08), 4_000),
    Scenario("funnel", FEW, _STEPS, Steps(0.01), share(0.01), 2_000, lift=0.5, is_sparse=True),
    Scenario("funnel", UNEQUAL, _STEPS, Steps(0.08), share(0.08), 8_000, treated=0.1),
)
