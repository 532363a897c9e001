"""Empties the months of events that are older than they have to be kept."""

import re
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction
from django.db.models import Max
from psycopg import sql

from audience.keeping.partitions import EVENTS, month_of, next_month
from audience.models import LakeRange

_MONTH = re.compile(r"_(\d{4})_(\d{2})\Z")
PARTITIONS = """
    SELECT partition.relname FROM pg_inherits
    JOIN pg_class AS partition ON partition.oid = inhrelid
    WHERE inhparent = %s::regclass ORDER BY partition.relname
"""


def find_old_partitions(table: str, *, before: datetime) -> list[tuple[str, datetime]]:
    """Return the partitions of whole months that ended before a moment, with where they end."""
    with connection.cursor() as cursor:
        cursor.execute(PARTITIONS, [table])
        names = [name for (name,) in cursor.fetchall()]
    found = []
    for name in names:
        match = _MONTH.search(name)
        if match is None:
            continue
        end = next_month(datetime(int(match[1]), int(match[2]), 1, tzinfo=UTC))
        if end <= month_of(before):
            found.append((name, end))
    return found


def forget_events(*, before: datetime) -> int:
    """Empty the months of events that ended before a moment; return how many there were.

    They stay as empty tables: an event of long ago may still come in, and processes remember
    which months there are. Files of the lake without any younger event go with them.
    """
    months = find_old_partitions(EVENTS, before=before)
    emptied = 0
    for name, _end in months:
        with transaction.atomic(), connection.cursor() as cursor:
            table = sql.Identifier(name)
            cursor.execute(sql.SQL("SELECT EXISTS (SELECT FROM {})").format(table).as_string())
            if cursor.fetchone() == (True,):
                # Whoever reads it for long is not to make everybody else wait.
                cursor.execute("SET LOCAL lock_timeout = '5s'")
                cursor.execute(sql.SQL("TRUNCATE {}").format(table).as_string())
                emptied += 1
    if months:
        newest = LakeRange.objects.aggregate(until=Max("received_until"))["until"]
        # The newest says how far the lake has come; it is kept.
        old = LakeRange.objects.filter(last_occurred_at__lt=months[-1][1])
        old.exclude(received_until=newest).delete()
    return emptied


def days_before(now: datetime, days: int | None) -> datetime | None:
    """Return the moment before which nothing is kept; None where all is kept for ever."""
    return None if days is None else now - timedelta(days=days)
