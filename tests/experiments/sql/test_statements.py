"""In any world, every column that SQL computes is what its words say, recomputed by hand."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audience.importing.copying import CustomerRow, EventRow, import_customers
from audience.models import Customer
from experiments.measuring.queries import count_exposures, find_thresholds, measure, watch_arrivals
from experiments.metrics.columns import (
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
from experiments.models import Arm, Experiment, Prediction
from experiments.sql.columns import Scope
from experiments.sql.statements import AttributeDimension, ExperimentDimension
from experiments.stats.moments import Moments
from tests.makers import (
    DAY,
    HOUR,
    NOW,
    event_row,
    expose,
    make_customers,
    make_events,
    make_experiment,
    merge,
    unique,
)

pytestmark = pytest.mark.django_db

ORDER, VISIT, REFUND = "Order Completed", "Site Visited", "Order Refunded"
AS_OF = 50
NAMES = [ORDER, VISIT, REFUND, "Something Else"]

LARGE = Events(ORDER, (Filter("size", ">=", 10),))
IN_POUNDS = Events(ORDER, (Filter("currency", "=", "GBP"), Filter("size", "!=", 3)))
ANY_COLOUR = Events(VISIT, (Filter("colour", "exists"), Filter("colour", "in", ("it's", "blue"))))
DAY_ONE = Window(0, 24 * 3600)
COLUMNS: tuple[Column, ...] = (
    Total("any", Events(VISIT), window=DAY_ONE),
    Total("count", Events(ORDER), Events(REFUND)),
    Total("sum", Events(ORDER), Events(REFUND), DAY_ONE, cap=60.0),
    Total("any", Events(ORDER), Events(REFUND)),
    Total("sum", LARGE, from_property="size"),
    Total("count", IN_POUNDS, window=Window(3600, None)),
    Total("count", ANY_COLOUR),
    Total("sum", Events(ORDER)).before(10 * 3600),
    Total("any", Events(VISIT), window=Window(12 * 3600, 36 * 3600), mature_after=36 * 3600),
    Mature(36 * 3600),
    Reached((Events(VISIT), Events(ORDER), Events(REFUND)), DAY_ONE),
    Reached((Events(VISIT), Events(ORDER)), DAY_ONE),
    Total("count", Events(VISIT, (Filter("size", "=", True),))),
    AtMost(Total("sum", Events(ORDER)), per_customer=False),
    AtMost(Total("sum", Events(ORDER)), per_customer=False, threshold=20.0),
    AtMost(Total("sum", Events(ORDER), Events(REFUND)), per_customer=True, threshold=20.0),
    Predicted("spend"),
    Predicted("spend", is_known=True),
)


@dataclass(frozen=True)
class Happened:
    """An event of a person, by one of the person's customers; times are hours."""

    customer: int
    name: str
    hour: int
    value: float | None
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Person:
    """One or two customers who are one person, where each was exposed, and what happened."""

    exposures: Sequence[tuple[str, int] | None]
    events: Sequence[Happened]
    country: str | None
    predictions: Sequence[tuple[int, float]]


exposures = st.none() | st.tuples(st.sampled_from(["control", "new"]), st.integers(0, 60))
sizes = st.sampled_from([3, 9.5, 10, 1e3, -4, "12", "ten", True, None])
properties = st.fixed_dictionaries(
    {},
    optional={
        "size": sizes,
        "currency": st.sampled_from(["GBP", "EUR"]),
        "colour": st.sampled_from(["it's", "blue", "red", None]),
    },
)
happenings = st.builds(
    Happened,
    customer=st.integers(0, 1),
    name=st.sampled_from(NAMES),
    hour=st.integers(-15, 60),
    value=st.none() | st.floats(-50, 100, allow_nan=False, width=32),
    properties=properties,
)
people = st.builds(
    Person,
    exposures=st.lists(exposures, min_size=1, max_size=2),
    events=st.lists(happenings, max_size=6),
    country=st.sampled_from(["GB", "FR", None]),
    predictions=st.lists(
        st.tuples(st.integers(-20, 60), st.floats(-5, 5)), max_size=2, unique_by=lambda p: p[0]
    ),
)


def fulfils(event: Happened, filter_: Filter) -> bool:
    raw = event.properties.get(filter_.property)
    text = None if raw is None else str(raw).lower() if isinstance(raw, bool) else str(raw)
    if isinstance(filter_.value, int | float) and not isinstance(filter_.value, bool):
        try:
            number = math.nan if text is None else float(text)
        except ValueError:
            number = math.nan
        known = not math.isnan(number)
        return {
            "=": known and number == filter_.value,
            "!=": not known or number != filter_.value,
            ">=": known and number >= filter_.value,
        }[filter_.op]
    if filter_.op == "exists":
        return text is not None
    if filter_.op == "in":
        assert isinstance(filter_.value, tuple)
        return text in filter_.value
    assert filter_.op == "="
    return text == ("true" if filter_.value is True else filter_.value)


def matches(event: Happened, events: Events, window: Window, start: int) -> bool:
    age = (event.hour - start) * 3600
    return (
        event.name == events.name
        and all(fulfils(event, f) for f in events.where)
        and age >= window.opens
        and (window.closes is None or age < window.closes)
    )


def number_of(event: Happened, total: Total) -> float:
    if not total.from_property:
        return math.nan if event.value is None else event.value
    try:
        raw = event.properties.get(total.from_property)
        return math.nan if raw is None or isinstance(raw, bool) else float(raw)
    except ValueError:
        return math.nan


def total_of(total: Total, events: Sequence[Happened], start: int) -> float:
    result = 0.0
    for event in events:
        size = number_of(event, total) if total.how == "sum" else 1.0
        if math.isnan(size):
            continue
        if matches(event, total.events, total.window, start):
            result += size
        elif total.less is not None and matches(event, total.less, total.window, start):
            result -= abs(size)
    if total.how == "any":
        result = float(result > 0)
    return result if total.cap is None else min(result, total.cap)


def value_of(  # noqa: C901, PLR0911 - one case for each kind of column
    column: Column, person: Person, events: Sequence[Happened], start: int
) -> float:
    age = (AS_OF - start) * 3600
    match column:
        case Total():
            if column.mature_after is not None and age < column.mature_after:
                return 0.0
            return total_of(column, events, start)
        case Mature():
            return float(age >= column.after)
        case Reached():
            at = float(-math.inf)
            for step in column.steps:
                later = [
                    e.hour
                    for e in events
                    if e.hour >= at and matches(e, step, column.window, start)
                ]
                if not later:
                    return 0.0
                at = min(later)
            return 1.0
        case AtMost():
            own = [e for e in events if matches(e, column.values.events, Window(), start)]
            if column.per_customer:
                below = total_of(column.values, events, start)
                return float(bool(own) and (column.threshold is None or below <= column.threshold))
            values = [e.value for e in own if e.value is not None]
            return float(sum(column.threshold is None or v <= column.threshold for v in values))
        case Predicted():
            known = [p for p in person.predictions if p[0] < start]
            if column.is_known:
                return float(bool(known))
            return max(known)[1] if known else 0.0
    raise TypeError(f"{column} is in no statement here")


def contribution(person: Person) -> tuple[str | None, list[float]] | None:
    """Recompute one person's arm (None: moved) and columns; None where never exposed."""
    met = [e for e in person.exposures if e is not None and e[1] <= AS_OF]
    if not met:
        return None
    arms = {arm for arm, _ in met}
    start = min(hour for _, hour in met)
    events = [e for e in person.events if e.customer < len(person.exposures) and e.hour <= AS_OF]
    row = [value_of(column, person, events, start) for column in COLUMNS]
    return (arms.pop() if len(arms) == 1 else None), row


def store(experiment: Experiment, world: Sequence[Person]) -> None:
    rows: list[EventRow] = []
    met: dict[tuple[str, int], list[Customer]] = {}
    keys = [[unique("customer") for _ in person.exposures] for person in world]
    import_customers(  # in one go: each import locks a table until the transaction ends
        CustomerRow(key, {} if person.country is None else {"country": person.country})
        for person, own in zip(world, keys, strict=True)
        for key in own
    )
    stored = Customer.objects.in_bulk([k for own in keys for k in own], field_name="external_key")
    for person, own in zip(world, keys, strict=True):
        same = [stored[key] for key in own]
        if len(same) == 2:
            merge(same[0], into=same[1])
        for customer, exposure in zip(same, person.exposures, strict=True):
            if exposure is not None:
                met.setdefault(exposure, []).append(customer)
        rows += [
            event_row(
                same[e.customer],
                e.name,
                at=NOW + e.hour * HOUR,
                value=e.value,
                properties=e.properties,
            )
            for e in person.events
            if e.customer < len(same)
        ]
        Prediction.objects.bulk_create(
            Prediction(name="spend", customer=same[0], value=value, predicted_at=NOW + hour * HOUR)
            for hour, value in person.predictions
        )
    for (arm, hour), together in met.items():
        expose(experiment, together, arm, at=NOW + hour * HOUR)
    make_events(rows)


def scope_of(experiment: Experiment) -> Scope:
    return Scope(experiment.pk, NOW, NOW + AS_OF * HOUR)


def assert_moments(actual: Moments, rows: Sequence[Sequence[float]]) -> None:
    oracle = Moments.of(np.array(rows))
    assert actual.n == oracle.n
    np.testing.assert_allclose(actual.mean, oracle.mean, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(actual.covariance, oracle.covariance, rtol=1e-9, atol=1e-7)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(world=st.lists(people, min_size=1, max_size=10))
def test_any_world_has_the_moments_of_its_rows(world: list[Person], db: None) -> None:
    experiment = make_experiment()
    store(experiment, world)

    found = measure(scope_of(experiment), COLUMNS, [AttributeDimension("country")])

    known = [(person, c) for person in world if (c := contribution(person)) is not None]
    assert found.moved == sum(arm is None for _, (arm, _) in known)
    for arm in Arm.objects.filter(experiment=experiment):
        rows = [row for _, (key, row) in known if key == arm.key]
        assert (arm.pk in found.by_arm) == bool(rows)
        if rows:
            assert_moments(found.by_arm[arm.pk], rows)
            largest = np.array(rows).max(axis=0)
            np.testing.assert_allclose(found.largest[arm.pk], largest, rtol=1e-9, atol=1e-90)
        for country in ("GB", "FR", None):
            own = [r for p, (k, r) in known if k == arm.key and p.country == country]
            cell = found.by_segment[0].get(country or "(none)", {})
            assert (arm.pk in cell) == bool(own)
            if own:
                assert_moments(cell[arm.pk], own)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(world=st.lists(people, min_size=1, max_size=10))
def test_cuts_are_the_quantiles_of_all_arms_together(world: list[Person], db: None) -> None:
    experiment = make_experiment()
    store(experiment, world)
    spend = Total("sum", Events(ORDER))
    values = AtMost(spend, per_customer=False)

    capped, median = find_thresholds(
        scope_of(experiment), [Cut(spend, 0.9), Cut(values, 0.5, is_spread=True)]
    )

    starts = [
        (person, min(hour for e in person.exposures if e is not None for hour in [e[1]]))
        for person in world
        if (c := contribution(person)) is not None and c[0] is not None
    ]
    totals, single = [], []
    for person, start in starts:
        events = [
            e for e in person.events if e.customer < len(person.exposures) and e.hour <= AS_OF
        ]
        totals.append(total_of(spend, events, start))
        single += [
            e.value
            for e in events
            if e.value is not None and matches(e, spend.events, Window(), start)
        ]
    nonzero = [total for total in totals if total != 0]
    assert capped == (
        [pytest.approx(np.quantile(nonzero, 0.9), rel=1e-9, abs=1e-9)] if nonzero else []
    )
    if single:
        assert min(single) - 1e-9 <= median[0] <= median[-1] <= max(single) + 1e-9
        assert median == sorted(set(median))
    else:
        assert median == []


def test_exposures_are_counted_by_phase_and_segment() -> None:
    experiment = make_experiment()
    british = make_customers(3, attributes={"country": "GB"})
    others = make_customers(2)
    expose(experiment, british[:2], "control", at=NOW)
    expose(experiment, [british[2], *others], "new", at=NOW + 2 * DAY)

    found = count_exposures(
        experiment.pk,
        now=NOW + 3 * DAY,
        phases=[NOW + DAY],
        dimensions=[AttributeDimension("country")],
    )

    keys = {arm.pk: arm.key for arm in Arm.objects.filter(experiment=experiment)}
    counted = {(e.phase, keys[e.arm_id or 0], e.segment): e.customers for e in found}
    assert counted == {
        (0, "control", None): 2,
        (0, "control", (0, "GB")): 2,
        (1, "new", None): 3,
        (1, "new", (0, "GB")): 1,
        (1, "new", (0, "(none)")): 2,
    }


def test_a_dimension_with_many_values_keeps_the_largest_and_joins_the_rest() -> None:
    experiment = make_experiment()
    for number in range(22):
        customers = make_customers(2 if number < 20 else 1, attributes={"city": f"c{number:02}"})
        expose(experiment, customers, "new", at=NOW)

    found = measure(scope_of(experiment), [COLUMNS[0]], [AttributeDimension("city")])

    sizes = {
        value: sum(m.n for m in by_arm.values()) for value, by_arm in found.by_segment[0].items()
    }
    assert len(sizes) == 21
    assert sizes["(other)"] == 2


def test_another_experiment_divides_customers_by_its_arms() -> None:
    ours, theirs = make_experiment(), make_experiment()
    customers = make_customers(6)
    expose(ours, customers, "new", at=NOW)
    expose(theirs, customers[:2], "control", at=NOW)
    expose(theirs, customers[2:5], "new", at=NOW)

    found = measure(scope_of(ours), [COLUMNS[0]], [ExperimentDimension(theirs.pk)])

    arms = {str(arm.pk): arm.key for arm in Arm.objects.filter(experiment=theirs)}
    sizes = {
        arms.get(value, value): sum(m.n for m in by_arm.values())
        for value, by_arm in found.by_segment[0].items()
    }
    assert sizes == {"control": 2, "new": 3, "(none)": 1}


def test_arrivals_tell_late_events_silence_and_busy_customers() -> None:
    experiment = make_experiment()
    (robot, human) = make_customers(2)
    expose(experiment, [robot, human], "new", at=NOW)
    make_events([event_row(robot, ORDER, at=NOW + HOUR, value=1.0) for _ in range(5)])
    make_events([event_row(human, ORDER, at=NOW + 2 * HOUR, value=1.0)])
    expose(experiment, make_customers(3), "new", at=NOW + 3 * HOUR)

    arrived, busy = watch_arrivals(scope_of(experiment), [ORDER, VISIT], live_since=NOW, per_day=4)

    orders, visits = arrived
    assert (orders.events, orders.late, orders.customers_since) == (6, 6, 3)
    assert orders.last_at == NOW + 2 * HOUR
    assert (visits.events, visits.last_at, visits.customers_since) == (0, None, 5)
    (arm,) = busy
    assert (arm.all_events, arm.events, arm.customers) == (6, 5, 1)
    imported, _ = watch_arrivals(scope_of(experiment), [ORDER], live_since=NOW + DAY, per_day=4)
    assert imported[0].late == 0


def test_what_lies_far_away_in_another_arm_takes_no_digits() -> None:
    experiment = make_experiment()
    rows = []
    for arm, values in (("control", [0.0, 1e-5, 3e-5]), ("new", [1e14, 0.0, 0.0])):
        people = make_customers(3)
        expose(experiment, people, arm, at=NOW)
        rows += [
            event_row(person, ORDER, at=NOW + HOUR, value=value)
            for person, value in zip(people, values, strict=True)
        ]
    make_events(rows)
    spent, bought = Total("sum", Events(ORDER)), Total("any", Events(ORDER))
    found = measure(scope_of(experiment), [spent, bought])
    control = found.by_arm[Arm.objects.get(experiment=experiment, key="control").pk]
    assert control.covariance[0][0] == pytest.approx(np.var([0.0, 1e-5, 3e-5], ddof=1), rel=1e-9)


def test_what_is_the_same_for_everybody_does_not_vary() -> None:
    experiment = make_experiment()
    rows = []
    for arm in ("control", "new"):
        people = make_customers(150)
        expose(experiment, people, arm, at=NOW)
        rows += [event_row(person, ORDER, at=NOW + HOUR, value=0.1) for person in people]
    make_events(rows)
    found = measure(scope_of(experiment), [Total("sum", Events(ORDER))])
    for moments in found.by_arm.values():
        assert moments.covariance[0][0] == pytest.approx(0.0, abs=1e-30)
