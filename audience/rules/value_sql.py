"""Writes tests of one JSON value as SQL, true or false and never NULL."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from audience.conditions.values import NUMBER, is_number
from audience.rules.values import HUGE, MOMENT, TINY, ZONED, Test, to_lower, to_moment

# Gives a parameter its place, of this type.
Bind = Callable[[Any, str], str]

# The templates below are of a value, which stands where VALUE does.
_NUMBER = (
    f"WHEN 'number' THEN CASE WHEN abs(VALUE::numeric) < {HUGE:.0e}::numeric THEN"
    f" CASE WHEN abs(VALUE::numeric) < {TINY:.0e}::numeric THEN 0::float8"
    " ELSE VALUE::float8 END END"
)
_TEXT = "(VALUE #>> '{}')"
EXACT_NUMBER = f"CASE jsonb_typeof(VALUE) {_NUMBER} END"
AS_NUMBER = (
    f"CASE jsonb_typeof(VALUE) {_NUMBER}"
    f" WHEN 'string' THEN CASE WHEN {_TEXT} ~ '^{NUMBER}$' THEN {_TEXT}::float8 END END"
)
AS_MOMENT = (
    f"CASE WHEN jsonb_typeof(VALUE) = 'string' THEN CASE WHEN {_TEXT} ~ '^{MOMENT}$' THEN"
    f" CASE WHEN pg_input_is_valid(left({_TEXT}, 10), 'date') THEN"
    f" CASE WHEN {_TEXT} ~ '{ZONED}' THEN {_TEXT}::timestamptz"
    f" ELSE ({_TEXT} || ' UTC')::timestamptz END END END END"
)


def is_met(value: str, test: Test, bind: Bind, now: str) -> str:
    """Write whether a value meets a test.

    Args:
        value: SQL of the value, as jsonb; NULL if it is missing.
        test: As the grammar takes it.
        bind: For parameters.
        now: SQL of the time.
    """
    return _WRITERS[test.kind](value, test.value, bind, now)


def _of(value: str, template: str) -> str:
    return template.replace("VALUE", value)


def _equal(value: str, wanted: Any, bind: Bind, _: str) -> str:
    if is_number(wanted):
        return _of(value, f"COALESCE({EXACT_NUMBER} = {bind(float(wanted), 'float8')}, FALSE)")
    return f"COALESCE({value} = {bind(json.dumps(wanted), 'jsonb')}, FALSE)"


def _one_of(value: str, wanted: tuple[Any, ...], bind: Bind, _: str) -> str:
    numbers = [float(each) for each in wanted if is_number(each)]
    others = [json.dumps(each) for each in wanted if not is_number(each)]
    parts = []
    if numbers:
        listed = bind(numbers, "float8[]")
        parts.append(_of(value, f"COALESCE({EXACT_NUMBER} = ANY({listed}), FALSE)"))
    if others:
        parts.append(f"COALESCE({value} = ANY({bind(others, 'jsonb[]')}), FALSE)")
    return f"({' OR '.join(parts)})"


def _compared(order: str) -> Callable[[str, Any, Bind, str], str]:
    def write(value: str, wanted: float, bind: Bind, _: str) -> str:
        limit = bind(float(wanted), "float8")
        return _of(value, f"COALESCE({AS_NUMBER} {order} {limit}, FALSE)")

    return write


def _between(value: str, both: tuple[float, float], bind: Bind, _: str) -> str:
    low, high = (bind(float(each), "float8") for each in both)
    return _of(value, f"COALESCE({AS_NUMBER} BETWEEN {low} AND {high}, FALSE)")


def _contain(value: str, wanted: str, bind: Bind, _: str) -> str:
    part, element = bind(to_lower(wanted), "text"), bind(json.dumps([wanted]), "jsonb")
    # In this collation only A to Z have small letters.
    return _of(
        value,
        f"CASE jsonb_typeof(VALUE)"
        f" WHEN 'string' THEN position({part} IN lower({_TEXT} COLLATE \"C\")) > 0"
        f" WHEN 'array' THEN VALUE @> {element} ELSE FALSE END",
    )


def _known(value: str, _: Any, __: Bind, ___: str) -> str:
    return f"COALESCE({value} <> 'null'::jsonb, FALSE)"


def _days(template: str) -> Callable[[str, Any, Bind, str], str]:
    """Write a window of days beside now."""

    def write(value: str, days: int, bind: Bind, now: str) -> str:
        # In hours: a day of a session's time zone may have 23 of them.
        apart = f"make_interval(hours => {bind(24 * days, 'int')})"
        moment = _of(value, AS_MOMENT)
        return f"COALESCE({template.format(moment=moment, now=now, apart=apart)}, FALSE)"

    return write


def _beside(order: str) -> Callable[[str, Any, Bind, str], str]:
    def write(value: str, given: str, bind: Bind, _: str) -> str:
        limit = bind(to_moment(given), "timestamptz")
        return _of(value, f"COALESCE({AS_MOMENT} {order} {limit}, FALSE)")

    return write


_WRITERS: Mapping[str, Callable[[str, Any, Bind, str], str]] = {
    "equal": _equal,
    "one of": _one_of,
    "at least": _compared(">="),
    "at most": _compared("<="),
    "more than": _compared(">"),
    "less than": _compared("<"),
    "between": _between,
    "contain": _contain,
    "known": _known,
    "in last days": _days("{moment} > {now} - {apart} AND {moment} <= {now}"),
    "in next days": _days("{moment} > {now} AND {moment} <= {now} + {apart}"),
    "days ago": _days("{moment} <= {now} - {apart}"),
    "after": _beside(">"),
    "until": _beside("<="),
}
