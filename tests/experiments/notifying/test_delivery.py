"""Whoever wants to know is told, at last once, also after failures; nobody is told for ever."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.core import mail
from django.db import IntegrityError, transaction
from standardwebhooks import Webhook

from experiments.lifecycle.status import stop_experiment
from experiments.models import Endpoint, Notice
from experiments.notifying import outbox
from experiments.notifying.delivery import DELAYS, LEASE, deliver_due
from tests.makers import NOW, make_experiment, make_user
from tests.receiver import listen

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def near(settings: LazySettings) -> None:
    """Let webhooks go to this machine."""
    settings.WEBHOOKS_MAY_BE_PRIVATE = True


def tell(endpoint: Endpoint, *, event: str = outbox.CHANGED) -> Notice:
    outbox.tell_endpoints(event, make_experiment(started_at=None), {"action": "x"}, now=NOW)
    return Notice.objects.get(endpoint=endpoint)


def test_a_change_is_told_signed_and_once(settings: Any) -> None:
    experiment, user = make_experiment(), make_user()
    with listen() as receiver:
        endpoint = Endpoint.objects.create(url=receiver.url)
        stop_experiment(experiment, by=user, now=NOW, reason="enough")
        assert deliver_due(now=NOW) == 1
        assert deliver_due(now=NOW + timedelta(days=9)) == 0
        ((headers, body),) = receiver.received
    # The receiver's own library tells the time by its own clock.
    headers["webhook-timestamp"] = headers["webhook-timestamp"]
    told = json.loads(body)
    assert told["type"] == "experiment.changed"
    assert told["data"]["action"] == "stopped"
    assert told["data"]["by"] == str(user)
    assert told["data"]["reason"] == "enough"
    assert told["data"]["url"].endswith(experiment.get_absolute_url())
    signature = Webhook(endpoint.secret).sign(headers["webhook-id"], NOW, body.decode())
    assert headers["webhook-signature"] == signature


def test_an_endpoint_is_told_only_what_it_asked_for() -> None:
    Endpoint.objects.create(url="https://a.example/", events=[outbox.HARM])
    Endpoint.objects.create(url="https://b.example/", is_active=False)
    outbox.tell_endpoints(outbox.CHANGED, make_experiment(), {}, now=NOW)
    assert not Notice.objects.exists()


def test_who_does_not_answer_is_asked_again_later_and_later_and_then_no_more() -> None:
    with listen() as receiver:
        receiver.statuses = [500]
        notice = tell(Endpoint.objects.create(url=receiver.url))
        now = NOW
        for delay in DELAYS:
            assert deliver_due(now=now) == 0
            notice.refresh_from_db()
            assert notice.due_at == now + delay
            assert notice.failure == "It answered 500."
            assert deliver_due(now=now + delay / 2) == 0
            now += delay
        deliver_due(now=now)
        notice.refresh_from_db()
        assert (notice.due_at, notice.sent_at, notice.attempts) == (None, None, len(DELAYS) + 1)
        ids = {headers["webhook-id"] for headers, _ in receiver.received}
        assert (len(receiver.received), len(ids)) == (len(DELAYS) + 1, 1)


def test_who_is_gone_is_asked_no_more() -> None:
    with listen() as receiver:
        receiver.statuses = [410]
        endpoint = Endpoint.objects.create(url=receiver.url)
        notice = tell(endpoint)
        deliver_due(now=NOW)
    endpoint.refresh_from_db()
    notice.refresh_from_db()
    assert (endpoint.is_active, notice.due_at) == (False, None)


def test_an_address_inside_is_given_up_at_once(settings: LazySettings) -> None:
    settings.WEBHOOKS_MAY_BE_PRIVATE = False
    notice = tell(Endpoint.objects.create(url="https://127.0.0.1/"))
    deliver_due(now=NOW)
    notice.refresh_from_db()
    assert notice.due_at is None
    assert "not on the public internet" in notice.failure


def test_a_worker_that_died_leaves_its_notice_to_the_next() -> None:
    notice = tell(Endpoint.objects.create(url="https://a.example/"))
    # As a worker does that has claimed it and died.
    Notice.objects.filter(pk=notice.pk).update(due_at=NOW + LEASE, attempts=1)
    with listen() as receiver:
        Endpoint.objects.update(url=receiver.url)
        assert deliver_due(now=NOW + LEASE / 2) == 0
        assert deliver_due(now=NOW + LEASE) == 1


def test_a_mail_is_written_once_for_its_id(settings: LazySettings) -> None:
    content = {"subject": "Hi", "text": "plain", "html": "<b>rich</b>", "headers": {"X-A": "b"}}
    for _ in range(2):
        outbox.mail(outbox.DIGEST, "digest.1", "ann@example.com", content, now=NOW)
    assert deliver_due(now=NOW) == 1
    (sent,) = mail.outbox
    assert (sent.to, sent.subject, sent.body) == (["ann@example.com"], "Hi", "plain")
    assert sent.extra_headers["X-A"] == "b"


def test_a_notice_has_one_receiver() -> None:
    def make(**receiver: Any) -> None:
        Notice.objects.create(
            message_id="m", event="e", payload={}, created_at=datetime.now(NOW.tzinfo), **receiver
        )

    endpoint = Endpoint.objects.create(url="https://a.example/")
    for receiver in ({}, {"endpoint": endpoint, "email": "a@example.com"}):
        with pytest.raises(IntegrityError, match="one_receiver"), transaction.atomic():
            make(**receiver)
