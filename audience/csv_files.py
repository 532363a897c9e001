"""Read customers and events from CSV files as people export them."""

import csv
import gzip
import hashlib
import io
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from audience.copying import CustomerRow, EventRow
from audience.incoming import MESSAGE_ID_LENGTH, Rejected, check_key

CUSTOMER_COLUMN = "customer"
EVENT_COLUMNS = ("customer", "event", "time")
Progress = Callable[[int], object]


@dataclass(slots=True)
class Refused:
    """The lines that could not be taken, with the reason of the first ones."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def note(self, line: int, reason: object) -> None:
        """Note one more."""
        self.count += 1
        if len(self.examples) < 20:
            self.examples.append(f"line {line}: {reason}")


def read_customers(path: Path, *, refused: Refused, progress: Progress) -> Iterator[CustomerRow]:
    """Read customers: the column `customer` is the key, every other one an attribute.

    A column is read as numbers when all its values are; a code such as 007 keeps its zeros.

    Raises:
        Rejected: The file has no such column.
    """
    numeric = _numeric_columns(path)
    for line, row in _read(path, needed=(CUSTOMER_COLUMN,), refused=refused, progress=progress):
        try:
            key = check_key(row[CUSTOMER_COLUMN], what="the customer")
            attributes = {
                name: float(value) if name in numeric else _storable(value)
                for name, value in row.items()
                if name != CUSTOMER_COLUMN and value != ""
            }
        except Rejected as error:
            refused.note(line, error)
        else:
            yield CustomerRow(key, attributes)


def read_events(path: Path, *, refused: Refused, progress: Progress) -> Iterator[EventRow]:
    """Read events: `customer`, `event`, `time` (ISO 8601), perhaps `value` and `message_id`.

    Every other column is a property. Without a `message_id`, the row itself is one, so that the
    same file brings nothing twice; equal rows of one file are different events.

    Raises:
        Rejected: The file lacks a column.
    """
    seen: Counter[str] = Counter()
    for line, row in _read(path, needed=EVENT_COLUMNS, refused=refused, progress=progress):
        try:
            yield _to_event(row, seen)
        except Rejected as error:
            refused.note(line, error)


def _to_event(row: Mapping[str, str], seen: Counter[str]) -> EventRow:
    known = {*EVENT_COLUMNS, "value", "message_id"}
    return EventRow(
        customer_key=check_key(row["customer"], what="the customer"),
        name=check_key(row["event"], what="the event"),
        occurred_at=_to_time(row["time"]),
        message_id=_message_id(row, seen),
        value=_to_number(row["value"]) if row.get("value") else None,
        properties={k: _storable(v) for k, v in row.items() if k not in known and v != ""},
    )


def _message_id(row: Mapping[str, str], seen: Counter[str]) -> str:
    if row.get("message_id"):
        return check_key(row["message_id"], what="message_id", length=MESSAGE_ID_LENGTH)
    content = "\x1f".join(f"{name}\x1e{value}" for name, value in sorted(row.items()))
    digest = hashlib.sha256(content.encode()).hexdigest()[:32]
    seen[digest] += 1
    return f"csv-{digest}-{seen[digest]}"


def _to_time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise Rejected(f"{text!r} is no time such as 2026-01-31T12:00:00Z.") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _to_number(text: str) -> float:
    try:
        number = float(text)
    except ValueError as error:
        raise Rejected(f"{text!r} is no number.") from error
    if not math.isfinite(number):
        raise Rejected(f"{text!r} is no finite number.")
    return number


def _storable(text: str) -> str:
    if "\0" in text:
        raise Rejected("a value holds the NUL character.")
    return text


def _numeric_columns(path: Path) -> set[str]:
    """Return the columns in which every value is a number and none begins with a needless 0."""
    numeric: dict[str, bool] = {}
    ignored = Refused()
    for _, row in _read(path, needed=(), refused=ignored, progress=lambda size: None):
        for name, value in row.items():
            if value != "":
                numeric[name] = numeric.get(name, True) and _is_plain_number(value)
    return {name for name, is_numeric in numeric.items() if is_numeric}


def _is_plain_number(text: str) -> bool:
    digits = text.strip().lstrip("-")
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
        return False
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _read(
    path: Path, *, needed: tuple[str, ...], refused: Refused, progress: Progress
) -> Iterator[tuple[int, dict[str, str]]]:
    """Read rows by column name, with their line numbers."""
    with _open(path, progress) as text:
        reader = csv.reader(text, delimiter=_delimiter(text))
        header = [name.strip() for name in next(reader, [])]
        missing = [name for name in needed if name not in header]
        if missing:
            raise Rejected(f"The file has no column {missing[0]!r}; it has: {', '.join(header)}.")
        for row in reader:
            if len(row) == len(header):
                yield reader.line_num, dict(zip(header, row, strict=True))
            elif row:
                refused.note(reader.line_num, f"{len(row)} columns instead of {len(header)}.")


def _delimiter(text: TextIO) -> str:
    """Return the separator that the header line uses, and go back to the start."""
    line = text.readline()
    text.seek(0)
    return max(",;\t", key=line.count)


@contextmanager
def _open(path: Path, progress: Progress) -> Iterator[TextIO]:
    """Open a file, plain or gzip, with or without a byte order mark."""
    with ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))
        counted: Any = _Counted(raw, progress)
        if path.suffix == ".gz":
            counted = stack.enter_context(gzip.open(counted))
        yield stack.enter_context(io.TextIOWrapper(counted, encoding="utf-8-sig", newline=""))


class _Counted(io.RawIOBase):
    """A file that tells how far it was read, for a progress bar."""

    def __init__(self, raw: BinaryIO, progress: Progress) -> None:
        self._raw = raw
        self._progress = progress

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()

    def readinto(self, buffer: Any) -> int:
        before = self._raw.tell()
        size = self._raw.readinto(buffer)  # type: ignore[attr-defined]  # BinaryIO hides it
        self._progress(self._raw.tell() - before)
        return int(size or 0)
