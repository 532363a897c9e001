"""Says whether a rule holds for one person, of whom everything is at hand.

It means the same as `sql.py`; a test holds them together.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from audience.conditions.meaning import find
from audience.rules.grammar import (
    All,
    Events,
    Happened,
    In,
    Known,
    Last,
    Listed,
    Not,
    Rule,
    Some,
    Total,
    Window,
)


@dataclass(frozen=True, slots=True)
class Happening:
    """An event of a person, under any of their names."""

    name: str
    occurred_at: datetime
    value: float | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Person:
    """What rules ask of somebody.

    Attributes:
        attributes: As JSON values.
        events: In any order.
        lists: The ids of the lists on which one of their names is.
    """

    attributes: Mapping[str, Any] = field(default_factory=dict)
    events: Sequence[Happening] = ()
    lists: Collection[int] = ()


def holds(rule: Rule, person: Person, *, now: datetime) -> bool:
    """Say whether a rule holds for a person at a time.

    Raises:
        ValueError: It names an audience that was not put in its place (see `nesting.py`).
    """
    match rule:
        case All(parts):
            return all(holds(part, person, now=now) for part in parts)
        case Some(parts):
            return any(holds(part, person, now=now) for part in parts)
        case Not(part):
            return not holds(part, person, now=now)
        case Known(named):
            return named.test.is_met_by(find(person.attributes, named.path), now=now)
        case Listed(audience_id):
            return audience_id in person.lists
        case In(audience):
            raise ValueError(f"The audience {audience} is not put in its place.")
    return _holds_of_events(rule, person, now)


def _holds_of_events(rule: Happened | Last | Total, person: Person, now: datetime) -> bool:
    found = [event for event in person.events if counts(rule.events, event, now=now)]
    if isinstance(rule, Happened):
        return len(found) >= rule.least and (rule.most is None or len(found) <= rule.most)
    if isinstance(rule, Last):
        since = now - timedelta(rule.days)
        is_recent = any(event.occurred_at > since for event in found)
        return bool(found) and not is_recent if rule.longer_ago else is_recent
    cents = sum(to_cents(event.value) for event in found)
    return cents >= rule.cents if rule.order == "at_least" else cents <= rule.cents


def counts(events: Events, event: Happening, *, now: datetime) -> bool:
    """Say whether an event is one of these."""
    return (
        event.name == events.name
        and _is_in(events.window, event.occurred_at, now)
        and all(
            named.test.is_met_by(find(event.properties, named.path), now=now)
            for named in events.where
        )
    )


def _is_in(window: Window, moment: datetime, now: datetime) -> bool:
    """Say whether something happened in a window; what is said of the future has not happened."""
    return (
        moment <= now
        and (window.days is None or moment > now - timedelta(window.days))
        and (window.since is None or moment >= window.since)
        and (window.until is None or moment < window.until)
    )


def to_cents(value: float | None) -> int:
    """Round an event's value to the cent, so that sums are the same in any order."""
    return 0 if value is None else round(value * 100)
