"""Keep what events say of products, so that lists can be shown with names, pictures and prices."""

from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from audience.commerce import EACH_PRODUCT, PRODUCT_KEY
from audience.models import Kind
from recommender.listing.products import FIELDS, LINKS, LONGEST_ADDRESS
from recommender.models.rankings import Ranking

# Events are read by when they were received; some were committed later than others.
OVERLAP = timedelta(minutes=5)

# Each thing is taken from the newest event that says it: an order that names a product by its key
# alone takes nothing away. Anybody who can read a page's source can send events by its key, so
# addresses, to which mails will lead, are taken from sources with a secret key alone.
UPDATE = f"""
    INSERT INTO recommender_product AS known (key, facts, said_at)
    SELECT item, jsonb_object_agg(field, said), max(occurred_at)
    FROM (
        SELECT DISTINCT ON (item, field) item, field, said, occurred_at
        FROM audience_event AS event
        JOIN audience_source AS source ON source.id = event.source_id
        CROSS JOIN LATERAL {EACH_PRODUCT}
        CROSS JOIN LATERAL (
            SELECT {PRODUCT_KEY} AS item
            WHERE jsonb_typeof(product) = 'object') AS named
        CROSS JOIN LATERAL jsonb_each(product) AS one (field, said)
        WHERE event.name = ANY(%(names)s) AND event.received_at >= %(received)s
          AND event.occurred_at >= %(since)s AND event.occurred_at <= %(until)s
          AND length(item) BETWEEN 1 AND 255
          AND field = ANY(%(fields)s) AND said <> 'null' AND length(said::text) <= %(longest)s
          AND (source.kind <> %(public)s OR NOT field = ANY(%(links)s))
        ORDER BY item, field, occurred_at DESC, event.id DESC
    ) AS newest
    GROUP BY item ORDER BY item
    ON CONFLICT (key) DO UPDATE
    SET facts = CASE WHEN known.said_at <= EXCLUDED.said_at THEN known.facts || EXCLUDED.facts
                     ELSE EXCLUDED.facts || known.facts END,
        said_at = GREATEST(known.said_at, EXCLUDED.said_at)
"""


def update_products(*, now: datetime) -> int:
    """Take in what events that came since the last time say of products; return of how many."""
    told = 0
    for ranking in Ranking.objects.order_by("pk"):
        last = ranking.products_read_at
        since = now - timedelta(days=ranking.window_days)
        asked: dict[str, Any] = {
            "names": list(ranking.event_weights),
            "received": since if last is None else last - OVERLAP,
            "since": since,
            "until": now,
            "fields": list(FIELDS),
            "links": list(LINKS.values()),
            "longest": LONGEST_ADDRESS + 2,
            "public": Kind.CLIENT.value,
        }
        with connection.cursor() as cursor:
            cursor.execute(UPDATE, asked)
            told += cursor.rowcount
        Ranking.objects.filter(pk=ranking.pk).update(products_read_at=now)
    return told
