import json
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from django.core import mail
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from audience.consent.record import find_refusals
from audience.consent.subscribing import MAILS_PER_DAY, Wish
from audience.consent.suppression import find_suppressed, suppress
from audience.models import Channel, ConsentChange, Customer, Identity, Scope, SuppressionReason
from tests.makers import NOW, make_customer, make_source

pytestmark = pytest.mark.django_db
ADDRESS = "ann@example.com"


@pytest.fixture(autouse=True)
def nothing_counted(settings: Settings) -> Iterator[None]:
    """Forget how many mails an address was sent."""
    yield
    client = redis.Redis.from_url(settings.REDIS_URL)
    for name in client.scan_iter("offerlab:confirm:*"):
        client.delete(name)


def browser() -> Client:
    return Client(enforce_csrf_checks=True, headers={"x-forwarded-proto": "https"})


def ask(body: Mapping[str, Any] | str, *, scope: Scope = Scope.EVENTS, key: str = "") -> Any:
    key = key or make_source(scope)[1]
    text = body if isinstance(body, str) else json.dumps(body)
    return browser().post(
        "/api/v1/subscribe",
        text,
        content_type="application/json",
        headers={"authorization": f"Bearer {key}"},
    )


def link() -> str:
    message = mail.outbox[-1]
    found = re.search(r"https?://\S+", str(message.body))
    assert found is not None
    return urlsplit(found.group()).path


def may_be_written_to(customer: Customer, purpose: str = "marketing") -> bool:
    return not find_refusals([customer.pk], channel=Channel.EMAIL, purpose=purpose)


def test_only_the_button_in_the_mails_page_subscribes() -> None:
    assert ask({"email": ADDRESS, "customer": "ann", "purpose": "news"}).status_code == 202
    ann = Customer.objects.get(external_key="ann")
    assert not may_be_written_to(ann, "news")
    page = browser().get(link())
    assert "Yes, send them" in page.content.decode()
    assert not may_be_written_to(ann, "news")
    assert "Thank you" in browser().post(link()).content.decode()
    assert may_be_written_to(ann, "news")
    assert Identity.objects.get(value=ADDRESS).customer == ann
    states = ConsentChange.objects.filter(customer=ann).order_by("id").values_list("state")
    assert [state for (state,) in states] == ["pending", "opted_in"]


def test_the_mail_has_a_text_and_a_page() -> None:
    ask({"email": ADDRESS})
    (message,) = mail.outbox
    assert message.to == [ADDRESS]
    assert isinstance(message, mail.EmailMultiAlternatives)
    assert [kind for _, kind in message.alternatives] == ["text/html"]


def test_whoever_asks_does_not_learn_who_is_known() -> None:
    ann = make_customer()
    Identity.objects.create(customer=ann, kind="email", value=ADDRESS)
    known, unknown = ask({"email": ADDRESS}), ask({"email": "new@example.com"})
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
    assert len(mail.outbox) == 2


def test_an_address_that_is_anothers_subscribes_its_owner() -> None:
    ann = make_customer()
    Identity.objects.create(customer=ann, kind="email", value=ADDRESS)
    ask({"email": ADDRESS, "customer": "mallory"})
    browser().post(link())
    assert may_be_written_to(ann)
    assert not may_be_written_to(Customer.objects.get(external_key="mallory"))


def test_nobody_is_flooded() -> None:
    for number in range(MAILS_PER_DAY + 2):
        spelled = ADDRESS.upper() if number % 2 else ADDRESS
        assert ask({"email": spelled}).status_code == 202
    assert len(mail.outbox) == MAILS_PER_DAY


def test_who_once_unsubscribed_may_come_back_and_who_complained_is_left_alone() -> None:
    suppress(ADDRESS, channel=Channel.EMAIL, reason=SuppressionReason.UNSUBSCRIBED, now=NOW)
    suppress("b@example.com", channel=Channel.EMAIL, reason=SuppressionReason.COMPLAINT, now=NOW)
    ask({"email": ADDRESS})
    ask({"email": "b@example.com"})
    assert len(mail.outbox) == 1
    browser().post(link())
    assert not find_suppressed([ADDRESS], channel=Channel.EMAIL)


def test_a_link_is_too_old_after_a_week() -> None:
    ann = make_customer()
    for days, status in ((6, 200), (8, 404)):
        wish = Wish(ann.pk, "news", timezone.now() - timedelta(days=days), ADDRESS)
        assert browser().post(urlsplit(wish.url).path).status_code == status


def test_who_was_erased_meanwhile_is_not_subscribed() -> None:
    wish = Wish(987654321, "news", timezone.now(), ADDRESS)
    assert "do not know you" in browser().post(urlsplit(wish.url).path).content.decode()
    assert not Identity.objects.exists()


@pytest.mark.parametrize(
    "body",
    ["", "[]", "{", '{"email": "rubbish"}', '{"email": "a@b.example", "purpose": "a b"}',
     '{"email": "a@b.example", "customer": "anonymous:x"}', '{"email": "a@b.example", "x": 1}'],
)  # fmt: skip
def test_rubbish_is_refused_with_a_reason(body: str) -> None:
    answer = ask(body)
    assert answer.status_code == 422
    assert answer.json()["detail"]
    assert mail.outbox == []


def test_a_key_is_needed() -> None:
    assert ask({"email": ADDRESS}, key="ol_wrong").status_code == 401
    assert ask({"email": ADDRESS}, scope=Scope.FLAGS).status_code == 403
