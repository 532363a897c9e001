"""Metric types: their parameters, the columns they ask for, and what web processes pay."""

import subprocess
import sys
from typing import Any

import msgspec
import numpy as np
import pytest

from experiments.metrics import METRICS, metric_choices
from experiments.metrics.base import name_events, read_params, uncap
from experiments.metrics.columns import (
    AtMost,
    Column,
    Cut,
    Events,
    Filter,
    Mature,
    Reached,
    Total,
    Window,
)
from experiments.stats.estimate import Estimate, Inconclusive
from experiments.stats.lift import compare_means
from experiments.stats.moments import Moments
from experiments.stats.proportions import compare_shares
from experiments.stats.quantile import compare_quantiles
from experiments.stats.ratio import compare_ratios

DAY = 86_400
RNG = np.random.default_rng(11)


def shares(*ones: float) -> tuple[Moments, Moments]:
    control, treatment = (RNG.binomial(1, p, (500, 1)).astype(np.float64) for p in ones)
    return Moments.of(control), Moments.of(treatment)


def pairs() -> Moments:
    return Moments.of((RNG.poisson(2.0, (500, 2)) + 1).astype(np.float64))


BINARY = shares(0.2, 0.3)
PAIRS = (pairs(), pairs())
VISIT = {"event": "Visit"}
IN_EUROS = (Filter("currency", "in", ("EUR", "eur")),)
CASES: list[tuple[str, dict[str, Any], tuple[Column, ...], str]] = [
    (
        "conversion",
        {"event": "Visit", "window_days": 14},
        (Total("any", Events("Visit"), window=Window(0, 14 * DAY)),),
        "share of customers with at least one “Visit” within 14 days of exposure",
    ),
    (
        "conversion",
        {"event": "Order", "less": "Cancel", "delay_days": 1},
        (Total("any", Events("Order"), Events("Cancel"), Window(DAY)),),
        "share of customers with at least one “Order” not taken back by “Cancel” "
        "from 1 day after exposure on",
    ),
    (
        "mean",
        {"event": "Order", "where": [{"property": "currency", "value": "GBP"}]},
        (Total("sum", Events("Order", (Filter("currency", "=", "GBP"),))),),
        "mean total value of “Order” (currency is GBP) per customer at any time after exposure",
    ),
    (
        "mean",
        {"event": "Order", "less": "Refund", "currency": "EUR", "only_in_currency": True},
        (Total("sum", Events("Order", IN_EUROS), Events("Refund", IN_EUROS)),),
        "mean total value of “Order” (currency is EUR or eur) less “Refund” per customer "
        "at any time after exposure",
    ),
    (
        "mean",
        {"event": "Order", "of": "count", "delay_days": 1, "window_days": 0.5},
        (Total("count", Events("Order"), window=Window(DAY, DAY + 43_200)),),
        "mean number of “Order” per customer from 1 day to 1.5 days after exposure",
    ),
    (
        "mean",
        {"event": "Order", "from_property": "margin", "less": "Refund", "cap": {"value": 900}},
        (Total("sum", Events("Order"), Events("Refund"), cap=900, from_property="margin"),),
        "mean total margin of “Order” less “Refund” per customer at any time after exposure, "
        "at most 900 for one customer",
    ),
    (
        "ratio",
        {"numerator": {"event": "Click"}, "denominator": {"event": "View"}, "window_days": 1},
        (
            Total("count", Events("Click"), window=Window(0, DAY)),
            Total("count", Events("View"), window=Window(0, DAY)),
        ),
        "ratio of “Click” to “View”, within 1 day of exposure",
    ),
    (
        "ratio",
        {
            "numerator": {"event": "Order", "of": "value", "less": "Refund"},
            "denominator": {"event": "Order"},
            "currency": "EUR",
            "only_in_currency": True,
        },
        (
            Total("sum", Events("Order", IN_EUROS), Events("Refund", IN_EUROS)),
            Total("count", Events("Order", IN_EUROS)),
        ),
        "ratio of total value of “Order” less “Refund” to “Order”, in EUR only, "
        "at any time after exposure",
    ),
    (
        "ratio",
        {
            "numerator": {"event": "Order", "of": "value"},
            "denominator": {"event": "Visit"},
            "currency": "EUR",
            "only_in_currency": True,
        },
        (Total("sum", Events("Order", IN_EUROS)), Total("count", Events("Visit"))),
        "ratio of total value of “Order” to “Visit”, in EUR only, at any time after exposure",
    ),
    (
        "retention",
        {"event": "Visit", "from_day": 7, "to_day": 14},
        (
            Total("any", Events("Visit"), window=Window(7 * DAY, 14 * DAY), mature_after=14 * DAY),
            Mature(14 * DAY),
        ),
        "share of customers with “Visit” from 7 days to 14 days after exposure, "
        "once that time has passed",
    ),
    (
        "funnel",
        {"steps": [{"event": "View"}, {"event": "Cart"}, {"event": "Order"}]},
        tuple(
            Reached(tuple(Events(name) for name in ("View", "Cart", "Order")[:n]))
            for n in (3, 2, 1)
        ),
        "share of customers with “View”, then “Cart”, then “Order”, at any time after exposure",
    ),
]


def test_choices_name_every_metric_type() -> None:
    assert [name for name, _ in metric_choices()] == [
        "conversion",
        "mean",
        "ratio",
        "quantile",
        "retention",
        "funnel",
    ]


@pytest.mark.parametrize(("kind", "raw", "columns", "described"), CASES)
def test_parameters_settle_the_columns(
    kind: str, raw: dict[str, Any], columns: tuple[Column, ...], described: str
) -> None:
    metric = METRICS[kind]
    params = read_params(metric, raw)
    assert metric.cuts(params) == ()
    assert metric.columns(params, []) == columns
    assert metric.describe(params) == described
    assert all(isinstance(total, Total) for total in metric.history(params))


def test_a_percentile_cap_is_found_first() -> None:
    metric = METRICS["mean"]
    params = read_params(metric, {"event": "Order", "cap": {"percentile": 99}})
    total = Total("sum", Events("Order"))
    assert metric.cuts(params) == (Cut(total, 0.99),)
    assert metric.columns(params, [[120.0]]) == (Total("sum", Events("Order"), cap=120.0),)
    assert metric.columns(params, [[]]) == (total,)
    assert metric.describe(params).endswith("at most the 99th percentile for one customer")


def test_each_part_of_a_ratio_has_its_own_cap() -> None:
    metric = METRICS["ratio"]
    params = read_params(
        metric,
        {
            "numerator": {"event": "Order", "of": "value", "cap": {"percentile": 95}},
            "denominator": {"event": "Order", "cap": {"value": 3}},
        },
    )
    assert metric.cuts(params) == (Cut(Total("sum", Events("Order")), 0.95),)
    above, below = metric.columns(params, [[50.0]])
    assert isinstance(above, Total)
    assert isinstance(below, Total)
    assert (above.cap, below.cap) == (50.0, 3.0)


def test_caps_come_off_both_parts_of_a_ratio() -> None:
    bare = {"numerator": {"event": "Order"}, "denominator": {"event": "View"}}
    capped = {
        "numerator": {"event": "Order", "cap": {"percentile": 95}},
        "denominator": {"event": "View", "cap": {"value": 3}},
    }
    plain = read_params(METRICS["ratio"], bare)
    assert uncap(read_params(METRICS["ratio"], capped)) == plain
    assert uncap(plain) is plain


def test_a_ratio_is_no_percentage_of_money() -> None:
    raw = {"numerator": VISIT, "denominator": VISIT, "is_share": True, "currency": "GBP"}
    with pytest.raises(msgspec.ValidationError, match="not both"):
        read_params(METRICS["ratio"], raw)


@pytest.mark.parametrize(
    ("kind", "raw", "names"),
    [
        ("mean", {"event": "Order", "less": "Refund"}, ["Order", "Refund"]),
        ("ratio", {"numerator": {"event": "A"}, "denominator": {"event": "B"}}, ["A", "B"]),
        ("funnel", {"steps": [{"event": "A"}, {"event": "B"}, {"event": "A"}]}, ["A", "B"]),
    ],
)
def test_events_are_named_wherever_they_stand(
    kind: str, raw: dict[str, Any], names: list[str]
) -> None:
    assert name_events(read_params(METRICS[kind], raw)) == names


@pytest.mark.parametrize("over", ["events", "customers"])
def test_a_quantile_counts_values_below_its_thresholds(over: str) -> None:
    metric = METRICS["quantile"]
    params = read_params(metric, {"event": "Order", "percentile": 90, "over": over})
    values = AtMost(Total("sum", Events("Order")), per_customer=over == "customers")
    assert metric.cuts(params) == (Cut(values, 0.9, is_spread=True),)
    of = "single" if over == "events" else "customers' total"
    assert metric.describe(params) == (
        f"90th percentile of {of} values of “Order” at any time after exposure"
    )
    assert metric.unit(params) == "number"
    assert metric.history(params) == (values.values, Total("count", Events("Order")))
    thresholds = [[1.0, 2.0]]
    assert metric.columns(params, thresholds) == (
        values,
        AtMost(values.values, values.per_customer, 1.0),
        AtMost(values.values, values.per_customer, 2.0),
    )
    moments = Moments(4, (10.0, 5.0, 10.0), ((0.0,) * 3,) * 3)
    assert metric.value(params, moments, thresholds) == pytest.approx(1.8)
    assert metric.value(params, moments, [[]]) is None


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("conversion", {}),
        ("conversion", {"event": ""}),
        ("conversion", {"event": "Visit", "window_days": 0}),
        ("conversion", {"event": "Visit", "of": "count"}),
        ("conversion", {"event": "Visit", "where": [{"property": "x", "op": ">", "value": "a"}]}),
        ("conversion", {"event": "Visit", "where": [{"property": "x", "op": "in", "value": "a"}]}),
        ("conversion", {"event": "Visit", "where": [{"property": "x", "op": "in", "value": []}]}),
        ("conversion", {"event": "Visit", "where": [{"property": "x", "op": "="}]}),
        ("conversion", {"event": "Visit", "where": [{"property": "x'); --", "value": "a"}]}),
        ("mean", {"event": "Visit", "of": "median"}),
        ("mean", {"event": "Visit", "windowdays": 3}),
        ("mean", {"event": "Visit", "cap": {}}),
        ("mean", {"event": "Visit", "cap": {"value": 3, "percentile": 99}}),
        ("mean", {"event": "Visit", "of": "count", "from_property": "margin"}),
        ("mean", {"event": "Order", "only_in_currency": True}),
        ("ratio", {"numerator": VISIT, "denominator": VISIT, "only_in_currency": True}),
        ("quantile", {"event": "Order", "only_in_currency": True}),
        ("ratio", {"numerator": {"event": "Click"}}),
        ("quantile", {"event": "Visit", "percentile": 100}),
        ("quantile", {"event": "Visit", "less": "Refund"}),
        ("retention", {"event": "Visit", "from_day": 7, "to_day": 7}),
        ("funnel", {"steps": [VISIT]}),
        ("funnel", {"steps": [VISIT, VISIT]}),
    ],
)
def test_wrong_parameters_are_refused(kind: str, raw: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        read_params(METRICS[kind], raw)


def test_each_type_compares_with_its_own_statistics() -> None:
    visit = {"conversion": VISIT, "mean": VISIT}
    for kind, oracle in (("conversion", compare_shares), ("mean", compare_means)):
        params = read_params(METRICS[kind], visit[kind])
        result = METRICS[kind].compare(params, [BINARY], thresholds=[], confidence=0.9)
        assert result == oracle(*BINARY, confidence=0.9)
        assert isinstance(result, Estimate)
        assert result.confidence == 0.9
    for kind in ("ratio", "retention"):
        params = read_params(METRICS[kind], next(raw for k, raw, *_ in CASES if k == kind))
        result = METRICS[kind].compare(params, [PAIRS], thresholds=[], confidence=0.9)
        assert result == compare_ratios(*PAIRS, confidence=0.9)


def test_a_funnel_is_judged_by_its_last_step() -> None:
    control, treatment = (arm.select(0, 0) for arm in shares(0.2, 0.3))
    metric = METRICS["funnel"]
    params = read_params(metric, {"steps": [{"event": "View"}, {"event": "Order"}]})
    result = metric.compare(params, [(control, treatment)], thresholds=[], confidence=0.95)
    assert result == compare_shares(control.select(0), treatment.select(0), confidence=0.95)


def test_a_quantile_is_compared_by_its_thresholds() -> None:
    rows = [RNG.lognormal(shift, 1.0, (2000, 1)) for shift in (0.0, 0.2)]
    thresholds = np.quantile(np.concatenate(rows), np.linspace(0.3, 0.7, 11)).tolist()
    control, treatment = (
        Moments.of(np.hstack([np.ones_like(values), (values <= thresholds).astype(float)]))
        for values in rows
    )
    metric = METRICS["quantile"]
    params = read_params(metric, {"event": "Order"})
    result = metric.compare(
        params, [(control, treatment)], thresholds=[thresholds], confidence=0.95
    )
    assert result == compare_quantiles(
        control, treatment, thresholds=thresholds, level=0.5, confidence=0.95
    )
    assert isinstance(result, Estimate)
    assert result.control_mean == pytest.approx(np.median(rows[0]), rel=0.02)
    assert metric.value(params, control, [thresholds]) == pytest.approx(result.control_mean)


def test_a_quantile_may_be_of_one_currency_alone() -> None:
    metric = METRICS["quantile"]
    params = read_params(metric, {"event": "Order", "currency": "EUR", "only_in_currency": True})
    (cut,) = metric.cuts(params)
    assert cut.of == AtMost(Total("sum", Events("Order", IN_EUROS)), per_customer=False)


@pytest.mark.parametrize("thresholds", [[], [3.0]])
def test_a_quantile_needs_two_different_values(thresholds: list[float]) -> None:
    metric = METRICS["quantile"]
    params = read_params(metric, {"event": "Order"})
    columns = 1 + len(thresholds)
    nobody = Moments(5, (0.0,) * columns, ((0.0,) * columns,) * columns)
    result = metric.compare(params, [(nobody, nobody)], thresholds=[thresholds], confidence=0.95)
    assert isinstance(result, Inconclusive)


def test_units_tell_shares_from_numbers() -> None:
    ratio = next(raw for kind, raw, *_ in CASES if kind == "ratio")
    units = {
        kind: METRICS[kind].unit(read_params(METRICS[kind], raw))
        for kind, raw, *_ in CASES
        if "currency" not in raw
    }
    assert units == {
        "conversion": "percent",
        "mean": "number",
        "ratio": "number",
        "retention": "percent",
        "funnel": "percent",
    }
    share = read_params(METRICS["ratio"], {**ratio, "is_share": True})
    assert METRICS["ratio"].unit(share) == "percent"


def test_metric_types_and_reports_load_no_heavy_statistics() -> None:
    code = (
        "import sys, experiments.metrics, experiments.analysing.verdict, experiments.charts;"
        "print({'statsmodels', 'pandas', 'torch', 'scipy.stats', 'django'} & set(sys.modules))"
    )
    loaded = subprocess.run(  # its own process, since this one has loaded all of them
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "set()"
