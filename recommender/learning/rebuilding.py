"""Works a policy's sums out anew from the log, to see that they are right and to take people out.

Sums are additive, so what a person's decisions put into them can be taken out again, exactly but
for rounding; and the whole log has to come to what is stored.
"""

import logging
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import numpy as np
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from recommender.bandits.base import Bandit, Statistics
from recommender.learning.holding import hold_publishing
from recommender.learning.sums import (
    DAY,
    add_up,
    find_stored_at,
    make_bandit,
    read_sums,
    settings_of,
    write_sums,
)
from recommender.models import Challenger, OfferStatistics, Policy, PolicyNetwork, Reward
from recommender.rewards.settling import Settled

logger = logging.getLogger(__name__)

BATCH = 20_000
# What sums may differ by, as a part of themselves: they are added up in another order.
TOLERANCE = 1e-9
FIRST = uuid.UUID(int=0)
AS_THE_LOG_SAYS = ""

# What was learned from, and when.
Lesson = tuple[datetime, Settled]

LESSONS: LiteralString = """
    SELECT decision.id, reward.learned_at, decision.offer, true, decision.features, reward.value
    FROM recommender_reward AS reward
    CROSS JOIN LATERAL (
        SELECT * FROM recommender_decision WHERE id = reward.decision_id OFFSET 0) AS decision
    WHERE reward.policy_id = %(policy)s AND reward.is_lesson
      AND reward.decision_id > %(after)s
    ORDER BY reward.decision_id LIMIT %(limit)s
"""
OF_CUSTOMERS: LiteralString = """
    SELECT reward.policy_id, reward.learned_at, decision.offer, true, decision.features,
           reward.value
    FROM recommender_decision AS decision
    JOIN recommender_reward AS reward ON reward.decision_id = decision.id
    WHERE decision.customer_id = ANY(%(customers)s) AND reward.is_lesson
    ORDER BY decision.id
"""


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of holding a policy's sums against its log.

    Attributes:
        problem: What is wrong, in words; empty where the log says the same.
        is_wrong: Whether the sums are, instead of that nobody can tell.
    """

    problem: str
    is_wrong: bool = False


def rebuild_sums(
    policy: Policy, *, as_of: datetime | None, bandit: Bandit | None = None
) -> dict[str, Statistics]:
    """Add up all lessons that are in a policy's log, for each of its offers.

    Args:
        policy: The policy.
        as_of: As of when: what fades has faded until then.
        bandit: Whose sums; the policy's own without it.
    """
    bandit = bandit or make_bandit(policy, device="cpu")
    totals = _weigh(policy, [], as_of=as_of, bandit=bandit)
    for lessons in _read_log(policy):
        summed = _weigh(policy, lessons, as_of=as_of, bandit=bandit)
        totals = {offer: total + summed[offer] for offer, total in totals.items()}
    return totals


def _weigh(
    policy: Policy, lessons: Sequence[Lesson], *, as_of: datetime | None, bandit: Bandit
) -> dict[str, Statistics]:
    """Add lessons up, each faded since it was learned as the stored sums have."""
    memory = settings_of(policy)
    weights = [
        1.0 if as_of is None else memory.remembered((as_of - learned_at) / DAY)
        for learned_at, _ in lessons
    ]
    rows = [settled for _, settled in lessons]
    return add_up(policy, rows, bandit=bandit, weights=np.array(weights))


def check_sums(policy: Policy, *, now: datetime) -> Checked:
    """Hold a policy's sums against its log, and write down what came of it."""
    with transaction.atomic(), connection.cursor() as cursor:
        # What is learned meanwhile is in neither: it is committed as rewards and sums together.
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        policy.refresh_from_db()
        checked = compare(read_sums(policy), rebuild_sums(policy, as_of=find_stored_at(policy)))
    if checked.is_wrong:
        logger.error("The sums of %s are not what its log says: %s", policy, checked.problem)
        hold_publishing(policy, reason=f"Its sums are wrong: {checked.problem}.", now=now)
    Policy.objects.filter(pk=policy.pk).update(
        sums_checked_at=now, sums_problem=checked.problem, sums_are_wrong=checked.is_wrong
    )
    return checked


def repair_sums(policy_id: int) -> Checked:
    """Store what the log comes to, and return how that differed from what was stored.

    The policy does not learn meanwhile. Its next version says what follows.
    """
    with transaction.atomic():
        policy = Policy.objects.select_for_update(no_key=True).get(pk=policy_id)
        as_of = find_stored_at(policy)
        rebuilt = rebuild_sums(policy, as_of=as_of)
        before = compare(read_sums(policy), rebuilt)
        write_sums(policy, rebuilt, as_of=as_of)
        Policy.objects.filter(pk=policy_id).update(sums_problem="", sums_are_wrong=False)
    return before


def unlearn(customer_ids: Collection[int]) -> Mapping[str, int]:
    """Take what customers' decisions taught out of every policy's sums, before they are deleted.

    Runs in the transaction at hand. Returns how many lessons that were, under a name for the proof.
    """
    rewards = Reward.objects.filter(decision__customer__in=customer_ids)
    deciding = list(rewards.order_by().values_list("policy", flat=True).distinct())
    # None of them learns from these customers meanwhile; in one order, as whoever takes several.
    policies = Policy.objects.select_for_update(no_key=True).filter(pk__in=deciding).order_by("pk")
    held = {policy.pk: policy for policy in policies}
    taught: dict[int, list[Lesson]] = {}
    with connection.cursor() as cursor:
        cursor.execute(OF_CUSTOMERS, {"customers": list(customer_ids)})
        for policy_id, learned_at, *row in cursor.fetchall():
            taught.setdefault(policy_id, []).append((learned_at, Settled(*row)))
    count = 0
    for policy_id, lessons in taught.items():
        policy = held[policy_id]
        as_of = find_stored_at(policy)
        out = _weigh(policy, lessons, as_of=as_of, bandit=make_bandit(policy, device="cpu"))
        left = {offer: total - out[offer] for offer, total in read_sums(policy).items()}
        write_sums(policy, left, as_of=as_of)
        count += len(lessons)
    # A network has learned from them too; the next lesson trains it without them.
    PolicyNetwork.objects.filter(policy__in=taught).update(learned_from=0)
    # So has a challenger, which begins anew before it can decide.
    learning = Challenger.objects.filter(policy__in=taught, ended_at=None)
    learning.update(odds=None, assessment={}, assessed_at=None)
    return {"policies' lessons": count} if count else {}


def compare(stored: Mapping[str, Statistics], rebuilt: Mapping[str, Statistics]) -> Checked:
    """Say how stored sums differ from what the log comes to, offer by offer."""
    missing = sum(stored[offer].n - rebuilt[offer].n for offer in stored)
    if missing > 0.5 and settings.KEEP_DECISIONS_DAYS is not None:
        return Checked(f"{missing:,.0f} lessons are no longer in the log")
    worst = max(stored, key=lambda offer: _distance(stored[offer], rebuilt[offer]), default=None)
    if worst is None or _distance(stored[worst], rebuilt[worst]) <= TOLERANCE:
        return Checked(AS_THE_LOG_SAYS)
    counts = f"{stored[worst].n:,.0f} lessons against {rebuilt[worst].n:,.0f}"
    distance = _distance(stored[worst], rebuilt[worst])
    return Checked(f"{worst} differs by {distance:.1e} of itself ({counts})", is_wrong=True)


def _distance(one: Statistics, other: Statistics) -> float:
    """Return the largest difference, as a part of the largest number there is."""
    pairs: Sequence[tuple[Any, Any]] = [
        (one.precision_update, other.precision_update),
        (one.b, other.b),
        (one.n, other.n),
        (one.s, other.s),
    ]
    return max(
        float(np.max(np.abs(np.subtract(a, b))) / max(1.0, float(np.max(np.abs(b)))))
        for a, b in pairs
    )


def _read_log(policy: Policy) -> Iterator[Sequence[Lesson]]:
    """Read what a policy has learned from, some thousand decisions at a time."""
    after = FIRST
    while True:
        params: dict[str, Any] = {"policy": policy.pk, "after": after, "limit": BATCH}
        with connection.cursor() as cursor:
            cursor.execute(LESSONS, params)
            rows = cursor.fetchall()
        if not rows:
            return
        yield [(row[1], Settled(*row[2:])) for row in rows]
        after = rows[-1][0]


def find_unchecked(*, before: datetime) -> list[Policy]:
    """Find the policies that have learned and were not checked since a moment."""
    learned = Policy.objects.filter(Exists(OfferStatistics.objects.filter(policy=OuterRef("pk"))))
    return list(learned.exclude(sums_checked_at__gte=before).order_by("pk"))
