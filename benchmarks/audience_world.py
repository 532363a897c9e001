"""A large shop for benchmarks, written by PostgreSQL itself.

It has customers with attributes, visitors who turned out to be some of them, and a year of events.
"""

import time
from datetime import UTC, datetime, timedelta

YEAR = timedelta(days=365)
STEP = 500_000

CUSTOMERS = """
    INSERT INTO audience_customer (external_key, attributes, created_at, updated_at)
    SELECT 'customer-' || i,
           jsonb_build_object(
               'country', (ARRAY['DE','FR','IT','ES','PL','NL','AT','CH','SE','DK'])
                          [1 + floor(10 * random() ^ 2)::int],
               'language', (ARRAY['de','fr','it','es','pl','en'])[1 + i %% 6],
               'age', 16 + floor(70 * random())::int,
               'tier', (ARRAY['bronze','silver','gold','platinum'])
                       [1 + floor(4 * random() ^ 3)::int],
               'newsletter', random() < 0.6,
               'email', 'person' || i || '@' ||
                        (ARRAY['gmail.com','example.org','web.de'])[1 + i %% 3],
               'birthday', to_char(date '1950-01-01' + (i * 7919 %% 20000)::int, 'YYYY-MM-DD'),
               'spent', round((random() * 5000)::numeric, 2),
               'scores', jsonb_build_object('churn', round(random()::numeric, 4))),
           %(start)s, %(start)s
    FROM generate_series(%(low)s::bigint, %(high)s::bigint) AS i
"""
VISITORS = """
    INSERT INTO audience_customer
        (external_key, attributes, merged_into_id, created_at, updated_at)
    SELECT 'anonymous:' || id, '{}', id, %(start)s, %(start)s
    FROM audience_customer WHERE id %% 20 = 0
"""
# Most by few: every customer's share of the events falls with the square of a number by chance.
EVENTS = """
    INSERT INTO audience_event
        (occurred_at, customer_id, source_id, message_id, name, value, properties, received_at)
    SELECT at, customer_id, %(source)s, 'm' || i, name,
           CASE WHEN name = 'Order Completed' THEN round((5 + 200 * r2 ^ 3)::numeric, 2) END,
           jsonb_build_object(
               'category', 'category ' || floor(20 * r3)::int,
               'price', round((1 + 99 * r2)::numeric, 2),
               'sku', 'sku-' || floor(5000 * r3)::int),
           at
    FROM (
        SELECT i, %(start)s::timestamptz
                  + (i::float8 / %(events)s) * interval '365 days' AS at,
               %(first)s + floor(%(customers)s * random() ^ 2)::bigint AS customer_id,
               (ARRAY['Page Viewed','Page Viewed','Page Viewed','Page Viewed','Product Viewed',
                      'Product Viewed','Product Viewed','Product Added','Email Opened',
                      'Order Completed'])[1 + floor(10 * random())::int] AS name,
               random() AS r2, random() AS r3
        FROM generate_series(%(low)s::bigint, %(high)s::bigint) AS i
    ) AS drawn
"""


def fill(*, customers: int, events: int, now: datetime) -> None:
    """Write the shop: a year of it, until now."""
    from django.db import connection, transaction

    from audience.importing.copying import analyse
    from audience.keeping.partitions import event_partition, make_partitions, month_of
    from audience.models import Source

    source, _ = Source.objects.get_or_create(name="bench")
    start = now - YEAR
    months = {month_of(start + timedelta(days=day)) for day in range(366)} | {month_of(now)}
    make_partitions([event_partition(month) for month in sorted(months)])
    with connection.cursor() as cursor:
        began = time.perf_counter()
        for low in range(1, customers + 1, STEP):
            high = min(low + STEP - 1, customers)
            cursor.execute(CUSTOMERS, {"low": low, "high": high, "start": start})
        cursor.execute("SELECT min(id) FROM audience_customer")
        (first,) = cursor.fetchone()
        cursor.execute(VISITORS, {"start": start})
        print(f"  {customers:,} customers in {time.perf_counter() - began:.0f} s", flush=True)
        for low in range(0, events, STEP):
            high = min(low + STEP, events) - 1
            with transaction.atomic():
                # They refer to customers that are there.
                cursor.execute("SET LOCAL session_replication_role = replica")
                cursor.execute(
                    EVENTS,
                    {
                        "low": low,
                        "high": high,
                        "start": start,
                        "events": events,
                        "customers": customers,
                        "first": first,
                        "source": source.pk,
                    },
                )
            passed = time.perf_counter() - began
            print(f"  {high + 1:,} of {events:,} events, {passed:.0f} s", flush=True)
        for table in ("audience_customer", "audience_event"):
            analyse(table)
            cursor.execute(f"VACUUM {table}")
        # What was written is not to be paid for by who is measured.
        cursor.execute("CHECKPOINT")


def years_end() -> datetime:
    """Return the time at which the shop's year ends: now."""
    return datetime.now(UTC)
