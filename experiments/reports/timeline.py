"""Reads how the goal's effect went from look to look, out of what analyses keep short."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from experiments.charts import Chart, TimePoint, lift_timeline
from experiments.models import Analysis, Experiment
from experiments.reports.explaining import say_change

# A picture has room for so many; of more, those at looks and the last are shown.
MOST_POINTS = 40


def draw_timelines(
    experiment: Experiment, newest: Analysis, *, noun: str
) -> list[tuple[str, Chart]]:
    """Draw the goal's effect over time for every arm, with its name.

    Args:
        experiment: Whose analyses are read.
        newest: The last point, whatever is between.
        noun: What the goal measures.
    """
    rows = list(
        experiment.analyses.filter(look__isnull=False, computed_at__lte=newest.computed_at)
        .order_by("-computed_at")
        .values_list("computed_at", "summary")[:MOST_POINTS]
    )[::-1]
    if not rows or rows[-1][0] != newest.computed_at:
        rows.append((newest.computed_at, newest.summary))
    names = {arm["key"]: arm["name"] for arm in newest.report["arms"]}
    charts = []
    for key, arm in newest.summary.get("arms", {}).items():
        explained = arm["explained"]
        if explained is None:
            continue
        unit = "percent" if explained["is_lift"] else newest.summary["unit"]
        points = _points(rows, key, is_lift=explained["is_lift"])

        def say(value: float, *, is_lift: bool = explained["is_lift"]) -> str:
            return say_change(value, is_lift=is_lift, unit=newest.summary["unit"])

        chart = lift_timeline(points, unit=unit, title=f"{noun}: {names[key]} over time", say=say)
        charts.append((names[key], chart))
    return charts


def _points(rows: Sequence[tuple[datetime, Any]], arm: str, *, is_lift: bool) -> list[TimePoint]:
    """Return one arm's points, as far as they are on the scale of the last."""
    points = []
    for at, summary in rows:
        told = summary.get("arms", {}).get(arm)
        if told is None or told["explained"] is None or told["explained"]["is_lift"] != is_lift:
            continue
        result, needed = told["result"], told["explained"]["needed"]
        name = "relative" if is_lift else "difference"
        ends = result[f"{name}_interval"]
        points.append(
            TimePoint(
                at, result[name], ends["low"], ends["high"], tuple(needed) if needed else None
            )
        )
    return points
