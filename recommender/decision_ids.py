"""Ids of decisions: UUIDs of version 7 (RFC 9562), which sort by the time they carry."""

import uuid
from datetime import UTC, datetime, timedelta

from psycopg import sql

from audience.keeping.partitions import next_month, partition_statement

DECISIONS = "recommender_decision"
RANDOM_BITS = 74
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def decision_id(decided_at: datetime, *, entropy: int) -> uuid.UUID:
    """Make an id from a time and 74 random bits (12 of them right behind the time)."""
    head, tail = entropy >> 62 & 0xFFF, entropy & (1 << 62) - 1
    return uuid.UUID(int=_milliseconds(decided_at) << 80 | 7 << 76 | head << 64 | 0b10 << 62 | tail)


def first_id_at(moment: datetime) -> uuid.UUID:
    """Return the bound below which every earlier decision's id lies, and no later one's."""
    return uuid.UUID(int=_milliseconds(moment) << 80)


def decision_partition(month: datetime) -> sql.Composed:
    """Write the statement that makes the partition of one month's decisions."""
    low, high = first_id_at(month), first_id_at(next_month(month))
    return partition_statement(DECISIONS, str(low), str(high), month=month)


def _milliseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)
