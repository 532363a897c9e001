"""What a report page shows: stored numbers in words and pictures; no SQL, no statistics."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from experiments.charts.forest import ForestRow, forest_plot
from experiments.charts.rates import RateRow, rates_chart
from experiments.models import Analysis
from experiments.stats.estimate import Estimate, Inconclusive, result_from_json
from experiments.wording import (
    Unit,
    say_difference,
    say_difference_range,
    say_lift,
    say_list,
    say_p_value,
    say_value,
)


@dataclass(frozen=True, slots=True)
class Row:
    """One arm on one metric, in words."""

    arm: str
    customers: int
    mean: str
    lift: str
    lift_interval: str
    difference: str
    difference_interval: str
    p_value: str
    together: str
    tone: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class MetricSection:
    """One metric of the report."""

    name: str
    describes: str
    role: str
    margin: str
    adjusted: str
    rows: Sequence[Row]
    forest: str
    rates: str


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """One arm on the goal within one segment, in words."""

    segment: str
    arm: str
    customers: int
    change: str
    interval: str
    together: str


@dataclass(frozen=True, slots=True)
class ReportPage:
    """A stored analysis, ready for the template."""

    verdict: Mapping[str, str]
    metrics: Sequence[MetricSection]
    segments: Sequence[tuple[str, Sequence[SegmentRow]]]
    arms: Sequence[Mapping[str, Any]]
    findings: Sequence[Mapping[str, Any]]
    customers: int
    planned_customers: int
    progress_percent: int
    days_left: int | None
    confidence_percent: str
    decided_at: datetime | None


def to_page(analysis: Analysis) -> ReportPage:
    """Turn a stored analysis into what the template shows."""
    report = analysis.report
    customers, planned = report["customers"], report["planned_customers"]
    total = sum(arm["weight"] for arm in report["arms"]) or 1
    # Said only where the numbers went on after the verdict.
    decided_at = datetime.fromisoformat(report["verdict"]["decided_at"])
    return ReportPage(
        verdict=report["verdict"],
        metrics=[_section(metric, report["arms"]) for metric in report["metrics"]],
        segments=_segments(report),
        arms=[
            {
                **arm,
                "planned_share": say_value(arm["weight"] / total, unit="percent"),
                "share": say_value(arm["customers"] / max(customers, 1), unit="percent"),
            }
            for arm in report["arms"]
        ],
        findings=report["findings"],
        customers=customers,
        planned_customers=planned,
        progress_percent=min(100, math.floor(100 * customers / planned)),
        days_left=report["days_left"],
        confidence_percent=f"{100 * report['confidence']:g}%",
        decided_at=decided_at if decided_at < analysis.computed_at else None,
    )


def _section(metric: Mapping[str, Any], arms: Sequence[Mapping[str, Any]]) -> MetricSection:
    results = {key: result_from_json(result) for key, result in metric["results"].items()}
    estimates = [
        (arm["name"], result)
        for arm in arms
        if isinstance(result := results.get(arm["key"]), Estimate)
    ]
    return MetricSection(
        name=metric["name"],
        describes=metric["describes"],
        role=metric["role"],
        margin=_margin(metric),
        adjusted=_adjusted(metric, arms),
        rows=[_row(arm, metric, results.get(arm["key"])) for arm in arms],
        forest=_forest(estimates, metric),
        rates=_rates(estimates, arms, metric),
    )


def _margin(metric: Mapping[str, Any]) -> str:
    """Say how much of a guardrail may be lost."""
    if metric["margin"] is None:
        return ""
    return f"must be shown to lose less than {say_value(metric['margin'], unit='percent')}"


def _adjusted(metric: Mapping[str, Any], arms: Sequence[Mapping[str, Any]]) -> str:
    """Say how much noise was taken out by what was known before exposure."""
    removed = [
        f"{say_value(metric['variance_removed'][arm['key']], unit='percent')} in {arm['name']}"
        for arm in arms
        if metric["variance_removed"].get(arm["key"], 0) > 0
    ]
    if not removed:
        return ""
    return (
        "Adjusted for what customers did before exposure, which explains so much of the noise "
        f"(variance): {say_list(removed)}."
    )


def _segments(report: Mapping[str, Any]) -> list[tuple[str, Sequence[SegmentRow]]]:
    """Put the goal's results within segments side by side, for each way to divide customers."""
    goal = next(metric for metric in report["metrics"] if metric["role"] == "goal")
    names = {arm["key"]: arm["name"] for arm in report["arms"]}
    found: dict[str, list[SegmentRow]] = {}
    for segment in report["segments"]:
        rows = found.setdefault(segment["dimension"], [])
        for item in segment["results"]:
            if item["metric"] != goal["key"]:
                continue
            change, interval = _change(result_from_json(item["result"]), goal)
            ln_p = item["ln_p_adjusted"]
            rows.append(
                SegmentRow(
                    segment["value"],
                    names[item["arm"]],
                    segment["customers"][item["arm"]],
                    change,
                    interval,
                    "" if ln_p is None else say_p_value(ln_p),
                )
            )
    return list(found.items())


def _change(result: Estimate | Inconclusive, metric: Mapping[str, Any]) -> tuple[str, str]:
    """Say a change and its interval, as a lift where there is one, or why there is none."""
    if isinstance(result, Inconclusive):
        return result.reason, ""
    if result.relative is not None and (interval := result.relative_interval) is not None:
        return say_lift(result.relative), f"{say_lift(interval.low)} to {say_lift(interval.high)}"
    ends = result.difference_interval
    return (
        say_difference(result.difference, unit=metric["unit"]),
        say_difference_range(ends.low, ends.high, unit=metric["unit"]),
    )


def _row(
    arm: Mapping[str, Any], metric: Mapping[str, Any], result: Estimate | Inconclusive | None
) -> Row:
    value = metric["means"][arm["key"]]
    mean = "–" if value is None else say_value(value, unit=metric["unit"])
    together = metric["ln_p_adjusted"].get(arm["key"])
    blank = {
        "lift": "",
        "lift_interval": "",
        "difference": "",
        "difference_interval": "",
        "p_value": "",
        "together": "",
    }
    if result is None or isinstance(result, Inconclusive):
        note = "control" if result is None else result.reason
        return Row(arm["name"], arm["customers"], mean, tone="plain", note=note, **blank)
    low, high = result.difference_interval.low, result.difference_interval.high
    unit = metric["unit"]
    return Row(
        arm=arm["name"],
        customers=arm["customers"],
        mean=mean,
        lift="–" if result.relative is None else say_lift(result.relative),
        lift_interval=(
            ""
            if result.relative_interval is None
            else f"{say_lift(result.relative_interval.low)} to "
            f"{say_lift(result.relative_interval.high)}"
        ),
        difference=say_difference(result.difference, unit=unit),
        difference_interval=say_difference_range(low, high, unit=unit),
        p_value=say_p_value(result.ln_p_value),
        together="" if together is None else say_p_value(together),
        tone=_tone(result, higher_is_better=metric["higher_is_better"]),
    )


def _tone(result: Estimate, *, higher_is_better: bool) -> str:
    if not result.is_significant:
        return "plain"
    return "good" if (result.direction == "up") == higher_is_better else "bad"


def _forest(estimates: Sequence[tuple[str, Estimate]], metric: Mapping[str, Any]) -> str:
    """Draw the lifts, or the differences where an arm has no lift."""
    if not estimates:
        return ""
    lifts = [
        (name, estimate.relative, estimate.relative_interval)
        for name, estimate in estimates
        if estimate.relative is not None and estimate.relative_interval is not None
    ]
    are_lifts = len(lifts) == len(estimates)
    unit: Unit = "percent" if are_lifts else metric["unit"]
    drawn = lifts if are_lifts else [(n, e.difference, e.difference_interval) for n, e in estimates]
    rows = []
    for name, point, interval in drawn:
        said = [
            say_lift(value) if are_lifts else say_difference(value, unit=unit)
            for value in (point, interval.low, interval.high)
        ]
        text = f"{said[0]}, between {said[1]} and {said[2]}"
        rows.append(ForestRow(name, interval.low, point, interval.high, text))
    return forest_plot(rows, unit=unit, title=f"Change in {metric['name']} against the control")


def _rates(
    estimates: Sequence[tuple[str, Estimate]],
    arms: Sequence[Mapping[str, Any]],
    metric: Mapping[str, Any],
) -> str:
    """Draw every arm's mean, the control first."""
    if not estimates:
        return ""
    unit = metric["unit"]
    control = next(arm["name"] for arm in arms if arm["is_control"])
    _, first = estimates[0]
    measured = [(control, first.control_mean, first.control_interval)] + [
        (name, estimate.treatment_mean, estimate.treatment_interval) for name, estimate in estimates
    ]
    rows = [
        RateRow(
            name,
            mean,
            interval.low,
            interval.high,
            f"{say_value(mean, unit=unit)}, between {say_value(interval.low, unit=unit)} and "
            f"{say_value(interval.high, unit=unit)}",
        )
        for name, mean, interval in measured
    ]
    return rates_chart(rows, unit=unit, title=f"{metric['name']} by arm")
