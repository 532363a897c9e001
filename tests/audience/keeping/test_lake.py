import json
import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from audience.keeping.closing import find_closed
from audience.keeping.lake import GRACE, extend_lake, open_duckdb, quoted, read_lake
from audience.keeping.partitions import event_partition, make_partitions, month_of
from audience.models import Customer, LakeRange, RenamedEvent, Source
from audience.tasks import extend_lake as extend_lake_task
from tests.makers import DAY, HOUR, NOW, make_customer
from tests.racing import locked_table, other_sessions, wait_for_blocked

pytestmark = pytest.mark.django_db

NOON = NOW
MIDNIGHT = NOON + 12 * HOUR
INSTANT = timedelta(microseconds=1)
LONG_AGO = NOON - 400 * DAY


def receive(
    *times: datetime,
    customer: Customer | None = None,
    occurred_at: datetime = NOON,
    name: str = "Seen",
    value: float | None = None,
    properties: Any = None,
) -> list[int]:
    """Store one event for each time of receipt, and return their ids."""
    customer = customer or make_customer()
    source, _ = Source.objects.get_or_create(name="tests")
    make_partitions([event_partition(month_of(occurred_at))])
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audience_event (occurred_at, customer_id, source_id, message_id, name,"
            " value, properties, received_at)"
            " SELECT %s, %s, %s, '', %s, %s, %s, at FROM unnest(%s::timestamptz[]) AS at"
            " RETURNING id",
            [
                occurred_at,
                customer.pk,
                source.pk,
                name,
                value,
                json.dumps({} if properties is None else properties),
                [*times],
            ],
        )
        return [id_ for (id_,) in cursor.fetchall()]


def extend(lake: Path, *, closed: datetime) -> int:
    """Extend the lake as if nothing could be received before a time any more."""
    return extend_lake(lake, lag=timezone.now() - closed)


def query(lake: Path, columns: str, files: Sequence[str]) -> list[tuple[Any, ...]]:
    if not files:
        return []
    listed = ", ".join(map(quoted, files))
    with open_duckdb(lake) as duck:
        return duck.execute(
            f"SELECT {columns} FROM read_parquet([{listed}], hive_partitioning = false)"
        ).fetchall()


def seen_by_a_reader(lake: Path, *, since: datetime = LONG_AGO) -> list[int]:
    """Take the ids of events as an engine does: from the files, and what came later."""
    found = read_lake(lake, since=since)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM audience_event WHERE %(until)s::timestamptz IS NULL"
            " OR received_at >= %(until)s",
            {"until": found.until},
        )
        rest = [id_ for (id_,) in cursor.fetchall()]
    return sorted(rest + [id_ for (id_,) in query(lake, "id", found.files)])


def files_in(lake: Path) -> set[str]:
    return {str(file) for file in lake.rglob("*.parquet")}


def make_old(*files: str | Path) -> None:
    moment = time.time() - GRACE.total_seconds() - 60
    for file in files:
        os.utime(file, (moment, moment))


# --- what is written -------------------------------------------------------------------------


def test_an_event_is_in_the_lake_with_all_that_was_stored(tmp_path: Path) -> None:
    customer = make_customer()
    at = datetime(2026, 2, 28, 23, 30, 0, 123456, UTC)
    (id_,) = receive(NOON, customer=customer, occurred_at=at, name='a\n"é" \\,😀', value=0.1 + 0.2)
    assert extend(tmp_path, closed=NOON + HOUR) == 1
    columns = "id, customer_id, name, occurred_at, value, received_at"
    assert query(tmp_path, columns, read_lake(tmp_path, since=at).files) == [
        (id_, customer.pk, 'a\n"é" \\,😀', at, 0.1 + 0.2, NOON)
    ]


def test_an_event_without_value_and_properties_has_none_in_the_lake(tmp_path: Path) -> None:
    receive(NOON)
    extend(tmp_path, closed=NOON + HOUR)
    files = read_lake(tmp_path, since=LONG_AGO).files
    assert query(tmp_path, "value, properties", files) == [(None, {})]


@pytest.mark.parametrize(
    "properties",
    [
        {"n": 1.50, "big": 12345678901234567890123, "small": 1e-7, "e": 1e25, "neg": -0.0},
        {"yes": True, "no": False, "nothing": None, "empty": "", "null": "null"},
        {"list": [1, {"a": "b"}], "object": {"b": 1.0, "a": None}, "é'\"\\,\n": 'é"\\,\n\t😀'},
        {},
        [1, 2],
        "text",
    ],
)
def test_properties_are_the_texts_that_postgresql_would_look_up(
    tmp_path: Path, properties: Any
) -> None:
    receive(NOON, properties=properties)
    extend(tmp_path, closed=NOON + HOUR)
    expected = {}
    for key in properties if isinstance(properties, Mapping) else ():
        with connection.cursor() as cursor:
            cursor.execute("SELECT properties ->> %s FROM audience_event", [key])
            (expected[key],) = cursor.fetchone()
    ((found,),) = query(tmp_path, "properties", read_lake(tmp_path, since=LONG_AGO).files)
    assert found == expected


def test_a_number_keeps_the_digits_it_was_sent_with(tmp_path: Path) -> None:
    receive(NOON)
    with connection.cursor() as cursor:
        cursor.execute("""UPDATE audience_event SET properties = '{"price": 1.50}'""")
    extend(tmp_path, closed=NOON + HOUR)
    files = read_lake(tmp_path, since=LONG_AGO).files
    assert query(tmp_path, "properties", files) == [({"price": "1.50"},)]


def test_a_file_lies_in_the_folder_of_its_day_of_receipt(tmp_path: Path) -> None:
    receive(MIDNIGHT - INSTANT, MIDNIGHT)
    assert extend(tmp_path, closed=MIDNIGHT + DAY) == 2
    folders = [Path(path).parent.name for path in sorted(files_in(tmp_path))]
    assert folders == ["received_on=2026-03-02", "received_on=2026-03-03"]


# --- each event once -------------------------------------------------------------------------


def test_a_second_run_finds_nothing_to_write(tmp_path: Path) -> None:
    receive(NOON, NOON + HOUR)
    assert extend(tmp_path, closed=NOON + 3 * HOUR) == 1
    assert extend(tmp_path, closed=NOON + 3 * HOUR) == 0
    assert LakeRange.objects.get().rows == 2


def test_an_hour_that_lasts_is_left_to_postgresql(tmp_path: Path) -> None:
    early, late = receive(NOON + HOUR - INSTANT, NOON + HOUR)
    extend(tmp_path, closed=NOON + HOUR + timedelta(minutes=59))
    found = read_lake(tmp_path, since=LONG_AGO)
    assert query(tmp_path, "id", found.files) == [(early,)]
    assert found.until == NOON + HOUR
    assert seen_by_a_reader(tmp_path) == [early, late]


def test_an_event_that_came_late_is_in_a_later_file(tmp_path: Path) -> None:
    first = receive(NOON, occurred_at=NOON)
    extend(tmp_path, closed=NOON + HOUR)
    late = receive(NOON + HOUR, occurred_at=NOON - 30 * DAY)
    extend(tmp_path, closed=NOON + 2 * HOUR)
    assert LakeRange.objects.count() == 2
    assert seen_by_a_reader(tmp_path) == first + late


def test_files_with_nothing_new_enough_are_left_out(tmp_path: Path) -> None:
    receive(NOON, occurred_at=NOON)
    extend(tmp_path, closed=NOON + HOUR)
    # Its sender's clock is ahead: what counts is the time that an event says.
    ahead = receive(NOON + HOUR, occurred_at=NOON + 20 * HOUR)
    extend(tmp_path, closed=NOON + 2 * HOUR)
    assert len(read_lake(tmp_path, since=NOON).files) == 2
    assert seen_by_a_reader(tmp_path, since=NOON + INSTANT) == ahead
    assert read_lake(tmp_path, since=NOON + DAY).files == ()


def test_without_a_folder_everything_is_in_postgresql() -> None:
    receive(NOON)
    assert read_lake(None, since=LONG_AGO).until is None


hours = st.integers(0, 80).map(lambda hour: NOON + hour * HOUR)


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(st.tuples(st.lists(hours, max_size=4), hours), min_size=1, max_size=5),
)
def test_a_reader_sees_every_event_once_at_any_time(
    steps: list[tuple[list[datetime], datetime]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    lake = tmp_path_factory.mktemp("lake")
    with transaction.atomic():
        stored: list[int] = []
        open_from = NOON
        for received, closed in steps:
            # What is received later is received at a time that was still open.
            stored += receive(*(time for time in received if time >= open_from))
            open_from = max(open_from, closed)
            extend(lake, closed=open_from)
            assert seen_by_a_reader(lake) == sorted(stored)
        transaction.set_rollback(True)


# --- a day in one file -----------------------------------------------------------------------


def test_a_day_that_is_over_is_one_file(tmp_path: Path) -> None:
    events = [*receive(NOON), *receive(NOON + 2 * HOUR)]
    extend(tmp_path, closed=NOON + HOUR)
    extend(tmp_path, closed=NOON + 3 * HOUR)
    assert LakeRange.objects.count() == 2
    assert extend(tmp_path, closed=MIDNIGHT) == 1
    day = LakeRange.objects.get()
    assert (day.received_from, day.received_until, day.rows) == (MIDNIGHT - DAY, MIDNIGHT, 2)
    assert seen_by_a_reader(tmp_path) == events


def test_the_last_hour_of_a_day_is_written_with_its_day(tmp_path: Path) -> None:
    receive(NOON, MIDNIGHT - INSTANT)
    extend(tmp_path, closed=NOON + HOUR)
    assert extend(tmp_path, closed=MIDNIGHT) == 1
    assert LakeRange.objects.get().rows == 2


def test_a_day_of_old_events_is_written_at_once(tmp_path: Path) -> None:
    receive(*(NOON + hour * HOUR for hour in range(60)))
    assert extend(tmp_path, closed=NOON + 10 * DAY) == 3


def test_what_slipped_under_the_watermark_is_found_when_the_day_is_over(tmp_path: Path) -> None:
    receive(NOON)
    extend(tmp_path, closed=NOON + HOUR)
    late = receive(NOON + timedelta(minutes=1))
    assert extend(tmp_path, closed=MIDNIGHT - HOUR) == 0
    extend(tmp_path, closed=MIDNIGHT)
    assert set(late) < set(seen_by_a_reader(tmp_path))


def rename(*ids: int) -> None:
    """Do as `doubled_orders.py` with orders that came twice."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH renamed AS (UPDATE audience_event SET name = 'Order Repeated'"
            " WHERE id = ANY(%s) RETURNING id, received_at)"
            " INSERT INTO audience_renamedevent (event_id, event_received_at, is_in_lake)"
            " SELECT id, received_at, false FROM renamed",
            [list(ids)],
        )


def test_a_file_is_written_anew_when_an_event_of_it_has_another_name(tmp_path: Path) -> None:
    first, second = receive(NOON, NOON + HOUR, name="Order Completed")
    receive(NOON + DAY)
    extend(tmp_path, closed=NOON + DAY + 2 * HOUR)
    rename(second)
    assert extend(tmp_path, closed=NOON + DAY + 2 * HOUR) == 1
    files = read_lake(tmp_path, since=LONG_AGO).files
    names = {(first, "Order Completed"), (second, "Order Repeated")}
    assert names <= set(query(tmp_path, "id, name", files))
    assert len(seen_by_a_reader(tmp_path)) == 3
    assert extend(tmp_path, closed=NOON + DAY + 2 * HOUR) == 0


def test_what_is_renamed_before_or_while_it_is_written_is_right_in_the_end(tmp_path: Path) -> None:
    first, second = receive(NOON, NOON + 2 * HOUR, name="Order Completed")
    rename(first)
    assert extend(tmp_path, closed=NOON + HOUR) == 1
    assert extend(tmp_path, closed=NOON + HOUR) == 0
    # Nobody has written this one; who is writing it may have read it before.
    rename(second)
    assert extend(tmp_path, closed=NOON + HOUR) == 0
    extend(tmp_path, closed=NOON + 3 * HOUR)
    files = read_lake(tmp_path, since=LONG_AGO).files
    assert set(query(tmp_path, "name", files)) == {("Order Repeated",)}
    assert not RenamedEvent.objects.filter(is_in_lake=False).exists()


def test_a_replaced_file_stays_for_those_who_read_it(tmp_path: Path) -> None:
    receive(NOON, NOON + 2 * HOUR)
    extend(tmp_path, closed=NOON + HOUR)
    (hour,) = read_lake(tmp_path, since=LONG_AGO).files
    # It was written long ago, but replaced only now.
    make_old(hour)
    extend(tmp_path, closed=MIDNIGHT)
    (day,) = read_lake(tmp_path, since=LONG_AGO).files
    extend(tmp_path, closed=MIDNIGHT)
    assert files_in(tmp_path) == {hour, day}
    make_old(hour, day)
    extend(tmp_path, closed=MIDNIGHT)
    assert files_in(tmp_path) == {day}


def test_a_day_whose_events_were_deleted_has_no_file(tmp_path: Path) -> None:
    receive(NOON, NOON + 2 * HOUR)
    extend(tmp_path, closed=NOON + HOUR)
    extend(tmp_path, closed=NOON + 3 * HOUR)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM audience_event")
    extend(tmp_path, closed=MIDNIGHT)
    assert read_lake(tmp_path, since=LONG_AGO).files == ()


# --- crashes and races -----------------------------------------------------------------------


def test_a_crash_between_file_and_row_leaves_nothing_to_read(tmp_path: Path) -> None:
    events = receive(NOON)
    with transaction.atomic():
        extend(tmp_path, closed=NOON + HOUR)
        transaction.set_rollback(True)
    (orphan,) = files_in(tmp_path)
    assert read_lake(tmp_path, since=LONG_AGO).files == ()

    extend(tmp_path, closed=NOON + HOUR)

    assert seen_by_a_reader(tmp_path) == events
    make_old(orphan)
    extend(tmp_path, closed=NOON + HOUR)
    assert orphan not in files_in(tmp_path)
    assert seen_by_a_reader(tmp_path) == events


def test_what_a_killed_writer_left_is_removed_after_a_day(tmp_path: Path) -> None:
    receive(NOON)
    fresh, old = tmp_path / ".writing-fresh", tmp_path / ".writing-old"
    for scratch in (fresh, old):
        scratch.mkdir()
        (scratch / "lines.csv").touch()
    make_old(old)
    extend(tmp_path, closed=NOON + HOUR)
    assert fresh.exists()
    assert not old.exists()


def test_no_file_is_begun_when_the_time_is_up(tmp_path: Path) -> None:
    receive(NOON)
    assert extend_lake(tmp_path, budget_seconds=0.0) == 0
    assert extend_lake(tmp_path) == 1


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_write_once(tmp_path: Path) -> None:
    receive(NOON)
    with other_sessions(2) as run:
        with locked_table("audience_lakerange"):
            first = run(lambda: extend_lake(tmp_path))
            wait_for_blocked()
            second = run(lambda: extend_lake(tmp_path))
            assert second.result(timeout=10) == 0
        assert first.result(timeout=10) == 1
    assert LakeRange.objects.get().rows == 1


@pytest.mark.django_db(transaction=True)
def test_a_time_is_not_closed_while_a_transaction_that_began_before_it_runs(
    tmp_path: Path,
) -> None:
    make_partitions([event_partition(month_of(NOON))])
    with other_sessions(1) as run, transaction.atomic():
        # `received_at` is now, in the sense of PostgreSQL: when this transaction began.
        held = receive(NOON - INSTANT)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE audience_event SET received_at = now() RETURNING received_at")
            (began_at,) = cursor.fetchone()

        def extend_beside() -> datetime | None:
            extend_lake(tmp_path, lag=timedelta(0), step=INSTANT)
            return find_closed(lag=timedelta(0))

        closed = run(extend_beside).result(timeout=10)
        assert closed is not None
        assert closed <= began_at
    assert read_lake(tmp_path, since=LONG_AGO).files == ()
    extend_lake(tmp_path, lag=timedelta(0), step=INSTANT)
    assert query(tmp_path, "id", read_lake(tmp_path, since=LONG_AGO).files) == [(held[0],)]


def test_the_last_minute_is_never_closed() -> None:
    closed = find_closed()
    assert closed is not None
    assert closed <= timezone.now() - timedelta(seconds=59)


# --- rules of the database -------------------------------------------------------------------


def stretch(start: datetime, until: datetime) -> None:
    LakeRange.objects.create(
        received_from=start,
        received_until=until,
        path=f"{start:%d%H}",
        rows=1,
        last_occurred_at=start,
    )


def test_stretches_may_touch(db: None) -> None:
    stretch(NOON, NOON + HOUR)
    stretch(NOON + HOUR, NOON + 2 * HOUR)
    assert LakeRange.objects.count() == 2


def test_stretches_never_overlap(db: None) -> None:
    stretch(NOON, NOON + 2 * HOUR)
    with pytest.raises(IntegrityError, match="lake_has_each_event_once"):
        stretch(NOON + HOUR, NOON + 3 * HOUR)


def test_a_stretch_takes_time(db: None) -> None:
    with pytest.raises(IntegrityError, match="lake_range_takes_time"):
        stretch(NOON, NOON)


# --- the task --------------------------------------------------------------------------------


def test_without_a_lake_the_task_does_nothing(settings: Settings) -> None:
    settings.LAKE_DIR = None
    receive(NOON)
    assert extend_lake_task() == 0
    assert not LakeRange.objects.exists()


def test_the_task_extends_the_lake(settings: Settings, tmp_path: Path) -> None:
    settings.LAKE_DIR = tmp_path / "lake"
    receive(NOON)
    assert extend_lake_task() == 1
    assert len(files_in(tmp_path / "lake")) == 1


def test_the_lake_is_compressed_with_zstd(tmp_path: Path) -> None:
    receive(NOON)
    extend(tmp_path, closed=NOON + HOUR)
    (file,) = files_in(tmp_path)
    codecs = duckdb.execute(f"SELECT DISTINCT compression FROM parquet_metadata({quoted(file)})")
    assert codecs.fetchall() == [("ZSTD",)]
