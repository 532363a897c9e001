"""Writes the conditions of a metric as SQL: which events, with which properties, and when."""

from collections.abc import Iterable
from datetime import UTC, datetime

from experiments.metrics.columns import Events, Filter, Window

# Numbers in JSON that any engine reads as a float, and whose squares are floats too.
_NUMBER = r"^-?[0-9]{1,30}([.][0-9]{1,30})?([eE][-+]?[0-6]?[0-9])?$"

# So small a part is rounding: 0.1 + 0.2 - 0.3 is not zero in floating point, and differs with the
# order in which an engine adds up.
_ROUNDING = 1e-12


def quoted(text: str) -> str:
    """Write a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def listed(parts: Iterable[str]) -> str:
    """Write parts one after another."""
    return ", ".join(parts)


def as_time(moment: datetime) -> str:
    """Write a time as an SQL literal."""
    return f"TIMESTAMPTZ '{moment.astimezone(UTC).isoformat()}'"


def is_in(window: Window, bounds: dict[int, str]) -> str:
    """Say that an event lies in a window of its person.

    Args:
        window: The window.
        bounds: The names of times so many seconds after exposure; those not known yet are added.
    """

    def bound(seconds: int) -> str:
        return bounds.setdefault(seconds, f"b{len(bounds)}")

    conditions = [f"event.occurred_at >= mapped.{bound(window.opens)}"]
    if window.closes is not None:
        conditions.append(f"event.occurred_at < mapped.{bound(window.closes)}")
    return " AND ".join(conditions)


def from_exposure(seconds: int) -> str:
    """Write a time so many seconds after a person's exposure, or before if negative."""
    if seconds == 0:
        return "exposed.exposed_at"
    sign = "-" if seconds < 0 else "+"
    return f"exposed.exposed_at {sign} INTERVAL '{abs(seconds)} seconds'"


def is_mature(after: int, now: datetime) -> str:
    """Say that a person was exposed so many seconds ago or earlier."""
    return f"placed.exposed_at + INTERVAL '{after} seconds' <= {as_time(now)}"


def condition(events: Events) -> str:
    """Say that an event has the name and fulfils every condition; never null."""
    return " AND ".join(
        [f"event.name = {quoted(events.name)}", *(_fulfils(filter_) for filter_ in events.where)]
    )


def _fulfils(filter_: Filter) -> str:
    """Say that an event fulfils a condition; never null."""
    text = property_of(filter_.property)
    if filter_.op == "exists":
        return f"{text} IS NOT NULL"
    if filter_.op == "in":
        assert isinstance(filter_.value, tuple)
        return f"COALESCE({text} IN ({listed(map(quoted, filter_.value))}), FALSE)"
    value = filter_.value
    if isinstance(value, bool):
        value = "true" if value else "false"
    if isinstance(value, str):
        compared = f"{text} {_operator(filter_)} {quoted(value)}"
    else:
        assert isinstance(value, int | float)
        compared = f"{as_number(text)} {_operator(filter_)} {float(value)!r}"
    return f"COALESCE({compared}, {'TRUE' if filter_.op == '!=' else 'FALSE'})"


def _operator(filter_: Filter) -> str:
    return "<>" if filter_.op == "!=" else filter_.op


def property_of(name: str) -> str:
    """Take a property of an event as text; null where it is missing."""
    return f"(event.properties ->> {quoted(name)})"


def as_number(text: str) -> str:
    """Take a text as a number; null where it is none."""
    return f"CASE WHEN {text} ~ {quoted(_NUMBER)} THEN CAST({text} AS double precision) END"


def tame(number: str) -> str:
    """Take what is too small to be squared as nothing: PostgreSQL refuses to let it underflow."""
    return f"CASE WHEN abs({number}) < 1e-100 THEN 0 ELSE {number} END"


def to_threshold(value: float) -> float:
    """Round what an engine interpolated to 13 digits: between equal values it may miss both."""
    return float(f"{value:.12e}")


def is_at_most(number: str, threshold: float) -> str:
    """Say that a number reaches no further than a threshold, but for rounding."""
    return f"{number} <= {threshold + _ROUNDING * abs(threshold)!r}"


def settle(number: str, sizes: str) -> str:
    """Take a sum as nothing where all was taken back, and tame it; `sizes` adds up both."""
    return (
        f"CASE WHEN abs({number}) < 1e-100 OR abs({number}) <= {_ROUNDING!r} * {sizes} "
        f"THEN 0 ELSE {number} END"
    )
