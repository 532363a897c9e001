"""The builder counts, saves and refuses; lists take files; roles are kept."""

from http import HTTPStatus
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from audience.models import Audience, AudienceKind
from audience.pages.builder import MOST_ROWS
from tests.audience.audiences.test_saving import DE, FR, make_audience, make_list, members
from tests.makers import HOUR, make_customer, make_customers, make_event, make_user

pytestmark = pytest.mark.django_db

ROW = {"kind": "attribute", "group": "0", "name": "country", "test": "equal", "value": "DE"}
ORDERED = {
    "kind": "event",
    "group": "0",
    "name": "Order Completed",
    "order": "at least",
    "times": "1",
    "window": "days",
    "days": "30",
}


@pytest.fixture
def client() -> Client:
    return log_in(make_user(is_superuser=True))


def log_in(user: Any) -> Client:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(user)
    return client


def page(*rows: dict[str, str], groups: int = 1, **fields: str) -> dict[str, str]:
    posted = {"name": "Germans", "group_count": str(groups), "row_count": str(len(rows))}
    for number, row in enumerate(rows):
        posted |= {f"row{number}-{name}": value for name, value in row.items()}
    return posted | fields


def shown(client: Client, url: str, data: dict[str, str] | None = None) -> str:
    answer = client.get(url) if data is None else client.post(url, data)
    assert answer.status_code == HTTPStatus.OK
    return answer.content.decode()


def test_an_audience_is_built_saved_and_changed(client: Client) -> None:
    assert "There is no audience yet" in shown(client, "/audiences/")
    assert 'value="add:total:0"' in shown(client, "/audiences/new/")
    answer = client.post("/audiences/new/", page(ROW, {**ORDERED, "negated": "on"}))
    assert answer["Location"] == "/audiences/of/germans/"
    audience = Audience.objects.get()
    assert audience.rule == {
        "all": [DE, {"not": {"event": "Order Completed", "at_least": 1, "days": 30}}]
    }
    body = shown(client, "/audiences/of/germans/")
    assert 'value="Order Completed"' in body
    assert "Germans is saved." in body
    client.post("/audiences/of/germans/", page(ROW, description="All of them"))
    audience.refresh_from_db()
    assert (audience.rule, audience.version, audience.description) == (DE, 2, "All of them")
    body = shown(client, "/audiences/")
    assert "country is DE" in body
    assert "Germans is saved, as version 2." in body


def test_the_page_counts_while_rows_are_typed(client: Client) -> None:
    german = make_customers(3, attributes={"country": "DE"})
    make_customers(4, attributes={"country": "FR"})
    make_event(german[0], "Order Completed", at=timezone.now() - HOUR)
    body = shown(client, "/audiences/new/count/", page(ROW, ORDERED, {**ROW, "name": ""}))
    assert "<b>1</b> of 7 people" in body
    assert "Exactly, as of" in body
    assert "country is DE" in body
    assert german[0].external_key in body
    assert "not complete yet: row 3" in body
    assert "Nobody is in this audience" in shown(
        client, "/audiences/new/count/", page({**ROW, "value": "XX"})
    )


def test_groups_of_alternatives_are_counted_and_compared(client: Client) -> None:
    make_customers(3, attributes={"country": "DE"})
    make_customers(4, attributes={"country": "FR"})
    make_customers(5, attributes={"country": "IT"})
    make_audience(FR, key="french")
    rows = (ROW, {**ROW, "group": "1", "value": "FR"}, {**ROW, "group": "1", "value": "IT"})
    data = page(*rows, groups=2, joined="any", joined_1="any")
    assert "<b>12</b> of 12 people" in shown(client, "/audiences/new/count/", data)
    body = shown(client, "/audiences/new/compare/", data)
    assert "French" in body
    assert "<td>4</td><td>4</td>" in body
    client.post("/audiences/new/", data)
    assert Audience.objects.get(key="germans").rule == {
        "any": [DE, {"any": [FR, {**DE, "value": "IT"}]}]
    }


def test_rows_and_groups_are_added_and_removed_without_saving(client: Client) -> None:
    body = shown(client, "/audiences/new/", page(ROW, do="add:event:0"))
    assert 'name="row1-times"' in body
    assert 'value="DE"' in body
    assert 'role="alert"' not in body
    body = shown(client, "/audiences/new/", page(ROW, ORDERED, do="remove:0"))
    assert 'value="DE"' not in body
    assert 'name="row0-times"' in body
    body = shown(client, "/audiences/new/", page(ROW, do="group"))
    assert "Group 2" in body
    body = shown(
        client, "/audiences/new/", page(ROW, {**ROW, "group": "1"}, groups=2, do="remove:1")
    )
    assert "Group 2" not in body
    assert not Audience.objects.exists()


@pytest.mark.parametrize(
    "do", ["add", "add:x:0", "add:event:9", "remove:99", "group:1", "x", "look"]
)
def test_what_no_button_says_does_no_harm(client: Client, do: str) -> None:
    assert "DE" in shown(client, "/audiences/new/", page(ROW, do=do))


def test_without_scripts_the_page_counts_by_a_button(client: Client) -> None:
    make_customers(3, attributes={"country": "DE"})
    make_audience(DE, key="others")
    body = shown(client, "/audiences/new/", page(ROW, do="look"))
    assert "<b>3</b> of 3 people" in body
    assert "Others" in body


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ({**ROW, "value": ""}, "Say which text."),
        ({**ROW, "name": ""}, "Attribute: This field is required."),
        ({**ROW, "test": "at least", "value": "many"}, "Compare with a number."),
        ({**ROW, "test": "between", "value": "3"}, "Say two numbers."),
        ({**ROW, "test": "near"}, "Select a valid choice."),
        ({**ORDERED, "times": "-1"}, "Ensure this value is greater than or equal to 0."),
        ({**ORDERED, "days": ""}, "Days should be a whole number"),
        ({"kind": "audience", "group": "0", "audience": "gone"}, "Select a valid choice."),
        ({"kind": "last", "group": "0", "name": "x", "order": "within_days", "days": ""}, "Days:"),
        (
            {"kind": "total", "group": "0", "name": "x", "order": "at_least", "window": "ever"},
            "Amount: This field is required.",
        ),
    ],
)
def test_a_row_that_is_no_condition_is_refused_beside_it(
    client: Client, row: dict[str, str], error: str
) -> None:
    body = shown(client, "/audiences/new/", page(row))
    assert error in body
    assert not Audience.objects.exists()


def test_whatever_is_posted_is_answered(client: Client) -> None:
    junk = {"group_count": "x", "row_count": "999999999", "row0-kind": "x", "joined": "no"}
    shown(client, "/audiences/new/count/", junk | {"key": "'; --"})
    shown(client, "/audiences/new/count/", page({**ROW, "name": "\0", "value": "\ud7ff%s{}"}))
    body = shown(client, "/audiences/new/count/", page({**ROW, "value": "<script>alert(1)"}))
    assert "<script>" not in body


def test_an_audience_of_itself_is_refused(client: Client) -> None:
    inner = make_audience(DE, key="germans")
    outer = make_audience({"audience": inner.key})
    row = {"kind": "audience", "group": "0", "audience": outer.key}
    body = shown(client, "/audiences/of/germans/", page(row))
    assert "would be defined by itself" in body
    body = shown(client, "/audiences/new/count/", page(row, key="germans"))
    assert "would be defined by itself" in body


def test_a_rule_from_elsewhere_is_shown_in_words(client: Client) -> None:
    deep = {"all": [DE, {"any": [FR, {"all": [DE, FR]}]}]}
    audience = make_audience(deep)
    body = shown(client, f"/audiences/of/{audience.key}/")
    assert "made elsewhere" in body
    assert "country is DE and (country is FR or (country is DE and country is FR))" in body


def test_more_rows_than_the_page_shows_are_not_lost(client: Client) -> None:
    many = {"any": [{**DE, "value": f"c{n}"} for n in range(MOST_ROWS + 1)]}
    audience = make_audience(many)
    assert "made elsewhere" in shown(client, f"/audiences/of/{audience.key}/")


def test_every_row_that_can_be_typed_comes_back_as_it_was(client: Client) -> None:
    rule = {
        "all": [
            {"attribute": "zip", "is": "equal", "value": "01067"},
            {"attribute": "vip", "is": "equal", "value": True},
            {"attribute": "tag", "is": "one of", "value": ["a, b", "10", 10, 'q"uote']},
            {"attribute": "age", "is": "between", "value": [18, 65.5]},
            {"attribute": "born", "is": "after", "value": "2000-01-01"},
            {"attribute": "mail", "is": "contain", "value": "10"},
            {"not": {"attribute": "mail", "is": "known"}},
            {"attribute": "seen", "is": "in last days", "value": 7},
            {
                "event": "Viewed",
                "where": [{"property": "kind", "is": "equal", "value": "a"}],
                "from": "2026-01-01T00:00:00+00:00",
                "until": "2026-02-01T00:00:00+00:00",
                "at_least": 2,
                "at_most": 2,
            },
            {"event": "Viewed", "at_most": 3},
            {"last": "Viewed", "before_days": 9},
            {"total": "Ordered", "days": 30, "at_most": 12.34},
        ]
    }
    audience = make_audience(rule)
    builder = client.get(f"/audiences/of/{audience.key}/").context["builder"]
    rows = [{**strip(form), "kind": form.kind, "group": "0"} for form in builder.forms]
    client.post(f"/audiences/of/{audience.key}/", page(*rows))
    audience.refresh_from_db()
    assert audience.rule == rule
    assert audience.version == 1


def strip(form: Any) -> dict[str, str]:
    return {name.removeprefix(f"{form.prefix}-"): value for name, value in form.data.items()}


def test_a_list_is_made_from_a_file_and_says_whom_nobody_knows(client: Client) -> None:
    known = make_customer()
    file = SimpleUploadedFile("l.csv", f"customer\n{known.external_key}\n<b>x\n".encode())
    body = client.post("/audiences/new/list/", {"name": "VIPs", "file": file}).content.decode()
    assert "1 are known" in body
    assert "line 3: &lt;b&gt;x" in body
    audience = Audience.objects.get()
    assert audience.kind == AudienceKind.LIST
    assert members(audience) == {known.pk}
    other = make_customer()
    file = SimpleUploadedFile("l.csv", other.external_key.encode())
    client.post("/audiences/of/vips/list/", {"file": file, "replace": "on"})
    assert members(audience) == {other.pk}
    assert client.get("/audiences/of/vips/")["Location"] == "/audiences/of/vips/list/"
    assert client.get(f"/audiences/of/{make_audience(DE).key}/list/").status_code == 302


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"\xff\xfe\x00", b""])
def test_a_file_that_is_no_list_makes_none(client: Client, content: bytes) -> None:
    data = {"name": "VIPs", "file": SimpleUploadedFile("l.csv", content)}
    body = client.post("/audiences/new/list/", data).content.decode()
    assert 'class="error"' in body
    assert not Audience.objects.exists()


def test_an_audience_is_deleted_once_nothing_uses_it(client: Client) -> None:
    inner = make_audience(DE)
    outer = make_audience({"audience": inner.key})
    assert "Keep it" in shown(client, f"/audiences/of/{inner.key}/delete/")
    client.post(f"/audiences/of/{inner.key}/delete/")
    assert f"The rule of {outer.name} names it" in shown(client, f"/audiences/of/{inner.key}/")
    client.post(f"/audiences/of/{outer.key}/delete/")
    client.post(f"/audiences/of/{inner.key}/delete/")
    assert not Audience.objects.exists()


def test_who_may_only_look_changes_nothing() -> None:
    audience, listed = make_audience(DE), make_list()
    client = log_in(make_user("audience.view_audience"))
    assert client.get("/audiences/").status_code == HTTPStatus.OK
    body = shown(client, f"/audiences/of/{audience.key}/")
    assert "Add a row" not in body
    customer = make_customer(attributes={"country": "DE"})
    body = shown(client, "/audiences/new/count/", page(ROW))
    assert "<b>1</b> of 1 people" in body
    assert customer.external_key not in body
    for url, data in (
        (f"/audiences/of/{audience.key}/", page(ROW, ORDERED)),
        ("/audiences/new/", page(ROW)),
        ("/audiences/new/list/", {"name": "x"}),
        (f"/audiences/of/{listed.key}/list/", {"x": "y"}),
        (f"/audiences/of/{audience.key}/delete/", {}),
    ):
        assert client.post(url, data).status_code == HTTPStatus.FORBIDDEN, url
    assert client.get(f"/audiences/of/{audience.key}/members.csv").status_code == 403
    audience.refresh_from_db()
    assert audience.version == 1


def test_strangers_are_sent_to_log_in() -> None:
    audience = make_audience(DE)
    client = Client(headers={"x-forwarded-proto": "https"})
    for path in ("", "new/", "new/list/", f"of/{audience.key}/", f"of/{audience.key}/members.csv"):
        answer = client.get(f"/audiences/{path}")
        assert answer["Location"].startswith("/admin/login/"), path
    for path in ("new/count/", "new/compare/", f"of/{audience.key}/delete/"):
        answer = client.post(f"/audiences/{path}")
        assert answer["Location"].startswith("/admin/login/"), path


def test_two_audiences_of_one_name_have_keys_of_their_own(client: Client) -> None:
    for _ in range(3):
        client.post("/audiences/new/", page(ROW))
    keys = set(Audience.objects.values_list("key", flat=True))
    assert keys == {"germans", "germans-2", "germans-3"}
    client.post("/audiences/new/", page(ROW, name="高级会员"))
    assert Audience.objects.filter(key="audience", name="高级会员").exists()


def test_the_admin_shows_audiences_and_leads_to_the_builder(client: Client) -> None:
    audience = make_audience(DE)
    body = shown(client, "/admin/audience/audience/")
    assert f"/audiences/of/{audience.key}/" in body
    assert client.get("/admin/audience/audience/add/").status_code == HTTPStatus.FORBIDDEN
