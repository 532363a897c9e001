"""Reads what a policy has learned from decision by decision, for bandits that need more than sums.

Decisions that are alike come as one row: where customers are told apart by a few categories, years
of them are some hundred rows.
"""

from datetime import datetime
from typing import Any, LiteralString

import numpy as np
from django.db import connection

from recommender.bandits.base import Log
from recommender.learning.sums import settings_of
from recommender.models import Policy
from recommender.weighing.features import FeatureSpec

# Of more than these, the newest: a worker reads so many in two seconds or so.
MOST_LESSONS = 200_000

SECONDS_OF_A_DAY = 86_400.0

# What a row of rewards counts, as a part of one that was learned right now.
FADED: LiteralString = """CASE WHEN %(memory)s::float8 IS NULL THEN 1.0 ELSE
                   exp(-greatest(extract(epoch FROM %(now)s - learned_at), 0)
                       / %(memory)s::float8) END"""
# Ids begin with the time, so the newest come first. OFFSET 0 is that of `rebuilding.py`.
REMEMBERED: LiteralString = f"""
    WITH newest AS (
        SELECT decision_id, value, {FADED} AS weight
        FROM recommender_reward
        WHERE policy_id = %(policy)s AND is_lesson
        ORDER BY decision_id DESC LIMIT %(limit)s
    )
    SELECT decision.offer, decision.features, sum(weight * value) / sum(weight), sum(weight)
    FROM newest
    CROSS JOIN LATERAL (
        SELECT * FROM recommender_decision WHERE id = newest.decision_id OFFSET 0) AS decision
    WHERE decision.offer = ANY(%(offers)s) AND weight > 0
    GROUP BY decision.offer, decision.features
    ORDER BY decision.offer, decision.features
"""


def bind_fading(policy: Policy, *, now: datetime) -> dict[str, Any]:
    """Write the parameters of `FADED`."""
    days = settings_of(policy).memory_days
    return {"now": now, "memory": None if days is None else days * SECONDS_OF_A_DAY}


def read_log(policy: Policy, *, now: datetime, limit: int = MOST_LESSONS) -> Log:
    """Read the newest lessons of a policy's offers, as they have faded until now."""
    params: dict[str, Any] = {"policy": policy.pk, "offers": policy.offers, "limit": limit}
    params |= bind_fading(policy, now=now)
    with connection.cursor() as cursor:
        cursor.execute(REMEMBERED, params)
        rows = cursor.fetchall()
    place = {offer: index for index, offer in enumerate(policy.offers)}
    size = FeatureSpec.from_json(policy.features).size
    return Log(
        offer_index=np.array([place[row[0]] for row in rows], dtype=np.int64),
        x=np.array([row[1] for row in rows], dtype=np.float64).reshape(-1, size),
        reward=np.array([row[2] for row in rows], dtype=np.float64),
        weight=np.array([row[3] for row in rows], dtype=np.float64),
    )
