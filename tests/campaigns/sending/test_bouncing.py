"""Bounces and complaints silence an address, and nobody else can."""

from typing import Any

import pytest
from anymail.signals import AnymailTrackingEvent
from django.utils import timezone

from audience.models import Consent, Customer, Suppression
from campaigns.models import Campaign, Delivery
from campaigns.sending.anymail_events import hear
from tests.campaigns.mailed import Sink, agree, make_mailed, make_readers
from tests.campaigns.sending.test_sending import make_sure_it_is_sent, send

pytestmark = pytest.mark.usefixtures("transactional_db")


def told(delivery: Delivery, kind: str, **values: Any) -> None:
    values.setdefault("message_id", delivery.provider_id.strip("<>"))
    event = AnymailTrackingEvent(event_type=kind, timestamp=timezone.now(), **values)
    hear(None, event, "Service")


def sent() -> tuple[Campaign, Customer, Delivery]:
    (reader,) = make_readers(1)
    campaign = make_mailed()
    make_sure_it_is_sent(campaign, reader)
    send()
    return campaign, reader, campaign.deliveries.get()


def test_who_bounced_is_never_written_to_again(sink: Sink) -> None:
    _, reader, delivery = sent()
    told(delivery, "bounced", reject_reason="bounced", description="No such user")
    delivery.refresh_from_db()
    assert (delivery.state, delivery.reason) == ("bounced", "Service: No such user")
    second = make_mailed()
    make_sure_it_is_sent(second, reader)
    send()
    assert second.deliveries.get().reason == "Nothing is sent to the address any more."
    assert len(sink.mails) == 1
    # Nor as somebody else, in other letters.
    (other,) = make_readers(1)
    address = reader.attributes["email"].upper()
    Customer.objects.filter(pk=other.pk).update(attributes={"email": address})
    make_mailed()
    send()
    assert len(sink.mails) == 1


def test_the_list_does_not_say_whose_the_addresses_are(sink: Sink) -> None:
    _, reader, delivery = sent()
    told(delivery, "bounced", reject_reason="bounced")
    (row,) = Suppression.objects.values()
    assert reader.attributes["email"] not in str(row)


def test_a_mailbox_that_is_full_is_not_gone(sink: Sink) -> None:
    _, _, delivery = sent()
    told(delivery, "rejected", reject_reason="timed_out")
    assert Suppression.objects.count() == 0


def test_a_complaint_is_a_no(sink: Sink) -> None:
    _, reader, delivery = sent()
    told(delivery, "complained")
    assert Consent.objects.get(customer=reader).state == "opted_out"
    assert Suppression.objects.get().reason == "complaint"
    agree([reader])
    make_mailed()
    send()
    assert len(sink.mails) == 1


def test_nobody_is_silenced_by_what_we_never_sent(sink: Sink) -> None:
    _, _, delivery = sent()
    told(delivery, "bounced", reject_reason="bounced", message_id="<other@x>", recipient="a@b.c")
    told(delivery, "bounced", reject_reason="bounced", message_id="", recipient="a@b.c")
    told(delivery, "complained", message_id=None, recipient="a@b.c")
    told(delivery, "opened")
    assert Suppression.objects.count() == 0


def test_a_server_that_says_it_at_once_silences_too(sink: Sink) -> None:
    (reader,) = make_readers(1)
    campaign = make_mailed()
    make_sure_it_is_sent(campaign, reader)
    sink.answer = lambda receiver, content: "550 5.1.1 No such user"
    send()
    assert Suppression.objects.get().reason == "bounce"
