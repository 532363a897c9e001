"""Which of a campaign's offers may be drawn for a customer now, and why not the others."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from campaigns.deciding.eligibility import (
    OfferRules,
    Uses,
    audience_against,
    limit_reached,
    limits_reached,
    reason_against,
)
from campaigns.deciding.snapshot import IntArray, RunningArm, RunningCampaign, Serves
from campaigns.deciding.tally import Tally

# A reason that names the plan for a whole audience by which an offer was drawn.
BY_PLAN = "drawn by plan "


@dataclass(frozen=True, slots=True)
class Sieve:
    """What keeps a campaign's offers from one customer, whoever draws.

    Attributes:
        campaign: The running campaign.
        arm: The customer's arm.
        given: How often the customer was given each capped offer before.
        uses: What the customer had before, as further limits ask.
        member_of: The audiences that the customer is in, of those that matter; None is not known.
        tally: What was given out and spent.
        now: The time of the decision.
    """

    campaign: RunningCampaign
    arm: RunningArm
    given: Mapping[str, int] | None
    uses: Uses
    member_of: Collection[int] | None
    tally: Tally
    now: datetime

    def has_more_than(self, keys: Collection[str]) -> bool:
        """Tell whether an offer that is none of these could be drawn now."""
        version, _ = self.find_version()
        _, left = self.sort_out(version)
        left = np.array([n for n in left if self.campaign.keys[n] not in keys], dtype=np.int64)
        left, _ = self.drop_limited(left)
        return len(left) > 0

    def find_version(self) -> tuple[int | None, tuple[str, ...]]:
        """Return the policy's version if it is the policy that chooses, and what is to be said."""
        policy = self.campaign.policy
        if self.arm.serves is not Serves.POLICY:
            return None, ()
        if policy.expires_at is not None and policy.expires_at <= self.now:
            return None, (f"policy version {policy.version} has expired",)
        return policy.version, () if policy.plan is None else (f"{BY_PLAN}{policy.plan}",)

    def sort_out(self, version: int | None) -> tuple[tuple[str, ...], IntArray]:
        """Return why some offers may not be shown, and the numbers of those that may be."""
        campaign = self.campaign
        left = campaign.in_control if version is None else campaign.in_odds
        waiting = () if version is None else campaign.waiting
        if campaign.is_unconditional:
            return waiting, left
        against = [self._reason_against(offer.rules) for offer in campaign.offers]
        reasons = tuple(reason for reason in against if reason is not None)
        open_ = [n for n in left if against[n] is None]
        return reasons + waiting, np.array(open_, dtype=np.int64)

    def _reason_against(self, rules: OfferRules) -> str | None:
        """Return why an offer may not be shown to this customer now, limits apart, or None."""
        against = reason_against(rules, now=self.now)
        if against is not None:
            return against
        other = audience_against(rules.audience, self.member_of)
        return None if other is None else f"{rules.key}: {other}"

    def drop_limited(self, left: IntArray) -> tuple[IntArray, tuple[str, ...]]:
        """Return the offers whose limit is not reached yet, and which limits are."""
        of_all = limits_reached(self.campaign.limits, self.uses, self.tally, now=self.now)
        if of_all is not None:
            return np.array([], dtype=np.int64), (of_all,)
        reached = [self._limit_reached(self.campaign.offers[n].rules) for n in left]
        open_ = [n for n, reason in zip(left, reached, strict=True) if reason is None]
        reasons = tuple(reason for reason in reached if reason is not None)
        return np.array(open_, dtype=np.int64), reasons

    def _limit_reached(self, rules: OfferRules) -> str | None:
        """Return which limit keeps an offer from being given out once more, or None."""
        reached = limit_reached(rules, self.campaign.budget, self.tally, self.given, now=self.now)
        return reached or limits_reached(rules.limits, self.uses, self.tally, now=self.now)
