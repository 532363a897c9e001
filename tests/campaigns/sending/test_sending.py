"""What is sent: to whom, once, with the offer that was decided and logged."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from audience.models import Audience, AudienceKind, Customer, Membership
from audience.privacy.erasing import request_erasure
from campaigns.lifecycle.status import finish_campaign, pause_campaign, start_campaign
from campaigns.models import Campaign, Cap, CapWindow, Delivery, Enrolment, Offer
from campaigns.models import DeliveryState as State
from campaigns.privacy import erase_person
from campaigns.sending import claiming
from campaigns.sending.deciding import Decider
from campaigns.sending.enrolling import enrol, enrol_due
from campaigns.sending.worker import Worker
from experiments.assigning.assignment import bucket_of
from recommender.models import Decision
from tests.campaigns.mailed import (
    BODY,
    Sink,
    add_message,
    agree,
    make_mailed,
    make_readers,
)
from tests.makers import make_event, make_holdout, make_offer, merge

pytestmark = pytest.mark.usefixtures("transactional_db")

HOUR = timedelta(hours=1)


def send(now: datetime | None = None, **options: Any) -> Counter[str]:
    """Enrol and send what is due at a time."""
    clock = timezone.now if now is None else (lambda: now)
    enrol_due(now=clock())
    with Worker(clock=clock, **options) as worker:
        return worker.send_due()


def wait_for(sink: Sink, count: int) -> None:
    ends = time.monotonic() + 10
    while len(sink.mails) < count:
        assert time.monotonic() < ends, "nothing is sent"
        time.sleep(0.01)


def states(campaign: Campaign) -> "Counter[str]":
    return Counter(campaign.deliveries.values_list("state", flat=True))


def reasons(customers: Sequence[Customer]) -> set[str]:
    found = Delivery.objects.filter(customer__in=customers)
    return set(found.values_list("reason", flat=True))


def test_everybody_who_agreed_gets_one_mail_with_the_offer_that_was_logged(sink: Sink) -> None:
    readers = make_readers(60, first_name="Ana")
    make_readers(3, agrees=False)
    campaign = make_mailed(holdout_percent=20)
    done = send()
    sent = campaign.deliveries.filter(state=State.SENT)
    assert done["sent"] == sent.count() == len(sink.mails) > 30
    assert len(set(sink.receivers)) == len(sink.mails)
    assert campaign.deliveries.count() == 63
    names = dict(Offer.objects.values_list("key", "headline"))
    for delivery in sent.select_related("customer"):
        assert delivery.decision_id is not None
        decision = Decision.objects.get(pk=delivery.decision_id)
        assert (decision.offer, decision.customer_id) == (delivery.offer, delivery.customer_id)
        assert 0 < decision.propensity <= 1
        (mail,) = (m for m in sink.mails if m["To"] == delivery.customer.attributes["email"])
        assert mail["Subject"] == "Hi Ana"
        text = mail.get_body(("plain",))
        assert text is not None
        assert names[delivery.offer] in text.get_content()
        assert mail["Message-ID"] == delivery.provider_id
    held_out = campaign.deliveries.filter(reason="hold-out")
    assert held_out.count() == 60 - len(sink.mails)
    arms = Decision.objects.filter(pk__in=held_out.values("decision_id")).values_list("arm")
    assert set(arms) <= {("hold-out",)}
    assert Decision.objects.count() == len(readers)
    assert send() == Counter()
    assert len(sink.mails) == sent.count()


def test_who_did_not_agree_is_not_even_decided_for(sink: Sink) -> None:
    *silent, merged = make_readers(3, agrees=False)
    (nameless,) = make_readers(1)
    Customer.objects.filter(pk=nameless.pk).update(attributes={})
    campaign = make_mailed()
    enrol_due(now=timezone.now())
    merge(merged, into=silent[0])
    assert send()["skipped"] == campaign.deliveries.count() == 4
    assert reasons(silent) == {"The customer has not agreed."}
    assert reasons([merged]) == {"The customer turned out to be another one."}
    assert reasons([nameless]) == {"No address of the customer is known."}
    assert Decision.objects.count() == 0


def test_who_is_erased_while_a_batch_is_prepared_gets_nothing_and_is_not_made_anew(
    sink: Sink, settings: Settings, tmp_path: Path
) -> None:
    settings.SPOOL_DIR, settings.LAKE_DIR = tmp_path, None
    ann, ben = make_readers(2)
    campaign, now = make_mailed(), timezone.now()
    make_sure_it_is_sent(campaign, ann, ben)
    enrol_due(now=now)
    claimed = claiming.claim(campaign.pk, limit=10, now=now, until=now + HOUR)
    erase_person(request_erasure(ann, by="officer", now=now), now=now)
    with Decider() as decider:
        decider.refresh()
        running = decider.find(campaign.key)
        assert running is not None
        decided = decider.decide(running, claimed, now=now)
    got = {each.customer_key: decided[each.id] for each in claimed}
    assert (got[ann.external_key].content, got[ann.external_key].decision_id) == (None, None)
    assert got[ben.external_key].content is not None
    assert not Customer.objects.filter(external_key=ann.external_key).exists()
    assert [decision.customer_id for decision in Decision.objects.all()] == [ben.pk]


def test_who_does_not_meet_a_steps_condition_skips_it_and_goes_on(sink: Sink) -> None:
    german, french = make_readers(2)
    Customer.objects.filter(pk=german.pk).update(attributes={**german.attributes, "country": "de"})
    campaign = make_mailed(steps=(0, 60), holdout_percent=1, hold_minutes=0)
    make_sure_it_is_sent(campaign, german, french)
    first, second = campaign.steps.all()
    first.only_if = {"attribute": "country", "is": "one of", "value": ["de"]}
    first.save()
    start = timezone.now()
    send(start)
    skipped = first.deliveries.get(customer=french)
    assert skipped.reason == "The step's condition does not hold for the customer."
    send(start + HOUR)
    assert {d.customer_id for d in second.deliveries.all()} == {german.pk, french.pk}
    first.only_if = {"audience": "gone"}
    first.save()
    (late,) = make_readers(1)
    Campaign.objects.update(enrolled_at=None)
    send(start + HOUR)
    skipped = first.deliveries.get(customer=late)
    assert skipped.reason == "The step's condition does not hold for the customer."


def test_steps_follow_each_other_and_end_at_the_goal(sink: Sink) -> None:
    staying, buying = make_readers(2)
    campaign = make_mailed(steps=(0, 60, 60), holdout_percent=1, hold_minutes=0)
    make_sure_it_is_sent(campaign, staying, buying)
    start = timezone.now()
    send(start)
    assert send(start + 59 * timedelta(minutes=1)) == Counter()
    make_event(buying, "Order Completed", at=start + timedelta(seconds=1))
    send(start + HOUR)
    send(start + 2 * HOUR)
    count = Counter(sink.receivers)
    assert count == {staying.attributes["email"]: 3, buying.attributes["email"]: 1}
    assert "The customer reached the goal." in reasons([buying])
    assert campaign.deliveries.filter(customer=buying).count() <= 2


def test_a_list_is_enrolled_once_and_again_after_its_days(sink: Sink) -> None:
    inside = make_readers(3)
    make_readers(2)
    people = Audience.objects.create(key="vip", name="VIP", kind=AudienceKind.LIST)
    Membership.objects.bulk_create(Membership(audience=people, customer=c) for c in inside)
    values = {"audience": people, "again_after_days": 7}
    campaign = make_mailed(campaign_values=values, hold_minutes=0)
    start = timezone.now()
    assert enrol(campaign, now=start) == 3
    assert enrol(campaign, now=start + 6 * 24 * HOUR) == 0
    assert enrol(campaign, now=start + 7 * 24 * HOUR + HOUR) == 3
    assert set(campaign.deliveries.values_list("occurrence", flat=True)) == {0, 1}


def test_whoever_joins_a_continuous_campaign_later_gets_it_too(sink: Sink) -> None:
    make_readers(2)
    campaign = make_mailed(campaign_values={"enrolment": Enrolment.CONTINUOUS})
    start = timezone.now()
    assert enrol(campaign, now=start) == 2
    make_readers(1)
    assert enrol(campaign, now=start + timedelta(seconds=1)) == 0
    assert enrol(campaign, now=start + HOUR) == 1


def test_two_who_enrol_at_once_enrol_everybody_once() -> None:
    make_readers(5)
    campaign = make_mailed()

    def enrol_and_close() -> None:
        enrol(campaign, now=timezone.now())
        connection.close()

    threads = [threading.Thread(target=enrol_and_close) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert campaign.deliveries.count() == 5


def test_a_pause_takes_effect_within_a_second(sink: Sink) -> None:
    make_readers(300)
    campaign = make_mailed()
    sink.seconds = 0.02
    paused_at = []

    def pause() -> None:
        wait_for(sink, 20)
        pause_campaign(campaign, by=None, now=timezone.now(), reason="wrong price")
        paused_at.append(time.monotonic())
        connection.close()

    thread = threading.Thread(target=pause)
    thread.start()
    send()
    thread.join()
    assert sink.times[-1] - paused_at[0] < 1.0
    assert 20 <= len(sink.mails) < 250
    after = states(campaign)
    assert after["leased"] == after["in_doubt"] == 0
    assert after["queued"] > 0
    start_campaign(campaign, by=None, now=timezone.now())
    sink.seconds = 0.0
    send()
    assert states(campaign)["queued"] == 0
    assert len(set(sink.receivers)) == len(sink.mails) == states(campaign)["sent"]


def test_who_declines_in_the_middle_gets_nothing_a_second_later(sink: Sink) -> None:
    readers = make_readers(300)
    campaign = make_mailed()
    sink.seconds = 0.02
    declined: list[tuple[float, set[str]]] = []

    def decline() -> None:
        wait_for(sink, 20)
        agree(readers[::2], state="opted_out")  # type: ignore[arg-type]
        declined.append((time.monotonic(), {c.attributes["email"] for c in readers[::2]}))
        connection.close()

    thread = threading.Thread(target=decline)
    thread.start()
    send()
    thread.join()
    ((at, addresses),) = declined
    late = [
        to
        for to, when in zip(sink.receivers, sink.times, strict=True)
        if when > at + 1 and to in addresses
    ]
    assert late == []
    assert campaign.deliveries.filter(reason="The customer declined.").count() > 50


def test_a_refusal_that_may_pass_is_tried_again_later(sink: Sink) -> None:
    (reader,) = make_readers(1)
    campaign = make_mailed()
    make_sure_it_is_sent(campaign, reader)
    sink.answer = lambda receiver, content: "451 Try later"
    start = timezone.now()
    send(start)
    delivery = campaign.deliveries.get()
    assert (delivery.state, delivery.attempts) == (State.QUEUED, 1)
    assert delivery.send_after == start + timedelta(minutes=1)
    sink.answer = lambda receiver, content: None
    send(start + timedelta(minutes=1))
    assert campaign.deliveries.get().state == State.SENT
    assert Decision.objects.count() == 1


def test_after_many_refusals_it_has_failed(sink: Sink) -> None:
    (reader,) = make_readers(1)
    campaign = make_mailed()
    make_sure_it_is_sent(campaign, reader)
    sink.answer = lambda receiver, content: "451 Try later"
    now = timezone.now()
    for _ in range(8):
        send(now)
        now = max(now, campaign.deliveries.get().send_after)
    delivery = campaign.deliveries.get()
    assert (delivery.state, delivery.attempts) == (State.FAILED, 6)


@pytest.mark.parametrize(
    ("said", "state"),
    [("550 5.1.1 No such user", State.BOUNCED), ("554 5.7.1 Spam", State.FAILED)],
)
def test_a_refusal_for_good_is_not_tried_again(sink: Sink, said: str, state: str) -> None:
    (reader,) = make_readers(1)
    campaign = make_mailed()
    make_sure_it_is_sent(campaign, reader)
    sink.answer = lambda receiver, content: said
    send()
    delivery = campaign.deliveries.get()
    assert delivery.state == state
    assert said[4:] in delivery.reason


def test_without_a_mail_server_everything_waits(settings: Any) -> None:
    readers = make_readers(30)
    campaign = make_mailed()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "127.0.0.1", 1, False
    send()
    after = states(campaign)
    assert after["queued"] + after["skipped"] == len(readers)
    # It is not knocked at for every one of them.
    assert campaign.deliveries.filter(attempts__gt=0).count() <= 10


def test_a_lease_that_ran_out_leaves_in_doubt_only_what_was_begun(sink: Sink) -> None:
    make_readers(4)
    campaign = make_mailed()
    now = timezone.now()
    enrol(campaign, now=now)
    claimed = claiming.claim(campaign.pk, limit=4, now=now, until=now + HOUR)
    begun = {claimed[0].id: "<a@b>", claimed[1].id: "<b@b>"}
    assert claiming.begin(begun, until=now + HOUR) == set(begun)
    assert claiming.expire_leases(now=now + HOUR) == {}
    settled = claiming.expire_leases(now=now + HOUR + timedelta(seconds=1))
    assert settled == {"queued": 2, "in_doubt": 2}
    send(now)
    assert states(campaign)["in_doubt"] == 2
    assert set(campaign.deliveries.filter(state="in_doubt").values_list("pk", flat=True)) == set(
        begun
    )
    # Whoever held the lease may no more begin what others have, but may say what it knows.
    assert claiming.begin({claimed[2].id: "<c@b>"}, until=now + HOUR) == set()
    known = [claiming.Result(claimed[0].id, "sent")]
    assert claiming.record(known, now=now, until=now + HOUR) == {claimed[0].id}


def test_what_was_broken_off_is_in_doubt(sink: Sink, settings: Any) -> None:
    (reader,) = make_readers(1)
    campaign = make_mailed()
    make_sure_it_is_sent(campaign, reader)
    settings.EMAIL_TIMEOUT = 0.3
    sink.seconds = 1.0
    send()
    sink.seconds = 0.0
    assert states(campaign) == {"in_doubt": 1}
    time.sleep(1.0)
    assert send() == Counter()


def test_nobody_is_written_to_more_often_than_a_channel_may(sink: Sink) -> None:
    readers = make_readers(20)
    Cap.objects.create(channel="email", limit=1, window=CapWindow.ROLLING, hours=24)
    for _ in range(3):
        make_mailed()
    enrol_due(now=timezone.now())

    def work() -> None:
        with Worker() as worker:
            worker.send_due()
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(Counter(sink.receivers).values()) == {1}
    assert len(sink.mails) >= 0.8 * len(readers)
    capped = Delivery.objects.filter(reason__contains="within 24 hours").count()
    held_out = Delivery.objects.filter(reason="hold-out").count()
    assert capped + held_out + len(sink.mails) == 60


def test_quiet_hours_are_the_customers_own(sink: Sink) -> None:
    tokyo, berlin = (
        make_readers(1, timezone="Asia/Tokyo"),
        make_readers(1, timezone="Europe/Berlin"),
    )
    quiet = {"quiet_from": time_of_day(21), "quiet_until": time_of_day(8)}
    now = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
    campaign = make_mailed(campaign_values=quiet, started_at=now)
    make_sure_it_is_sent(campaign, *tokyo, *berlin)
    # In Tokyo it is half past nine in the evening.
    send(now)
    assert sink.receivers == [berlin[0].attributes["email"]]
    assert campaign.deliveries.get(customer=tokyo[0]).send_after == datetime(
        2026, 3, 2, 23, tzinfo=UTC
    )
    send(datetime(2026, 3, 2, 23, tzinfo=UTC))
    assert len(sink.mails) == 2


def test_who_could_not_be_sent_to_in_time_waits_for_the_morning(sink: Sink) -> None:
    (reader,) = make_readers(1)
    quiet = {"quiet_from": time_of_day(21), "quiet_until": time_of_day(8)}
    now = datetime(2026, 3, 2, 20, 30, tzinfo=UTC)
    campaign = make_mailed(campaign_values=quiet, started_at=now)
    make_sure_it_is_sent(campaign, reader)
    enrol(campaign, now=now)
    send(now + HOUR)
    assert sink.mails == []
    delivery = campaign.deliveries.get()
    assert (delivery.state, delivery.send_after.hour) == (State.QUEUED, 8)


def test_messages_leave_no_faster_than_they_may(sink: Sink, settings: Any) -> None:
    make_readers(60)
    settings.MESSAGES_PER_SECOND = {"email": 40.0}
    make_mailed()
    send()
    count, seconds = len(sink.times), sink.times[-1] - sink.times[0]
    # What nobody used of the last quarter of a second, and one such quarter at a time.
    assert count - 1 <= 40.0 * seconds + 2 * 10
    assert count > 40


def test_each_reads_it_in_their_language(sink: Sink) -> None:
    (german,), (french,) = make_readers(1, language="de-AT"), make_readers(1, language="fr")
    campaign = make_mailed()
    make_sure_it_is_sent(campaign, german, french)
    step = campaign.steps.get()
    add_message(step, language="de", subject="Hallo", body=BODY)
    send()
    subjects = {mail["To"]: mail["Subject"] for mail in sink.mails}
    assert subjects == {
        german.attributes["email"]: "Hallo",
        french.attributes["email"]: "Hi friend",
    }


def test_what_waits_in_a_campaign_that_ended_is_never_sent(sink: Sink) -> None:
    make_readers(3)
    campaign = make_mailed(steps=(60,))
    now = timezone.now()
    enrol(campaign, now=now)
    finish_campaign(campaign, by=None, now=now, reason="over")
    send(now + HOUR)
    assert states(campaign) == {"skipped": 3}
    assert sink.mails == []


def test_a_scheduled_end_is_kept(sink: Sink) -> None:
    make_readers(3)
    now = timezone.now()
    campaign = make_mailed(steps=(60,), ends_at=now + timedelta(minutes=30))
    enrol(campaign, now=now)
    with time_machine.travel(now + HOUR, tick=True):
        send()
    assert states(campaign) == {"skipped": 3}


def make_sure_it_is_sent(campaign: Campaign, *customers: Customer) -> None:
    """Let nobody of these fall into the hold-out, by giving them keys that do not."""
    from experiments.assigning.assignment import assign

    arms = list(campaign.experiment.arms.all())
    for customer in customers:
        number = 0
        while True:
            key = f"{customer.external_key}-{number}"
            index = assign(campaign.experiment.seed, key, [arm.weight for arm in arms])
            if index is not None and arms[index].key != "hold-out":
                break
            number += 1
        Customer.objects.filter(pk=customer.pk).update(external_key=key)
        customer.external_key = key


def test_two_workers_send_everything_once(sink: Sink) -> None:
    make_readers(200)
    campaign = make_mailed(offers=[make_offer(cap_total=20), make_offer()])
    enrol_due(now=timezone.now())

    def work() -> None:
        with Worker() as worker:
            worker.send_due()
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(Counter(sink.receivers).values()) == {1}
    after = states(campaign)
    assert after["sent"] == len(sink.mails)
    assert after["sent"] + after["skipped"] == 200


def test_nothing_is_sent_to_who_is_held_out_from_all_campaigns(sink: Sink) -> None:
    readers = make_readers(40)
    holdout = make_holdout(started_at=timezone.now())
    campaign = make_mailed(holdout_percent=1)
    send()
    out = {reader for reader in readers if bucket_of(holdout.seed, reader.external_key) < 5000}
    assert 5 < len(out) < 35
    kept = campaign.deliveries.filter(customer__in=out)
    assert set(kept.values_list("state", "reason")) == {(State.SKIPPED, "hold-out")}
    assert not {reader.attributes["email"] for reader in out} & set(sink.receivers)
    assert len(sink.mails) > 0
