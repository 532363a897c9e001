"""Decide what a customer sees in a placement: the story of one decision, from arm to draw."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from campaigns.choice import choose_offer
from campaigns.draw import is_held_back
from campaigns.eligibility import reason_against
from campaigns.recall import Held, Known
from campaigns.snapshot import RunningArm, RunningCampaign, Serves, Snapshot
from experiments.assignment import assign
from experiments.exposures import Met
from recommender.decision_ids import RANDOM_BITS, decision_id
from recommender.decisions import Logged


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for an offer; `context` is what the client knows right now."""

    placement: str
    customer: Known
    customer_key: str
    context: Mapping[str, Any]
    now: datetime


@dataclass(frozen=True, slots=True)
class Decided:
    """A new decision, to be logged before it is answered, and the content to show."""

    decision: Logged
    content: Mapping[str, Any] | None
    met: Met | None


@dataclass(frozen=True, slots=True)
class Kept:
    """The customer's last decision, served once more; nothing new is logged."""

    campaign: str
    held: Held
    content: Mapping[str, Any] | None


def decide(snapshot: Snapshot, asked: Asked) -> Decided | Kept | None:
    """Let the first campaign of the placement that runs and has an arm for the customer decide.

    Later campaigns do not see the customer, not even where the first one shows nothing: a
    hold-out that is filled by another campaign would prove nothing.
    """
    for campaign in snapshot.campaigns.get(asked.placement, ()):
        if not campaign.window.holds(asked.now):
            continue
        arm, met = _arm_of(campaign, asked)
        if arm is not None:
            return _kept(campaign, arm, asked) or _decided(campaign, arm, met, asked)
    return None


def _arm_of(
    campaign: RunningCampaign, asked: Asked
) -> tuple[RunningArm, Met | None] | tuple[None, None]:
    """Return the customer's arm: the one met before, or the one that the hash gives.

    Nobody is newly exposed to an arm that is halted.
    """
    known = asked.customer.arms.get(campaign.experiment_id)
    for arm in campaign.arms:
        if arm.id == known:
            return arm, None
    index = assign(campaign.seed, asked.customer_key, [arm.weight for arm in campaign.arms])
    if index is None:
        return None, None
    arm = campaign.arms[index]
    if arm.is_halted:
        return arm, None
    return arm, Met(campaign.experiment_id, asked.customer.id, arm.id, asked.now)


def _kept(campaign: RunningCampaign, arm: RunningArm, asked: Asked) -> Kept | None:
    """Return the last decision while it holds and its offer may still be shown."""
    held = asked.customer.held.get(campaign.key)
    if held is None or held.arm != arm.key or campaign.hold_seconds == 0:
        return None
    if arm.is_halted and held.policy_version is not None:
        # What the policy chose may be what did harm.
        return None
    if asked.now - held.decided_at >= timedelta(seconds=campaign.hold_seconds):
        return None
    if held.offer is None:
        # A hold-out stays one; where no offer was eligible, one may be by now.
        return Kept(campaign.key, held, None) if arm.serves is Serves.NOTHING else None
    for offer in campaign.offers:
        if offer.rules.key == held.offer and reason_against(offer.rules, now=asked.now) is None:
            return Kept(campaign.key, held, offer.content)
    return None


def _decided(campaign: RunningCampaign, arm: RunningArm, met: Met | None, asked: Asked) -> Decided:
    """Choose anew and say how."""
    policy, customer, now = campaign.policy, asked.customer, asked.now
    id_ = decision_id(now, entropy=secrets.randbits(RANDOM_BITS))
    features = policy.odds.features.encode({**customer.attributes, **asked.context})
    choice = choose_offer(
        campaign, arm, features=features, decision_id=id_, customer_id=customer.id, now=now
    )
    decision = Logged(
        id=id_,
        decided_at=now,
        customer_id=customer.id,
        campaign=campaign.key,
        placement=campaign.placement,
        arm=arm.key,
        policy_id=policy.id,
        policy_version=choice.policy_version,
        offer=None if choice.offer is None else choice.offer.rules.key,
        propensity=choice.propensity,
        due_at=now + timedelta(seconds=policy.reward_window_seconds),
        eligible=choice.eligible,
        weights=choice.weights,
        features=features.tolist(),
        reasons=choice.reasons,
        held_back=is_held_back(
            policy.key, customer_key=asked.customer_key, share=policy.held_back_share
        ),
    )
    return Decided(decision, None if choice.offer is None else choice.offer.content, met)
