"""Turn the lines of CSV files into customers and events."""

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from audience.commerce import REVERSALS, event_value, order_id_of
from audience.importing.copying import CustomerRow, EventRow
from audience.importing.csv_lines import Progress, Refused, find_numeric_columns, read_lines
from audience.incoming import LARGEST, MESSAGE_ID_LENGTH, NEWEST, Rejected, check_key

CUSTOMER_COLUMN = "customer"
EVENT_COLUMNS = ("customer", "event", "time")
# Texts, whatever they look like: 10.10 is another order than 10.1.
IDS = {"order_id", "orderId", "product_id", "sku"}
# Before there were shops to export from; spreadsheets write an empty date as 1900 or 1970.
OLDEST = datetime(1990, 1, 1, tzinfo=UTC)


def read_customers(path: Path, *, refused: Refused, progress: Progress) -> Iterator[CustomerRow]:
    """Read customers: the column `customer` is the key, every other one an attribute.

    A column is read as numbers when all its values are; a code such as 007 keeps its zeros.

    Raises:
        Rejected: The file has no such column, or cannot be read.
    """
    numeric = find_numeric_columns(path)
    lines = read_lines(path, needed=(CUSTOMER_COLUMN,), refused=refused, progress=progress)
    for line, row in lines:
        try:
            key = check_key(row.pop(CUSTOMER_COLUMN), what="customer")
            yield CustomerRow(key, _values(row, numeric=numeric))
        except Rejected as error:
            refused.note(line, error)


def read_events(
    path: Path, *, now: datetime, refused: Refused, progress: Progress
) -> Iterator[EventRow]:
    """Read events: `customer`, `event`, `time` (ISO 8601), perhaps `value` and `message_id`.

    Without a `value`, the first of `revenue` and `total` is what an event is worth.

    Every other column is a property, and is read as numbers when all its values are and it holds
    no ids of orders or products. Without a `message_id`, the row itself is one, so that the same
    file brings nothing twice; equal rows of one file are different events, unless they name one
    order.

    Raises:
        Rejected: The file lacks a column, or cannot be read.
    """
    numeric = find_numeric_columns(path) - IDS
    seen: Counter[bytes] = Counter()
    lines = read_lines(path, needed=EVENT_COLUMNS, refused=refused, progress=progress)
    for line, row in lines:
        try:
            yield _to_event(row, numeric=numeric, seen=seen, now=now)
        except Rejected as error:
            refused.note(line, error)


def _to_event(
    row: Mapping[str, str], *, numeric: Collection[str], seen: Counter[bytes], now: datetime
) -> EventRow:
    known = {*EVENT_COLUMNS, "value", "message_id"}
    name = check_key(row["event"], what="event")
    properties = _values({k: v for k, v in row.items() if k not in known}, numeric=numeric)
    return EventRow(
        customer_key=check_key(row["customer"], what="customer"),
        name=name,
        occurred_at=_to_time(row["time"], now=now),
        value=_to_value(row["value"]) if row.get("value") else _value_of(name, properties),
        properties=properties,
        message_id=_message_id(row, seen),
    )


def _value_of(name: str, properties: Mapping[str, Any]) -> float | None:
    """Return what an event is worth by its other columns, as it would be if it came by the API."""
    if name in REVERSALS and order_id_of(properties) is not None:
        # What it takes back is found out when its order is.
        return None
    return event_value(name, properties)


def _message_id(row: Mapping[str, str], seen: Counter[bytes]) -> str:
    if row.get("message_id"):
        return check_key(row["message_id"], what="message_id", length=MESSAGE_ID_LENGTH)
    content = "\x1f".join(f"{name}\x1e{value}" for name, value in sorted(row.items()))
    digest = hashlib.sha256(content.encode()).digest()[:16]
    seen[digest] += 1
    return f"csv-{digest.hex()}-{seen[digest]}"


def _to_time(text: str, *, now: datetime) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise Rejected(f"{text!r} is no time such as 2026-01-31T12:00:00Z.") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if not OLDEST <= moment <= now + NEWEST:
        raise Rejected(f"{text!r} is before {OLDEST.year} or in the future.")
    return moment


def _to_value(text: str) -> float:
    value = _to_number(text)
    if abs(value) >= LARGEST:
        raise Rejected(f"{text!r} is more than any event is worth.")
    return value


def _to_number(text: str) -> float:
    try:
        number = float(text)
    except ValueError as error:
        raise Rejected(f"{text!r} is no number.") from error
    if not math.isfinite(number):
        raise Rejected(f"{text!r} is no finite number.")
    return number


def _to_shortest(text: str) -> float:
    """Read a number, a whole one as such: what is called 7 elsewhere is not called 7.0."""
    number = _to_number(text)
    return int(text) if text.strip().lstrip("-").isdecimal() else number


def _values(row: Mapping[str, str], *, numeric: Collection[str]) -> dict[str, str | float]:
    """Return what is not empty, numbers as numbers."""
    return {
        name: _to_shortest(value) if name in numeric else _storable(value)
        for name, value in row.items()
        if value != ""
    }


def _storable(text: str) -> str:
    if "\0" in text:
        raise Rejected("A value holds the NUL character.")
    return text
