"""A cap at a percentile is that of what customers really come to, and takes nothing from zero."""

import numpy as np
import pytest

from experiments.analysing.analysis import analyse
from experiments.models import Experiment, Metric
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


def means_of(metric: Metric, *totals: list[list[float]]) -> dict[str, float]:
    """Let customers of both arms have these values each, and return the arms' means.

    Where the metric takes refunds back, a value below zero is one.
    """
    less = metric.params.get("less")
    experiment: Experiment = make_experiment(goal=metric, planned_customers=40)
    rows = []
    for arm, customers in zip(("control", "new"), totals, strict=True):
        people = make_customers(len(customers))
        expose(experiment, people, arm, at=NOW)
        for person, values in zip(people, customers, strict=True):
            for value in values:
                name = less if less and value < 0 else "Order Completed"
                rows.append(event_row(person, name, at=NOW + HOUR, value=value))
    make_events(rows)
    means: dict[str, float] = analyse(experiment, now=NOW + DAY).report["metrics"][0]["means"]
    return means


def test_who_was_paid_back_in_parts_is_not_among_those_whose_percentile_caps() -> None:
    metric = make_metric(kind="mean", less="Order Refunded", cap={"percentile": 50})
    # In floating point that leaves 5.6e-17.
    paid_back = [[0.1, 0.2, -0.3]] * 10
    few, many = [[10.0], [20.0], [30.0]], [[40.0], [50.0]]
    means = means_of(metric, paid_back + few, paid_back + many)
    cap = np.percentile([10, 20, 30, 40, 50], 50)
    assert cap == 30
    assert means == pytest.approx({"control": (10 + 20 + 30) / 13, "new": (30 + 30) / 12})


def test_a_percentile_below_zero_caps_nobody_who_has_nothing() -> None:
    metric = make_metric(kind="mean", cap={"percentile": 90})
    losses = [[-float(size)] for size in range(1, 11)]
    means = means_of(metric, losses + [[]] * 10, [[]] * 20)
    assert means == pytest.approx({"control": -55 / 20, "new": 0.0})
