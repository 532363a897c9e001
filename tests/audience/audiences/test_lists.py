"""Lists are filled from files, and say whom they do not know."""

import csv
import io
from pathlib import Path

import pytest

from audience.audiences.lists import COLUMNS, fill_list, write_members
from audience.importing.csv_lines import Refused, read_column
from audience.incoming import Rejected
from audience.models import Audience, Identity, Membership
from tests.audience.audiences.test_saving import DE, make_audience, make_list, members
from tests.makers import make_customer, make_customers, merge

pytestmark = pytest.mark.django_db


def read(tmp_path: Path, content: str) -> list[tuple[int, str]]:
    path = tmp_path / "list.csv"
    path.write_text(content, encoding="utf-8")
    return list(read_column(path, names=COLUMNS, refused=Refused(), progress=lambda size: None))


def test_customers_are_found_by_key_and_by_address() -> None:
    ann, ben = make_customers(2)
    cleo = make_customer(attributes={"email": "Cleo@Example.com"})
    dora = make_customer()
    Identity.objects.create(customer=dora, kind="email", value="dora@example.com")
    audience = make_list(ben)
    filled = fill_list(
        audience,
        [
            (1, ann.external_key),
            (2, ben.external_key),
            (3, "cleo@example.COM"),
            (4, "DORA@example.com"),
            (5, "nobody"),
            (6, ann.external_key),
            (7, "nobody@example.com"),
            (8, "n\0l"),
            (9, "x" * 5000),
        ],
        replace=False,
    )
    assert members(audience) == {ann.pk, ben.pk, cleo.pk, dora.pk}
    assert (filled.values, filled.known, filled.added, filled.unknown) == (7, 4, 3, 3)
    assert filled.examples[:2] == [(5, "nobody"), (7, "nobody@example.com")]
    audience.refresh_from_db()
    assert (audience.version, audience.size) == (2, 4)


def test_who_turned_out_to_be_another_is_on_the_list_as_that_other() -> None:
    visitor, customer = make_customers(2)
    merge(visitor, into=customer)
    audience = make_list()
    filled = fill_list(audience, [(1, visitor.external_key)], replace=False)
    assert members(audience) == {customer.pk}
    assert (filled.known, filled.unknown, filled.examples) == (1, 0, [])


def test_a_list_can_be_replaced_and_who_stays_has_been_there_before() -> None:
    ann, ben, cleo = make_customers(3)
    audience = make_list(ann, ben)
    since = Membership.objects.get(customer=ben).since
    filled = fill_list(audience, [(1, ben.external_key), (2, cleo.external_key)], replace=True)
    assert members(audience) == {ben.pk, cleo.pk}
    assert filled.added == 1
    assert Membership.objects.get(customer=ben).since == since


def test_an_audience_with_a_rule_is_not_filled() -> None:
    with pytest.raises(ValueError, match="is no list"):
        fill_list(make_audience(DE), [], replace=False)


@pytest.mark.parametrize(
    ("content", "values"),
    [
        ("a\nb\n\nc\n", [(1, "a"), (2, "b"), (4, "c")]),
        ("Customer\na\n", [(2, "a")]),
        ("name;E-Mail\nAnn;ann@example.com\nBen\n", [(2, "ann@example.com")]),
        ("\ufeffemail\n a@b.c \n", [(2, "a@b.c")]),
        ("", []),
    ],
)
def test_a_column_is_read(tmp_path: Path, content: str, values: list[tuple[int, str]]) -> None:
    assert read(tmp_path, content) == values


def test_a_file_of_several_columns_names_the_one_of_customers(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="names none of: customer"):
        read(tmp_path, "name,city\nAnn,Köln\n")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\x1f\x8b\x08broken"])
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    with pytest.raises(Rejected):
        list(read_column(path, names=COLUMNS, refused=Refused(), progress=lambda size: None))


def test_members_are_written_and_no_text_becomes_a_formula() -> None:
    danger = make_customer(attributes={"email": '=HYPERLINK("http://x")'})
    plain = make_customer()
    audience = make_list(danger, plain)
    rows = list(csv.reader(io.StringIO("".join(write_members(audience)))))
    assert rows[0] == ["customer", "email", "since"]
    assert [row[:2] for row in rows[1:]] == [
        [danger.external_key, '\'=HYPERLINK("http://x")'],
        [plain.external_key, ""],
    ]


def test_nobody_is_written_of_an_audience_without_members() -> None:
    assert len(list(write_members(Audience.objects.create(key="none", name="None")))) == 1
