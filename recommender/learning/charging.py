"""Learns prices of what is scarce from what was used up, and publishes versions that charge them.

What a worker learns of a stretch of time, the new price and the version that charges it are one
transaction: whoever is killed has learned nothing, and no stretch counts twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from django.db import transaction

from recommender.learning.holding import is_held
from recommender.learning.sampling import sample_customers
from recommender.learning.versions import store_version
from recommender.models import Policy, PolicyPrice
from recommender.scarcity.prices import STEPS, Stretch, find_unit_worth, step_price
from recommender.weighing.odds import Odds

# However short a campaign is: everybody who decides reads a new version.
LEAST_STEP = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Scarce:
    """Something that offers use up and that is to last.

    Attributes:
        resource: Its name.
        total: How much there is.
        used: How much is used by now.
        uses: What an offer uses when it is given out, by its key; the others use nothing.
        begins_at: From when on it lasts.
        ends_at: Until when.
    """

    resource: str
    total: int
    used: int
    uses: Mapping[str, int]
    begins_at: datetime
    ends_at: datetime

    def part_before(self, moment: datetime) -> float:
        """Return which part of its time is over at a moment, from 0 to 1."""
        part = (moment - self.begins_at) / (self.ends_at - self.begins_at)
        return min(max(part, 0.0), 1.0)


def read_charges(policy: Policy) -> dict[str, float]:
    """Return what each offer has to earn more, for all that it uses."""
    charges: dict[str, float] = {}
    for row in PolicyPrice.objects.filter(policy=policy).order_by("resource"):
        for offer, units in row.uses.items():
            charges[offer] = charges.get(offer, 0.0) + row.price * units
    return charges


def learn_prices(policy_id: int, scarce: Sequence[Scarce], *, now: datetime) -> int | None:
    """Learn from what was used since the last time, and publish; return the version's number.

    None where there was nothing to do: another worker is at it, it was done lately, publishing is
    held, or the policy has learned nothing yet, so that nobody knows what anything is worth. From
    log-odds no price can be taken off.

    Args:
        policy_id: Of the policy.
        scarce: All that it pays for; what is not among it is free from now on.
        now: The time.
    """
    policy = Policy.objects.get(pk=policy_id)
    if not _is_due(policy, scarce, now=now):
        return None
    worths = _find_unit_worths(policy, scarce, now=now)
    with transaction.atomic():
        # As whoever learns; the key stays free for decisions that name this policy.
        locked = Policy.objects.select_for_update(skip_locked=True, no_key=True)
        policy_now = locked.filter(pk=policy_id).first()
        if policy_now is None or is_held(policy_now) or not _is_due(policy_now, scarce, now=now):
            return None
        newest = policy_now.versions.first()
        odds = None if newest is None else Odds.from_bytes(bytes(newest.odds))
        if newest is None or odds is None or odds.is_log_odds:
            return None
        for each in scarce:
            _step(policy_now, each, unit_worth=worths.get(each.resource, 0.0), now=now)
        policy_now.prices.exclude(resource__in=[each.resource for each in scarce]).delete()
        charged = odds.charge(read_charges(policy_now), version=newest.number + 1)
        if charged.charges == odds.charges:
            return None
        return store_version(policy_now, charged, learned_from=newest.learned_from, now=now)


def _is_due(policy: Policy, scarce: Sequence[Scarce], *, now: datetime) -> bool:
    """Tell whether a price is missing, was learned long ago, or is of what is free by now."""
    priced = dict(policy.prices.values_list("resource", "priced_at"))
    if priced.keys() != {each.resource for each in scarce}:
        return True
    return any(
        now - priced[each.resource] >= max((each.ends_at - each.begins_at) / STEPS, LEAST_STEP)
        for each in scarce
    )


def _step(policy: Policy, scarce: Scarce, *, unit_worth: float, now: datetime) -> None:
    """Move one price, or begin with none."""
    row = PolicyPrice.objects.filter(policy=policy, resource=scarce.resource).first()
    if row is None:
        row = PolicyPrice(policy=policy, resource=scarce.resource)
    else:
        before, over = scarce.part_before(row.priced_at), scarce.part_before(now)
        if over > before:
            stretch = Stretch(scarce.total, row.used, scarce.used, before, over)
            row.price = step_price(row.price, stretch, unit_worth=unit_worth)
    row.used, row.priced_at, row.uses = scarce.used, now, dict(scarce.uses)
    row.save()


def _find_unit_worths(
    policy: Policy, scarce: Sequence[Scarce], *, now: datetime
) -> dict[str, float]:
    """Find what a unit of each is worth to the customers of lately, as far as the policy knows."""
    newest = policy.versions.first()
    if newest is None:
        return {}
    # As if nothing were charged: a price is held against what a unit earns without it.
    odds = Odds.from_bytes(bytes(newest.odds)).charge({}, version=newest.number)
    x = sample_customers(policy.pk, odds, now=now)
    if not len(x):
        return {}
    worth = odds.expect(x)  # (n, K)
    return {
        each.resource: find_unit_worth(
            worth, np.array([float(each.uses.get(key, 0)) for key in odds.offers])
        )
        for each in scarce
    }
