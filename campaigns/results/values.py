"""What a policy would have earned, in words and pictures; no statistics."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from experiments.charts.rates import RateRow, rates_chart
from experiments.wording import Unit, say_difference, say_difference_range, say_value
from recommender.bandits import SEQUENCE_KINDS
from recommender.models import Policy, PolicyEvaluation, PolicyPrice, RewardKind


@dataclass(frozen=True, slots=True)
class ValueRow:
    """One policy's estimated reward for each decision."""

    policy: str
    snips: str
    dr: str
    shrunk: str
    advantage: str


@dataclass(frozen=True, slots=True)
class ValueTable:
    """The policies side by side, with the sentence that sums them up and a picture.

    `integrity` says whether the log can be trusted, `learning` what it has cost to learn; nothing
    where that was not looked at. Of sequences, it is per customer what is estimated, not per
    decision.
    """

    sentence: str
    learning: str
    integrity: str
    is_broken: bool
    rows: Sequence[ValueRow]
    chart: str
    is_of_sequences: bool = False


def unit_of(policy: Policy) -> Unit:
    """Return how a policy's rewards are said: as a share where each is 0 or 1, else as numbers."""
    return "percent" if policy.reward_kind == RewardKind.ANY else "number"


def to_values_of(policy: Policy, evaluation: PolicyEvaluation) -> ValueTable:
    """Turn a policy's stored evaluation into what the template shows."""
    if policy.kind not in SEQUENCE_KINDS:
        return to_value_table(evaluation, unit=unit_of(policy))
    # What a customer brings is a sum over decisions, so it is no share.
    return replace(to_value_table(evaluation, unit="number"), is_of_sequences=True)


def to_value_table(evaluation: PolicyEvaluation, *, unit: Unit) -> ValueTable:
    """Turn a stored evaluation into what the template shows."""
    rows = [
        ValueRow(
            policy=row["policy"],
            snips=say_estimate(row["snips"], unit=unit),
            dr=say_estimate(row["dr"], unit=unit),
            # Evaluations from before it was estimated lack it.
            shrunk=say_estimate(row["shrunk"], unit=unit) if "shrunk" in row else "",
            advantage="" if row["advantage"] is None else _say_change(row["advantage"], unit=unit),
        )
        for row in evaluation.rows
    ]
    drawn = [
        RateRow(
            row["policy"],
            row["dr"]["estimate"],
            row["dr"]["low"],
            row["dr"]["high"],
            say_estimate(row["dr"], unit=unit),
        )
        for row in evaluation.rows
        if "withheld" not in row["dr"]
    ]
    chart = rates_chart(drawn, unit=unit, title="Estimated reward of each policy") if drawn else ""
    return ValueTable(
        sentence=say_comparison(evaluation.rows, unit=unit),
        learning=say_learning_cost(evaluation.learning_cost, unit=unit),
        integrity=say_integrity(evaluation.integrity),
        is_broken=bool(evaluation.integrity.get("is_broken")),
        rows=rows,
        chart=chart,
    )


@dataclass(frozen=True, slots=True)
class SlateRow:
    """One way of drawing slates, and what a slate would earn by it."""

    policy: str
    cascade: str
    standard: str


def to_slate_rows(evaluation: PolicyEvaluation, *, unit: Unit) -> Sequence[SlateRow]:
    """Turn a stored evaluation of slates into what the template shows."""
    return [
        SlateRow(
            row["policy"],
            say_estimate(row["cascade"], unit=unit),
            say_estimate(row["standard"], unit=unit),
        )
        for row in evaluation.rows
    ]


def say_comparison(rows: Sequence[Mapping[str, Any]], *, unit: Unit) -> str:
    """Say whether the learned policy beats the best simple one, and honestly if it does not."""
    learned = rows[0]
    rivals = [row for row in rows[1:] if row.get("is_rival", True) and "withheld" not in row["dr"]]
    if "withheld" in learned["dr"] or not rivals:
        return "The learned policy cannot be judged yet."
    best = max(rivals, key=lambda row: float(row["dr"]["estimate"]))
    gain = best["advantage"]
    said = _say_change(gain, unit=unit)
    if gain["low"] > 0:
        return f"The learned policy beats the best simple one, “{best['policy']}”: {said}."
    if gain["high"] < 0:
        return f"The learned policy does worse than “{best['policy']}”: {said}."
    return (
        f"The learned policy is not shown to beat “{best['policy']}”, the best simple one: {said}."
    )


def say_learning_cost(found: Mapping[str, Any], *, unit: Unit) -> str:
    """Say what trying offers has cost, against knowing from the start what is known now."""
    if not found:
        return ""
    each = f"{say_difference(found['estimate'], unit=unit).removeprefix('+')} a decision"
    between = say_difference_range(found["low"], found["high"], unit=unit)
    total = say_value(found["n"] * found["estimate"], unit="number")
    if found["low"] <= 0:
        return (
            f"Learning is not shown to have cost anything so far: {each} ({between}) in "
            f"{found['n']:,} decisions, against a policy that never explores and knew from the "
            "start what is known now."
        )
    return (
        f"Learning has cost {each} so far ({between}), {total} in {found['n']:,} decisions: so "
        "much more a policy would have earned that never explores and knew from the start what is "
        "known now."
    )


def say_prices(prices: Iterable[PolicyPrice], *, unit: Unit) -> Sequence[str]:
    """Say what scarce things have to earn, each by the name of its counter."""
    said = []
    for row in prices:
        kind, _, name = row.resource.partition(":")
        what, units = (
            ("1.00 of the budget", 100) if kind == "budget" else (f"“{name}” given out", 1)
        )
        if row.price:
            earns = say_value(units * row.price, unit=unit)
            said.append(f"Each {what} has to earn {earns} more than what uses nothing up.")
        else:
            said.append(f"There is enough of each {what} for now.")
    return said


def say_integrity(found: Mapping[str, Any]) -> str:
    """Say whether offers came as often as their logged propensities say."""
    worst = found.get("worst")
    if worst is None:
        return ""
    offer = f"offer “{worst['offer']}”" if worst["offer"] else "no offer"
    counted = (
        f"in {worst['n']:,} decisions {offer} came {worst['drawn']:,} times, where its chances "
        f"add up to {worst['expected']:,.1f}"
    )
    if found["is_broken"]:
        return (
            f"The log is broken: {counted}. That is more than chance allows. Whatever is estimated "
            "from this log may be wrong."
        )
    return (
        f"Offers came as often as their logged chances say, in all of {found['groups']} groups of "
        f"decisions. At worst, {counted}: {worst['z']:+.1f} standard deviations, of "
        f"{found['bound']:.1f} that chance allows. {found['share_at_floor']:.1%} of decisions drew "
        "an offer at its least chance."
    )


def say_estimate(value: Mapping[str, Any], *, unit: Unit) -> str:
    """Say a stored value with its interval, or why it is withheld."""
    if "withheld" in value:
        return f"withheld: {value['withheld']}"
    estimate, low, high = (
        say_value(value[name], unit=unit) for name in ("estimate", "low", "high")
    )
    return f"{estimate} ({low} to {high})"


def _say_change(value: Mapping[str, Any], *, unit: Unit) -> str:
    if "withheld" in value:
        return f"withheld: {value['withheld']}"
    estimate = say_difference(value["estimate"], unit=unit)
    return f"{estimate} ({say_difference_range(value['low'], value['high'], unit=unit)})"
