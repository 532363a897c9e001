"""A column of JSON values: each distinct one once, and for every row which one it is."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audience.columns.growing import Growing
from audience.conditions.values import is_number
from audience.rules.values import Test, exact_number, to_lower, to_moment, to_number

Truths = NDArray[np.bool_]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
# Sorts before every time, and no test asks for times before it.
NO_TIME = np.iinfo(np.int64).min
MISSING = b"null"
# What these find is another tomorrow.
TIMED = frozenset({"in last days", "in next days", "days ago"})
# So many answers of a column are kept.
MOST_REMEMBERED = 16


def to_microseconds(moment: datetime) -> int:
    """Return a time as whole microseconds since 1970."""
    return (moment - EPOCH) // MICROSECOND


class Coded:
    """Rows of JSON values, equal ones under one code.

    Tests are answered once for each distinct value; what they compare is worked out when first
    asked for, and for those values only that came since.
    """

    def __init__(self) -> None:
        """Begin without rows; a row that is not set is missing, which is code 0."""
        self.codes = Growing(np.int32)
        self._code_of: dict[bytes, int] = {MISSING: 0}
        self._values: list[Any] = [None]
        self._facts: dict[str, list[Any]] = {}
        self._arrays: dict[str, NDArray[Any]] = {}
        self._code_of_text: dict[str, int] = {}
        self._containing: dict[str, Truths] = {}
        # What was asked last, until a row changes.
        self._masks: dict[str, Truths] = {}

    def encode(self, written: Iterable[bytes]) -> NDArray[np.int32]:
        """Return the codes of values as PostgreSQL writes them in JSON, new ones added."""
        code_of = self._code_of
        # The first time a value is given the number of those before it.
        codes = [code_of.setdefault(each, len(code_of)) for each in written]
        return np.array(codes, np.int32)

    def resize(self, size: int) -> None:
        """Have so many rows; new ones are missing."""
        self.codes.resize(size)
        self._masks.clear()

    def set(self, places: NDArray[np.integer[Any]], codes: NDArray[np.int32]) -> None:
        """Change rows."""
        if not np.array_equal(self.codes.view()[places], codes):
            self.codes.view()[places] = codes
            self._masks.clear()

    def add(self, codes: NDArray[np.int32]) -> None:
        """Add rows at the end."""
        self.codes.add(codes)
        self._masks.clear()

    def take(self, places: NDArray[np.intp]) -> None:
        """Let the rows at these places stay, in this order."""
        self.codes.take(places)
        self._masks.clear()

    def mask(self, test: Test, *, now: datetime) -> Truths:
        """Return for each row whether its value meets a test; not to be written to."""
        if test.kind in TIMED:
            return self.truths(test, now=now)[self.codes.view()]
        name = repr(test)
        mask = self._masks.pop(name, None)
        if mask is None:
            mask = self.truths(test, now=now)[self.codes.view()]
        self._masks[name] = mask
        if len(self._masks) > MOST_REMEMBERED:
            del self._masks[next(iter(self._masks))]
        return mask

    def truths(self, test: Test, *, now: datetime) -> Truths:
        """Return for each distinct value whether it meets a test."""
        self._values.extend(map(_decode, islice(self._code_of, len(self._values), None)))
        met = _TRUTHS[test.kind](self, test.value, now)
        met[0] = False
        return met

    def numbers(self) -> NDArray[np.float64]:
        """Return the values as numbers; NaN, which compares with nothing, if they are none."""
        return self._array("numbers", lambda value: _or_nan(to_number(value)), np.float64)

    def moments(self) -> NDArray[np.int64]:
        """Return the values as microseconds since 1970."""
        return self._array("moments", _to_time, np.int64)

    def equal(self, wanted: Any) -> Truths:
        """Return which values are a text, a number or a truth."""
        if is_number(wanted):
            exact = self._array("exact", lambda value: _or_nan(exact_number(value)), np.float64)
            same: Truths = exact == float(wanted)
            return same
        met = np.zeros(len(self._values), np.bool_)
        if isinstance(wanted, bool):
            code = self._code_of.get(b"true" if wanted else b"false")
        else:
            known = len(self._code_of_text)
            texts = self._list("texts", lambda value: value if isinstance(value, str) else None)
            if known < len(texts):
                self._code_of_text = {text: code for code, text in enumerate(texts)}
            code = self._code_of_text.get(wanted)
        if code is not None:
            met[code] = True
        return met

    def contain(self, wanted: str) -> Truths:
        """Return which texts contain a text, in either case of A to Z, and which lists hold it."""
        part = to_lower(wanted)
        lowered = self._list(
            "lowered", lambda value: to_lower(value) if isinstance(value, str) else None
        )
        lists = self._list("lists", lambda value: value if isinstance(value, list) else None)
        # The slowest of all tests, so that only values that came since are looked at.
        met = self._containing.pop(wanted, np.empty(0, np.bool_))
        new = len(met)
        added = np.fromiter((text is not None and part in text for text in lowered[new:]), np.bool_)
        for place, value in enumerate(lists[new:]):
            if value is not None:
                added[place] = any(isinstance(each, str) and each == wanted for each in value)
        met = self._containing[wanted] = np.concatenate([met, added])
        if len(self._containing) > MOST_REMEMBERED:
            del self._containing[next(iter(self._containing))]
        return met.copy()

    def _list(self, name: str, read: Callable[[Any], Any]) -> list[Any]:
        facts = self._facts.setdefault(name, [])
        facts.extend(map(read, self._values[len(facts) :]))
        return facts

    def _array(self, name: str, read: Callable[[Any], Any], dtype: Any) -> NDArray[Any]:
        array = self._arrays.get(name, np.empty(0, dtype))
        if len(array) < len(self._values):
            added = np.fromiter(map(read, self._values[len(array) :]), dtype)
            array = self._arrays[name] = np.concatenate([array, added])
        return array


def _decode(written: bytes) -> Any:
    # Most are plain texts, and reading one as JSON takes five times as long.
    if written[:1] == b'"' and b"\\" not in written:
        return written[1:-1].decode()
    # As bytes, it would be looked at for its encoding first.
    return json.loads(written.decode())


def _or_nan(number: float | None) -> float:
    return np.nan if number is None else number


def _to_time(value: Any) -> int:
    moment = to_moment(value)
    return NO_TIME if moment is None else to_microseconds(moment)


def _between(column: Coded, low: float, high: float) -> Truths:
    numbers = column.numbers()
    found: Truths = (numbers >= low) & (numbers <= high)
    return found


def _in(column: Coded, since: datetime | None, until: datetime | None) -> Truths:
    moments = column.moments()
    met: Truths = moments != NO_TIME
    if since is not None:
        met &= moments > to_microseconds(since)
    if until is not None:
        met &= moments <= to_microseconds(until)
    return met


def _moment(given: str) -> datetime:
    moment = to_moment(given)
    assert moment is not None, "the grammar took it for a time"
    return moment


_TRUTHS: dict[str, Callable[[Coded, Any, datetime], Truths]] = {
    "equal": lambda column, wanted, _: column.equal(wanted),
    "one of": lambda column, wanted, _: np.logical_or.reduce([column.equal(w) for w in wanted]),
    "at least": lambda column, low, _: column.numbers() >= low,
    "at most": lambda column, high, _: column.numbers() <= high,
    "more than": lambda column, low, _: column.numbers() > low,
    "less than": lambda column, high, _: column.numbers() < high,
    "between": lambda column, both, _: _between(column, *both),
    "contain": lambda column, wanted, _: column.contain(wanted),
    "known": lambda column, _, __: np.ones(len(column.numbers()), np.bool_),
    "in last days": lambda column, days, now: _in(column, now - timedelta(days), now),
    "in next days": lambda column, days, now: _in(column, now, now + timedelta(days)),
    "days ago": lambda column, days, now: _in(column, None, now - timedelta(days)),
    "after": lambda column, since, _: _in(column, _moment(since), None),
    "until": lambda column, until, _: _in(column, None, _moment(until)),
}
