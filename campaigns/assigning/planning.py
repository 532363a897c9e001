"""Plans what is scarce for a whole audience, so that it goes where it earns most.

On the site nobody knows who will come. Here everybody is known, so that offers with a budget or a
limit in total are divided among all of them at once (`recommender/scarcity/allocating.py`), and not
given to those whose turn is first. The plan is made again whenever half of those are done whom it
was made for: what chance, or what was not foreseen, gave out more or less is made up for by the
others.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, LiteralString
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from django.db import connection, transaction

from campaigns.deciding.eligibility import reason_against
from campaigns.deciding.foresight import find_open, to_eligible
from campaigns.deciding.limits import Limit
from campaigns.deciding.snapshot import RunningCampaign, Serves
from campaigns.models import Assignment, AssignmentPlan, Counter
from experiments.assigning.assignment import BUCKETS
from recommender.arrays import FloatArray
from recommender.models import PolicyVersion
from recommender.scarcity.allocating import PlannedOdds, divide
from recommender.weighing.odds import Odds

# From fewer the prices would be chance.
LEAST = 200
# Of more customers, a part stands for all.
MOST = 1_000_000
# So many tell whether anything is scarce.
ASKED = 5_000
CHUNK = 20_000

# In an order of chance, so that the first of them are like all.
REMAINING: LiteralString = """
    SELECT customer.attributes::text FROM campaigns_assigned AS assigned
    JOIN audience_customer AS customer ON customer.id = assigned.customer_id
    WHERE assigned.assignment_id = %(assignment)s AND assigned.customer_id > %(reached)s
      AND abs(hashint8(assigned.customer_id)::bigint) %% %(every)s = 0
    ORDER BY hashint8(assigned.customer_id), assigned.customer_id
"""


@dataclass(frozen=True, slots=True, eq=False)
class Scarce:
    """What is scarce: R things.

    Attributes:
        uses: What one of each offer of the policy's odds uses of them, shape (R, K).
        left: What there is of them, shape (R,).
    """

    uses: FloatArray
    left: FloatArray


def follow_plan(
    assignment: Assignment, campaign: RunningCampaign, *, now: datetime, zone: ZoneInfo
) -> RunningCampaign:
    """Return a campaign whose policy divides what is scarce as planned, and plan it where due.

    It stays as it is where nothing is scarce, or nothing was learned yet.
    """
    policy = campaign.policy
    if policy.slate is not None or policy.version == 0 or not _find_limits(campaign, now, zone):
        return campaign
    plan = assignment.plans.order_by("pk").last()
    odds = None if plan is None else _find_odds(plan, campaign)
    if plan is None or odds is None or _is_old(plan, assignment):
        plan = _plan(assignment, campaign, now=now, zone=zone)
        odds = None if plan is None else _find_odds(plan, campaign)
    if plan is None or odds is None or plan.temperature is None:
        return campaign
    planned = PlannedOdds.of(odds, plan.asked, temperature=plan.temperature)
    followed = replace(policy, odds=planned, version=plan.version, plan=plan.pk)
    return replace(campaign, policy=followed)


def _is_old(plan: AssignmentPlan, assignment: Assignment) -> bool:
    remaining = Assignment.objects.values_list("total", "done").get(pk=assignment.pk)
    left = remaining[0] - remaining[1]
    return LEAST <= left <= plan.customers // 2


def _find_odds(plan: AssignmentPlan, campaign: RunningCampaign) -> Odds | None:
    """Return the odds of a plan's version; None if it is no longer kept."""
    policy = campaign.policy
    if plan.version == policy.version:
        return policy.odds
    version = PolicyVersion.objects.filter(policy=policy.id, number=plan.version).first()
    return None if version is None else Odds.from_bytes(bytes(version.odds))


def _plan(
    assignment: Assignment, campaign: RunningCampaign, *, now: datetime, zone: ZoneInfo
) -> AssignmentPlan | None:
    """Plan for all who are left, unless another worker has just done so; None if too few are."""
    with transaction.atomic():
        # Nobody is decided for meanwhile, so that what is left belongs to who is left.
        locked = Assignment.objects.select_for_update(no_key=True).get(pk=assignment.pk)
        newest = locked.plans.order_by("pk").last()
        is_current = newest is not None and _find_odds(newest, campaign) is not None
        if newest is not None and is_current and not _is_old(newest, locked):
            return newest
        remaining = locked.total - locked.done
        if locked.finished_at is not None or remaining < LEAST:
            return newest if is_current else None
        asked, temperature = _divide(locked, campaign, remaining, now=now, zone=zone)
        return AssignmentPlan.objects.create(
            assignment=locked,
            customers=remaining,
            version=campaign.policy.version,
            asked=asked,
            temperature=temperature,
            made_at=now,
        )


def _divide(
    assignment: Assignment,
    campaign: RunningCampaign,
    remaining: int,
    *,
    now: datetime,
    zone: ZoneInfo,
) -> tuple[dict[str, float], float | None]:
    """Return what offers are asked for, and the division's temperature; none if all is enough."""
    policy, eligible = campaign.policy, to_eligible(campaign, find_open(campaign, now=now))
    scarce = _find_scarce(campaign, remaining, now=now, zone=zone)
    columns = np.flatnonzero(eligible)
    if scarce is None or not len(columns):
        return {}, None
    uses = scarce.uses[:, columns]
    worths, n, wanted = [], 0, None
    for x in _read_customers(assignment, policy.odds, every=-(-remaining // MOST)):
        if wanted is None:
            few = x[:ASKED]
            weights = policy.odds.weights_many(few, np.tile(eligible, (len(few), 1)))
            wanted = remaining * (scarce.uses @ weights.mean(axis=0))
            if (wanted <= scarce.left).all():
                return {}, None
        worths.append(PlannedOdds.of(policy.odds, {}, temperature=1.0).expect(x)[:, columns])
        n += len(x)
    if not n:
        return {}, None
    floor, judging = policy.odds.floor, policy.judging_floor or policy.odds.floor
    floor += policy.held_back_share * (judging - floor)
    division = divide(np.concatenate(worths), uses, scarce.left * (n / remaining), floor=floor)
    asked = division.prices @ uses
    keys = [policy.odds.offers[column] for column in columns]
    return dict(zip(keys, asked.tolist(), strict=True)), division.temperature


def _read_customers(assignment: Assignment, odds: Odds, *, every: int) -> Iterator[FloatArray]:
    """Yield those who are left as the policy sees them, or every so many of them, in chunks."""
    params: dict[str, Any] = {
        "assignment": assignment.pk,
        "reached": assignment.reached,
        "every": every,
    }
    # On the server's side, so that a million texts are not held at once.
    with connection.chunked_cursor() as cursor:
        cursor.execute(REMAINING, params)
        while rows := cursor.fetchmany(CHUNK):
            yield odds.features.encode_many([msgspec.json.decode(row[0]) for row in rows])


def _find_scarce(
    campaign: RunningCampaign, remaining: int, *, now: datetime, zone: ZoneInfo
) -> Scarce | None:
    """Return what is scarce, and what would be left for the policy if all were in its arm.

    Arms are drawn by hash, so each has its share of every kind of customer. What the control gives
    out by fixed shares is taken off.
    """
    limits = _find_limits(campaign, now, zone)
    in_arms = dict.fromkeys(Serves, 0.0)
    for arm in campaign.arms:
        in_arms[arm.serves] += arm.weight / BUCKETS
    if not in_arms[Serves.POLICY]:
        return None
    names = {name for limit in limits for name in limit.counters}
    used = dict(Counter.objects.filter(name__in=names).values_list("name", "used"))
    shares = campaign.shares * [reason_against(o.rules, now=now) is None for o in campaign.offers]
    shares = shares / max(shares.sum(), 1.0)
    uses = np.array([[each.uses.get(key, 0) for key in campaign.keys] for each in limits])
    total = np.array([each.total - sum(used.get(n, 0) for n in each.counters) for each in limits])
    left = total - remaining * in_arms[Serves.BASELINE] * (uses @ shares)
    by_place = np.zeros((len(limits), len(campaign.policy.odds.offers)))
    known = campaign.places >= 0
    by_place[:, campaign.places[known]] = uses[:, known]
    # Of what is all gone next to nothing is left: it is asked for a price that nobody pays.
    return Scarce(
        by_place, np.maximum(left, 1e-3 * np.maximum(total, 1.0)) / in_arms[Serves.POLICY]
    )


@dataclass(frozen=True, slots=True)
class _Limited:
    """Something limited in total: by which counters, to how much, and what offers use of it."""

    counters: Sequence[str]
    total: float
    uses: Mapping[str, int]


def _find_limits(campaign: RunningCampaign, now: datetime, zone: ZoneInfo) -> list[_Limited]:
    budget, rules = campaign.budget, [offer.rules for offer in campaign.offers]
    found = []
    costs = {rule.key: rule.cost_cents for rule in rules if rule.cost_cents}
    if budget.limit_cents is not None and costs:
        part = 1.0 if budget.spread is None else budget.spread.part_before(now)
        found.append(_Limited([budget.counter], budget.limit_cents * part, costs))
    for rule in rules:
        if rule.caps.total is not None:
            found.append(_Limited([rule.counter], rule.caps.total, {rule.key: 1}))
        found += [_to_limited(each, [rule.key], now, zone) for each in rule.limits if _counts(each)]
    for limit in filter(_counts, campaign.limits):
        found.append(_to_limited(limit, campaign.keys, now, zone))
    return found


def _counts(limit: Limit) -> bool:
    return limit.counts_decisions and not limit.is_per_customer


def _to_limited(limit: Limit, keys: Sequence[str], now: datetime, zone: ZoneInfo) -> _Limited:
    return _Limited(limit.counters(now, zone), limit.most, dict.fromkeys(keys, 1))
