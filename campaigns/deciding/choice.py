"""Choose offers the way an arm does: nothing, the baseline's shares or the policy's weights."""

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from campaigns.deciding.draw import draw_from, draw_seed
from campaigns.deciding.eligibility import (
    OfferRules,
    Uses,
    audience_against,
    count_towards,
    fallback_against,
    limit_reached,
    limits_reached,
    reason_against,
)
from campaigns.deciding.foresight import Foreseen, to_eligible
from campaigns.deciding.snapshot import (
    FloatArray,
    IntArray,
    RunningArm,
    RunningCampaign,
    RunningOffer,
    Serves,
)
from campaigns.deciding.tally import Tally
from experiments.assigning.assignment import quantise

# A reason that names the plan for a whole audience by which an offer was drawn.
BY_PLAN = "drawn by plan "


@dataclass(frozen=True, slots=True)
class Choice:
    """An offer, or none, and all that makes the choice replayable.

    `weights` belong to `eligible`, place by place; `policy_version` is None where no policy chose,
    and `ranker_version` the id of the version of a ranker whose product is the offer.
    """

    id: uuid.UUID
    offer: RunningOffer | None
    propensity: float
    reasons: tuple[str, ...]
    eligible: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    policy_version: int | None = None
    ranker_version: int | None = None


@dataclass(frozen=True, slots=True)
class Chooser:
    """One customer before the offers of a campaign.

    Attributes:
        campaign: The running campaign.
        arm: The customer's arm.
        features: The customer as the policy sees one, shape (d,).
        customer_key: Of the customer; the draw hashes it.
        given: How often the customer was given each capped offer before.
        uses: What the customer had before, as further limits ask.
        member_of: The audiences that the customer is in, of those that matter; None is not known.
        tally: What was given out and spent; what is chosen is added.
        now: The time of the decision.
        is_held_back: Whether the policy never learns from the customer.
        foreseen: What the policy thinks of the customer, where that was worked out beforehand.
    """

    campaign: RunningCampaign
    arm: RunningArm
    features: FloatArray
    customer_key: str
    given: Mapping[str, int] | None
    uses: Uses
    member_of: Collection[int] | None
    tally: Tally
    now: datetime
    is_held_back: bool = False
    foreseen: Foreseen | None = None

    def choose(self, ids: Sequence[uuid.UUID]) -> Iterator[Choice]:
        """Fill the places of a slate, one decision after the other, no offer twice.

        Each place is drawn from what is left, so its propensity is that of its own draw, given the
        places before it. The first place always has a choice; the others, while there are offers.

        Args:
            ids: Of the decisions, one for each place; an id makes its draw a fresh one.
        """
        if self.arm.serves is Serves.NOTHING:
            yield Choice(ids[0], None, 1.0, ("hold-out: no offer",))
            return
        version, about_policy = self._version()
        reasons, left = self._sort_out(version)
        for place, id_ in enumerate(ids):
            if not self.campaign.is_unconditional:
                left, reached = self._drop_limited(left)
                reasons += reached
            if not len(left):
                if place == 0:
                    reasons = (*about_policy, *reasons, "no offer is eligible")
                    yield fall_back(
                        id_,
                        self.campaign,
                        reasons,
                        member_of=self.member_of,
                        tally=self.tally,
                        now=self.now,
                        version=version,
                    )
                return
            first, behind = self._first_of(left)
            number, choice = self._draw(id_, first, version, (*about_policy, *reasons, *behind))
            left = left[left != number]
            self._count(self.campaign.offers[number])
            yield choice

    def _version(self) -> tuple[int | None, tuple[str, ...]]:
        """Return the policy's version if it is the policy that chooses, and what is to be said."""
        policy = self.campaign.policy
        if self.arm.serves is not Serves.POLICY:
            return None, ()
        if policy.expires_at is not None and policy.expires_at <= self.now:
            return None, (f"policy version {policy.version} has expired",)
        return policy.version, () if policy.plan is None else (f"{BY_PLAN}{policy.plan}",)

    def _sort_out(self, version: int | None) -> tuple[tuple[str, ...], IntArray]:
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

    def _drop_limited(self, left: IntArray) -> tuple[IntArray, tuple[str, ...]]:
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

    def _first_of(self, left: IntArray) -> tuple[IntArray, tuple[str, ...]]:
        """Return the offers that go before the others, and who has to wait for them."""
        if self.campaign.priorities is None:
            return left, ()
        is_first = self.campaign.goes_first(left)
        behind = (self.campaign.keys[n] for n in left[~is_first])
        return left[is_first], tuple(f"{key} comes after others" for key in behind)

    def _draw(
        self, id_: uuid.UUID, left: IntArray, version: int | None, reasons: tuple[str, ...]
    ) -> tuple[int, Choice]:
        campaign = self.campaign
        buckets = self._baseline_buckets(left) if version is None else self._policy_buckets(left)
        seed = draw_seed(campaign.key, version=version or 0, decision_id=id_)
        draw = draw_from(buckets, seed=seed, customer_key=self.customer_key)
        by_whom = "baseline shares" if version is None else f"policy version {version}"
        number = int(left[draw.index])
        keys = campaign.keys
        choice = Choice(
            id_,
            offer=campaign.offers[number],
            propensity=draw.propensity,
            reasons=(f"drawn by {by_whom}", *reasons),
            eligible=keys if len(left) == len(keys) else tuple(keys[n] for n in left),
            weights=draw.weights,
            policy_version=version,
        )
        return number, choice

    def _baseline_buckets(self, left: IntArray) -> IntArray:
        shares = self.campaign.shares[left]
        return quantise(shares / shares.sum())

    def _policy_buckets(self, left: IntArray) -> IntArray:
        """Return what the policy gives these offers of the draw, in their order."""
        floor = self.campaign.policy.judging_floor if self.is_held_back else None
        seen = self.foreseen
        if floor is None and seen is not None and seen.is_about(left):
            return seen.buckets
        eligible = to_eligible(self.campaign, left)
        weights = self.campaign.policy.odds.weights(self.features, eligible, floor=floor)
        return quantise(weights[self.campaign.places[left]])

    def _count(self, offer: RunningOffer) -> None:
        rules, budget = offer.rules, self.campaign.budget
        if rules.caps.total is not None:
            self.tally.add(rules.counter, 1)
        if budget.limit_cents is not None and rules.cost_cents:
            self.tally.add(budget.counter, rules.cost_cents)
        limits = (*self.campaign.limits, *rules.limits)
        count_towards(limits, self.uses, self.tally, now=self.now)


def fall_back(
    id_: uuid.UUID,
    campaign: RunningCampaign,
    reasons: tuple[str, ...],
    *,
    member_of: Collection[int] | None,
    tally: Tally,
    now: datetime,
    version: int | None = None,
) -> Choice:
    """Choose the campaign's fallback, or nothing where it has none that may be shown.

    Args:
        id_: Of the decision.
        campaign: The campaign.
        reasons: Why nothing else can be shown.
        member_of: The audiences that the customer is in; None is not known.
        tally: What was spent; what the fallback costs is added.
        now: The time of the decision.
        version: Of the policy, if it was the policy that had nothing to choose from.
    """
    fallback, budget = campaign.fallback, campaign.budget
    if fallback is None:
        return Choice(id_, None, 1.0, reasons, policy_version=version)
    against = fallback_against(fallback.rules, budget, tally, member_of, now=now)
    if against is not None:
        return Choice(id_, None, 1.0, (*reasons, against), policy_version=version)
    if budget.limit_cents is not None and fallback.rules.cost_cents:
        tally.add(budget.counter, fallback.rules.cost_cents)
    return Choice(id_, fallback, 1.0, (*reasons, "the fallback"), policy_version=version)
