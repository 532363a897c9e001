import gzip
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from audience.models import Customer, Event, Source

pytestmark = pytest.mark.django_db

EVENTS = "customer,event,time,value\nann,X,2026-01-31,1\nann,X,2026-01-31,1\nbob,Y,2026-01-30,\n"


def run(what: str, path: Path, **options: str) -> str:
    out = StringIO()
    call_command("import_csv", what, path, stdout=out, **options)
    return out.getvalue()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.csv"


def test_customers_are_imported_and_counted(path: Path) -> None:
    path.write_text("\ufeffcustomer;code\r\nann;007\r\nbob;08\r\n")
    assert run("customers", path) == "2 customers read, 2 of them new.\n"
    assert Customer.objects.get(external_key="ann").attributes == {"code": "007"}


def test_events_are_imported_once(path: Path) -> None:
    path.write_bytes(gzip.compress(EVENTS.encode()))
    assert run("events", path) == "3 events read, 3 of them new.\n"
    assert run("events", path) == "3 events read, 0 of them new.\n"
    assert Event.objects.count() == 3
    assert Source.objects.get().name == "CSV import"


def test_orders_that_were_known_are_counted_by_themselves(path: Path) -> None:
    head = "customer,event,time,value,order_id\n"
    path.write_text(f"{head}ann,Order Completed,2026-01-31,40,1001\n")
    assert run("events", path) == "1 events read, 1 of them new.\n"
    path.write_text(
        f"{head}ann,Order Completed,2026-01-31T10:00:00,40,1001\nann,X,2026-01-31,,\n"
        "ann,Order Completed,2026-01-31,7,10.10\nann,Order Completed,2026-01-31,7,10.1\n"
    )
    assert run("events", path) == (
        "4 events read, 3 of them new.\n"
        "1 of the others are of orders that were known already under another message id, and "
        "count once.\n"
    )
    orders = Event.objects.filter(name="Order Completed").values_list("properties__order_id")
    assert sorted(orders) == [("10.1",), ("10.10",), ("1001",)]


def test_what_orders_and_refunds_are_worth_is_read_as_the_api_reads_it(path: Path) -> None:
    path.write_text(
        "customer,event,time,order_id,revenue,total\n"
        "ann,Order Completed,2026-01-30,1001,40,50\n"
        "ann,Order Refunded,2026-01-31,1001,,25\n"
        "bob,Order Refunded,2026-01-31,,,12.5\n"
        "bob,Coupon Used,2026-01-31,,,3\n"
        "bob,Left,2026-01-31,,,\n"
    )
    assert run("events", path) == "5 events read, 5 of them new.\n"
    values = dict(Event.objects.exclude(customer__external_key="ann").values_list("name", "value"))
    assert values == {"Order Refunded": 12.5, "Coupon Used": 3.0, "Left": None}
    of_ann = Event.objects.filter(customer__external_key="ann").values_list("name", "value")
    # Half of the total takes back half of the revenue.
    assert dict(of_ann) == {"Order Completed": 40.0, "Order Refunded": 20.0}


def test_events_come_under_the_name_that_is_given(path: Path) -> None:
    path.write_text(EVENTS)
    run("events", path, source="till")
    assert Source.objects.get().name == "till"


def test_bad_lines_are_reported_and_the_rest_is_imported(path: Path) -> None:
    path.write_text(f"{EVENTS}bob,Y,yesterday,\n,Y,2026-01-01,\n")
    with pytest.raises(CommandError, match="2 lines could not be taken") as caught:
        run("events", path)
    assert "line 5: 'yesterday' is no time" in str(caught.value)
    assert Event.objects.count() == 3


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(CommandError, match=r"There is no file .*some\.csv"):
        run("customers", path)


@pytest.mark.parametrize("content", [b"", b"name\nann\n", b"customer\n\xff\n", b"\x1f\x8bxxxx"])
def test_an_unreadable_file_is_refused_by_name(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(CommandError, match=r"^some\.csv: .*\.?"):
        run("customers", path)
    assert not Customer.objects.exists()
