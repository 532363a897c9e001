"""How long a customer's page takes where the customer has 100,000 events, and how many queries.

Run it with `python -m benchmarks.customer_page`; it makes a database of its own and drops it
afterwards. The bar: 25 queries. A customer with a single event, in the same tables, is beside it.
"""

import statistics
import time

from benchmarks.report import with_database

EVENTS = 100_000
OTHERS = 2_000
EVENTS_OF_OTHERS = 100
REPEATS = 9


def main() -> None:
    """Print time and queries of the page, of its answer and of the next entries."""
    from django.conf import settings
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext
    from django.urls import reverse

    from audience.models import Customer
    from campaigns.customers.timeline import read_timeline
    from tests.makers import make_user

    settings.ALLOWED_HOSTS = ["testserver"]
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(is_superuser=True))
    busy, quiet, campaign, offer = make_world()
    for who, customer in (("100,000 events", busy), ("1 event", quiet)):
        assert isinstance(customer, Customer)
        url = reverse("customer", args=[customer.pk])
        place = read_timeline([customer.pk]).next_place
        pages = [("page", url), ("why a campaign", f"{url}?about=campaign:{campaign}")]
        pages.append(("why an offer", f"{url}?about=offer:{offer}"))
        if place is not None:
            after = place.text.replace("+", "%2B")
            pages.append(
                ("next entries", f"{reverse('customer-more', args=[customer.pk])}?after={after}")
            )
        for name, path in pages:
            client.get(path)
            times = []
            for _ in range(REPEATS):
                start = time.perf_counter()
                answer = client.get(path)
                times.append(time.perf_counter() - start)
                assert answer.status_code == 200, path
            with CaptureQueriesContext(connection) as queries:
                client.get(path)
            print(
                f"{who:15} {name:15} {1000 * statistics.median(times):6.0f} ms "
                f"(least {1000 * min(times):.0f}), {len(queries)} queries"
            )


def make_world() -> tuple[object, object, str, str]:
    """Give one customer 100,000 events over a year and 1,000 decisions, among many others."""
    from datetime import timedelta

    from audience.importing.copying import analyse
    from tests.makers import (
        HOUR,
        NOW,
        event_row,
        log_all,
        logged,
        make_campaign,
        make_customers,
        make_events,
        make_offer,
    )

    busy, quiet, *others = make_customers(OTHERS + 2)
    campaign = make_campaign(offers=[make_offer(cap_per_customer=5), make_offer()])
    year = timedelta(days=365)
    make_events(
        [event_row(busy, f"Event {n % 20}", at=NOW - year * (n / EVENTS)) for n in range(EVENTS)]
    )
    make_events(
        [
            event_row(one, f"Event {n % 20}", at=NOW - year * (n / EVENTS_OF_OTHERS))
            for one in others
            for n in range(EVENTS_OF_OTHERS)
        ]
    )
    make_events([event_row(quiet, "Event 0", at=NOW)])
    offer = campaign.policy.offers[0]
    log_all(
        [
            logged(campaign.policy, busy, offer, at=NOW - n * HOUR, campaign=campaign.key)
            for n in range(1000)
        ]
    )
    for table in ("audience_event", "recommender_decision"):
        analyse(table)
    return busy, quiet, campaign.key, offer


if __name__ == "__main__":
    with_database(main)
