import asyncio
from datetime import UTC, datetime, timedelta, timezone

import psycopg
import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from audience.incoming import Incoming
from audience.keeping.partitions import (
    Months,
    event_partition,
    make_partitions,
    month_of,
    next_month,
)
from tests.asgi import database_url
from tests.audience.conftest import Pool, Store

EAST = timezone(timedelta(hours=14))


def partitions(table: str = "audience_event") -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass",
            [table],
        )
        return {name for (name,) in cursor.fetchall()}


@pytest.mark.parametrize(
    ("moment", "month"),
    [
        (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)),
        (datetime(2026, 2, 28, 23, 59, 59, 999999, UTC), datetime(2026, 2, 1, tzinfo=UTC)),
        (datetime(2026, 3, 1, 13, 59, tzinfo=EAST), datetime(2026, 2, 1, tzinfo=UTC)),
        (datetime(2024, 2, 29, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)),
    ],
)
def test_a_moment_belongs_to_its_month_in_utc(moment: datetime, month: datetime) -> None:
    assert month_of(moment) == month


@given(st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_moment_lies_in_its_month_and_in_no_other(moment: datetime) -> None:
    month = month_of(moment)
    assert month <= moment < next_month(month)
    assert month_of(next_month(month)) == next_month(month)


def test_december_is_followed_by_january() -> None:
    december = datetime(2025, 12, 1, tzinfo=UTC)
    assert next_month(december) == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.django_db
def test_a_partition_is_made_once() -> None:
    month = event_partition(datetime(2001, 5, 1, tzinfo=UTC))
    make_partitions([month])
    make_partitions([month, month])
    assert "audience_event_2001_05" in partitions()


def test_events_at_the_ends_of_months_are_stored_in_their_months(store: Store) -> None:
    ends = [
        datetime(2026, 2, 28, 23, 59, 59, 999999, UTC),
        datetime(2026, 3, 1, tzinfo=UTC),
        datetime(2026, 12, 31, 23, 59, 59, 999999, UTC),
        datetime(2027, 1, 1, tzinfo=UTC),
        datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC),
    ]
    store(*(Incoming(f"m{n}", at, customer_key="ann", name="X") for n, at in enumerate(ends)))
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM audience_event ORDER BY message_id")
        found = [name.removeprefix("audience_event_") for (name,) in cursor.fetchall()]
    assert found == ["2026_02", "2026_03", "2026_12", "2027_01", "2024_02"]


def test_partitions_made_at_the_same_time_are_made_once(pool: Pool, runner: asyncio.Runner) -> None:
    moments = [datetime(1995, month, 15, tzinfo=UTC) for month in range(1, 13)]

    async def race() -> None:
        # Each is a process's own memory of what exists.
        await asyncio.gather(
            *(Months(pool, event_partition).prepare(reversed(moments)) for _ in range(8))
        )

    runner.run(race())
    assert {f"audience_event_1995_{month:02}" for month in range(1, 13)} <= partitions()


def test_a_known_month_costs_nothing(pool: Pool, runner: asyncio.Runner) -> None:
    months = Months(pool, event_partition)
    moment = datetime(1996, 1, 1, tzinfo=UTC)
    runner.run(months.prepare([moment]))
    asked = pool.get_stats()["requests_num"]
    runner.run(months.prepare([moment, moment + timedelta(days=30)]))
    assert pool.get_stats()["requests_num"] == asked


def test_a_new_month_waits_for_no_reader(pool: Pool, runner: asyncio.Runner) -> None:
    async def prepare_while_somebody_reads() -> None:
        async with await psycopg.AsyncConnection.connect(database_url()) as reader:
            await reader.execute("SELECT count(*) FROM audience_event")
            months = Months(pool, event_partition)
            await asyncio.wait_for(months.prepare([datetime(1997, 1, 1, tzinfo=UTC)]), 5)

    runner.run(prepare_while_somebody_reads())
