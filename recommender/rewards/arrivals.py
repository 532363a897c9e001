"""Reads from the log how rewards arrive, and how far those are that are awaited."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from recommender.delays import Arrival, DelayCurve, choose_landmarks, fit_delays
from recommender.models import Policy
from recommender.rewards.attribution import DECIDED, FOUND, REVERSED, parameters
from recommender.rewards.settling import REVISED_FOR

# How rewards arrive changes slowly, and so many of the newest tell it to a per cent or two.
FIT_EVERY = timedelta(hours=1)
MOST = 2_000

# Of the newest that earned anything; whoever's window was another then is left out.
ARRIVALS = f"""
    WITH due AS (
        SELECT * FROM recommender_reward
        WHERE policy_id = %(policy)s AND settled_at IS NOT NULL
          AND (value < cost * -1 OR value > cost * -1) AND due_at <= %(now)s
        ORDER BY settled_at DESC LIMIT %(limit)s
    ), decision AS ({DECIDED}), found AS MATERIALIZED (
        SELECT decision.id AS decision_id, decision.decided_at, decision.person, event.*
        FROM decision CROSS JOIN LATERAL ({FOUND}) AS event
    )
    SELECT decision_id, id, extract(epoch FROM occurred_at - decided_at)::float,
           COALESCE(value, 0), false
    FROM found
    UNION ALL
    SELECT found.decision_id, found.id,
           extract(epoch FROM taken.occurred_at - found.decided_at)::float, taken.amount, true
    FROM found
    CROSS JOIN LATERAL (SELECT found.decided_at, found.person) AS decision
    CROSS JOIN LATERAL ({REVERSED}) AS taken
"""
# How many decisions wait, and how old they are, between two points of the curve: it is straight
# there, so that of all of them it says what it says of their mean age.
WAITING = """
    SELECT avg(age), count(*) FROM (
        SELECT %(window)s - extract(epoch FROM due_at - %(now)s)::float AS age
        FROM recommender_reward
        WHERE policy_id = %(policy)s AND settled_at IS NULL AND due_at > %(now)s) AS waiting
    GROUP BY width_bucket(age, %(ages)s::float[])
"""


@dataclass(frozen=True, slots=True)
class Maturity:
    """How far the rewards are of decisions whose window has not passed.

    Attributes:
        waiting: How many such decisions there are.
        arrived: The share of what they will earn that is expected to have come.
        curve: What that is expected by.
    """

    waiting: int
    arrived: float
    curve: DelayCurve


def is_stale(policy: Policy, *, now: datetime) -> bool:
    """Tell whether a policy's curve is old enough to be fitted anew."""
    return policy.delays_fitted_at is None or now - policy.delays_fitted_at >= FIT_EVERY


def refit_delays(policy: Policy, *, now: datetime) -> None:
    """Fit a policy's curve to its newest decisions that earned anything, and keep it."""
    window = policy.reward_window_seconds
    params: dict[str, Any] = {
        **parameters(policy),
        "now": now,
        "age": window,
        "reversed_by": window + REVISED_FOR.total_seconds(),
        "limit": MOST,
    }
    with connection.cursor() as cursor:
        cursor.execute(ARRIVALS, params)
        arrivals = [Arrival(*row) for row in cursor.fetchall()]
    curve = fit_delays(
        arrivals,
        kind=policy.reward_kind,
        window=window,
        landmarks=choose_landmarks(policy.landmarks, window=window),
    )
    policy.delays = None if curve is None else curve.to_json()
    policy.delays_fitted_at = now
    policy.save(update_fields=["delays", "delays_fitted_at"])


def find_maturity(policy: Policy, *, now: datetime) -> Maturity | None:
    """Find how much of the reward of a policy's recent decisions is expected to have arrived.

    None where nothing is awaited, or nobody can tell.
    """
    if policy.delays is None:
        return None
    curve = DelayCurve.from_json(policy.delays)
    with connection.cursor() as cursor:
        window = policy.reward_window_seconds
        params: dict[str, Any] = {
            "policy": policy.pk,
            "now": now,
            "window": window,
            "ages": list(curve.ages),
        }
        cursor.execute(WAITING, params)
        rows = cursor.fetchall()
    waiting = sum(count for _, count in rows)
    if not waiting:
        return None
    came = sum(count * curve.at(age) for age, count in rows)
    return Maturity(waiting, came / waiting, curve)
