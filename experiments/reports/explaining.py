"""Says how an interval comes about, step by step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from experiments.wording import Unit, say_difference, say_difference_range, say_lift

STEPS = {
    "measured": "As measured",
    "capped": "With the largest customers capped",
    "adjusted": "Adjusted for what was known before exposure",
    "looks": "Allowing for every look",
    "together": "Allowing for every comparison of its kind too",
}
# A change of length that is not worth saying.
SAME = 0.005


@dataclass(frozen=True, slots=True)
class Step:
    """One step in words, with its numbers for a picture.

    Attributes:
        label: What was done.
        effect: The effect after it.
        interval: Its interval.
        length: How much longer or shorter that is than the one before.
        point: The effect as a number.
        low: The interval's lower end.
        high: Its upper end.
    """

    label: str
    effect: str
    interval: str
    length: str
    point: float
    low: float
    high: float


def say_steps(explained: Mapping[str, Any] | None, *, unit: Unit) -> list[Step]:
    """Put the stored steps into words; none where there is no estimate."""
    if explained is None:
        return []
    stages: Sequence[Mapping[str, Any]] = explained["stages"]
    lengths = ["", *(_say_length(before, after) for before, after in pairwise(stages))]
    return [
        Step(
            STEPS[stage["name"]],
            say_change(stage["point"], is_lift=explained["is_lift"], unit=unit),
            say_range(stage["low"], stage["high"], is_lift=explained["is_lift"], unit=unit),
            length,
            stage["point"],
            stage["low"],
            stage["high"],
        )
        for stage, length in zip(stages, lengths, strict=True)
    ]


def say_needed(explained: Mapping[str, Any] | None, *, unit: Unit) -> str:
    """Say what an effect would have to reach to be called at the last look; empty if unknown."""
    if explained is None or explained["needed"] is None:
        return ""
    low, high = (
        say_change(end, is_lift=explained["is_lift"], unit=unit) for end in explained["needed"]
    )
    return f"At the last look an effect below {low} or above {high} would have been called."


def say_change(value: float, *, is_lift: bool, unit: Unit) -> str:
    """Say an effect on its scale."""
    return say_lift(value) if is_lift else say_difference(value, unit=unit)


def say_range(low: float, high: float, *, is_lift: bool, unit: Unit) -> str:
    """Say an interval on its scale."""
    if is_lift:
        return f"{say_lift(low)} to {say_lift(high)}"
    return say_difference_range(low, high, unit=unit)


def _say_length(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    ratio = (after["high"] - after["low"]) / (before["high"] - before["low"])
    if abs(ratio - 1.0) < SAME:
        return "as long as before"
    if ratio < 1.0:
        return f"{100 * (1 - ratio):.0f}% shorter"
    return f"{100 * (ratio - 1):.0f}% longer"
