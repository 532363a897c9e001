import base64
import html
import re
from datetime import UTC, datetime

import pytest
from django.test import Client
from django.urls import reverse

from audience.consent.suppression import hash_address
from audience.models import Customer, Erasure, RejectedEvent, Scope, Source
from audience.privacy.erasing import request_erasure
from audience.sources.keys import find_source, hash_key, revoke
from tests.makers import make_customer, make_customers, make_source, make_user

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SOURCES = "admin:audience_source_changelist"


def signed_in(*permissions: str, is_superuser: bool = False) -> Client:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(*permissions, is_superuser=is_superuser))
    return client


@pytest.fixture
def admin() -> Client:
    return signed_in(is_superuser=True)


def act(client: Client, action: str, *sources: Source) -> str:
    response = client.post(
        reverse(SOURCES),
        {"action": action, "_selected_action": [source.pk for source in sources]},
        follow=True,
    )
    return html.unescape(response.content.decode())


def shown_keys(page: str) -> list[str]:
    return re.findall(r"ol_[\w-]{32}", page)


def test_a_new_source_shows_its_key_once(admin: Client) -> None:
    page = admin.post(
        reverse("admin:audience_source_add"),
        {"name": "shop", "kind": "server", "scopes": "events"},
        follow=True,
    )
    (key,) = shown_keys(page.content.decode())
    source = Source.objects.get()
    assert (source.name, source.scopes) == ("shop", ["events"])
    assert bytes(source.key_hash or b"") == hash_key(key)
    assert shown_keys(admin.get(reverse(SOURCES)).content.decode()) == []
    change = admin.get(reverse("admin:audience_source_change", args=[source.pk]))
    assert key not in change.content.decode()
    assert key[:8] in change.content.decode()


def test_editing_a_source_keeps_its_key(admin: Client) -> None:
    source, key = make_source(Scope.EVENTS)
    url = reverse("admin:audience_source_change", args=[source.pk])
    page = admin.post(url, {"name": "renamed", "scopes": ["events", "decide"]}, follow=True)
    source.refresh_from_db()
    assert (source.name, source.scopes) == ("renamed", ["events", "decide"])
    assert bytes(source.key_hash or b"") == hash_key(key)
    assert shown_keys(page.content.decode()) == []


def test_an_unknown_scope_is_refused(admin: Client) -> None:
    page = admin.post(
        reverse("admin:audience_source_add"), {"name": "shop", "scopes": "everything"}
    )
    assert "everything" in page.content.decode()
    assert not Source.objects.exists()


def test_keys_are_revoked(admin: Client) -> None:
    (one, _), (two, _), (other, _) = (make_source(Scope.EVENTS) for _ in range(3))
    assert "stop working within seconds" in act(admin, "revoke_keys", one, two)
    assert set(Source.objects.filter(revoked_at=None)) == {other}


def test_a_renewed_key_is_shown_and_takes_the_source_back_in(admin: Client) -> None:
    source, old_key = make_source(Scope.EVENTS)
    revoke(source, now=NOW)
    (key,) = shown_keys(act(admin, "renew_keys", source))
    source.refresh_from_db()
    assert bytes(source.key_hash or b"") == hash_key(key) != hash_key(old_key)
    assert source.revoked_at is None


def test_a_rotated_keys_source_takes_both_for_a_while(admin: Client) -> None:
    source, old_key = make_source(Scope.EVENTS)
    (key,) = shown_keys(act(admin, "rotate_keys", source))
    assert find_source(key) == find_source(old_key) == source


def test_payloads_are_encrypted_with_a_key_of_16_bytes(admin: Client) -> None:
    source, _ = make_source(Scope.FLAGS)
    page = act(admin, "encrypt", source)
    source.refresh_from_db()
    assert len(base64.b64decode(source.encryption_key)) == 16
    assert source.encryption_key in html.unescape(page)


def test_a_public_key_may_not_ask_for_offers(admin: Client) -> None:
    page = admin.post(
        reverse("admin:audience_source_add"),
        {"name": "shop", "kind": "client", "scopes": ["events", "decide"]},
    )
    assert "A key of this kind can do no more than: Send events" in page.content.decode()
    assert not Source.objects.exists()


def test_who_may_only_look_can_neither_renew_nor_revoke() -> None:
    source, key = make_source(Scope.EVENTS)
    client = signed_in("audience.view_source")
    for action in ("renew_keys", "rotate_keys", "encrypt", "revoke_keys"):
        assert shown_keys(act(client, action, source)) == []
    source.refresh_from_db()
    assert bytes(source.key_hash or b"") == hash_key(key)
    assert source.revoked_at is None


@pytest.mark.parametrize("model", ["source", "customer"])
def test_what_events_name_cannot_be_deleted(admin: Client, model: str) -> None:
    pk = make_source(Scope.EVENTS)[0].pk if model == "source" else make_customer().pk
    assert admin.post(reverse(f"admin:audience_{model}_delete", args=[pk])).status_code == 403


def test_customers_are_found_by_how_their_key_begins(admin: Client) -> None:
    for key in ("ann-1", "ann-2", "joann"):
        Customer.objects.create(external_key=key)
    page = admin.get(reverse("admin:audience_customer_changelist"), {"q": "ann"})
    assert {row.external_key for row in page.context["cl"].queryset} == {"ann-1", "ann-2"}


def test_a_customers_key_is_chosen_once(admin: Client) -> None:
    add = admin.get(reverse("admin:audience_customer_add"))
    assert "external_key" in add.context["adminform"].form.fields
    customer = make_customer()
    change = admin.get(reverse("admin:audience_customer_change", args=[customer.pk]))
    assert "external_key" not in change.context["adminform"].form.fields
    assert customer.external_key in change.content.decode()


def test_rejected_events_can_be_read_and_not_written(admin: Client) -> None:
    source, _ = make_source(Scope.EVENTS)
    rejected = RejectedEvent.objects.create(
        source=source, reason="event is empty.", payload="<script>alert(1)</script>"
    )
    listed = admin.get(reverse("admin:audience_rejectedevent_changelist"), {"source": source.pk})
    assert "event is empty." in listed.content.decode()
    page = admin.get(reverse("admin:audience_rejectedevent_change", args=[rejected.pk]))
    assert "<script>alert" not in page.content.decode()
    assert page.context["adminform"].form.fields == {}
    assert admin.get(reverse("admin:audience_rejectedevent_add")).status_code == 403


def test_who_was_erased_can_be_looked_at_and_not_touched() -> None:
    erasures = reverse("admin:audience_erasure_changelist")
    assert signed_in("audience.view_customer").get(erasures).status_code == 403
    officer = signed_in("audience.view_erasure")
    gone, going = make_customers(2)
    for customer in (gone, going):
        request_erasure(customer, by="ann", now=NOW)
    waiting = officer.get(erasures).content.decode()
    assert waiting.count("Not erased yet") == 2
    done = Erasure.objects.get(customer_id=gone.pk)
    Erasure.objects.filter(pk=done.pk).update(customer_id=None, erased_at=NOW)
    assert "Not searched yet" in officer.get(erasures).content.decode()
    Erasure.objects.filter(pk=done.pk).update(left={"audience_event.properties": 2})
    assert "audience_event.properties: 2" in officer.get(erasures).content.decode()
    page = officer.get(reverse("admin:audience_erasure_change", args=[done.pk])).content.decode()
    assert hash_address(gone.external_key).hex() in page
    boss = signed_in(is_superuser=True)
    assert boss.post(reverse("admin:audience_erasure_delete", args=[done.pk])).status_code == 403


def test_lists_say_in_a_line_what_was_changed_and_what_is_known(admin: Client) -> None:
    source, _ = make_source()
    Source.objects.filter(pk=source.pk).update(name="Other", requests_per_second=7)
    changes = admin.get(reverse("admin:audience_auditentry_changelist")).content.decode()
    assert "name, requests_per_second" in changes
    assert "Made" in changes
    make_customers(1, attributes={"country": "de", "interests": "x" * 500})
    customers = admin.get(reverse("admin:audience_customer_changelist")).content.decode()
    assert "country: de, interests: x" in customers
    assert "x" * 80 not in customers
