"""Puts a campaign's stored result into words and a picture; no statistics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from campaigns.models import CampaignResult
from campaigns.results.values import say_estimate
from experiments.charts.forest import ForestRow, forest_plot
from experiments.stats.estimate import Estimate, Inconclusive, Result, result_from_json
from experiments.wording import (
    Unit,
    say_difference,
    say_difference_range,
    say_lift,
    say_value,
)

DASH = "–"
MOST_SHOWN = 20  # offers, or products; the API has more of them


@dataclass(frozen=True, slots=True)
class LineRow:
    """One line: customers with offers and without, in words; `note` says why there is no change."""

    name: str
    served: str
    held_out: str
    change: str
    interval: str
    lift: str
    total: str
    total_interval: str
    note: str


@dataclass(frozen=True, slots=True)
class ArmRow:
    """What is left per customer in one arm, and how much more than without offers."""

    arm: str
    customers: int
    lines: Sequence[LineRow]


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """One segment's customers and its lines."""

    segment: str
    served: int
    held_out: int
    lines: Sequence[LineRow]


@dataclass(frozen=True, slots=True)
class OfferRow:
    """One offer: what was given out and came back, and what a decision for it would earn."""

    name: str
    given: int
    customers: int
    cost: str
    revenue: str
    goal_value: str
    net_value: str
    plain_goal: str


@dataclass(frozen=True, slots=True)
class ResultPage:
    """A campaign's result, ready for the template.

    Attributes:
        sentence: What it was worth, in one sentence.
        computed_at: When it was computed.
        since: From when customers' events count.
        until: Up to when.
        served: How many customers met an arm that gives offers.
        held_out: How many met the other.
        confidence: Of every interval, such as 95%.
        goal: What the goal is called.
        days: For how long a decision can earn something.
        lines: Goal, revenue, cost and what is left.
        arms: The same by arm, where there are several.
        segments: The same by segment, for each way to divide customers.
        offers: What was given out.
        offers_left_out: How many others there are, which were given out less often.
        picture: What is left of each segment's revenue against the hold-out; empty without any.
        problem: Why money cannot be added up; empty where it can.
    """

    sentence: str
    computed_at: datetime
    since: datetime
    until: datetime
    served: int
    held_out: int
    confidence: str
    goal: str
    days: str
    lines: Sequence[LineRow]
    arms: Sequence[ArmRow]
    segments: Sequence[tuple[str, Sequence[SegmentRow]]]
    offers: Sequence[OfferRow]
    offers_left_out: int
    picture: str
    problem: str


def to_result_page(result: CampaignResult) -> ResultPage:
    """Turn a stored result into what the template shows."""
    report = result.report
    rows = report["rows"]
    return ResultPage(
        sentence=say_result(report),
        computed_at=result.computed_at,
        since=datetime.fromisoformat(report["since"]),
        until=datetime.fromisoformat(report["until"]),
        served=report["served"],
        held_out=report["held_out"],
        confidence=f"{100 * report['confidence']:g}%",
        goal=rows[0]["name"],
        days=say_time(report["window_seconds"]),
        lines=[_to_line(row) for row in rows],
        arms=_to_arms(report) if len(report["arms"]) > 1 else [],
        segments=_to_segments(report),
        offers=[_to_offer(offer, report) for offer in report["offers"][:MOST_SHOWN]],
        # Results from before they were counted lack it.
        offers_left_out=report.get("offers_left_out", 0) + len(report["offers"][MOST_SHOWN:]),
        picture=_draw(report),
        problem=report["problem"],
    )


def say_result(report: Mapping[str, Any]) -> str:
    """Say in one sentence what a campaign was worth, and honestly if that is not known.

    Pages are looked at again and again, so it rests on the interval that holds at every look.
    """
    net = next(row for row in report["rows"] if row["key"] == "net")
    result = result_from_json(net["result"])
    if isinstance(result, Inconclusive):
        return f"What the campaign was worth is not known: {_lower(result.reason)}"
    unit, low, high = net["unit"], net["lasting"]["low"], net["lasting"]["high"]
    said = (
        f"{say_difference(result.difference, unit=unit)} per customer against no offer "
        f"({say_difference_range(low, high, unit=unit)} with {100 * report['confidence']:g}% "
        "confidence, however often one looks)"
    )
    if low > 0:
        return f"After what offers cost, the campaign has earned {said}."
    if high < 0:
        return f"After what offers cost, the campaign has lost money: {said}."
    return f"Whether the campaign earns more than its offers cost is not shown yet: {said}."


def _to_line(row: Mapping[str, Any]) -> LineRow:
    return say_line(row, row["served"], result_from_json(row["result"]), row["total"])


def say_line(
    row: Mapping[str, Any], served: float | None, result: Result, total: Mapping[str, float] | None
) -> LineRow:
    """Say one line.

    Args:
        row: Its name, its unit and the mean of those held out.
        served: The mean of those with offers.
        result: Their comparison.
        total: What that is for all of them, if it is to be said.
    """
    unit: Unit = row["unit"]
    means = {"served": _say(served, unit), "held_out": _say(row["held_out"], unit)}
    if not isinstance(result, Estimate):
        blank = {"change": "", "interval": "", "lift": "", "total": "", "total_interval": ""}
        return LineRow(row["name"], **means, **blank, note=result.reason)
    ends, lifts = result.difference_interval, result.relative_interval
    # A share of customers adds up to a number of customers.
    of_all: Unit = "number" if unit == "percent" else unit
    return LineRow(
        row["name"],
        **means,
        change=say_difference(result.difference, unit=unit),
        interval=say_difference_range(ends.low, ends.high, unit=unit),
        lift=(
            ""
            if result.relative is None or lifts is None
            else f"{say_lift(result.relative)} ({say_lift(lifts.low)} to {say_lift(lifts.high)})"
        ),
        total="" if total is None else say_difference(total["point"], unit=of_all),
        total_interval=(
            "" if total is None else say_difference_range(total["low"], total["high"], unit=of_all)
        ),
        note="",
    )


def _to_arms(report: Mapping[str, Any]) -> list[ArmRow]:
    return [
        ArmRow(
            arm["name"],
            arm["customers"],
            [
                say_line(row, own["mean"], result_from_json(own["result"]), None)
                for row in report["rows"]
                for own in [row["arms"][arm["key"]]]
            ],
        )
        for arm in report["arms"]
    ]


def _to_segments(report: Mapping[str, Any]) -> list[tuple[str, Sequence[SegmentRow]]]:
    found: dict[str, list[SegmentRow]] = {}
    for segment in report["segments"]:
        found.setdefault(segment["dimension"], []).append(
            SegmentRow(
                segment["value"],
                segment["served"],
                segment["held_out"],
                [_to_line(row) for row in segment["rows"]],
            )
        )
    return list(found.items())


def _to_offer(offer: Mapping[str, Any], report: Mapping[str, Any]) -> OfferRow:
    unit, goal_unit = report["currency"], report["goal_unit"]
    values, plain = offer["values"], offer["plain"]
    return OfferRow(
        offer["name"],
        offer["given"],
        offer["customers"],
        cost=_say(offer["cost"], unit),
        revenue=_say(offer["revenue"], unit),
        goal_value=say_estimate(values["goal"], unit=goal_unit),
        net_value=say_estimate(values["net"], unit=unit),
        plain_goal=_say(plain["goal"], goal_unit),
    )


def _draw(report: Mapping[str, Any]) -> str:
    """Draw what is left per customer against the hold-out: of everybody, and of each segment."""
    parts = [("Everybody", report)]
    parts += [
        (f"{segment['dimension']}: {segment['value']}", segment) for segment in report["segments"]
    ]
    rows = []
    for name, part in parts:
        net = next(row for row in part["rows"] if row["key"] == "net")
        result = result_from_json(net["result"])
        if isinstance(result, Estimate):
            ends = result.difference_interval
            said = say_difference_range(ends.low, ends.high, unit=net["unit"])
            change = say_difference(result.difference, unit=net["unit"])
            rows.append(
                ForestRow(name, ends.low, result.difference, ends.high, f"{change}, {said}")
            )
    if not rows:
        return ""
    return forest_plot(
        rows, unit=report["currency"], title="Net per customer against no offer, by segment"
    )


def _say(value: float | None, unit: Unit) -> str:
    return DASH if value is None else say_value(value, unit=unit)


def say_time(seconds: int) -> str:
    """Say a time in the largest unit that goes into it."""
    units = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
    size, name = next((size, name) for size, name in units if seconds >= size)
    return f"{seconds / size:.3g} {name}{'' if seconds == size else 's'}"


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
