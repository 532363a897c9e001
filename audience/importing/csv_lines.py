"""Read the lines of CSV files as people export them: separators, gzip, byte order marks."""

import csv
import gzip
import io
import math
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from audience.incoming import Rejected

GZIP_START = b"\x1f\x8b"
# A code that begins with 0 or +, holds more digits than a float keeps, or an E as in 12E4 is none.
PLAIN_NUMBER = re.compile(r"-?(?:(?:0|[1-9][0-9]{0,14})(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-][0-9]+)?")

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


def read_lines(
    path: Path, *, needed: tuple[str, ...], refused: Refused, progress: Progress
) -> Iterator[tuple[int, dict[str, str]]]:
    """Read rows by column name, with their line numbers; columns without a name are left out.

    Raises:
        Rejected: The file lacks a needed column or is not what its name says.
    """
    try:
        with _open(path, progress) as text:
            # Strict, or a quote that is never closed would swallow what follows without a word.
            reader = csv.reader(text, delimiter=_delimiter(text), strict=True)
            header = _header(reader, needed=needed)
            for row in _rows(reader, refused):
                if len(row) == len(header):
                    pairs = zip(header, row, strict=True)
                    yield reader.line_num, {name: value for name, value in pairs if name}
                elif row:
                    count = f"{len(row)} columns instead of {len(header)}."
                    refused.note(reader.line_num, count)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise Rejected(f"It is not UTF-8 text: it holds the byte {byte:#04x}.") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Rejected(f"Its gzip stream is broken: {error}") from error


def read_column(
    path: Path, *, names: tuple[str, ...], refused: Refused, progress: Progress
) -> Iterator[tuple[int, str]]:
    """Read the values of one column, with their line numbers; empty ones are left out.

    It is the first column that has one of the names, in any case of letters. A file of one column
    needs no name: its first line is a value then.

    Raises:
        Rejected: No column has such a name, or the file is not what its name says.
    """
    try:
        with _open(path, progress) as text:
            reader = csv.reader(text, delimiter=_delimiter(text), strict=True)
            place = None
            for row in _rows(reader, refused):
                if place is None:
                    place = _find_column(row, names)
                    if row and row[place].strip().lower() in names:
                        continue
                if len(row) > place and row[place].strip():
                    yield reader.line_num, row[place].strip()
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise Rejected(f"It is not UTF-8 text: it holds the byte {byte:#04x}.") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Rejected(f"Its gzip stream is broken: {error}") from error


def _find_column(row: list[str], names: tuple[str, ...]) -> int:
    found = [i for i, cell in enumerate(row) if cell.strip().lower() in names]
    if found:
        return found[0]
    if len(row) > 1:
        raise Rejected(
            f"Its first line names none of: {', '.join(names)}. Name the column of customers so, "
            "or leave only that column."
        )
    return 0


def find_numeric_columns(path: Path) -> set[str]:
    """Return the columns in which every value is plainly a number."""
    numeric: dict[str, bool] = {}
    for _, row in read_lines(path, needed=(), refused=Refused(), progress=lambda size: None):
        for name, value in row.items():
            if value != "":
                numeric[name] = numeric.get(name, True) and is_plain_number(value)
    return {name for name, is_numeric in numeric.items() if is_numeric}


def is_plain_number(text: str) -> bool:
    """Tell whether a text is a number and not a code that looks like one."""
    return PLAIN_NUMBER.fullmatch(text.strip()) is not None and math.isfinite(float(text))


def _header(reader: Iterator[list[str]], *, needed: tuple[str, ...]) -> list[str]:
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise Rejected(f"Its first line is no list of columns: {error}.") from error
    missing = [name for name in needed if name not in header]
    if missing:
        found = ", ".join(name for name in header if name) or "none"
        raise Rejected(f"The file has no column {missing[0]!r}; it has: {found}.")
    twice = sorted(name for name in header if name and header.count(name) > 1)
    if twice:
        raise Rejected(f"The file has two columns {twice[0]!r}.")
    if any("\0" in name for name in header):
        raise Rejected("A column's name holds the NUL character.")
    return header


def _rows(reader: Any, refused: Refused) -> Iterator[list[str]]:
    """Hand on what can be split into columns; the reader goes on behind what cannot."""
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            refused.note(reader.line_num, f"{error}.")


def _delimiter(text: TextIO) -> str:
    """Return the separator that the header line uses, and go back to the start."""
    line = text.readline()
    text.seek(0)
    return max(",;\t", key=line.count)


@contextmanager
def _open(path: Path, progress: Progress) -> Iterator[TextIO]:
    """Open a file, plain or gzip whatever its name, with or without a byte order mark."""
    with ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))
        is_gzip = raw.read(len(GZIP_START)) == GZIP_START
        raw.seek(0)
        counted: Any = _Counted(raw, progress)
        if is_gzip:
            counted = stack.enter_context(gzip.open(counted))
        yield stack.enter_context(io.TextIOWrapper(counted, encoding="utf-8-sig", newline=""))


class _Counted(io.RawIOBase):
    """A file that tells how far it was read, for a progress bar."""

    def __init__(self, raw: BinaryIO, progress: Progress) -> None:
        self._raw = raw
        self._progress = progress
        self._furthest = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._raw.seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        size = self._raw.readinto(buffer)  # type: ignore[attr-defined]  # BinaryIO hides it
        # The beginning is read twice, once to find the separator.
        ahead = self._raw.tell() - self._furthest
        if ahead > 0:
            self._furthest += ahead
            self._progress(ahead)
        return int(size)
