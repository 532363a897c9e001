"""Metric types: their parameters, the columns they ask for, and what web processes pay."""

import subprocess
import sys
from typing import Any

import msgspec
import numpy as np
import pytest

from experiments.metrics import METRICS, metric_choices
from experiments.metrics.base import Aggregate, read_params
from experiments.stats.estimate import Estimate
from experiments.stats.lift import compare_means
from experiments.stats.moments import Moments
from experiments.stats.proportions import compare_shares

BINARY = (Moments.of(np.array([[0.0], [0.0], [1.0]])), Moments.of(np.array([[1.0], [0.0], [1.0]])))


def test_choices_name_every_metric_type() -> None:
    assert metric_choices() == [
        ("conversion", "Conversion (share of customers)"),
        ("mean", "Mean per customer"),
    ]


@pytest.mark.parametrize(
    ("kind", "raw", "aggregate", "described"),
    [
        (
            "conversion",
            {"event": "Visit", "window_days": 14},
            Aggregate("Visit", "any", 1_209_600),
            "share of customers with at least one “Visit” within 14 days of exposure",
        ),
        (
            "conversion",
            {"event": "Visit", "window_days": 1},
            Aggregate("Visit", "any", 86_400),
            "share of customers with at least one “Visit” within 1 day of exposure",
        ),
        (
            "mean",
            {"event": "Order"},
            Aggregate("Order", "sum", None),
            "mean total value of “Order” per customer at any time after exposure",
        ),
        (
            "mean",
            {"event": "Order", "of": "count", "window_days": 0.5},
            Aggregate("Order", "count", 43_200),
            "mean number of “Order” per customer within 0.5 days of exposure",
        ),
    ],
)
def test_parameters_settle_the_column(
    kind: str, raw: dict[str, Any], aggregate: Aggregate, described: str
) -> None:
    metric = METRICS[kind]
    params = read_params(metric, raw)
    assert metric.aggregates(params) == (aggregate,)
    assert metric.describe(params) == described


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("conversion", {}),
        ("conversion", {"event": ""}),
        ("conversion", {"event": "Visit", "window_days": 0}),
        ("conversion", {"event": "Visit", "of": "count"}),
        ("mean", {"event": "Visit", "of": "median"}),
        ("mean", {"event": "Visit", "windowdays": 3}),
    ],
)
def test_wrong_parameters_are_refused(kind: str, raw: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        read_params(METRICS[kind], raw)


def test_each_type_compares_with_its_own_statistics() -> None:
    assert METRICS["conversion"].compare(*BINARY, confidence=0.9) == compare_shares(
        *BINARY, confidence=0.9
    )
    mean = METRICS["mean"].compare(*BINARY, confidence=0.9)
    assert mean == compare_means(*BINARY, confidence=0.9)
    assert isinstance(mean, Estimate)
    assert mean.confidence == 0.9


def test_units_tell_shares_from_numbers() -> None:
    assert {name: metric.unit for name, metric in METRICS.items()} == {
        "conversion": "percent",
        "mean": "number",
    }


def test_metric_types_and_reports_load_no_heavy_statistics() -> None:
    code = (
        "import sys, experiments.metrics, experiments.verdict, experiments.charts;"
        "print({'statsmodels', 'pandas', 'torch', 'scipy.stats', 'django'} & set(sys.modules))"
    )
    loaded = subprocess.run(  # its own process, since this one has loaded all of them
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "set()"
