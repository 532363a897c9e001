import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from audience.importing.copying import CustomerRow, EventRow
from audience.importing.csv_files import read_customers, read_events
from audience.importing.csv_lines import Refused
from audience.incoming import Rejected

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.csv"


def customers(path: Path, content: str) -> tuple[list[CustomerRow], list[str]]:
    path.write_text(content)
    refused = Refused()
    rows = list(read_customers(path, refused=refused, progress=lambda size: None))
    return rows, refused.examples


def events(path: Path, content: str) -> tuple[list[EventRow], list[str]]:
    path.write_text(content)
    refused = Refused()
    rows = list(read_events(path, now=NOW, refused=refused, progress=lambda size: None))
    return rows, refused.examples


def test_every_other_column_is_an_attribute(path: Path) -> None:
    rows, _ = customers(path, "city,customer,zip,age\nRome,ann,00118,30\n,bob,007,\n")
    assert rows == [
        CustomerRow("ann", {"city": "Rome", "zip": "00118", "age": 30.0}),
        CustomerRow("bob", {"zip": "007"}),
    ]


def test_a_numeric_key_is_a_text(path: Path) -> None:
    assert customers(path, "customer\n7\n8\n")[0] == [CustomerRow("7"), CustomerRow("8")]


def test_a_bad_customer_is_reported_by_line(path: Path) -> None:
    rows, refused = customers(path, f"customer,city\n,Rome\n{'x' * 256},Rome\na,b\0\nann,Rome\n")
    assert [row.key for row in rows] == ["ann"]
    assert refused == [
        "line 2: customer is empty.",
        "line 3: customer is longer than 255 characters.",
        "line 4: A value holds the NUL character.",
    ]


def test_a_file_without_customers_is_refused(path: Path) -> None:
    with pytest.raises(Rejected, match="no column 'customer'"):
        customers(path, "client\nann\n")


def test_an_event_has_a_value_an_id_and_properties(path: Path) -> None:
    rows, _ = events(
        path,
        "customer,event,time,value,message_id,size,code\n"
        "ann,Bought,2026-01-31T12:00:00Z,12.5,m1,4,07\n",
    )
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert rows == [EventRow("ann", "Bought", noon, "m1", 12.5, {"size": 4.0, "code": "07"})]


@pytest.mark.parametrize("text", ["2026-01-31", "2026-01-31 00:00", " 2026-01-31T01:00:00+01:00"])
def test_a_time_is_read_as_iso_8601(path: Path, text: str) -> None:
    rows, _ = events(path, f"customer,event,time\nann,X,{text}\n")
    assert rows[0].occurred_at == datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (",X,2026-01-31,", "customer is empty"),
        ("ann,,2026-01-31,", "event is empty"),
        ("ann,X,31.01.2026,", "'31.01.2026' is no time such as"),
        ("ann,X,,", "'' is no time"),
        ("ann,X,1900-01-01,", "before 1990 or in the future"),
        ("ann,X,9999-12-31,", "before 1990 or in the future"),
        ("ann,X,0001-01-01T00:00:00+14:00,", "before 1990 or in the future"),
        ('ann,X,2026-01-31,"12,50"', "'12,50' is no number"),
        ("ann,X,2026-01-31,nan", "'nan' is no finite number"),
        ("ann,X\0,2026-01-31,", "event holds the NUL"),
    ],
)
def test_a_bad_event_is_reported_by_line_and_the_rest_is_read(
    path: Path, line: str, words: str
) -> None:
    rows, refused = events(path, f"customer,event,time,value\n{line}\nann,Y,2026-01-31,1\n")
    assert [row.name for row in rows] == ["Y"]
    assert refused[0].startswith("line 2: ")
    assert words in refused[0]


@pytest.mark.parametrize("column", ["customer", "event", "time"])
def test_a_file_that_lacks_a_column_is_refused(path: Path, column: str) -> None:
    header = ",".join({"customer", "event", "time"} - {column})
    with pytest.raises(Rejected, match=f"no column '{column}'"):
        events(path, f"{header}\na,b\n")


def test_a_row_is_its_own_id_and_equal_rows_are_different_events(path: Path) -> None:
    content = "customer,event,time\nann,X,2026-01-31\nann,X,2026-01-31\nann,Y,2026-01-31\n"
    ids = [row.message_id for row in events(path, content)[0]]
    assert len(set(ids)) == 3
    assert [row.message_id for row in events(path, content)[0]] == ids


def test_a_rows_id_does_not_depend_on_the_order_of_columns(path: Path) -> None:
    one, _ = events(path, "customer,event,time\nann,X,2026-01-31\n")
    two, _ = events(path, "time,event,customer\n2026-01-31,X,ann\n")
    assert one == two


def test_a_message_id_that_is_too_long_is_reported(path: Path) -> None:
    content = f"customer,event,time,message_id\nann,X,2026-01-31,{'x' * 101}\n"
    assert events(path, content)[1] == ["line 2: message_id is longer than 100 characters."]


def test_a_whole_number_is_written_without_a_point(path: Path) -> None:
    rows, _ = customers(path, "customer,plan,share\nann,7,0.50\nbob,-12,3\n")
    written = [json.dumps(row.attributes) for row in rows]
    assert written == ['{"plan": 7, "share": 0.5}', '{"plan": -12, "share": 3}']


def test_what_names_a_product_or_an_order_is_a_text(path: Path) -> None:
    rows, _ = events(
        path,
        "customer,event,time,product_id,sku,order_id,quantity\n"
        "ann,Product Added,2026-01-31,1001,10.10,7,2\n",
    )
    assert rows[0].properties == {
        "product_id": "1001", "sku": "10.10", "order_id": "7", "quantity": 2,
    }  # fmt: skip
