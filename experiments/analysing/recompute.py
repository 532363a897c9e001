"""Works every comparison of a stored analysis out again, from its moments and its plan alone."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from experiments.analysing.comparing import (
    Compared,
    compare_all,
    compare_segment,
    judge_segments,
)
from experiments.analysing.explaining import Looks, explain_all
from experiments.analysing.phases import Phase
from experiments.analysing.stages import Explained
from experiments.measuring.layout import Layout, Placed, read_metric
from experiments.plan import Plan, plan_from_json
from experiments.stats.moments import Moments


def recompute(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return results by metric and arm, and by segment, as the report has them.

    Args:
        stored: An analysis's moments with the plan, as `Analysis.moments` keeps them.

    Raises:
        KeyError, msgspec.ValidationError: It is no such thing.
    """
    plan = plan_from_json(stored["plan"])
    layout = _read_layout(plan, stored)
    arms = {key: Moments.from_json(moments) for key, moments in stored["arms"].items()}
    columns = max((len(moments.mean) for moments in arms.values()), default=0)
    moments = {arm.key: arms.get(arm.key, _nobody(columns)) for arm in plan.arms}
    strata = [
        {arm.key: Moments.from_json(stratum[arm.key]) for arm in plan.arms}
        for stratum in stored["strata"]
    ]
    # What was stored before phases were has one.
    phases = [Phase.from_json(phase) for phase in stored.get("phases", ())]
    phases = phases or [Phase.of_all(moments, strata)]
    compared = compare_all(plan, layout, phases)
    explained = explain_all(plan, layout, compared, phases, Looks.from_json(stored["looks"]))
    return {
        "metrics": _by_metric(compared, explained),
        "segments": _segments(plan, layout, stored),
    }


def _read_layout(plan: Plan, stored: Mapping[str, Any]) -> Layout:
    placed = []
    for metric in plan.metrics:
        place = stored["metrics"][metric.key]
        thresholds = tuple(tuple(values) for values in place["thresholds"])
        placed.append(
            Placed(
                read_metric(metric), thresholds, tuple(place["columns"]), tuple(place["uncapped"])
            )
        )
    # Which columns these are is settled; comparing needs only where they stand.
    return Layout((), tuple(placed), tuple(stored["covariates"]), ())


def _segments(plan: Plan, layout: Layout, stored: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Compare within segments, each metric by its own moments, and judge all of it together."""
    found: list[tuple[str, str, Sequence[Compared]]] = []
    parts = stored.get("phases") or [{"weights": [{}], "segments": stored["segments"]}]
    for dimension, by_value in stored["segments"].items():
        for value in sorted(by_value):
            own: list[Compared] = []
            for placed in layout.metrics:
                key = placed.measured.planned.key
                width = len(placed.own)
                phases = [
                    Phase(
                        tuple(part["weights"]),
                        _read_arms(plan, part["segments"][dimension][value][key], width),
                    )
                    for part in parts
                ]
                alone = Placed(placed.measured, placed.thresholds, tuple(range(width)))
                own += compare_segment(plan, Layout((), (alone,), (), ()), phases)
            found.append((dimension, value, own))
    judged = iter(judge_segments([item for _, _, own in found for item in own]))
    return [
        {
            "dimension": dimension,
            "value": value,
            "results": [
                {
                    "metric": item.metric,
                    "arm": item.arm,
                    "result": item.result.to_json(),
                    "ln_p_adjusted": item.ln_p_adjusted,
                }
                for item in (next(judged) for _ in own)
            ],
        }
        for dimension, value, own in found
    ]


def _read_arms(plan: Plan, stored: Mapping[str, Any], width: int) -> dict[str, Moments]:
    return {
        arm.key: Moments.from_json(stored[arm.key]) if arm.key in stored else _nobody(width)
        for arm in plan.arms
    }


def _by_metric(
    compared: Sequence[Compared], explained: Mapping[tuple[str, str], Explained]
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for item in compared:
        found.setdefault(item.metric, {})[item.arm] = {
            "result": item.result.to_json(),
            "raw": item.raw.to_json(),
            "ln_p_adjusted": item.ln_p_adjusted,
            "together": item.together and asdict(item.together),
            "explained": (
                explained[item.metric, item.arm].to_json()
                if (item.metric, item.arm) in explained
                else None
            ),
        }
    return found


def _nobody(columns: int) -> Moments:
    return Moments(0, (0.0,) * columns, ((0.0,) * columns,) * columns)
