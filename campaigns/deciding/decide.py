"""Decide what a customer sees in a placement: the story of one decision, from arm to draw."""

import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from campaigns.deciding.choice import Chooser
from campaigns.deciding.draw import is_held_back
from campaigns.deciding.eligibility import Uses, audience_against
from campaigns.deciding.foresight import Foreseen
from campaigns.deciding.holdout import ARM, RunningHoldout
from campaigns.deciding.keeping import Kept, is_fresh, keep_slate
from campaigns.deciding.products import best_of, choose_products, with_products
from campaigns.deciding.recall import Held, Known
from campaigns.deciding.sieve import Sieve
from campaigns.deciding.slates import SlateChooser
from campaigns.deciding.snapshot import RunningArm, RunningCampaign, RunningOffer, Snapshot
from campaigns.deciding.tally import Tally
from campaigns.deciding.zones import zone_of
from experiments.assigning.assignment import assign
from recommender.decision_ids import RANDOM_BITS, decision_id
from recommender.decisions import Logged
from recommender.weighing.contacts import without_contacts


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for the offers of a placement; `context` is what the client knows right now.

    `key` is the customer's as the client named it, which falls into an arm: whoever is first asked
    for as a visitor and later as a customer keeps the arm that was met. `foreseen` is what the
    policy that most likely decides thinks of the customer.
    """

    placement: str
    count: int
    key: str
    context: Mapping[str, Any]
    now: datetime
    foreseen: Foreseen | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    """A new decision, to be logged before it is answered, and the content to show."""

    decision: Logged
    content: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Slate:
    """What a campaign shows in a placement, and the arms newly met.

    `met` are pairs of the ids of an experiment and of its arm: of the campaign's own, and of the
    hold-out of all campaigns.
    """

    campaign: str
    slots: Sequence[Slot | Kept]
    met: tuple[tuple[int, int], ...] = ()


def decide(snapshot: Snapshot, asked: Asked, customer: Known, tally: Tally) -> Slate | None:
    """Let the first campaign of the placement that runs and has an arm for the customer decide.

    Later campaigns do not see the customer, not even where the first one shows nothing: a
    hold-out that is filled by another campaign would prove nothing. Nor does anybody get anything
    whom the epoch's hold-out keeps from all campaigns; who that is shows only where a campaign
    would have decided, so that both sides of it are met alike. What is decided is added to what is
    known of the customer, and what is given out to the tally.
    """
    for campaign in snapshot.campaigns.get(asked.placement, ()):
        if not campaign.window.holds(asked.now):
            continue
        if audience_against(campaign.audience, customer.member_of) is not None:
            continue
        arm, is_new = _arm_of(campaign, asked, customer)
        if arm is None:
            continue
        met = _meet_holdout(snapshot.holdout, asked, customer)
        if snapshot.holdout is not None and _is_held_out(snapshot.holdout, customer):
            slot = _withheld(campaign, snapshot.holdout, asked, customer)
            return Slate(campaign.key, [slot], met)
        if is_new:
            customer.arms[campaign.experiment_id] = arm.id
            met = (*met, (campaign.experiment_id, arm.id))
        sieve = _to_sieve(campaign, arm, asked, customer, tally, zone=snapshot.zone)
        kept = keep_slate(sieve, customer, count=asked.count, context=asked.context)
        if kept is not None:
            return Slate(campaign.key, kept, met)
        slots = _decided(sieve, asked, customer)
        return Slate(campaign.key, slots, met)
    return None


def _meet_holdout(
    holdout: RunningHoldout | None, asked: Asked, customer: Known
) -> tuple[tuple[int, int], ...]:
    """Let a customer meet the arm of the epoch's hold-out; return it if that is new."""
    if holdout is None or customer.arms.get(holdout.experiment_id) in holdout.arms:
        return ()
    arm_id = holdout.place(asked.key)
    if arm_id is None:
        return ()
    customer.arms[holdout.experiment_id] = arm_id
    return ((holdout.experiment_id, arm_id),)


def _is_held_out(holdout: RunningHoldout, customer: Known) -> bool:
    return customer.arms.get(holdout.experiment_id) == holdout.held_out


def _withheld(
    campaign: RunningCampaign, holdout: RunningHoldout, asked: Asked, customer: Known
) -> Slot | Kept:
    """Decide for nothing, or let the last such decision hold; no policy learns from it."""
    last = customer.held.get(campaign.key)
    if last and last[0].arm == ARM and is_fresh(last[0], campaign, now=asked.now):
        return Kept(last[0], None)
    decision = Logged(
        id=_ids(asked.now, 1)[0],
        decided_at=asked.now,
        customer_key=customer.key,
        campaign=campaign.key,
        placement=campaign.placement,
        arm=ARM,
        policy_id=None,
        policy_version=None,
        offer=None,
        propensity=1.0,
        due_at=asked.now,
        reasons=(holdout.reason,),
    )
    customer.held[campaign.key] = [_to_held(decision)]
    return Slot(decision, None)


def _arm_of(
    campaign: RunningCampaign, asked: Asked, customer: Known
) -> tuple[RunningArm | None, bool]:
    """Return the customer's arm, and whether it is newly met.

    It is the one met before, or the one that the hash gives. Nobody is newly exposed to an arm
    that is halted.
    """
    known = customer.arms.get(campaign.experiment_id)
    for arm in campaign.arms:
        if arm.id == known:
            return arm, False
    index = assign(campaign.seed, asked.key, [arm.weight for arm in campaign.arms])
    if index is None:
        return None, False
    arm = campaign.arms[index]
    return arm, not arm.is_halted


def _to_sieve(
    campaign: RunningCampaign,
    arm: RunningArm,
    asked: Asked,
    customer: Known,
    tally: Tally,
    *,
    zone: ZoneInfo,
) -> Sieve:
    """Put together what may keep offers from a customer; `zone` is of the site's clock."""
    uses = Uses(customer.times, zone_of(customer.attributes, otherwise=zone), zone)
    return Sieve(campaign, arm, customer.given, uses, customer.member_of, tally, asked.now)


def _decided(sieve: Sieve, asked: Asked, customer: Known) -> Sequence[Slot]:
    """Choose anew and say how."""
    campaign, arm = sieve.campaign, sieve.arm
    policy = campaign.policy
    said = describe(campaign, customer, asked.context, now=asked.now)
    seen = asked.foreseen
    if seen is not None and seen.campaign != campaign.key:
        seen = None
    features = policy.odds.features.encode(said) if seen is None else seen.features
    # Whoever met the arm as a visitor stays held back, or learned from, as the visitor was.
    met_as = customer.met_as.get(campaign.experiment_id, customer.key)
    held_back = is_held_back(policy.key, customer_key=met_as, share=policy.held_back_share)
    chooser: Chooser | SlateChooser
    if policy.slate is None:
        chooser = Chooser(
            campaign=campaign,
            arm=arm,
            features=features,
            customer_key=customer.key,
            given=customer.given,
            uses=sieve.uses,
            member_of=customer.member_of,
            tally=sieve.tally,
            now=asked.now,
            is_held_back=held_back,
            foreseen=seen,
        )
    else:
        chooser = SlateChooser(
            campaign=campaign,
            slate=policy.slate,
            arm=arm,
            customer_key=customer.key,
            customer_id=customer.id,
            lists=customer.lists,
            uses=sieve.uses,
            member_of=customer.member_of,
            tally=sieve.tally,
            now=asked.now,
        )
    slots: list[Slot] = []
    for position, choice in enumerate(chooser.choose(_ids(asked.now, asked.count))):
        content = None if choice.offer is None else choice.offer.content_for(said)
        listed = choose_products(content, customer.lists, customer.id)
        products = best_of(listed)
        decision = Logged(
            id=choice.id,
            decided_at=asked.now,
            customer_key=customer.key,
            campaign=campaign.key,
            placement=campaign.placement,
            position=position,
            arm=arm.key,
            # What stands further down is seen less: a policy learns from the first place alone.
            # Of products each place has a reward, and none is learned from.
            policy_id=policy.id if position == 0 or policy.slate is not None else None,
            policy_version=choice.policy_version,
            offer=None if choice.offer is None else choice.offer.rules.key,
            propensity=choice.propensity,
            due_at=asked.now + timedelta(seconds=policy.reward_window_seconds),
            eligible=choice.eligible,
            weights=choice.weights,
            features=features.tolist(),
            reasons=choice.reasons,
            held_back=held_back,
            products=products,
            cost_cents=0 if choice.offer is None else choice.offer.rules.cost_cents,
            ranker_version=choice.ranker_version if listed is None else listed.version_id,
        )
        slots.append(Slot(decision, with_products(content, products, customer.lists)))
        _remember(customer, choice.offer, campaign, now=asked.now)
    if policy.slate is not None:
        slots = _name_slate(slots)
    customer.held[campaign.key] = [_to_held(slot.decision) for slot in slots]
    _remember_contact(customer, slots[0].decision, campaign)
    return slots


def describe(
    campaign: RunningCampaign, customer: Known, context: Mapping[str, Any], *, now: datetime
) -> dict[str, Any]:
    """Say all that a campaign's policy may look at; nobody but us tells of contacts.

    Where contacts are not known, nothing is said of them.
    """
    said = {**customer.attributes, **context}
    if not campaign.sees_contacts:
        return said
    said = without_contacts(said)
    known = None if customer.contacts is None else customer.contacts.get(campaign.key)
    return said if known is None else said | known.attributes(now=now)


def _name_slate(slots: list[Slot]) -> list[Slot]:
    """Let the first place of a slate of products name them all: by that a message is written."""
    slate = [s.decision.offer for s in slots if s.decision.offer and s.decision.ranker_version]
    if not slate:
        return slots
    named = replace(slots[0].decision, products=slate)
    return [Slot(named, slots[0].content), *slots[1:]]


def _ids(now: datetime, count: int) -> Sequence[uuid.UUID]:
    """Make the ids of a slate's decisions, the first one the greatest.

    An event that does not say which decision it belongs to counts for the last one before it: so,
    within a slate, for the first place.
    """
    entropy = sorted((secrets.randbits(RANDOM_BITS) for _ in range(count)), reverse=True)
    return [decision_id(now, entropy=bits) for bits in entropy]


def _remember(
    customer: Known, offer: RunningOffer | None, campaign: RunningCampaign, *, now: datetime
) -> None:
    """Count what the customer is given, for the places and requests after this one."""
    if offer is None:
        return
    rules = offer.rules
    if rules.caps.per_customer is not None and customer.given is not None:
        customer.given[rules.key] = customer.given.get(rules.key, 0) + 1
    if customer.times is not None:
        for limit in (*campaign.limits, *rules.limits):
            if limit.is_per_customer and limit.counts_decisions:
                customer.times.setdefault(limit.id, []).append(now)


def _remember_contact(customer: Known, decision: Logged, campaign: RunningCampaign) -> None:
    """Count what the customer was given now, for whoever asks in the same batch."""
    known = None if customer.contacts is None else customer.contacts.get(campaign.key)
    if known is None or customer.contacts is None:
        return
    if decision.offer is not None and decision.offer not in campaign.silent:
        after = known.with_offer(decision.offer, at=decision.decided_at)
        customer.contacts[campaign.key] = after


def _to_held(decision: Logged) -> Held:
    return Held(
        id=decision.id,
        decided_at=decision.decided_at,
        position=decision.position,
        arm=decision.arm,
        offer=decision.offer,
        propensity=decision.propensity,
        policy_version=decision.policy_version,
        reasons=decision.reasons,
        products=decision.products,
    )
