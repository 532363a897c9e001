from datetime import datetime, timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from audience.keeping.retention import delete_expired
from audience.models import ReceivedMessage, RejectedEvent, RenamedEvent, Source
from audience.tasks import delete_what_expired
from tests.makers import DAY, NOW, make_source

pytestmark = pytest.mark.django_db
REJECTED, RECEIVED = "audience.RejectedEvent", "audience.ReceivedMessage"
RENAMED = "audience.RenamedEvent"


def refuse(source: Source, *times: datetime) -> None:
    RejectedEvent.objects.bulk_create(
        RejectedEvent(source=source, received_at=at, reason="bad", payload="{}") for at in times
    )


def receive(source: Source, *times: datetime) -> None:
    ReceivedMessage.objects.bulk_create(
        ReceivedMessage(source=source, message_id=f"m{n}", received_at=at)
        for n, at in enumerate(times)
    )


def test_only_what_is_too_old_goes_to_the_very_day(settings: Settings) -> None:
    settings.KEEP_REJECTED_DAYS = 10
    source, _ = make_source()
    limit = NOW - 10 * DAY
    refuse(source, limit - timedelta(microseconds=1), limit, NOW)
    assert delete_expired(now=NOW) == {RENAMED: 0, REJECTED: 1}
    assert set(RejectedEvent.objects.values_list("received_at", flat=True)) == {limit, NOW}


def test_what_is_kept_for_ever_stays_and_message_ids_have_a_limit_of_their_own(
    settings: Settings,
) -> None:
    source, _ = make_source()
    refuse(source, NOW - 1000 * DAY)
    receive(source, NOW - 40 * DAY, NOW - 20 * DAY)
    settings.KEEP_REJECTED_DAYS = settings.KEEP_MESSAGE_IDS_DAYS = None
    assert delete_expired(now=NOW) == {RENAMED: 0}
    settings.KEEP_MESSAGE_IDS_DAYS = 30
    assert delete_expired(now=NOW) == {RENAMED: 0, RECEIVED: 1}
    assert RejectedEvent.objects.count() == 1
    assert ReceivedMessage.objects.get().received_at == NOW - 20 * DAY


def test_which_events_got_another_name_is_known_for_a_month() -> None:
    for at in (NOW - 31 * DAY, NOW - 29 * DAY):
        RenamedEvent.objects.create(event_id=1, event_received_at=at, received_at=at)
    assert delete_expired(now=NOW)[RENAMED] == 1


def test_it_goes_on_batch_by_batch_until_the_time_is_up(settings: Settings) -> None:
    settings.KEEP_REJECTED_DAYS = 10
    source, _ = make_source()
    refuse(source, *[NOW - 20 * DAY] * 7, NOW)
    assert delete_expired(now=NOW, budget_seconds=0.0) == {RENAMED: 0, REJECTED: 0}
    assert delete_expired(now=NOW, batch=3) == {RENAMED: 0, REJECTED: 7}
    assert delete_expired(now=NOW, batch=3) == {RENAMED: 0, REJECTED: 0}


def test_the_daily_task_follows_the_settings(settings: Settings) -> None:
    settings.KEEP_REJECTED_DAYS = 10
    source, _ = make_source()
    refuse(source, timezone.now() - 11 * DAY, timezone.now())
    assert delete_what_expired() == 1
