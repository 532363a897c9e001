"""Ask the record what people did whom a version's products were shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

import numpy as np
from django.db import connection

from audience.commerce import EACH_PRODUCT, ORDERED, PRODUCT_KEY
from recommender.arrays import FloatArray
from recommender.decision_ids import first_id_at
from recommender.models.rankings import RankerVersion

# How long people have to do something, and of how many days' showings it is asked.
AFTER = timedelta(days=1)
ASKED = timedelta(days=14)
MOST = 5_000

# Of each person the first list, so that nobody counts twice. What everybody is shown, as the
# control of a campaign is, says nothing of a ranker.
SHOWN: LiteralString = f"""
    WITH shown AS (
        SELECT DISTINCT ON (COALESCE(customer.merged_into_id, customer.id))
               COALESCE(customer.merged_into_id, customer.id) AS person, decision.decided_at,
               decision.products
        FROM recommender_decision AS decision
        JOIN audience_customer AS customer ON customer.id = decision.customer_id
        WHERE decision.id >= %(first)s AND decision.ranker_version = %(version)s
          AND decision.position = 0 AND cardinality(decision.products) > 0
          AND cardinality(decision.eligible) > 0 AND decision.decided_at <= %(until)s
        ORDER BY COALESCE(customer.merged_into_id, customer.id), decision.decided_at
        LIMIT %(most)s
    )
    SELECT shown.products, COALESCE(met.before, '{{}}'), COALESCE(met.after, '{{}}'),
           COALESCE(met.bought, '{{}}')
    FROM shown
    CROSS JOIN LATERAL (
        SELECT array_agg(DISTINCT item) FILTER (WHERE occurred_at <= shown.decided_at) AS before,
               array_agg(DISTINCT item) FILTER (WHERE occurred_at > shown.decided_at) AS after,
               array_agg(DISTINCT item)
                   FILTER (WHERE occurred_at > shown.decided_at AND name = %(ordered)s) AS bought
        FROM (
            SELECT event.occurred_at, event.name,
                   {PRODUCT_KEY} AS item
            FROM audience_customer AS same
            JOIN audience_event AS event ON event.customer_id = same.id
            CROSS JOIN LATERAL {EACH_PRODUCT}
            WHERE (same.id = shown.person OR same.merged_into_id = shown.person)
              AND event.name = ANY(%(names)s)
              AND event.occurred_at > shown.decided_at - make_interval(days => %(days)s)
              AND event.occurred_at <= shown.decided_at + %(after)s::interval
        ) AS touched WHERE item <> '') AS met
"""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What people did within a day after a version's products were shown to them.

    Attributes:
        shown: How many people there were.
        followed: Of whom so many did something with a product that they were shown.
        bought: And so many ordered one.
        places: How many products a person was shown, in the middle.
        recalls: Of those who met something new, how much of it they had been shown, shape (n,):
            the measure that the trial calls recall.
    """

    shown: int
    followed: int
    bought: int
    places: float
    recalls: FloatArray


def read_outcome(version: RankerVersion, *, now: datetime) -> Outcome:
    """Read what became of the lists of the last days, a day ago and more."""
    ranking = version.ranking
    asked: dict[str, Any] = {
        "version": version.pk,
        "first": first_id_at(now - ASKED),
        "until": now - AFTER,
        "after": AFTER,
        "days": ranking.window_days,
        "names": sorted({ORDERED, *ranking.event_weights}),
        "ordered": ORDERED,
        "most": MOST,
    }
    with connection.cursor() as cursor:
        cursor.execute(SHOWN, asked)
        rows: Sequence[tuple[list[str], list[str], list[str], list[str]]] = cursor.fetchall()
    recalls = [
        len(new & set(products)) / len(new)
        for products, before, after, _ in rows
        if (new := set(after) - set(before))
    ]
    return Outcome(
        shown=len(rows),
        followed=sum(bool(set(products) & set(after)) for products, _, after, _ in rows),
        bought=sum(bool(set(products) & set(bought)) for products, _, _, bought in rows),
        places=float(np.median([len(products) for products, *_ in rows])) if rows else 0.0,
        recalls=np.array(recalls, dtype=np.float64),
    )
