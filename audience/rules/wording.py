"""Says rules in plain English, a sentence for each condition."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from audience.rules.grammar import (
    All,
    Events,
    Happened,
    In,
    Known,
    Last,
    Listed,
    Named,
    Not,
    Rule,
    Some,
    Total,
    Window,
)
from audience.rules.values import KINDS

EVERYBODY = "everybody"
NOBODY = "nobody"
NO_NAMES: Mapping[str, str] = MappingProxyType({})


def describe(rule: Rule, names: Mapping[str, str] = NO_NAMES) -> str:
    """Say whom a rule means, such as "country is DE and Order Completed at least 2 times, ever".

    Args:
        rule: Any but one whose audiences were put in their place.
        names: What audiences are called, by their keys.
    """
    match rule:
        case All(parts):
            return _join("and", parts, names) if parts else EVERYBODY
        case Some(parts):
            return _join("or", parts, names) if parts else NOBODY
        case Not(part):
            return f"not ({describe(part, names)})"
        case Known(named):
            return _named(named)
        case In(audience):
            return f"is in {names.get(audience, audience)}"
    return _of_events(rule)


def _of_events(rule: Happened | Last | Total | Listed) -> str:
    match rule:
        case Happened(events, least, most):
            return f"{_events(events)} {_times(least, most)}{_window(events.window)}"
        case Last(events, days, longer_ago):
            if longer_ago:
                return f"{_events(events)}, last time longer than {_count(days, 'day')} ago"
            return f"{_events(events)} within the last {_count(days, 'day')}"
        case Total(events, order, cents):
            order = order.replace("_", " ")
            worth = f"worth {order} {cents / 100:,.2f} in total"
            return f"{_events(events)} {worth}{_window(events.window)}"
    raise ValueError("A list is named by the audience that it is.")


def _join(word: str, parts: tuple[Rule, ...], names: Mapping[str, str]) -> str:
    if len(parts) == 1:
        return describe(parts[0], names)
    said = (
        f"({describe(part, names)})" if isinstance(part, All | Some) else describe(part, names)
        for part in parts
    )
    return f" {word} ".join(said)


def _named(named: Named) -> str:
    kind, value = named.test.kind, named.test.value
    if kind == "between":
        value = " and ".join(map(_value, value))
    return f"{named.path} {KINDS[kind].says.format(_value(value))}"


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        *first, last = map(_value, value)
        return f"{', '.join(first)} or {last}" if first else last
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _events(events: Events) -> str:
    where = " and ".join(map(_named, events.where))
    return f"{events.name} where {where}," if where else events.name


def _times(least: int, most: int | None) -> str:
    if most == 0:
        return "never"
    if most is None:
        return f"at least {_count(least, 'time')}"
    if least == most:
        return f"exactly {_count(most, 'time')}"
    if not least:
        return f"at most {_count(most, 'time')}"
    return f"{least} to {most} times"


def _window(window: Window) -> str:
    said = []
    if window.days is not None:
        said.append(f"in the last {_count(window.days, 'day')}")
    if window.since is not None:
        said.append(f"from {_moment(window.since)}")
    if window.until is not None:
        said.append(f"until {_moment(window.until)}")
    return f" {' '.join(said)}" if said else ", ever"


def _moment(moment: datetime) -> str:
    is_midnight = moment.hour == moment.minute == moment.second == 0
    day = f"{moment.day} {moment:%B %Y}"
    return day if is_midnight else f"{day}, {moment:%H:%M} UTC"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"
