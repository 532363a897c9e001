"""The moments that SQL computes are those of the raw rows."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pytest
from django.db import connection
from pytest_django import Settings

from audience.models import Customer
from experiments.measuring.queries import ArmMoments, measure
from experiments.metrics.columns import Column, Events, Given, Total, Window
from experiments.models import Arm, Experiment
from experiments.sql.columns import Scope
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
ORDERED = Total("any", Events(ORDER))
ORDERED_IN_A_DAY = Total("any", Events(ORDER), window=Window(0, 86_400))
ORDERS = Total("count", Events(ORDER))
TAKINGS = Total("sum", Events(ORDER))


def exposed(n: int = 1, *, experiment: Experiment, arm: str = "new") -> list[Customer]:
    customers = make_customers(n)
    expose(experiment, customers, arm, at=NOW)
    return customers


def measured(
    experiment: Experiment, columns: Sequence[Column], *, now: datetime = LATER
) -> ArmMoments:
    return measure(Scope(experiment.pk, NOW, now), columns)


def of_arm(found: ArmMoments, experiment: Experiment, arm: str = "new") -> Moments:
    return found.by_arm[Arm.objects.get(experiment=experiment, key=arm).pk]


def mean_of(
    experiment: Experiment, column: Column, *, now: datetime = LATER, arm: str = "new"
) -> float:
    return of_arm(measured(experiment, [column], now=now), experiment, arm).mean[0]


@pytest.fixture
def experiment() -> Experiment:
    return make_experiment()


def test_nobody_has_no_moments(experiment: Experiment) -> None:
    assert measured(experiment, [ORDERED]) == ArmMoments({}, {}, [], 0, [{}], [])


def test_one_customer_has_a_mean_and_no_variance(experiment: Experiment) -> None:
    (customer,) = exposed(experiment=experiment)
    make_event(customer, ORDER, at=NOW + HOUR, value=3.5)
    found = of_arm(measured(experiment, [TAKINGS]), experiment)
    assert found == Moments(1, (3.5,), ((0.0,),))


def test_a_customer_without_events_counts_nothing(experiment: Experiment) -> None:
    exposed(experiment=experiment)
    found = of_arm(measured(experiment, [ORDERED, ORDERS, TAKINGS]), experiment)
    assert (found.n, found.mean) == (1, (0.0, 0.0, 0.0))


def test_several_events_are_one_conversion_and_add_up(experiment: Experiment) -> None:
    (customer,) = exposed(experiment=experiment)
    make_events([event_row(customer, ORDER, at=NOW + HOUR, value=v) for v in (2.0, 3.0, 5.0)])
    found = of_arm(measured(experiment, [ORDERED, ORDERS, TAKINGS]), experiment)
    assert found.mean == (1.0, 3.0, 10.0)


def test_a_refund_is_a_negative_value(experiment: Experiment) -> None:
    (customer,) = exposed(experiment=experiment)
    make_events([event_row(customer, ORDER, at=NOW + HOUR, value=v) for v in (20.0, -25.0)])
    assert mean_of(experiment, TAKINGS) == -5.0


def test_an_event_without_a_value_adds_nothing_and_is_counted(experiment: Experiment) -> None:
    (customer,) = exposed(experiment=experiment)
    make_event(customer, ORDER, at=NOW + HOUR)
    found = of_arm(measured(experiment, [ORDERS, TAKINGS]), experiment)
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
    assert of_arm(measured(experiment, [ORDERED]), experiment).n == 2


def test_a_merged_customer_is_one_person_met_at_the_first_exposure(experiment: Experiment) -> None:
    visitor, customer = make_customers(2)
    expose(experiment, visitor, "new", at=NOW)
    expose(experiment, customer, "new", at=NOW + DAY)
    make_event(visitor, ORDER, at=NOW + HOUR, value=1.0)
    make_event(customer, ORDER, at=NOW + 2 * HOUR, value=2.0)
    merge(visitor, into=customer)
    found = of_arm(measured(experiment, [ORDERS, TAKINGS]), experiment)
    assert (found.n, found.mean) == (1, (2.0, 3.0))


def test_a_person_met_in_two_arms_is_in_neither_and_counted(experiment: Experiment) -> None:
    visitor, customer = make_customers(2)
    expose(experiment, visitor, "new", at=NOW)
    expose(experiment, customer, "control", at=NOW)
    exposed(4, experiment=experiment)
    merge(visitor, into=customer)
    found = measured(experiment, [ORDERED])
    assert found.moved == 1
    assert {n.n for n in found.by_arm.values()} == {4}


def test_the_planner_is_left_as_it_was(experiment: Experiment) -> None:
    measured(experiment, [ORDERED])
    with connection.cursor() as cursor:
        cursor.execute("SHOW enable_nestloop")
        assert cursor.fetchone() == ("on",)


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
    found = of_arm(measured(experiment, [TAKINGS, ORDERS]), experiment)
    assert found.mean[0] == pytest.approx(takings.mean(), rel=1e-12)
    assert found.covariance[0][0] == pytest.approx(takings.var(ddof=1), rel=1e-6)
    assert found.covariance[0][1] == pytest.approx(0.0, abs=1e-9)


def test_an_analysis_of_a_customer_exposed_twice_stays_with_the_first(
    experiment: Experiment,
) -> None:
    customer = make_customer()
    expose(experiment, customer, "new", at=NOW)
    expose(experiment, customer, "control", at=NOW + HOUR)
    found = measured(experiment, [ORDERED])
    assert of_arm(found, experiment).n == 1
    assert len(found.by_arm) == 1


def test_what_people_were_given_adds_up_over_all_their_names(
    experiment: Experiment, settings: Settings
) -> None:
    # Only the record knows of it, whatever engine reads the events.
    settings.ANALYTICS_ENGINE = "none"
    ann, bob = exposed(2, experiment=experiment)
    visitor = make_customer()
    merge(visitor, into=ann)
    rows = ", ".join(f"({one.pk}, {amount})" for one, amount in ((ann, 2.5), (visitor, 4)))
    points = f"SELECT * FROM (VALUES {rows}) AS given (customer_id, amount)"
    make_event(bob, ORDER, at=NOW + HOUR, value=20)
    scope = Scope(experiment.pk, NOW, LATER, given={"points": points})
    found = of_arm(measure(scope, [TAKINGS, Given("points")]), experiment)
    assert found == Moments.of(np.array([[0, 6.5], [20, 0]]))
