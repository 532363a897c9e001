"""After a restore nothing is sent a second time, unless somebody says so."""

import io
from datetime import time as time_of_day
from datetime import timedelta

import pytest
import time_machine
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone

from campaigns.models import Campaign, Delivery, Enrolment
from campaigns.models import DeliveryState as State
from campaigns.sending.claiming import RESTORED
from campaigns.sending.enrolling import enrol, enrol_due
from campaigns.sending.progress import resolve_doubt
from campaigns.sending.worker import Worker
from tests.campaigns.mailed import Sink, make_mailed, make_readers

pytestmark = pytest.mark.usefixtures("transactional_db")


def doubt() -> str:
    out = io.StringIO()
    call_command("doubt_sending", stdout=out)
    return out.getvalue()


def send() -> None:
    """Do what workers do once they are started."""
    enrol_due(now=timezone.now())
    with Worker() as worker:
        worker.send_due()


def states(campaign: Campaign) -> set[str]:
    return set(campaign.deliveries.values_list("state", flat=True))


def test_what_was_due_since_the_backup_is_sent_by_nobody(sink: Sink) -> None:
    make_readers(10)
    # One was put down before the backup, of the other nobody was.
    known, unknown = make_mailed(), make_mailed()
    enrol(known, now=timezone.now())
    printed = doubt()
    send()
    assert sink.mails == []
    assert states(known) == states(unknown) == {State.IN_DOUBT}
    assert f"{known.key}: 10 in doubt\n" in printed
    assert f"{unknown.key}: 10 in doubt\n" in printed
    assert printed.endswith("20 messages are in doubt now.\n")
    assert set(Delivery.objects.values_list("reason", flat=True)) == {RESTORED}


def test_what_a_worker_had_in_hand_is_in_doubt_and_what_is_due_later_waits(sink: Sink) -> None:
    make_readers(2)
    campaign = make_mailed()
    now = timezone.now()
    enrol(campaign, now=now)
    held, later = campaign.deliveries.order_by("pk")
    campaign.deliveries.filter(pk=held.pk).update(state="leased", leased_until=now)
    campaign.deliveries.filter(pk=later.pk).update(send_after=now + timedelta(hours=1))
    doubt()
    held.refresh_from_db()
    later.refresh_from_db()
    assert (held.state, held.leased_until) == (State.IN_DOUBT, None)
    assert later.state == State.QUEUED


def test_somebody_may_send_it_and_who_joins_afterwards_is_written_to(sink: Sink) -> None:
    somebody = User.objects.create_user("ana")
    make_readers(20)
    campaign = make_mailed(campaign_values={"enrolment": Enrolment.CONTINUOUS})
    doubt()
    ids = list(campaign.deliveries.values_list("pk", flat=True))
    assert resolve_doubt(campaign, ids, again=True, by=somebody, now=timezone.now()) == 20
    make_readers(5)
    Campaign.objects.filter(pk=campaign.pk).update(enrolled_at=None)
    send()
    assert states(campaign) <= {State.SENT, State.SKIPPED}
    assert campaign.deliveries.count() == 25
    assert len(sink.mails) == campaign.deliveries.filter(state=State.SENT).count() > 15


@pytest.mark.parametrize("deed", ["sent", "again"])
def test_all_that_a_campaign_has_in_doubt_is_resolved_by_one_command(
    sink: Sink, monkeypatch: pytest.MonkeyPatch, deed: str
) -> None:
    monkeypatch.setattr("campaigns.management.commands.resolve_doubt.AT_ONCE", 3)
    make_readers(8)
    campaign, other = make_mailed(steps=(0, 60)), make_mailed()
    doubt()
    out = io.StringIO()
    call_command("resolve_doubt", campaign.key, f"--{deed}", stdout=out)
    first, second = campaign.steps.all()
    assert out.getvalue().startswith("8 messages ")
    assert states(other) == {State.IN_DOUBT}
    done = set(first.deliveries.values_list("state", flat=True))
    assert done == {State.SENT if deed == "sent" else State.QUEUED}
    assert second.deliveries.count() == (8 if deed == "sent" else 0)


def test_a_campaign_that_nobody_knows_has_nothing_to_resolve() -> None:
    with pytest.raises(CommandError, match="No campaign has the key"):
        call_command("resolve_doubt", "nothing", "--sent")


def test_whose_hour_has_passed_is_not_written_to_tomorrow(sink: Sink) -> None:
    make_readers(3)
    with time_machine.travel("2031-05-05T09:30:00Z", tick=False):
        campaign = make_mailed(campaign_values={"send_time": time_of_day(8)})
        doubt()
    assert states(campaign) == {State.IN_DOUBT}


def test_a_site_that_sends_nothing_has_nothing_to_doubt() -> None:
    assert doubt() == "0 messages are in doubt now.\n"
