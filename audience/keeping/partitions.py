"""Monthly partitions of the tables that only grow."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from psycopg import AsyncConnection, sql
from psycopg_pool import AsyncConnectionPool

EVENTS = "audience_event"


def month_of(moment: datetime) -> datetime:
    """Return the first instant of a moment's month, in UTC."""
    moment = moment.astimezone(UTC)
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def next_month(month: datetime) -> datetime:
    """Return the first instant of the month after."""
    carry, index = divmod(month.month, 12)
    return month.replace(year=month.year + carry, month=index + 1)


def partition_statement(table: str, low: object, high: object, *, month: datetime) -> sql.Composed:
    """Write the statement that makes one month's partition, holding keys in [low, high).

    The partition is made by itself and then attached: made in place it would wait for every
    reader of the table, a long report for instance, and everybody else would wait for it.

    Attaching locks the tables that it refers to against writers, customers above all. They are
    locked before anything else, because an import that has written customers goes on to the table
    itself: so whoever waits here keeps nobody. Nobody else has these locks meanwhile, so that a
    partition is made once.
    """
    name = f"{table}_{month:%Y_%m}"
    return sql.SQL(
        """
        DO $make$ DECLARE referred regclass; BEGIN
            IF to_regclass({quoted_name}) IS NOT NULL THEN
                RETURN;
            END IF;
            FOR referred IN
                SELECT relation.oid FROM pg_constraint AS reference
                JOIN pg_class AS relation ON relation.oid = reference.confrelid
                WHERE reference.conrelid = {quoted_table}::regclass AND reference.contype = 'f'
                ORDER BY relation.relname DESC
            LOOP
                EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', referred);
            END LOOP;
            IF to_regclass({quoted_name}) IS NULL THEN
                CREATE TABLE {partition} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
                ALTER TABLE {table} ATTACH PARTITION {partition}
                    FOR VALUES FROM ({low}) TO ({high});
            END IF;
        END $make$
        """
    ).format(
        quoted_name=sql.Literal(name),
        quoted_table=sql.Literal(table),
        partition=sql.Identifier(name),
        table=sql.Identifier(table),
        low=sql.Literal(low),
        high=sql.Literal(high),
    )


def event_partition(month: datetime) -> sql.Composed:
    """Write the statement that makes the partition of one month's events."""
    return partition_statement(EVENTS, month, next_month(month), month=month)


def make_partitions(statements: Iterable[sql.Composed]) -> None:
    """Run the statements in the transaction at hand."""
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement.as_string(cursor.cursor))


async def make_months(
    connection_: AsyncConnection[Any],
    partition: Callable[[datetime], sql.Composed],
    months: Iterable[datetime],
) -> None:
    """Do as `make_partitions` for these months, in the transaction of a hot path's connection."""
    for month in months:
        await connection_.execute(partition(month))


class Months:
    """The months for which this process knows that a table has a partition."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection],
        partition: Callable[[datetime], sql.Composed],
    ) -> None:
        """Make partitions through this pool, by this statement, when first needed."""
        self._pool = pool
        self._partition = partition
        self._known: set[datetime] = set()

    async def prepare(self, moments: Iterable[datetime]) -> None:
        """Make the partitions of these moments, unless they are known to exist.

        It runs before the rows' own transaction, which would otherwise hold locks on the whole
        table while it waits.
        """
        asked = list(moments)
        if not asked:
            return
        # Nearly always all in one month, which two of them tell.
        months = {month_of(min(asked)), month_of(max(asked))}
        if len(months) > 1:
            months = {month_of(moment) for moment in asked}
        missing = months - self._known
        if not missing:
            return
        async with self._pool.connection() as connection_, connection_.transaction():
            await make_months(connection_, self._partition, sorted(missing))
        self._known |= missing
