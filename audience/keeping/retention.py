"""Deletes what is older than it may be kept: refused events, and the ids of messages.

What analyses read, events and decisions, is not touched here.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, models
from psycopg import sql

from audience.models import ReceivedMessage, RejectedEvent, RenamedEvent

logger = logging.getLogger(__name__)

# A transaction each, so that nobody waits long for a row.
BATCH = 5000
# What is left waits for the next time.
BUDGET_SECONDS = 300.0
# Rows lie in the order of their receipt, so the oldest are found first without an index.
DELETE = sql.SQL("""
    DELETE FROM {table} WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM {table} WHERE received_at < {before} LIMIT {batch}
        FOR UPDATE SKIP LOCKED))
""")


@dataclass(frozen=True, slots=True)
class Kept:
    """For how many days the rows of a table are kept after their receipt; None is for ever."""

    model: type[models.Model]
    days: int | None


def find_kept() -> tuple[Kept, ...]:
    """Return what the settings say of each table."""
    return (
        Kept(RejectedEvent, settings.KEEP_REJECTED_DAYS),
        Kept(ReceivedMessage, settings.KEEP_MESSAGE_IDS_DAYS),
        # No column in memory is as old, and the lake is never so far behind.
        Kept(RenamedEvent, 30),
    )


def delete_expired(
    *, now: datetime, batch: int = BATCH, budget_seconds: float = BUDGET_SECONDS
) -> Mapping[str, int]:
    """Delete what is too old, a batch at a time, until that is done or the time is up.

    Args:
        now: From which days are counted back.
        batch: How many rows at once.
        budget_seconds: No batch is begun after so long.

    Returns:
        How many rows went, by the table's label.
    """
    until = time.monotonic() + budget_seconds
    deleted: dict[str, int] = {}
    for kept in find_kept():
        if kept.days is None:
            continue
        label, before = kept.model._meta.label, now - timedelta(days=kept.days)
        deleted[label] = 0
        while time.monotonic() < until:
            went = _delete(kept.model, before=before, batch=batch)
            deleted[label] += went
            if went:
                logger.info("%s: %d rows too old are deleted so far", label, deleted[label])
            if went < batch:
                break
    return deleted


def _delete(model: type[models.Model], *, before: datetime, batch: int) -> int:
    statement = DELETE.format(
        table=sql.Identifier(model._meta.db_table),
        before=sql.Literal(before),
        batch=sql.Literal(batch),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement.as_string(cursor.cursor))
        return int(cursor.rowcount)
