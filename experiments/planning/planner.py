"""Says how long an experiment will take, from what the site's customers did before."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np

from experiments.measuring.queries import count_by_day, find_layout, measure, read_values
from experiments.metrics.columns import Total
from experiments.models import Metric
from experiments.plan import Adjustment, PlannedMetric
from experiments.sql.columns import Entry, Scope
from experiments.stats.duration import Traffic, find_days, find_expected_days
from experiments.stats.estimate import Estimate, Inconclusive
from experiments.stats.moments import FloatArray
from experiments.stats.power import Design, Outcome, find_effect, find_size

# Customers enter over four whole weeks, and are watched for as long after that.
ENTRY_DAYS, WATCHED_DAYS = 28, 28
LEAST_CUSTOMERS = 100
WEEKS = (1, 2, 3, 4, 6, 8, 12)


class TooLittleHistory(Exception):
    """The site's own history does not tell how the metric varies, and why."""


@dataclass(frozen=True, slots=True)
class History:
    """What customers did without any treatment.

    Attributes:
        outcome: The metric per customer, and how adjustment helps.
        traffic: New customers by weekday.
        customers: How many were looked at.
        values: Each one's value, where the metric is one number per customer.
    """

    outcome: Outcome
    traffic: Traffic
    customers: int
    values: FloatArray | None


@dataclass(frozen=True, slots=True)
class Advice:
    """What an experiment needs.

    Attributes:
        customers: In all arms together.
        days: To get them, in whole weeks.
        expected_days: Until it stops by its own rule, if the effect is as supposed.
        effects: What can be found in so many weeks, on the design's scale; None where the effect
            would be larger than can be.
    """

    customers: int
    days: int
    expected_days: float
    effects: Sequence[tuple[int, float | None]]


def read_history(metric: Metric, *, entry: str, adjustment: Adjustment, now: datetime) -> History:
    """Measure a metric as if everybody with an entry event had met an experiment.

    Args:
        metric: What is to be measured.
        entry: Name of the events by which customers would enter the experiment.
        adjustment: What is known beforehand.
        now: What is later is not known yet.

    Raises:
        TooLittleHistory: Too few customers entered, or the metric does not vary.
    """
    until = now - timedelta(days=WATCHED_DAYS)
    scope = Scope(0, until - timedelta(days=ENTRY_DAYS), now, Entry(entry, until))
    planned = PlannedMetric(
        metric.key, metric.name, metric.kind, metric.params, metric.higher_is_better, "goal"
    )
    layout = find_layout(scope, [planned], adjustment)
    moments = measure(scope, layout.columns).by_arm.get(1)
    if moments is None or moments.n < LEAST_CUSTOMERS:
        count = 0 if moments is None else moments.n
        raise TooLittleHistory(
            f"Only {count} customers had the event \u201c{entry}\u201d in four weeks; "
            f"at least {LEAST_CUSTOMERS} are needed."
        )
    (placed,) = layout.metrics
    # An experiment in which both arms did what everybody did: its error is the metric's noise.
    strata = [(moments, moments)]
    raw = placed.compare(strata, confidence=0.95)
    if isinstance(raw, Inconclusive):
        raise TooLittleHistory(raw.reason)
    adjusted = placed.compare(strata, covariates=layout.covariates, confidence=0.95)
    before = _variance(raw, moments.n)
    after = _variance(adjusted, moments.n) if isinstance(adjusted, Estimate) else before
    single = layout.columns[placed.own[0]]
    is_one_number = len(placed.own) == 1 and isinstance(single, Total)
    return History(
        outcome=_outcome(raw.control_mean, before, metric.kind, removed=1 - after / before),
        traffic=_traffic(count_by_day(scope)),
        customers=moments.n,
        values=read_values(scope, [single])[:, 0] if is_one_number else None,
    )


def advise(history: History, design: Design, *, effect: float, power: float = 0.8) -> Advice:
    """Say what it takes to find an effect.

    Args:
        history: How the metric varies, and who comes.
        design: How the experiment is split and decided.
        effect: That should be found, on the design's scale.
        power: How surely.

    Raises:
        ValueError: No number of customers finds it.
    """
    customers = find_size(history.outcome, design, effect=effect, power=power)
    return Advice(
        customers=customers,
        days=find_days(customers, history.traffic),
        expected_days=find_expected_days(
            history.outcome, design, effect=effect, customers=customers, traffic=history.traffic
        ),
        effects=[(weeks, _effect_in(history, design, weeks=weeks, power=power)) for weeks in WEEKS],
    )


def _effect_in(history: History, design: Design, *, weeks: int, power: float) -> float | None:
    customers = weeks * history.traffic.per_week
    try:
        return find_effect(history.outcome, design, customers=customers, power=power)
    except ValueError:
        return None


def _variance(estimate: Estimate, n: int) -> float:
    """Return the variance per customer behind an estimate of two arms of n customers."""
    error = estimate.difference_interval.standard_error(confidence=estimate.confidence)
    return error**2 * n / 2


def _outcome(mean: float, variance: float, kind: str, *, removed: float) -> Outcome:
    removed = min(max(removed, 0.0), 0.99)
    if kind in ("conversion", "funnel"):
        return Outcome.of_share(mean, removed=removed)
    return Outcome(mean, variance, "amount" if mean > 0 else "fixed", removed)


def _traffic(by_day: dict[date, int]) -> Traffic:
    """Average new customers by weekday over the weeks of entry."""
    weeks = ENTRY_DAYS / 7
    per_weekday = np.zeros(7)
    for day, count in by_day.items():
        per_weekday[day.weekday()] += count / weeks
    return Traffic(tuple(per_weekday.tolist()))


def looks_of(history: History, design: Design, *, days: int) -> Design:
    """Return the design with a look on each day that customers come."""
    return replace(design, looks=history.traffic.looks(days))


def days_left(*, planned: int, so_far: int, days: float) -> int | None:
    """Return how many days a running experiment still needs at its pace; None before it has one."""
    if so_far == 0 or days <= 0:
        return None
    return max(math.ceil((planned - so_far) / (so_far / days)), 0)
