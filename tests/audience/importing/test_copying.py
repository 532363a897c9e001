from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DataError, connection, transaction

from audience.importing.copying import (
    CustomerRow,
    EventRow,
    Imported,
    import_customers,
    import_events,
)
from audience.models import Customer, Event, ReceivedMessage
from tests.makers import make_source
from tests.racing import locked_table, other_sessions, wait_for_blocked

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)

pytestmark = pytest.mark.django_db


def row(message_id: str, customer: str = "ann", **fields: Any) -> EventRow:
    fields = {"name": "Seen", "occurred_at": NOW, **fields}
    return EventRow(customer_key=customer, message_id=message_id, **fields)


def attributes(key: str) -> object:
    return Customer.objects.get(external_key=key).attributes


def test_customers_are_brought_in_and_counted() -> None:
    rows = [CustomerRow("ann", {"age": 30}), CustomerRow("bob")]
    assert import_customers(rows) == Imported(rows=2, new=2)
    assert (attributes("ann"), attributes("bob")) == ({"age": 30}, {})


def test_known_customers_gain_attributes() -> None:
    import_customers([CustomerRow("ann", {"age": 30, "city": "Rome"})])
    rows = [CustomerRow("ann", {"age": 31}), CustomerRow("bob")]
    assert import_customers(rows) == Imported(rows=2, new=1)
    assert attributes("ann") == {"age": 31, "city": "Rome"}


def test_importing_customers_again_changes_nothing() -> None:
    rows = [CustomerRow("ann", {"age": 30})]
    import_customers(rows)
    Customer.objects.update(updated_at=NOW)
    assert import_customers(rows) == Imported(rows=1, new=0)
    assert Customer.objects.get().updated_at == NOW


def test_of_two_rows_of_a_customer_the_last_counts() -> None:
    import_customers(CustomerRow("ann", {"n": n}) for n in range(500))
    assert attributes("ann") == {"n": 499}


def test_events_bring_their_customers() -> None:
    source, _ = make_source()
    rows = [row("m1", value=2.5, properties={"a": 1}), row("m2", "bob")]
    assert import_events(rows, source=source) == Imported(rows=2, new=2)
    event = Event.objects.get(message_id="m1")
    assert (event.customer.external_key, event.source) == ("ann", source)
    assert (event.name, event.occurred_at, event.value) == ("Seen", NOW, 2.5)
    assert event.properties == {"a": 1}


def test_importing_events_again_changes_nothing() -> None:
    source, _ = make_source()
    rows = [row("m1"), row("m2", occurred_at=datetime(1999, 12, 31, 23, 59, tzinfo=UTC))]
    import_events(rows, source=source)
    moved = [row("m1", occurred_at=datetime(2026, 4, 1, tzinfo=UTC)), row("m3")]
    assert import_events([*rows, *moved], source=source) == Imported(rows=4, new=1)
    assert Event.objects.count() == 3


def test_of_two_rows_of_a_message_the_first_counts() -> None:
    source, _ = make_source()
    assert import_events((row("m1", value=n) for n in range(500)), source=source).new == 1
    assert Event.objects.get().value == 0


def test_nothing_is_imported_from_no_rows() -> None:
    source, _ = make_source()
    assert import_customers([]) == Imported(rows=0, new=0)
    assert import_events([], source=source) == Imported(rows=0, new=0)


def test_all_events_come_or_none() -> None:
    source, _ = make_source()
    with pytest.raises(DataError):
        import_events([row("m1"), row("m2", name="x" * 256)], source=source)
    assert not Event.objects.exists()
    assert not Customer.objects.exists()
    assert not ReceivedMessage.objects.exists()


def test_an_import_goes_well_after_one_that_failed() -> None:
    source, _ = make_source()

    def breaking() -> Iterator[EventRow]:
        yield row("m1")
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk"):
        import_events(breaking(), source=source)
    with pytest.raises(DataError):
        import_events([row("m1", name="x" * 256)], source=source)
    assert import_events([row("m1")], source=source).new == 1
    assert import_customers([CustomerRow("bob")]).new == 1


@pytest.mark.django_db(transaction=True)
def test_two_imports_at_once_bring_each_row_once() -> None:
    source, _ = make_source()
    rows = [row(f"m{n}", f"c{n % 50}") for n in range(500)]

    def bring(order: int) -> int:
        return import_events(rows[::order], source=source).new

    with other_sessions() as call:
        results = [call(lambda: bring(1)), call(lambda: bring(-1))]
        assert sum(result.result() for result in results) == 500
    assert Customer.objects.count() == 50


@pytest.mark.django_db(transaction=True)
def test_an_import_goes_on_while_another_waits_to_make_a_month() -> None:
    source, _ = make_source()
    import_events([row("m0")], source=source)
    with other_sessions() as call:
        with locked_table("audience_receivedmessage"):
            storing = call(lambda: import_events([row("m1", "eve")], source=source).new)
            wait_for_blocked(1)
            # It has stored a customer, and is to look over the events yet.
            at = datetime(1993, 1, 1, tzinfo=UTC)
            making = call(lambda: import_events([row("m2", occurred_at=at)], source=source).new)
            wait_for_blocked(2)
        assert (storing.result(), making.result()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_nobody_waits_for_an_import_that_still_reads_its_file() -> None:
    source, _ = make_source()

    def write_meanwhile() -> int:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '2s'")
            return import_events([row("other", "bob")], source=source).new

    def slow_rows() -> Iterator[EventRow]:
        yield row("m1", occurred_at=datetime(1994, 1, 1, tzinfo=UTC))
        with other_sessions() as call:
            assert call(write_meanwhile).result() == 1

    assert import_events(slow_rows(), source=source).new == 1
