"""Puts a metric's stored numbers into words and pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.charts.forest import ForestRow, forest_plot
from experiments.charts.rates import RateRow, rates_chart
from experiments.reports.explaining import Step, say_needed, say_steps
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

# What is smaller than these is not worth its digits.
LEAST_NOISE, LEAST_CHANCE, LEAST_LOSS = 0.005, 0.001, 0.0001


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
    together_interval: str
    tone: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class MetricSection:
    """One metric of the report."""

    key: str
    name: str
    describes: str
    role: str
    margin: str
    adjusted: str
    unadjusted: Sequence[str]
    beliefs: Sequence[str]
    prior: str
    rows: Sequence[Row]
    forest: str
    rates: str
    explained: Sequence["ExplainedArm"]


@dataclass(frozen=True, slots=True)
class ExplainedArm:
    """How one arm's interval comes about."""

    arm: str
    steps: Sequence[Step]
    needed: str
    picture: str


def to_section(metric: Mapping[str, Any], arms: Sequence[Mapping[str, Any]]) -> MetricSection:
    """Put one metric into words and pictures."""
    results = {key: result_from_json(result) for key, result in metric["results"].items()}
    estimates = [
        (arm["name"], result)
        for arm in arms
        if isinstance(result := results.get(arm["key"]), Estimate)
    ]
    return MetricSection(
        key=metric["key"],
        name=metric["name"],
        describes=metric["describes"],
        role=metric["role"],
        margin=_margin(metric),
        adjusted=_adjusted(metric, arms),
        unadjusted=_unadjusted(metric, arms),
        beliefs=_beliefs(metric, arms),
        # All arms of a metric share the prior.
        prior=next((belief["prior"] for belief in metric["beliefs"].values()), ""),
        rows=[_row(arm, metric, results.get(arm["key"])) for arm in arms],
        forest=_forest(estimates, metric),
        rates=_rates(estimates, arms, metric),
        explained=_explained(metric, arms),
    )


def _explained(metric: Mapping[str, Any], arms: Sequence[Mapping[str, Any]]) -> list[ExplainedArm]:
    unit = metric["unit"]
    found = []
    for arm in arms:
        raw = metric["explained"].get(arm["key"])
        steps = say_steps(raw, unit=unit)
        # One step is no explanation, and is drawn above.
        if raw is None or len(steps) < 2:
            continue
        picture = forest_plot(
            [
                ForestRow(
                    step.label, step.low, step.point, step.high, f"{step.effect}, {step.interval}"
                )
                for step in steps
            ],
            unit="percent" if raw["is_lift"] else unit,
            title=f"How the interval of {arm['name']} on {metric['name']} comes about",
        )
        found.append(ExplainedArm(arm["name"], steps, say_needed(raw, unit=unit), picture))
    return found


def _margin(metric: Mapping[str, Any]) -> str:
    """Say how much of a guardrail may be lost."""
    if metric["margin"] is None:
        return ""
    moved = "fall" if metric["higher_is_better"] else "rise"
    return f"must be shown to {moved} by less than {100 * metric['margin']:g}%"


def _adjusted(metric: Mapping[str, Any], arms: Sequence[Mapping[str, Any]]) -> str:
    """Say how much noise was taken out by what was known before exposure."""
    if not metric["raw"]:
        return ""
    removed = [
        f"{100 * share:.0f}% for {arm['name']}"
        for arm in arms
        if (share := metric["variance_removed"].get(arm["key"], 0.0)) >= LEAST_NOISE
    ]
    return (
        "Adjusted for what was known of customers before exposure, which takes out noise "
        f"(variance): {say_list(removed) or 'next to none'}."
    )


def _unadjusted(metric: Mapping[str, Any], arms: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say what an adjusted metric's changes were as measured."""
    said = []
    for arm in arms:
        if arm["key"] in metric["raw"]:
            change, interval = say_result(result_from_json(metric["raw"][arm["key"]]), metric)
            said.append(f"{arm['name']}: {change} ({interval})")
    return said


def _beliefs(metric: Mapping[str, Any], arms: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say what to believe of each arm, and how often one errs who stops once sure enough."""
    control = next((arm["name"] for arm in arms if arm["is_control"]), "")
    said = []
    for arm in arms:
        belief = metric["beliefs"].get(arm["key"])
        if belief is None:
            continue
        low, high = belief["interval"]["low"], belief["interval"]["high"]
        said.append(
            f"{arm['name']}: better with a chance of {_say_chance(belief['chance_to_beat'])}; "
            f"lift {say_lift(belief['lift'])} ({say_lift(low)} to {say_lift(high)}); expected loss "
            f"{_say_loss(belief['loss_of_shipping'])} if shipped, "
            f"{_say_loss(belief['loss_of_keeping'])} if {control} is kept. Calling it better or "
            f"worse once {100 * belief['rule']:g}% sure errs in "
            f"{_say_chance(belief['rule_error'])} of experiments without an effect."
        )
    return said


def _say_chance(chance: float) -> str:
    """Say a probability, never as certain."""
    if chance < LEAST_CHANCE:
        return f"under {100 * LEAST_CHANCE:g}%"
    if chance > 1 - LEAST_CHANCE:
        return f"over {100 * (1 - LEAST_CHANCE):g}%"
    return f"{100 * chance:.1f}%"


def _say_loss(loss: float) -> str:
    if loss < LEAST_LOSS:
        return f"under {100 * LEAST_LOSS:g}%"
    return say_value(loss, unit="percent", digits=2)


def say_result(result: Estimate | Inconclusive, metric: Mapping[str, Any]) -> tuple[str, str]:
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
    agreeing = metric["together"].get(arm["key"])
    blank = {
        "lift": "",
        "lift_interval": "",
        "difference": "",
        "difference_interval": "",
        "p_value": "",
        "together": "",
        "together_interval": "",
    }
    if result is None or isinstance(result, Inconclusive):
        note = _note(arm, result)
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
        together_interval=(
            ""
            if agreeing is None
            else say_difference_range(agreeing["low"], agreeing["high"], unit=unit)
        ),
        tone=_tone(result, higher_is_better=metric["higher_is_better"]),
    )


def _note(arm: Mapping[str, Any], result: Inconclusive | None) -> str:
    """Say why an arm is not compared."""
    if result is not None:
        return result.reason
    return "control" if arm["is_control"] else "never had a share of the customers"


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
