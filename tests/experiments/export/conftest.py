"""An analysed experiment to write down."""

import pytest
from django.db import connection

from experiments.analysing.analysis import analyse
from experiments.lifecycle.adjusting import change_weights
from experiments.lifecycle.drafting import ArmPlan
from experiments.models import Experiment
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


@pytest.fixture
def experiment() -> Experiment:
    """Shares, means with covariates, a ratio and a quantile, in two arms of one size."""
    spend, middle = make_metric(kind="mean"), make_metric(kind="quantile", percentile=50)
    ratio = make_metric()
    ratio.kind, ratio.params = "ratio", {
        "numerator": {"event": "Order Completed", "of": "value"},
        "denominator": {"event": "Order Completed", "of": "count"},
    }  # fmt: skip
    ratio.save()
    made = make_experiment(
        others=[spend, middle, ratio],
        guardrails={make_metric("Cart Viewed"): 0.2},
        planned_customers=700,
        minimum_days=1,
        segments=["country"],
    )
    for country in ("de", "=cmd()"):
        for arm, bought, price in (("control", 60, 1.3), ("new", 80, 1.6)):
            people = make_customers(170, attributes={"country": country})
            before = [
                event_row(p, "Order Completed", at=NOW - DAY, value=5.0 + n % 7)
                for n, p in enumerate(people[: bought + 40])
            ]
            expose(made, people, arm, at=NOW)
            make_events(
                before
                + [
                    event_row(p, "Order Completed", at=NOW + HOUR, value=5.0 + price * (n % 19))
                    for n, p in enumerate(people[:bought])
                ]
                + [event_row(p, "Cart Viewed", at=NOW + HOUR) for p in people[:100]]
            )
    with connection.cursor() as cursor:
        # By the statistics of rows that are deleted by now the planner may take minutes over these.
        cursor.execute("ANALYZE audience_customer, experiments_exposure, audience_event")
    analyse(made, now=NOW + 3 * DAY)
    return made


@pytest.fixture
def ramped() -> Experiment:
    """A share and a mean with covariates, of an arm that grew while the shop sold better."""
    arms = (ArmPlan("control", "Control", 9000, is_control=True), ArmPlan("new", "New", 1000))
    spend = make_metric(kind="mean")
    made = make_experiment(others=[spend], arms=arms, planned_customers=2000, minimum_days=1)
    for at, sizes, share in (
        (NOW, {"control": 900, "new": 100}, 0.1),
        (NOW + 2 * DAY, {"control": 500, "new": 500}, 0.3),
    ):
        if at > NOW:
            weights = {"control": 5000, "new": 5000}
            change_weights(made, weights, by=None, now=at - HOUR, reason="it holds")
        for arm, size in sizes.items():
            people = make_customers(size)
            bought = people[: round(size * share)]
            make_events(
                [event_row(p, "Order Completed", at=NOW - DAY, value=5.0) for p in bought[::2]]
                + [
                    event_row(p, "Order Completed", at=at + HOUR, value=5.0 + n % 19)
                    for n, p in enumerate(bought)
                ]
            )
            expose(made, people, arm, at=at)
    analyse(made, now=NOW + 4 * DAY)
    return made
