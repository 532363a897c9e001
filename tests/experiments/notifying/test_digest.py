"""The weekly digest says what people need to know, once a week, and lets them leave."""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import pytest
from django.core import mail
from django.test import Client

from experiments.analysing.analysis import analyse
from experiments.lifecycle.shipping import ship_arm
from experiments.models import Subscriber
from experiments.notifying.delivery import deliver_due
from experiments.notifying.digest import send_digests
from tests.makers import DAY, NOW, make_experiment
from tests.worlds import fill_arms

pytestmark = pytest.mark.django_db

# A Monday, seven in the morning.
MONDAY = datetime(2026, 3, 9, 7, tzinfo=UTC)


def subscribe(email: str = "ann@example.com", *, at: datetime = NOW) -> Subscriber:
    subscriber = Subscriber.objects.create(email=email)
    Subscriber.objects.filter(pk=subscriber.pk).update(created_at=at)
    return subscriber


def test_everybody_gets_each_week_once() -> None:
    subscribe(), subscribe("bob@example.com")
    assert send_digests(now=MONDAY - timedelta(hours=2)) == 0
    assert send_digests(now=MONDAY) == 2
    assert send_digests(now=MONDAY + 3 * DAY) == 0
    assert send_digests(now=MONDAY + 7 * DAY) == 2
    deliver_due(now=MONDAY + 7 * DAY)
    assert len(mail.outbox) == 4


def test_who_subscribed_this_week_waits_for_the_next() -> None:
    subscribe(at=MONDAY)
    assert send_digests(now=MONDAY + DAY) == 0
    assert send_digests(now=MONDAY + 7 * DAY) == 1


def test_the_digest_tells_what_ended_and_what_runs() -> None:
    ended = make_experiment(planned_customers=160, is_standalone=True, minimum_days=2)
    fill_arms(ended, control=(80, 8), new=(80, 40))
    analyse(ended, now=NOW + 6 * DAY)
    ship_arm(ended, "new", by=None, now=NOW + 6 * DAY, reason="it won")
    running = make_experiment(started_at=NOW + 5 * DAY)
    subscribe()
    send_digests(now=MONDAY)
    deliver_due(now=MONDAY)
    (sent,) = mail.outbox
    text = str(sent.body)
    assert f"* {ended.name} (Shipped)" in text
    assert "New wins: " in text
    assert "New: +400%" in text
    assert f"* {running.name}" in text
    assert "Results are hidden until" in text
    assert isinstance(sent, mail.EmailMultiAlternatives)
    ((html, kind),) = sent.alternatives
    assert kind == "text/html"
    assert "Ended this week" in str(html)


def test_leaving_takes_a_confirmation_and_one_click_does_it_too() -> None:
    subscriber = subscribe()
    send_digests(now=MONDAY)
    deliver_due(now=MONDAY)
    headers = mail.outbox[0].extra_headers
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    url = headers["List-Unsubscribe"].strip("<>")
    path = url[url.index("/digest/") :]
    client = Client(headers={"x-forwarded-proto": "https"}, enforce_csrf_checks=True)
    assert "Leave the weekly digest?" in client.get(path).content.decode()
    subscriber.refresh_from_db()
    assert subscriber.unsubscribed_at is None
    assert client.post(path, {"List-Unsubscribe": "One-Click"}).status_code == HTTPStatus.OK
    subscriber.refresh_from_db()
    assert subscriber.unsubscribed_at is not None
    assert send_digests(now=MONDAY + 7 * DAY) == 0
    assert client.get("/digest/leave/nobody/").status_code == HTTPStatus.NOT_FOUND
