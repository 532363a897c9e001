"""The moments that SQL computes are those of the raw rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audience.copying import EventRow
from audience.models import Customer
from experiments.metrics.base import Aggregate
from experiments.models import Arm, Experiment
from experiments.queries import ArmMoments, measure
from experiments.stats.moments import Moments
from tests.makers import (
    DAY,
    HOUR,
    NOW,
    SECOND,
    event_row,
    expose,
    make_customer,
    make_customers,
    make_event,
    make_events,
    make_experiment,
    merge,
)

pytestmark = pytest.mark.django_db

ORDER, VISIT = "Order Completed", "Site Visited"
LATER = NOW + 30 * DAY
ORDERED = Aggregate(ORDER, "any", None)
ORDERED_IN_A_DAY = Aggregate(ORDER, "any", 86_400)
ORDERS = Aggregate(ORDER, "count", None)
TAKINGS = Aggregate(ORDER, "sum", None)


def exposed(n: int = 1, *, experiment: Experiment, arm: str = "new") -> list[Customer]:
    customers = make_customers(n)
    expose(experiment, customers, arm, at=NOW)
    return customers


def of_arm(found: ArmMoments, experiment: Experiment, arm: str = "new") -> Moments:
    return found.by_arm[Arm.objects.get(experiment=experiment, key=arm).pk]


def mean_of(
    experiment: Experiment, aggregate: Aggregate, *, now: datetime = LATER, arm: str = "new"
) -> float:
    return of_arm(measure(experiment.pk, [aggregate], now=now), experiment, arm).mean[0]


@pytest.fixture
def experiment() -> Experiment:
    return make_experiment()


def test_nobody_has_no_moments(experiment: Experiment) -> None:
    assert measure(experiment.pk, [ORDERED], now=LATER) == ArmMoments({}, moved=0)


def test_one_customer_has_a_mean_and_no_variance(experiment: Experiment) -> None:
    (customer,) = exposed(experiment=experiment)
    make_event(customer, ORDER, at=NOW + HOUR, value=3.5)
    found = of_arm(measure(experiment.pk, [TAKINGS], now=LATER), experiment)
    assert found == Moments(1, (3.5,), ((0.0,),))


def test_a_customer_without_events_counts_nothing(experiment: Experiment) -> None:
    exposed(experiment=experiment)
    found = of_arm(measure(experiment.pk, [ORDERED, ORDERS, TAKINGS], now=LATER), experiment)
    assert (found.n, found.mean) == (1, (0.0, 0.0, 0.0))


def test_several_events_are_one_conversion_and_add_up(experiment: Experiment) -> None:
    (customer,) = exposed(experiment=experiment)
    make_events([event_row(customer, ORDER, at=NOW + HOUR, value=v) for v in (2.0, 3.0, 5.0)])
    found = of_arm(measure(experiment.pk, [ORDERED, ORDERS, TAKINGS], now=LATER), experiment)
    assert found.mean == (1.0, 3.0, 10.0)


def test_a_refund_is_a_negative_value(experiment: Experiment) -> None:
    (customer,) = exposed(experiment=experiment)
    make_events([event_row(customer, ORDER, at=NOW + HOUR, value=v) for v in (20.0, -25.0)])
    assert mean_of(experiment, TAKINGS) == -5.0


def test_an_event_without_a_value_adds_nothing_and_is_counted(experiment: Experiment) -> None:
    (customer,) = exposed(experiment=experiment)
    make_event(customer, ORDER, at=NOW + HOUR)
    found = of_arm(measure(experiment.pk, [ORDERS, TAKINGS], now=LATER), experiment)
    assert found.mean == (1.0, 0.0)


def test_events_of_other_names_do_not_count(experiment: Experiment) -> None:
    (customer,) = exposed(experiment=experiment)
    make_event(customer, VISIT, at=NOW + HOUR, value=9.0)
    assert mean_of(experiment, TAKINGS) == 0.0


@pytest.mark.parametrize(("offset", "counts"), [(-SECOND, 0.0), (0 * SECOND, 1.0)])
def test_events_count_from_the_exposure_on(
    experiment: Experiment, offset: timedelta, counts: float
) -> None:
    (customer,) = exposed(experiment=experiment)
    make_event(customer, ORDER, at=NOW + offset)
    assert mean_of(experiment, ORDERED) == counts


@pytest.mark.parametrize(("offset", "counts"), [(-timedelta(microseconds=1), 1.0), (0 * DAY, 0.0)])
def test_the_end_of_the_window_is_outside(
    experiment: Experiment, offset: timedelta, counts: float
) -> None:
    (customer,) = exposed(experiment=experiment)
    make_event(customer, ORDER, at=NOW + DAY + offset)
    assert mean_of(experiment, ORDERED_IN_A_DAY) == counts


def test_what_happens_after_now_is_not_known_yet(experiment: Experiment) -> None:
    (early, late) = make_customers(2)
    expose(experiment, early, "new", at=NOW)
    expose(experiment, late, "new", at=NOW + 3 * HOUR)
    make_event(early, ORDER, at=NOW + 2 * HOUR)
    assert mean_of(experiment, ORDERED, now=NOW + HOUR) == 0.0
    assert mean_of(experiment, ORDERED, now=NOW + 2 * HOUR) == 1.0
    assert mean_of(experiment, ORDERED, now=NOW + 3 * HOUR) == 0.5


def test_exposures_of_other_experiments_do_not_count(experiment: Experiment) -> None:
    exposed(3, experiment=make_experiment())
    exposed(2, experiment=experiment)
    assert of_arm(measure(experiment.pk, [ORDERED], now=LATER), experiment).n == 2


def test_a_merged_customer_is_one_person_met_at_the_first_exposure(experiment: Experiment) -> None:
    visitor, customer = make_customers(2)
    expose(experiment, visitor, "new", at=NOW)
    expose(experiment, customer, "new", at=NOW + DAY)
    make_event(visitor, ORDER, at=NOW + HOUR, value=1.0)
    make_event(customer, ORDER, at=NOW + 2 * HOUR, value=2.0)
    merge(visitor, into=customer)
    found = of_arm(measure(experiment.pk, [ORDERS, TAKINGS], now=LATER), experiment)
    assert (found.n, found.mean) == (1, (2.0, 3.0))


def test_a_person_met_in_two_arms_is_in_neither_and_counted(experiment: Experiment) -> None:
    visitor, customer = make_customers(2)
    expose(experiment, visitor, "new", at=NOW)
    expose(experiment, customer, "control", at=NOW)
    exposed(4, experiment=experiment)
    merge(visitor, into=customer)
    found = measure(experiment.pk, [ORDERED], now=LATER)
    assert found.moved == 1
    assert {n.n for n in found.by_arm.values()} == {4}


def test_the_planner_is_left_as_it_was(experiment: Experiment) -> None:
    measure(experiment.pk, [ORDERED], now=LATER)
    with connection.cursor() as cursor:
        cursor.execute("SHOW enable_nestloop")
        assert cursor.fetchone() == ("on",)


# --- against brute force --------------------------------------------------------------------

COLUMNS = (
    Aggregate(VISIT, "any", 24 * 3600),
    Aggregate(ORDER, "count", None),
    Aggregate(ORDER, "sum", 24 * 3600),
)
AS_OF = 50


@dataclass(frozen=True)
class Happened:
    """An event of a person, by one of the person's customers; times are hours."""

    customer: int
    name: str
    hour: int
    value: float | None


@dataclass(frozen=True)
class Person:
    """One or two customers who are one person, where each was exposed, and what happened."""

    exposures: Sequence[tuple[str, int] | None]
    events: Sequence[Happened]


exposures = st.none() | st.tuples(st.sampled_from(["control", "new"]), st.integers(0, 60))
happenings = st.builds(
    Happened,
    customer=st.integers(0, 1),
    name=st.sampled_from([VISIT, ORDER, "Something Else"]),
    hour=st.integers(-5, 60),
    value=st.none() | st.floats(-50, 100, allow_nan=False, width=32),
)
people = st.builds(
    Person,
    exposures=st.lists(exposures, min_size=1, max_size=2),
    events=st.lists(happenings, max_size=5),
)


def contribution(person: Person) -> tuple[str | None, list[float]] | None:
    """Recompute one person's arm (None: moved) and columns; None where never exposed."""
    met = [e for e in person.exposures if e is not None and e[1] <= AS_OF]
    if not met:
        return None
    arms = {arm for arm, _ in met}
    start = min(hour for _, hour in met)
    events = [
        e for e in person.events if e.customer < len(person.exposures) and start <= e.hour <= AS_OF
    ]
    visits = [e for e in events if e.name == VISIT and e.hour < start + 24]
    orders = [e for e in events if e.name == ORDER]
    recent = [e for e in orders if e.hour < start + 24]
    row = [float(bool(visits)), float(len(orders)), sum(e.value or 0.0 for e in recent)]
    return (arms.pop() if len(arms) == 1 else None), row


def store(experiment: Experiment, world: Sequence[Person]) -> None:
    rows: list[EventRow] = []
    met: dict[tuple[str, int], list[Customer]] = {}
    customers = iter(make_customers(sum(len(person.exposures) for person in world)))
    for person in world:
        same = [next(customers) for _ in person.exposures]
        if len(same) == 2:
            merge(same[0], into=same[1])
        for customer, exposure in zip(same, person.exposures, strict=True):
            if exposure is not None:
                met.setdefault(exposure, []).append(customer)
        rows += [
            event_row(same[e.customer], e.name, at=NOW + e.hour * HOUR, value=e.value)
            for e in person.events
            if e.customer < len(same)
        ]
    for (arm, hour), together in met.items():
        expose(experiment, together, arm, at=NOW + hour * HOUR)
    make_events(rows)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(world=st.lists(people, min_size=1, max_size=12))
def test_any_world_has_the_moments_of_its_rows(world: list[Person], db: None) -> None:
    experiment = make_experiment()
    store(experiment, world)

    found = measure(experiment.pk, COLUMNS, now=NOW + AS_OF * HOUR)

    expected = [c for c in map(contribution, world) if c is not None]
    assert found.moved == sum(arm is None for arm, _ in expected)
    for arm in Arm.objects.filter(experiment=experiment):
        rows = [row for key, row in expected if key == arm.key]
        assert (arm.pk in found.by_arm) == bool(rows)
        if rows:
            oracle = Moments.of(np.array(rows))
            actual = found.by_arm[arm.pk]
            assert actual.n == oracle.n
            np.testing.assert_allclose(actual.mean, oracle.mean, rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(actual.covariance, oracle.covariance, rtol=1e-9, atol=1e-9)


def test_many_customers_with_large_values_keep_their_digits(experiment: Experiment) -> None:
    rng = np.random.default_rng(3)
    customers = exposed(200, experiment=experiment)
    takings = 1e6 + rng.normal(size=200)
    make_events(
        [
            event_row(customer, ORDER, at=NOW + HOUR, value=float(value))
            for customer, value in zip(customers, takings, strict=True)
        ]
    )
    found = of_arm(measure(experiment.pk, [TAKINGS, ORDERS], now=LATER), experiment)
    assert found.mean[0] == pytest.approx(takings.mean(), rel=1e-12)
    assert found.covariance[0][0] == pytest.approx(takings.var(ddof=1), rel=1e-6)
    assert found.covariance[0][1] == pytest.approx(0.0, abs=1e-9)


def test_an_analysis_of_a_customer_exposed_twice_stays_with_the_first(
    experiment: Experiment,
) -> None:
    customer = make_customer()
    expose(experiment, customer, "new", at=NOW)
    expose(experiment, customer, "control", at=NOW + HOUR)
    found = measure(experiment.pk, [ORDERED], now=LATER)
    assert of_arm(found, experiment).n == 1
    assert len(found.by_arm) == 1
