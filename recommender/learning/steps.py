"""Reads a policy's decisions for each customer in a row, for bandits that decide over time.

A customer's features were logged with each decision, as they were seen then. So what the policy
learns from is what it will see, and holds nothing that came later.
"""

from datetime import datetime, timedelta
from itertools import pairwise
from typing import LiteralString

import numpy as np
from django.db import connection

from recommender.arrays import BoolArray
from recommender.bandits.base import Steps
from recommender.learning.lessons import FADED, SECONDS_OF_A_DAY, bind_fading
from recommender.models import Policy
from recommender.weighing.features import FeatureSpec

# Of more than these, the newest: a worker learns from so many in about ten seconds.
MOST_DECISIONS = 200_000
# Whom nothing was decided for since so long will not come back; before that, nobody can tell.
ENDED_AFTER = timedelta(days=30)

# Ids begin with the time, so the newest come first. OFFSET 0 is that of `rebuilding.py`. Whoever
# was merged is one person. Held back are persons as a whole, so that no sequence has gaps by that.
DECISIONS: LiteralString = f"""
    WITH newest AS (
        SELECT decision_id, CASE WHEN is_lesson THEN value END AS value, {FADED} AS weight
        FROM recommender_reward
        WHERE policy_id = %(policy)s
        ORDER BY decision_id DESC LIMIT %(limit)s
    )
    SELECT COALESCE(customer.merged_into_id, customer.id) AS person, decision.campaign,
           extract(epoch FROM decision.decided_at)::float8 AS at, decision.offer,
           decision.eligible, decision.features, newest.value, newest.weight
    FROM newest
    CROSS JOIN LATERAL (
        SELECT * FROM recommender_decision WHERE id = newest.decision_id OFFSET 0) AS decision
    JOIN audience_customer AS customer ON customer.id = decision.customer_id
    WHERE NOT decision.held_back AND cardinality(decision.features) = %(size)s
      AND cardinality(decision.eligible) > 0
    ORDER BY person, decision.campaign, decision.decided_at, decision.id
"""


def read_steps(policy: Policy, *, now: datetime, limit: int = MOST_DECISIONS) -> Steps:
    """Read the newest lessons of a policy's offers, each with the decision that came after it.

    Left out is what nothing has followed yet, but still may.
    """
    size = FeatureSpec.from_json(policy.features).size
    params = {"policy": policy.pk, "limit": limit, "size": size} | bind_fading(policy, now=now)
    with connection.cursor() as cursor:
        cursor.execute(DECISIONS, params)
        rows = cursor.fetchall()
    place = {offer: index for index, offer in enumerate(policy.offers)}
    x = np.array([row[5] for row in rows], dtype=np.float64).reshape(-1, size)
    eligible = _to_eligible([row[4] for row in rows], place)
    at = np.array([row[2] for row in rows], dtype=np.float64)
    is_same = [a[:2] == b[:2] for a, b in pairwise(rows)]
    follows = np.array([*is_same, False][: len(rows)], dtype=bool)
    has_ended = ~follows & (at < now.timestamp() - ENDED_AFTER.total_seconds())
    is_lesson = np.array([row[6] is not None and row[3] in place for row in rows], dtype=bool)
    # One that weighs nothing any more is forgotten.
    counts = np.array([float(row[7] or 0.0) for row in rows])
    here = np.flatnonzero(is_lesson & (follows | has_ended) & (counts > 0.0))
    after = np.where(follows[here], here + 1, here)
    return Steps(
        offer_index=np.array([place[rows[n][3]] for n in here], dtype=np.int64),
        x=x[here],
        eligible=eligible[here],
        reward=np.array([rows[n][6] for n in here], dtype=np.float64),
        days=(at[after] - at[here]) / SECONDS_OF_A_DAY,
        next_x=x[after],
        next_eligible=eligible[after] & follows[here][:, None],
        weight=counts[here],
    )


def _to_eligible(keys: list[list[str]], place: dict[str, int]) -> BoolArray:
    """Mark which of a policy's offers could be drawn, (n, K)."""
    eligible = np.zeros((len(keys), len(place)), dtype=bool)
    for row, some in enumerate(keys):
        eligible[row, [place[key] for key in some if key in place]] = True
    return eligible
