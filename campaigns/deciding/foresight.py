"""Works out what a policy thinks of everybody who asks at once, before one by one is decided for.

Weighing many costs hardly more than weighing one. It is no decision yet: who may not be shown all
of these offers, when it is their turn, is weighed for what is left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from campaigns.deciding.eligibility import reason_against
from campaigns.deciding.snapshot import FloatArray, IntArray, RunningCampaign
from experiments.assigning.assignment import quantise_many
from recommender.arrays import BoolArray
from recommender.weighing.in_parts import Weigh


@dataclass(frozen=True, slots=True, eq=False)
class Foreseen:
    """How a campaign's policy sees a customer.

    Attributes:
        campaign: Its key.
        features: The customer, shape (d,).
        numbers: Of the offers that were weighed, shape (k,).
        buckets: What each of them has of the draw, shape (k,).
    """

    campaign: str
    features: FloatArray
    numbers: IntArray
    buckets: IntArray

    def is_about(self, numbers: IntArray) -> bool:
        """Tell whether it is these offers that were weighed."""
        return len(numbers) == len(self.numbers) and bool((numbers == self.numbers).all())


def foresee(
    campaign: RunningCampaign,
    said: Sequence[Mapping[str, Any]],
    *,
    now: datetime,
    weigh: Weigh,
) -> Sequence[Foreseen]:
    """Weigh the offers that most may be shown for customers of whom this is known."""
    odds = campaign.policy.odds
    x = odds.features.encode_many(said)  # (n, d)
    numbers = find_open(campaign, now=now)
    if not len(numbers) or campaign.policy.slate is not None:
        nothing = np.zeros(0, dtype=np.int64)
        return [Foreseen(campaign.key, row, nothing, nothing) for row in x]
    weights = weigh(odds, x, to_eligible(campaign, numbers))  # (n, K)
    buckets = quantise_many(weights[:, campaign.places[numbers]])
    return [
        Foreseen(campaign.key, row, numbers, mine) for row, mine in zip(x, buckets, strict=True)
    ]


def find_open(campaign: RunningCampaign, *, now: datetime) -> IntArray:
    """Return the numbers of the offers that a policy may choose for most customers."""
    numbers = campaign.in_odds
    if not campaign.is_unconditional:
        rules = [offer.rules for offer in campaign.offers]
        may_be = [reason_against(rules[n], now=now) is None for n in numbers]
        numbers = numbers[np.array(may_be, dtype=bool)]
    return numbers[campaign.goes_first(numbers)] if len(numbers) else numbers


def to_eligible(campaign: RunningCampaign, numbers: IntArray) -> BoolArray:
    """Mark these offers among those of the policy's odds, shape (K,)."""
    eligible = np.zeros(len(campaign.policy.odds.offers), dtype=bool)
    eligible[campaign.places[numbers]] = True
    return eligible
