"""Settle what decisions earned: join each with the events of its window, once.

Before that it is looked at from time to time, as soon as the policy's own past says how much of a
reward has arrived by then (`delays.py`); after it, when an order is taken back.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Exists, OuterRef, Q

from recommender.bandits import RATE_KINDS
from recommender.decision_ids import first_id_at
from recommender.delays import MOST_LANDMARKS, DelayCurve, choose_landmarks
from recommender.models import Policy, Reversal, Reward
from recommender.rewards.attribution import DECIDED, EARNED, parameters
from recommender.rewards.places import SETTLE_PLACES, SETTLE_PLACES_AGAIN
from recommender.rewards.reversals import SETTLED, TAKE_REVERSALS

# Events arrive a little after they happen; a window is settled when they have had time to.
GRACE = timedelta(seconds=3)
# So long after a decision's window an order of it may be taken back, and what was learned with it.
REVISED_FOR = timedelta(days=180)

# Rewards that wait at a stage, which are found at the head of its part of the index.
PENDING = """
    SELECT * FROM recommender_reward
    WHERE policy_id = %(policy)s AND settled_at IS NULL AND stage = %(at_stage)s
      AND due_at <= %(due_by)s
    ORDER BY due_at, decision_id LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
"""


def _look(due: str) -> str:
    """Write the statement that values what is due.

    The claim and the value are one: whoever runs it second finds nothing at that stage. A cost is
    known at once, so none of it is still to arrive.
    """
    return f"""
        WITH due AS ({due}), decision AS ({DECIDED}), earned AS ({EARNED}), seen AS (
            UPDATE recommender_reward AS reward
            SET value = CASE WHEN earned.is_lesson OR NOT %(is_early)s
                             THEN earned.value / %(arrived)s - earned.cost END,
                cost = earned.cost,
                settled_at = CASE WHEN NOT %(is_early)s
                                  THEN COALESCE(reward.settled_at, %(now)s) END,
                stage = COALESCE(%(stage)s, reward.stage),
                is_lesson = earned.is_lesson,
                learned_at = CASE WHEN earned.is_lesson
                                  THEN COALESCE(reward.learned_at, %(now)s) END
            FROM earned WHERE reward.decision_id = earned.id
            RETURNING reward.decision_id, reward.value, reward.is_lesson, reward.learned_at
        )
        SELECT decision.offer, seen.is_lesson, decision.features, seen.value, decision.before,
               seen.learned_at, decision.is_pending AND NOT %(is_early)s
        FROM seen JOIN decision ON decision.id = seen.decision_id
        ORDER BY seen.decision_id
    """


LOOK_AT_PENDING, LOOK_AGAIN = _look(PENDING), _look(SETTLED)


@dataclass(frozen=True, slots=True)
class Settled:
    """A decision whose reward is known: what was shown to whom, and what it earned.

    It is a lesson if the policy learns from it: of one of its offers, to a customer not held back.

    Attributes:
        offer: What was shown; None is nothing.
        is_lesson: Whether the sums hold it from now on.
        features: Of the customer, as they were.
        value: What it earned, or is expected to while it is early.
        before: What the sums hold of it already; None if it is new to them.
        learned_at: Since when they hold it.
        is_final: Whether it was settled just now.
    """

    offer: str | None
    is_lesson: bool
    features: Sequence[float]
    value: float
    before: float | None = None
    learned_at: datetime | None = field(default=None, compare=False)
    is_final: bool = True


def find_due_policies(*, now: datetime) -> list[Policy]:
    """Find the policies with a reward to look at, by a few looks into the index for each."""
    every = list(range(MOST_LANDMARKS + 1))
    pending = Reward.objects.filter(policy=OuterRef("pk"), settled_at=None)
    final = Exists(pending.filter(stage__in=every, due_at__lte=now - GRACE))
    taken_back = Exists(Reversal.objects.filter(policy=OuterRef("pk")))
    due = set(Policy.objects.filter(final | taken_back).values_list("pk", flat=True))
    for policy in Policy.objects.exclude(delays=None):
        early = Q()
        for stage, age, _ in landmarks_of(policy):
            early |= Q(stage__in=range(stage), due_at__lte=_due_by(policy, age=age, now=now))
        if early and Reward.objects.filter(early, policy=policy, settled_at=None).exists():
            due.add(policy.pk)
    return list(Policy.objects.filter(pk__in=due).order_by("pk"))


def landmarks_of(policy: Policy) -> list[tuple[int, int, float]]:
    """Return stages before the window has passed: number, age in seconds, share of reward by then.

    There are none before the policy's past says how rewards arrive. A rate is learned from rewards
    of 0 to 1 alone, which one that stands for others to come may pass; slates learn nothing.
    """
    if policy.delays is None or policy.kind in RATE_KINDS or policy.ranking_id is not None:
        return []
    ages = choose_landmarks(policy.landmarks, window=policy.reward_window_seconds)
    return DelayCurve.from_json(policy.delays).landmarks(ages)


def settle_rewards(policy: Policy, *, now: datetime, limit: int) -> list[Settled]:
    """Look at up to `limit` rewards of every stage that are due, in the transaction at hand.

    Those whose window has passed are settled. Of the others only what the sums learn of is told.
    """
    window = policy.reward_window_seconds
    shared = {**parameters(policy), "now": now, "limit": limit}
    if policy.ranking_id is not None:
        return _settle_places(policy, shared, now=now)
    at_the_end: dict[str, Any] = {
        **shared,
        "age": window,
        "reversed_by": window + REVISED_FOR.total_seconds(),
        "is_early": False,
        "arrived": 1.0,
        "stage": None,
    }
    every = list(range(MOST_LANDMARKS + 1))
    seen: list[Settled] = []
    if again := _take_reversals(policy, shared, now=now):
        seen += _run(LOOK_AGAIN, {**at_the_end, **again})
    seen += _run_at(every, {**at_the_end, "due_by": now - GRACE}, limit=limit)
    # The latest first, so that none is looked at twice on the way to it.
    for stage, age, arrived in reversed(landmarks_of(policy)):
        early = {
            **shared,
            "age": age,
            "reversed_by": age,
            "is_early": True,
            "arrived": arrived,
            "stage": stage,
            "due_by": _due_by(policy, age=age, now=now),
        }
        seen += _run_at(range(stage), early, limit=limit)
    return seen


def _settle_places(policy: Policy, shared: Mapping[str, Any], *, now: datetime) -> list[Settled]:
    """Look at the places of slates whose window has passed, and again where orders went back."""
    window = policy.reward_window_seconds
    reversed_by = window + REVISED_FOR.total_seconds()
    params = {**shared, "window": window, "reversed_by": reversed_by, "settled": now - GRACE}
    seen: list[Settled] = []
    if again := _take_reversals(policy, shared, now=now):
        seen += _run(SETTLE_PLACES_AGAIN, {**params, **again})
    return seen + _run(SETTLE_PLACES, params)


def _run_at(stages: Iterable[int], params: Mapping[str, Any], *, limit: int) -> list[Settled]:
    """Look at rewards that wait at some stages, so many of them at most."""
    seen: list[Settled] = []
    for stage in stages:
        if len(seen) < limit:
            left = {**params, "at_stage": stage, "limit": limit - len(seen)}
            seen += _run(LOOK_AT_PENDING, left)
    return seen


def _due_by(policy: Policy, *, age: int, now: datetime) -> datetime:
    """Return when the windows end, at the latest, of decisions that have reached an age."""
    return now - GRACE + timedelta(seconds=policy.reward_window_seconds - age)


def _revised_since(policy: Policy, *, now: datetime) -> datetime:
    """Return from when on decisions are revised: their events must all be there still."""
    since = now - REVISED_FOR - timedelta(seconds=policy.reward_window_seconds)
    if settings.KEEP_EVENTS_DAYS is None:
        return since
    return max(since, now - timedelta(days=settings.KEEP_EVENTS_DAYS))


def _take_reversals(
    policy: Policy, params: Mapping[str, Any], *, now: datetime
) -> Mapping[str, Any]:
    """Return whose decisions since when are looked at again; nothing where nobody's are."""
    with connection.cursor() as cursor:
        cursor.execute(TAKE_REVERSALS, params)
        customers = sorted({row[0] for row in cursor.fetchall()})
    if not customers:
        return {}
    return {"customers": customers, "since": first_id_at(_revised_since(policy, now=now))}


def _run(statement: str, params: Mapping[str, Any]) -> list[Settled]:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return [Settled(*row) for row in cursor.fetchall()]
