"""What a report page shows: stored numbers in words and pictures; no SQL, no statistics."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from experiments.charts.forest import ForestRow, forest_plot
from experiments.health.passed import PASSED
from experiments.models import Analysis
from experiments.reports.metrics import MetricSection, to_section
from experiments.reports.segments import SegmentRow, to_segments
from experiments.stats.estimate import Estimate, result_from_json
from experiments.wording import say_lift, say_value

__all__ = ["MetricSection", "ReportPage", "to_page"]


@dataclass(frozen=True, slots=True)
class ReportPage:
    """A stored analysis, ready for the template.

    Attributes:
        verdict: What was found.
        overview: A picture of every lift, by metric and arm; empty with a single one.
        metrics: The metrics, in their order.
        by: Key of the metric that is shown by segment.
        segments: Its rows, for each way to divide customers.
        covariates: What is known before exposure.
        arms: Shares and customers.
        findings: What checks found.
        passed: What the other checks say.
        customers: How many took part.
        planned_customers: How many are to.
        progress_percent: The first of the second.
        days_left: At the pace so far.
        confidence_percent: Of every interval.
        decided_at: When the verdict was reached, where the numbers went on after it.
        means_are_mixed: Whether arms hold customers of different times, as weights changed, so that
            the arms' means differ without an effect.
    """

    verdict: Mapping[str, Any]
    overview: str
    metrics: Sequence[MetricSection]
    by: str
    segments: Sequence[tuple[str, Sequence[SegmentRow]]]
    covariates: Sequence[str]
    arms: Sequence[Mapping[str, Any]]
    findings: Sequence[Mapping[str, Any]]
    passed: Sequence[str]
    customers: int
    planned_customers: int
    progress_percent: int
    days_left: int | None
    confidence_percent: str
    decided_at: datetime | None
    means_are_mixed: bool


def to_page(analysis: Analysis, *, by: str = "") -> ReportPage:
    """Turn a stored analysis into what the template shows.

    Args:
        analysis: What is stored.
        by: Key of the metric to show by segment; the goal's where there is no such metric.
    """
    report = analysis.report
    customers, planned = report["customers"], report["planned_customers"]
    total = sum(arm["weight"] for arm in report["arms"]) or 1
    # Said only where the numbers went on after the verdict.
    decided_at = datetime.fromisoformat(report["verdict"]["decided_at"])
    codes = {finding["code"] for finding in report["findings"]}
    chosen = _choose(report, by)
    return ReportPage(
        verdict=report["verdict"],
        overview=_overview(report),
        metrics=[to_section(metric, report["arms"]) for metric in report["metrics"]],
        by=chosen["key"],
        segments=to_segments(report, metric=chosen),
        covariates=report["covariates"],
        arms=[
            {
                **arm,
                "planned_share": say_value(arm["weight"] / total, unit="percent"),
                "share": say_value(arm["customers"] / max(customers, 1), unit="percent"),
            }
            for arm in report["arms"]
        ],
        findings=report["findings"],
        passed=[sentence for found, sentence in PASSED if not codes.intersection(found)],
        customers=customers,
        planned_customers=planned,
        progress_percent=min(100, math.floor(100 * customers / planned)),
        days_left=report["days_left"],
        confidence_percent=f"{100 * report['confidence']:g}%",
        decided_at=decided_at if decided_at < analysis.computed_at else None,
        means_are_mixed="weights_changed" in codes,
    )


def _choose(report: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    by_key: dict[str, Mapping[str, Any]] = {metric["key"]: metric for metric in report["metrics"]}
    goal: str = next(m["key"] for m in report["metrics"] if m["role"] == "goal")
    return by_key.get(key, by_key[goal])


def _overview(report: Mapping[str, Any]) -> str:
    """Draw every lift on one axis: a metric's arms below each other."""
    names = {arm["key"]: arm["name"] for arm in report["arms"]}
    is_one_arm = len(names) == 2
    rows = []
    for metric in report["metrics"]:
        for key, raw in metric["results"].items():
            result = result_from_json(raw)
            if not isinstance(result, Estimate) or result.relative_interval is None:
                continue
            point, ends = result.relative or 0.0, result.relative_interval
            label = metric["name"] if is_one_arm else f"{metric['name']}: {names[key]}"
            said = f"{say_lift(point)}, between {say_lift(ends.low)} and {say_lift(ends.high)}"
            rows.append(ForestRow(label, ends.low, point, ends.high, said))
    if len(rows) < 2:
        return ""
    return forest_plot(rows, unit="percent", title="Lift of every metric against the control")
