"""Choose offers the way an arm does: nothing, the baseline's shares or the policy's weights."""

import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from campaigns.deciding.draw import draw_from, draw_seed
from campaigns.deciding.eligibility import (
    count_towards,
    fallback_against,
)
from campaigns.deciding.foresight import Foreseen, to_eligible
from campaigns.deciding.sieve import Sieve
from campaigns.deciding.snapshot import (
    FloatArray,
    IntArray,
    RunningCampaign,
    RunningOffer,
    Serves,
)
from campaigns.deciding.tally import Tally
from experiments.assigning.assignment import quantise


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
class Chooser(Sieve):
    """One customer before the offers of a campaign; what is chosen is added to the tally.

    Attributes:
        features: The customer as the policy sees one, shape (d,).
        customer_key: Of the customer; the draw hashes it.
        is_held_back: Whether the policy never learns from the customer.
        foreseen: What the policy thinks of the customer, where that was worked out beforehand.
    """

    features: FloatArray
    customer_key: str
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
        version, about_policy = self.find_version()
        reasons, left = self.sort_out(version)
        for place, id_ in enumerate(ids):
            if not self.campaign.is_unconditional:
                left, reached = self.drop_limited(left)
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
