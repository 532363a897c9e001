"""Writes an analysis down as plain JSON: its moments, its numbers, and what lists show of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from experiments.analysing.beliefs import Belief
from experiments.analysing.comparing import Compared, compare_segment, judge_segments
from experiments.analysing.explaining import Looks
from experiments.analysing.phases import Phase
from experiments.analysing.sentences import Verdict
from experiments.analysing.stages import Explained
from experiments.measuring.evidence import Evidence, nobody
from experiments.measuring.layout import Layout, Placed
from experiments.models import Arm
from experiments.stats.moments import Moments

# The weights that may have been served in one phase, by the arms' keys.
Weights = tuple[Mapping[str, int], ...]


def by_key(by_arm: Mapping[int, Moments], arms: Sequence[Arm], columns: int) -> dict[str, Moments]:
    """Return every arm's moments by its key; nobody's, where nobody met it."""
    return {arm.key: by_arm.get(arm.pk, nobody(columns)) for arm in arms}


def to_phases(
    parts: Sequence[Mapping[int, Moments]],
    weights: Sequence[Weights],
    arms: Sequence[Arm],
    columns: int,
    strata: Sequence[Sequence[Mapping[int, Moments]]] = (),
) -> list[Phase]:
    """Put arms' moments by when customers came, all and in strata, beside the weights of the time.

    Args:
        parts: Of every phase, the moments by the arm's id.
        weights: That may have been served in each phase.
        arms: The experiment's.
        columns: How many the moments have.
        strata: Of every stratum what `parts` has of all.
    """
    return [
        Phase(
            served,
            by_key(part, arms, columns),
            tuple(by_key(stratum[number], arms, columns) for stratum in strata),
        )
        for number, (served, part) in enumerate(zip(weights, parts, strict=True))
    ]


def write_moments(
    evidence: Evidence,
    arms: Sequence[Arm],
    strata: Sequence[Mapping[str, Moments]],
    looks: Looks,
    phases: Sequence[Phase],
) -> dict[str, Any]:
    """Write down what every number of the report can be computed from."""
    keys = {arm.pk: arm.key for arm in arms}
    layout = evidence.layout
    return {
        "plan": evidence.plan.to_json(),
        "looks": looks.to_json(),
        "arms": {keys[pk]: m.to_json() for pk, m in evidence.found.by_arm.items()},
        "metrics": {
            placed.measured.planned.key: {
                "columns": list(placed.own),
                "thresholds": [list(values) for values in placed.thresholds],
                "uncapped": list(placed.bare),
            }
            for placed in layout.metrics
        },
        "covariates": list(layout.covariates),
        # Within segments no two metrics are compared and nothing is adjusted; covariances of all
        # with all would be three million characters with ten metrics and forty segments.
        "segments": {
            name: {
                value: _write_segment(layout, keys, by_arm)
                for value, by_arm in evidence.found.by_segment[index].items()
            }
            for index, name in enumerate(evidence.attributes)
        },
        "strata": [{arm: m.to_json() for arm, m in stratum.items()} for stratum in strata],
        # The same by when customers came, where weights changed on the way.
        "phases": [
            phase.to_json()
            | {
                "segments": {
                    name: {
                        value: _write_segment(layout, keys, parts[number])
                        for value, parts in evidence.found.segment_phases[index].items()
                    }
                    for index, name in enumerate(evidence.attributes)
                }
            }
            for number, phase in enumerate(phases if len(phases) > 1 else ())
        ],
    }


def _write_segment(
    layout: Layout, keys: Mapping[int, str], by_arm: Mapping[int, Moments]
) -> dict[str, Any]:
    return {
        placed.measured.planned.key: {
            keys[pk]: m.select(*placed.own).to_json() for pk, m in by_arm.items()
        }
        for placed in layout.metrics
    }


def write_metric(
    placed: Placed,
    noun: str,
    moments: Mapping[str, Moments],
    compared: Sequence[Compared],
    beliefs: Mapping[tuple[str, str], Belief],
    explained: Mapping[tuple[str, str], Explained],
) -> dict[str, Any]:
    """Write down one metric's comparisons, in every way that they were made."""
    metric, measured = placed.measured.planned, placed.measured
    return {
        "key": metric.key,
        "name": noun,
        "role": metric.role,
        "margin": metric.margin,
        "unit": measured.type.unit(measured.params),
        "describes": measured.type.describe(measured.params),
        "higher_is_better": metric.higher_is_better,
        "means": {arm: placed.value(m) for arm, m in moments.items()},
        "results": {item.arm: item.result.to_json() for item in compared},
        "raw": {item.arm: item.raw.to_json() for item in compared if item.raw != item.result},
        "explained": {
            item.arm: explained[metric.key, item.arm].to_json()
            for item in compared
            if (metric.key, item.arm) in explained
        },
        "variance_removed": {
            item.arm: removed for item in compared if (removed := item.variance_removed) is not None
        },
        "ln_p_adjusted": {item.arm: item.ln_p_adjusted for item in compared},
        "together": {item.arm: asdict(item.together) for item in compared if item.together},
        "beliefs": {
            item.arm: beliefs[metric.key, item.arm].to_json()
            for item in compared
            if (metric.key, item.arm) in beliefs
        },
    }


def write_segments(
    evidence: Evidence, arms: Sequence[Arm], weights: Sequence[Weights]
) -> list[dict[str, Any]]:
    """Compare the arms within every segment, and judge all of these comparisons together."""
    columns = evidence.columns
    places, compared = [], []
    for index, dimension in enumerate(evidence.attributes):
        for value, by_arm in sorted(evidence.found.by_segment[index].items()):
            moments = by_key(by_arm, arms, columns)
            parts = evidence.found.segment_phases[index][value]
            phases = to_phases(parts, weights, arms, columns)
            own = compare_segment(evidence.plan, evidence.layout, phases)
            places.append((dimension, value, moments, len(own)))
            compared += own
    judged = iter(judge_segments(compared))
    return [
        {
            "dimension": dimension,
            "value": value,
            "customers": {arm: m.n for arm, m in moments.items()},
            "results": [
                {
                    "metric": item.metric,
                    "arm": item.arm,
                    "result": item.result.to_json(),
                    "ln_p_adjusted": item.ln_p_adjusted,
                }
                for item in (next(judged) for _ in range(size))
            ],
        }
        for dimension, value, moments, size in places
    ]


def write_verdict(verdict: Verdict, evidence: Evidence) -> dict[str, Any]:
    """Write down what was found and what to do."""
    keys = {label: key for key, label in evidence.plan.labels.items()}
    return {
        **asdict(verdict),
        "harmful": list(verdict.harmful),
        "harmful_arms": [keys[label] for label in verdict.harmful],
        "decided_at": evidence.now.isoformat(),
    }


def summarise(report: Mapping[str, Any]) -> dict[str, Any]:
    """Pick out what lists, timelines and digests show of a report."""
    goal = next(metric for metric in report["metrics"] if metric["role"] == "goal")
    verdict = report["verdict"]
    return {
        "kind": verdict["kind"],
        "code": verdict["code"],
        "sentence": verdict["sentence"],
        "harmful": verdict["harmful"],
        "customers": report["customers"],
        "planned_customers": report["planned_customers"],
        "days_left": report["days_left"],
        "findings": [finding["severity"] for finding in report["findings"]],
        "goal": goal["key"],
        "unit": goal["unit"],
        "arms": {
            arm: {
                "result": {
                    name: result[name]
                    for name in (
                        "kind",
                        "difference",
                        "difference_interval",
                        "relative",
                        "relative_interval",
                        "confidence",
                        "control_mean",
                    )
                    if name in result
                },
                "shrunk": goal["beliefs"].get(arm, {}).get("lift"),
                "explained": goal["explained"].get(arm),
            }
            for arm, result in goal["results"].items()
        },
    }
