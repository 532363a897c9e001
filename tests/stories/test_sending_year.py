"""A year of mails to somebody by every clock of the world: none at night, and none too many."""

from bisect import bisect_right
from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest

from audience.models import Customer
from campaigns.models import Cap, CapWindow, Delivery, DeliveryState, Enrolment
from campaigns.sending.enrolling import enrol
from campaigns.sending.timing import Hours, is_quiet
from campaigns.sending.worker import Worker
from tests.campaigns.mailed import agree, make_mailed
from tests.makers import make_customers

NIGHT = Hours(quiet_from=time(21), quiet_until=time(8))
STEP = timedelta(hours=5)  # Comes round all hours of the day.
WEEK = timedelta(days=7)
DAYS = 365


def find_clocks(begins: datetime) -> list[str]:
    """Return a zone for each way in which the clocks of the world go in a year.

    Many zones have several names; `test_timing.py` goes through all of them.
    """
    by_clock: dict[tuple[timedelta | None, ...], str] = {}
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        hours = (begins + timedelta(hours=n) for n in range(365 * 24))
        by_clock.setdefault(tuple(hour.astimezone(zone).utcoffset() for hour in hours), name)
    return list(by_clock.values())


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_year_has_no_mail_at_night_and_none_too_many(settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    begins = datetime(2026, 1, 1, tzinfo=UTC)
    zones = find_clocks(begins)
    customers = make_customers(len(zones))
    for customer, zone in zip(customers, zones, strict=True):
        customer.attributes = {"email": f"c{customer.pk}@mail.example", "timezone": zone}
    Customer.objects.bulk_update(customers, ["attributes"])
    agree(customers)
    Cap.objects.create(channel="email", limit=1, window=CapWindow.DAY)
    Cap.objects.create(channel="email", limit=3, window=CapWindow.ROLLING, hours=168)
    values = {
        "quiet_from": NIGHT.quiet_from,
        "quiet_until": NIGHT.quiet_until,
        "enrolment": Enrolment.CONTINUOUS,
        "again_after_days": 1,
    }
    campaigns = [
        make_mailed(started_at=begins, campaign_values=values | more, hold_minutes=0)
        for more in ({}, {"send_time": time(9, 30)})
    ]
    now = begins
    with Worker(clock=lambda: now) as worker:
        while now < begins + timedelta(days=DAYS):
            for campaign in campaigns:
                enrol(campaign, now=now)
            worker.send_due()
            now += STEP
    sent = list(
        Delivery.objects.filter(state=DeliveryState.SENT)
        .order_by("sent_at")
        .values_list("customer_id", "sent_at")
    )
    left = Delivery.objects.filter(state=DeliveryState.LEASED).count()
    zone_of = {c.pk: ZoneInfo(zone) for c, zone in zip(customers, zones, strict=True)}
    times: dict[int, list[datetime]] = defaultdict(list)
    days: dict[tuple[int, date], int] = defaultdict(int)
    at_night = 0
    for customer_id, at in sent:
        assert at is not None, "what was sent has a time"
        local = zone_of[customer_id]
        at_night += is_quiet(NIGHT, at, zone=local)
        times[customer_id].append(at)
        days[customer_id, at.astimezone(local).date()] += 1
    too_many = sum(count > 1 for count in days.values())
    for moments in times.values():
        too_many += sum(
            bisect_right(moments, at) - bisect_right(moments, at - WEEK) > 3 for at in moments
        )
    assert (at_night, too_many, left) == (0, 0, 0)
    # Three a week, but for the hold-out.
    assert len(sent) > 0.9 * len(zones) * 3 * DAYS / 7
