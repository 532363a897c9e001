"""Tests of one JSON value: what each asks of the value, and which operand it takes.

A value that is missing or null meets no test, so `not` tells who is not known to be like that.
Numbers are floats, as they come out of JSON; true and false are none. A text that is a number
counts as one where sizes are compared. Letters A to Z are alike in either case for `contain`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from audience.conditions.values import NUMBER, is_number

# Up to here floats tell whole numbers apart.
LARGEST = 2**53
LONGEST_TEXT = 1_000
MOST_VALUES = 1_000
MOST_DAYS = 36_500
# Beyond these a float is no number here, or nothing: PostgreSQL refuses what does not fit.
HUGE = 1e300
TINY = 1e-300
# So written, a time is the same for Python and for PostgreSQL.
MOMENT = (
    r"(19|20|21)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?"
    r"(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])?)?"
)
ZONED = r"(Z|[+-][0-9]{2}:[0-9]{2})$"

_NUMBER = re.compile(NUMBER)
_MOMENT = re.compile(MOMENT)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


@dataclass(frozen=True, slots=True)
class Test:
    """What a value has to be like: a kind of `KINDS`, and its operand."""

    # Its name begins like a test case's.
    __test__ = False

    kind: str
    value: Any = None

    def to_json(self) -> dict[str, Any]:
        """Write it as the grammar reads it."""
        if self.value is None:
            return {"is": self.kind}
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return {"is": self.kind, "value": value}

    def is_met_by(self, value: Any, *, now: datetime) -> bool:
        """Say whether a value is like that."""
        return value is not None and KINDS[self.kind].meets(value, self.value, now)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of test.

    Attributes:
        meets: Says whether a value that is not null meets an operand at a time.
        why_not: Says why something is no operand, in a sentence; None if it is one.
        says: How it is said after the name, with the operand in place of the braces.
    """

    meets: Callable[[Any, Any, datetime], bool]
    why_not: Callable[[Any], str | None]
    says: str


def to_number(value: Any) -> float | None:
    """Read a number, or a text that is one; None if it is none, or none of any use."""
    if isinstance(value, str):
        return float(value) if _NUMBER.fullmatch(value) else None
    return exact_number(value)


def exact_number(value: Any) -> float | None:
    """Read a number, as `to_number` does, but of numbers alone."""
    if not is_number(value):
        return None
    try:
        # What was 1e300 may come back from PostgreSQL as a whole number.
        number = float(value)
    except OverflowError:
        return None
    if not abs(number) < HUGE:
        return None
    return 0.0 if abs(number) < TINY else number


def to_moment(value: Any) -> datetime | None:
    """Read a date, or a time, in UTC unless it says its zone; None if it is none."""
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:  # the 30th of February
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def to_lower(text: str) -> str:
    """Write A to Z small, and leave every other letter, which languages disagree about."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


def is_equal(value: Any, wanted: Any) -> bool:
    """Say whether a value is this text, number, or truth; 1 is 1.0, but neither true nor "1"."""
    if is_number(wanted):
        return exact_number(value) == float(wanted)
    return type(value) is type(wanted) and bool(value == wanted)


def _contains(value: Any, wanted: str) -> bool:
    if isinstance(value, list):
        return any(isinstance(each, str) and each == wanted for each in value)
    return isinstance(value, str) and to_lower(wanted) in to_lower(value)


def _is_between(value: Any, low: float | None, high: float | None) -> bool:
    number = to_number(value)
    if number is None:
        return False
    return (low is None or number >= low) and (high is None or number <= high)


def _is_in(value: Any, since: datetime | None, until: datetime | None) -> bool:
    """Say whether a value is a time after the one and not after the other."""
    moment = to_moment(value)
    if moment is None:
        return False
    return (since is None or moment > since) and (until is None or moment <= until)


def is_strictly(value: Any, order: str, wanted: float) -> bool:
    """Say whether a number is more, or less, than another."""
    number = to_number(value)
    if number is None:
        return False
    return number > wanted if order == "more than" else number < wanted


def _no_operand(given: Any) -> str | None:
    return None if given is None else "It takes no value."


def _no_number(given: Any) -> str | None:
    fits = is_number(given) and abs(given) <= LARGEST
    return None if fits else "Compare with a number."


def _no_text(given: Any) -> str | None:
    if not isinstance(given, str) or not given:
        return "Say which text."
    if len(given) > LONGEST_TEXT or _UNSTORABLE.search(given):
        return "The text is too long, or holds a character that cannot be stored."
    return None


def _no_scalar(given: Any) -> str | None:
    if isinstance(given, bool):
        return None
    if is_number(given):
        return _no_number(given)
    return _no_text(given) if isinstance(given, str) else "Say what it is compared with."


def _no_scalars(given: Any) -> str | None:
    if not isinstance(given, list | tuple) or not given:
        return "List what it may be."
    if len(given) > MOST_VALUES:
        return f"List at most {MOST_VALUES:,} values; a longer list can be uploaded."
    return next(filter(None, map(_no_scalar, given)), None)


def _no_range(given: Any) -> str | None:
    if not isinstance(given, list | tuple) or len(given) != 2 or any(map(_no_number, given)):
        return "Say two numbers."
    return "The first number should not be above the second." if given[0] > given[1] else None


def _no_days(given: Any) -> str | None:
    fits = isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= MOST_DAYS
    return None if fits else f"Say how many days, up to {MOST_DAYS:,}."


def _no_moment(given: Any) -> str | None:
    return None if to_moment(given) else "Say a date such as 2026-01-31."


def _moment(given: str) -> datetime:
    moment = to_moment(given)
    assert moment is not None, "the grammar took it for a time"
    return moment


KINDS: Mapping[str, Kind] = {
    "equal": Kind(lambda value, wanted, _: is_equal(value, wanted), _no_scalar, "is {}"),
    "one of": Kind(
        lambda value, wanted, _: any(is_equal(value, one) for one in wanted),
        _no_scalars,
        "is one of {}",
    ),
    "at least": Kind(
        lambda value, low, _: _is_between(value, low, None), _no_number, "is at least {}"
    ),
    "at most": Kind(
        lambda value, high, _: _is_between(value, None, high), _no_number, "is at most {}"
    ),
    "more than": Kind(
        lambda value, low, _: is_strictly(value, "more than", low), _no_number, "is more than {}"
    ),
    "less than": Kind(
        lambda value, high, _: is_strictly(value, "less than", high), _no_number, "is less than {}"
    ),
    "between": Kind(lambda value, both, _: _is_between(value, *both), _no_range, "is between {}"),
    "contain": Kind(lambda value, wanted, _: _contains(value, wanted), _no_text, "contains {}"),
    "known": Kind(lambda value, _, __: True, _no_operand, "is known"),
    "in last days": Kind(
        lambda value, days, now: _is_in(value, now - timedelta(days), now),
        _no_days,
        "is within the last {} days",
    ),
    "in next days": Kind(
        lambda value, days, now: _is_in(value, now, now + timedelta(days)),
        _no_days,
        "is within the next {} days",
    ),
    "days ago": Kind(
        lambda value, days, now: _is_in(value, None, now - timedelta(days)),
        _no_days,
        "is longer than {} days ago",
    ),
    "after": Kind(
        lambda value, since, _: _is_in(value, _moment(since), None), _no_moment, "is after {}"
    ),
    "until": Kind(
        lambda value, until, _: _is_in(value, None, _moment(until)), _no_moment, "is not after {}"
    ),
}
