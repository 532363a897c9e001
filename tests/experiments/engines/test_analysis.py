"""The statements that analyses are made of give the same rows on every engine."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from pytest_django import Settings

from experiments.engines import load_engine
from experiments.measuring.queries import find_layout, measure
from experiments.metrics.columns import (
    AtMost,
    Column,
    Events,
    Filter,
    Mature,
    Predicted,
    Reached,
    Total,
    Window,
)
from experiments.plan import Adjustment
from experiments.planning.versions import draft_plan
from experiments.sql.columns import Scope
from experiments.sql.statements import (
    AttributeDimension,
    ExperimentDimension,
    Statement,
    arrivals_statement,
    count_statement,
    currencies_statement,
    exposures_statement,
    moments_statement,
    quantiles_statement,
)
from tests.experiments.engines.test_engines import LAKE_ENGINES
from tests.experiments.engines.worlds import FIRST, NAMES, World, assert_same_rows, make_world
from tests.makers import (
    DAY,
    HOUR,
    NOW,
    event_row,
    expose,
    make_customers,
    make_events,
    make_experiment,
    make_metric,
)

pytestmark = pytest.mark.django_db

ORDER, VISIT, OTHER, _ = map(Events, NAMES)
WEEK = Window(0, 7 * 86_400)
LARGE = Events(ORDER.name, (Filter("size", ">=", 2), Filter("é", "!=", "a\\b")))
IN_EUROS = Events(ORDER.name, (Filter("currency", "in", ("EUR", "eur")),))
AMONG = Events(VISIT.name, (Filter("it's", "in", ("it's", "12\n", "")), Filter("a.b", "exists")))
ORDERED = AtMost(Total("sum", ORDER), per_customer=False)
COLUMNS: tuple[Column, ...] = (
    Total("any", ORDER, window=WEEK),
    Total("sum", ORDER, OTHER, WEEK, cap=178.57999999999998),
    Total("count", LARGE),
    Total("sum", ORDER, from_property="size"),
    Total("sum", IN_EUROS, window=WEEK),
    Total("count", AMONG, window=Window(3600, None)),
    Total("sum", VISIT).before(14 * 86_400),
    Total("any", VISIT, window=WEEK, mature_after=7 * 86_400),
    Mature(7 * 86_400),
    Reached((VISIT, ORDER, OTHER), Window(0, 20 * 86_400)),
    AtMost(Total("sum", ORDER), per_customer=False, threshold=20.0),
    AtMost(Total("sum", ORDER, OTHER), per_customer=True, threshold=20.0),
    Predicted("spend"),
    Predicted("spend", is_known=True),
)


def moments(world: World, scope: Scope) -> Statement:
    dimensions = (AttributeDimension("it's"), ExperimentDimension(world.other.pk))
    return moments_statement(scope, COLUMNS, dimensions)


def moments_by_phase(world: World, scope: Scope) -> Statement:
    return moments_statement(
        scope, COLUMNS[:2], [AttributeDimension("it's")], [NOW, NOW + DAY, NOW + 2 * DAY]
    )


def counts(world: World, scope: Scope) -> Statement:
    return count_statement(scope, [ORDERED])


def quantiles(world: World, scope: Scope) -> Statement:
    cuts: list[tuple[Total | AtMost, Sequence[float]]] = [
        (Total("sum", VISIT, OTHER), (0.95,)),
        (ORDERED, (0.1, 0.25, 0.5, 0.999)),
    ]
    return quantiles_statement(scope, cuts)


def arrivals(world: World, scope: Scope) -> Statement:
    return arrivals_statement(scope, NAMES, live_since=FIRST + 3 * DAY, per_day=2)


def currencies(world: World, scope: Scope) -> Statement:
    totals = [Total("sum", ORDER), Total("sum", IN_EUROS), Total("sum", VISIT, from_property="a.b")]
    return currencies_statement(scope, totals)


def exposures(world: World, scope: Scope) -> Statement:
    dimensions = [AttributeDimension("size")]
    return Statement(exposures_statement(scope, [NOW, NOW + DAY], dimensions), scope.since)


Ask = Callable[[World, Scope], Statement]


@pytest.mark.parametrize(
    "ask", [moments, moments_by_phase, counts, quantiles, arrivals, currencies, exposures]
)
@pytest.mark.parametrize("engine", LAKE_ENGINES)
def test_an_analysis_is_the_same_on_every_engine(
    engine: str, ask: Ask, tmp_path: Path, settings: Settings
) -> None:
    settings.LAKE_DIR = tmp_path / "lake"
    world = make_world(7, settings.LAKE_DIR)
    since = FIRST + timedelta(days=2)
    statement = ask(world, Scope(world.experiment.pk, since, NOW + 10 * DAY))
    actual, expected = (
        load_engine(name).run(
            statement.text, experiment_id=world.experiment.pk, since=statement.since
        )
        for name in (engine, "postgres")
    )
    assert expected
    assert_same_rows(actual, expected)


@pytest.mark.parametrize("engine", ["postgres", *LAKE_ENGINES])
def test_values_that_are_equal_are_one_threshold_on_every_engine(
    engine: str, tmp_path: Path, settings: Settings
) -> None:
    settings.LAKE_DIR, settings.ANALYTICS_ENGINE = tmp_path / "lake", engine
    metric = make_metric(kind="quantile", percentile=50)
    experiment = make_experiment(goal=metric)
    people = make_customers(60)
    expose(experiment, people, "new", at=NOW)
    # DuckDB weighs both neighbours, and so finds a number just below 7.1 between 7.1 and 7.1.
    make_events([event_row(one, ORDER.name, at=NOW + HOUR, value=7.1) for one in people])
    scope = Scope(experiment.pk, NOW, NOW + DAY)
    layout = find_layout(scope, draft_plan(experiment).metrics, Adjustment(days=0))
    (arm,) = measure(scope, layout.columns).by_arm.values()
    assert (layout.goal.thresholds, arm.mean) == (((7.1,),), (1.0, 1.0))
