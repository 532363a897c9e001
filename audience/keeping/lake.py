"""Copy what was received for good to Parquet files, each event once, and say which files count.

Events never change, but for the name of an order that counted too often (`RenamedEvent`): its file
is written anew. So whatever was received before a time that nobody can write to any more goes
into a file that a `LakeRange` names. The last of these rows is the watermark: claiming a stretch
and owning a file are one row in one transaction, and a file without a row does not exist. Whoever
takes the files that rows name, and from PostgreSQL what was received from then on, has every event
once.

To erase a customer, the files that hold one are written anew without (`write_again`, which reads
PostgreSQL), and what they replace is removed at once instead of after a day.
"""

import logging
import os
import shutil
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
from django.db import connection, transaction
from django.db.models import F, Max
from psycopg import sql

from audience.keeping.closing import LAG, find_closed
from audience.models import LakeRange, RenamedEvent

logger = logging.getLogger(__name__)

# Any number: it tells this lock from others.
CLAIM = 0x0FFE21AD
# A day is written by whole hours while it lasts, and at its end once more, to one file, which finds
# what a clock that was set back had hidden.
STEP = timedelta(hours=1)
DAY = timedelta(days=1)
# So long a replaced file stays, for whoever read its row before; no analysis takes longer.
GRACE = DAY
# A worker has other things to do: a long backlog is written over many beats.
BUDGET_SECONDS = 30.0
# Sorting more than this goes to the disk.
WRITER_MEMORY = "1GB"
SCRATCH = ".writing-"
# Of bytes: far more than the intake takes (`EVENT_BYTES`), for imports that it never saw.
LONGEST_LINE = 16 * 1024 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

FIRST = "SELECT min(received_at) FROM audience_event WHERE received_at >= %s AND received_at < %s"
OUTDATED = """
    SELECT range.received_from, range.received_until FROM audience_renamedevent AS renamed
    JOIN audience_lakerange AS range ON renamed.event_received_at >= range.received_from
     AND renamed.event_received_at < range.received_until
    WHERE NOT renamed.is_in_lake ORDER BY range.received_from LIMIT 1
"""
# Texts go as JSON, which has no line breaks, so that a row is a line. Properties become texts here,
# by PostgreSQL's own `->>`, because every engine writes the same JSON number differently.
EVENTS = sql.SQL("""
    SELECT id, customer_id, source_id, to_json(name), occurred_at, value, (
               SELECT COALESCE(json_object_agg(key, text.value), '{{}}')
               FROM jsonb_each_text(
                   CASE jsonb_typeof(properties) WHEN 'object' THEN properties ELSE '{{}}' END
               ) AS text
           ), received_at
    FROM audience_event
    WHERE received_at >= {start} AND received_at < {until} AND customer_id <> ALL({without})
""")
EVENT_TYPES = {
    "id": "BIGINT",
    "customer_id": "BIGINT",
    "source_id": "BIGINT",
    "name": "JSON",
    "occurred_at": "TIMESTAMPTZ",
    "value": "DOUBLE",
    "properties": "JSON",
    "received_at": "TIMESTAMPTZ",
}
# Metrics ask for events of a name: sorted, most of a file is skipped.
WRITE = """
    COPY (
        SELECT id, customer_id, source_id, json_extract_string(name, '$') AS name, occurred_at,
               value, CAST(properties AS MAP(VARCHAR, VARCHAR)) AS properties, received_at
        FROM {rows} ORDER BY name, occurred_at
    ) TO {file} (FORMAT parquet, COMPRESSION zstd)
"""


@dataclass(frozen=True, slots=True)
class Lake:
    """Where events are: in files, and from a time of receipt on in PostgreSQL alone.

    Attributes:
        files: Those that may hold an event from the time asked for on.
        until: What was received from then on is in no file; None if nothing is in a file.
    """

    files: tuple[str, ...] = ()
    until: datetime | None = None


def read_lake(directory: Path | None, *, since: datetime) -> Lake:
    """Find the files with events that occurred at a time or later, however late they came."""
    if directory is None:
        return Lake()
    # One query, so that no file is replaced between finding it and finding the end.
    ranges = LakeRange.objects.order_by("received_from").values_list(
        "path", "received_until", "last_occurred_at"
    )
    found = list(ranges)
    files = tuple(str(directory / path) for path, _, last in found if last >= since)
    return Lake(files, found[-1][1]) if found else Lake()


def extend_lake(
    directory: Path,
    *,
    lag: timedelta = LAG,
    step: timedelta = STEP,
    budget_seconds: float = BUDGET_SECONDS,
) -> int:
    """Write what is closed and not in the lake, until that is done or the time is up.

    Args:
        directory: The lake; it belongs to this database alone, and strange files in it vanish.
        lag: What was received so recently is left for the next time.
        step: While a day lasts, files end at multiples of this.
        budget_seconds: No file is begun after so long.

    Returns:
        How many files were written.
    """
    deadline = time.monotonic() + budget_seconds
    written = 0
    while time.monotonic() < deadline and _write_next(directory, lag=lag, step=step):
        written += 1
    return written


def _write_next(directory: Path, *, lag: timedelta, step: timedelta) -> bool:
    """Write one file, unless another worker is at it or everything is written."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [CLAIM])
        if not cursor.fetchone()[0]:
            return False
        # Sorting a large day keeps the session waiting for longer than an idle one may.
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        directory.mkdir(parents=True, exist_ok=True)
        closed = find_closed(lag=lag)
        stretch = None if closed is None else _next_stretch(closed, step=step)
        stretch = stretch or _next_outdated()
        if stretch is None:
            _remove_leftovers(directory, now=time.time())
            return False
        _write(directory, *stretch)
    return True


def _next_stretch(closed: datetime, *, step: timedelta) -> tuple[datetime, datetime] | None:
    """Find what to write next: a day that is over, or the steps so far of one that lasts."""
    closed -= (closed - _EPOCH) % step
    in_parts = (
        LakeRange.objects.annotate(length=F("received_until") - F("received_from"))
        .filter(length__lt=DAY, received_from__lt=_day_of(closed))
        .order_by("received_from")
        .first()
    )
    if in_parts is not None:
        day = _day_of(in_parts.received_from)
        return day, day + DAY
    written = LakeRange.objects.aggregate(until=Max("received_until"))["until"] or _EPOCH
    if closed <= written:
        return None
    with connection.cursor() as cursor:
        cursor.execute(FIRST, [written, closed])
        (first,) = cursor.fetchone()
    if first is None:
        return None
    day = _day_of(first)
    return max(day, written), min(day + DAY, closed)


def _next_outdated() -> tuple[datetime, datetime] | None:
    """Find a file with an event that got another name since it was written."""
    with connection.cursor() as cursor:
        cursor.execute(OUTDATED)
        found: tuple[datetime, datetime] | None = cursor.fetchone()
        return found


def _day_of(moment: datetime) -> datetime:
    return moment - (moment - _EPOCH) % DAY


def write_again(directory: Path, written: LakeRange, *, without: Sequence[int]) -> None:
    """Write a file anew without some customers, in the transaction at hand.

    Whoever calls it keeps others from writing meanwhile, by the lock `CLAIM`.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    _write(directory, written.received_from, written.received_until, without=without)


def _write(
    directory: Path, start: datetime, until: datetime, *, without: Sequence[int] = ()
) -> None:
    """Write what was received in [start, until), within one day of UTC, in place of what was."""
    replaced = LakeRange.objects.filter(received_from__gte=start, received_until__lte=until)
    renamed = RenamedEvent.objects.filter(
        is_in_lake=False, event_received_at__gte=start, event_received_at__lt=until
    )
    # Those that are there before the events are read.
    heeded = list(renamed.values_list("pk", flat=True))
    # The time of day helps people; the rest makes a new name, so that no reader's file changes.
    path = Path(f"received_on={start:%Y-%m-%d}", f"{start:%H%M}-{uuid.uuid4().hex[:12]}.parquet")
    with TemporaryDirectory(prefix=SCRATCH, dir=directory) as scratch:
        lines, file = Path(scratch, "lines.csv"), Path(scratch, "events.parquet")
        query = EVENTS.format(
            start=sql.Literal(start), until=sql.Literal(until), without=sql.Literal(list(without))
        )
        count = copy_out(query, lines)
        with open_duckdb(Path(scratch), memory=WRITER_MEMORY) as duck:
            duck.execute(WRITE.format(rows=read_lines(lines, EVENT_TYPES), file=quoted(file)))
            stored, last = duck.execute(
                f"SELECT count(*), max(occurred_at) FROM read_parquet({quoted(file)})"
            ).fetchone() or (0, None)
        if stored != count:
            raise RuntimeError(f"{count} events were to be written, and {stored} are in the file.")
        if count:
            _move(file, directory / path)
    for old in replaced.values_list("path", flat=True):
        with suppress(FileNotFoundError):
            os.utime(directory / old)
    replaced.delete()
    RenamedEvent.objects.filter(pk__in=heeded).update(is_in_lake=True)
    if not count:
        return
    LakeRange.objects.create(
        received_from=start,
        received_until=until,
        path=str(path),
        rows=count,
        last_occurred_at=last,
    )
    logger.info("The lake has %d events in %s", count, path)


def _move(file: Path, target: Path) -> None:
    """Put a file in its place, on the disk for good before any row names it."""
    target.parent.mkdir(exist_ok=True)
    file.replace(target)
    for name in (target, target.parent, target.parent.parent):
        descriptor = os.open(name, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_leftovers(directory: Path, *, now: float) -> None:
    """Remove what a crash left, and files that were replaced, when nobody can be reading them."""
    named = set(LakeRange.objects.values_list("path", flat=True))
    old = now - GRACE.total_seconds()
    for file in directory.glob("received_on=*/*.parquet"):
        if str(file.relative_to(directory)) not in named and file.stat().st_mtime < old:
            file.unlink()
    for scratch in directory.glob(f"{SCRATCH}*"):
        if scratch.stat().st_mtime < old:
            shutil.rmtree(scratch, ignore_errors=True)


# --- from PostgreSQL to DuckDB ---------------------------------------------------------------


def copy_out(query: sql.Composable, file: Path) -> int:
    """Stream a query's rows to a file of CSV lines, in the transaction at hand, and count them."""
    statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(query)
    with connection.cursor() as cursor, file.open("wb") as lines:
        with cursor.cursor.copy(statement) as copy:
            for block in copy:
                lines.write(block)
        return int(cursor.cursor.rowcount)


def open_duckdb(scratch: Path, *, memory: str | None = None) -> duckdb.DuckDBPyConnection:
    """Open a database in memory that spills to a folder and asks nothing of the network."""
    duck = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    duck.execute(f"SET temp_directory = {quoted(scratch / 'spilled')}")
    duck.execute("SET TimeZone = 'UTC'")
    if memory is not None:
        duck.execute(f"SET memory_limit = {quoted(memory)}")
    return duck


def read_lines(file: Path, types: dict[str, str]) -> str:
    """Write the DuckDB expression that reads what `copy_out` wrote.

    Args:
        file: The lines.
        types: Of each column, DuckDB's; a text is JSON.
    """
    columns = ", ".join(f"{quoted(name)}: {quoted(type_)}" for name, type_ in types.items())
    return (
        f"read_csv({quoted(file)}, columns = {{{columns}}}, auto_detect = false, header = false, "
        "delim = ',', quote = '\"', escape = '\"', nullstr = '', "
        f"max_line_size = {LONGEST_LINE})"
    )


def quoted(text: str | Path) -> str:
    """Write a text as an SQL literal."""
    return "'" + str(text).replace("'", "''") + "'"
