"""Serves a customer's last slate once more, for as long as the campaign lets one keep it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from campaigns.deciding.eligibility import audience_against, limits_reached, reason_against
from campaigns.deciding.products import with_products
from campaigns.deciding.recall import Held, Known
from campaigns.deciding.sieve import Sieve
from campaigns.deciding.slates import find_listed, product_content, show_again
from campaigns.deciding.snapshot import RunningArm, RunningCampaign, Serves


@dataclass(frozen=True, slots=True)
class Kept:
    """A decision of the customer's last slate, served once more; nothing new is logged."""

    held: Held
    content: Mapping[str, Any] | None


def keep_slate(
    sieve: Sieve, customer: Known, *, count: int, context: Mapping[str, Any]
) -> Sequence[Kept] | None:
    """Return the last slate while it holds, is long enough and may still be shown.

    It is long enough, too, where there is nothing to make it longer by.

    Args:
        sieve: What may be given to the customer now.
        customer: Who asks.
        count: For how many places.
        context: What the client knows.
    """
    campaign, arm, now = sieve.campaign, sieve.arm, sieve.now
    held = customer.held.get(campaign.key)
    if not held or not _holds(held[0], campaign, arm, now=now):
        return None
    if arm.serves is Serves.NOTHING:
        return [Kept(held[0], None)]
    if campaign.policy.slate is not None:
        listed = find_listed(campaign.policy.slate, arm, customer.lists, customer.id)
        if limits_reached(campaign.limits, sieve.uses, sieve.tally, now=now) is not None:
            count = min(count, len(held))
        products = show_again(campaign.policy.slate, held, listed, count=count)
        if not products:
            return None
        return [
            Kept(slot, product_content(product))
            for slot, product in zip(held, products, strict=False)
        ]
    said = {**customer.attributes, **context}
    shown = {
        offer.rules.key: offer.content_for(said)
        for offer in campaign.offers
        if reason_against(offer.rules, now=now) is None
        and audience_against(offer.rules.audience, customer.member_of) is None
    }
    kept = [
        Kept(slot, with_products(shown[slot.offer], slot.products, customer.lists))
        for slot in held[:count]
        if slot.offer in shown
    ]
    if not kept or len(kept) == count:
        return kept or None
    # Of what is gone nothing is kept, so that the whole slate is drawn from what there is.
    return None if sieve.has_more_than([slot.held.offer or "" for slot in kept]) else kept


def _holds(held: Held, campaign: RunningCampaign, arm: RunningArm, *, now: datetime) -> bool:
    """Tell whether a slate, by its first place, is still that of the customer's arm."""
    if held.arm != arm.key or not is_fresh(held, campaign, now=now):
        return False
    # What the policy of a halted arm chose may be what did harm.
    if arm.is_halted and held.policy_version is not None:
        return False
    # A hold-out stays one; where no offer was eligible, one may be by now.
    return (held.offer is None) is (arm.serves is Serves.NOTHING)


def is_fresh(held: Held, campaign: RunningCampaign, *, now: datetime) -> bool:
    """Tell whether a decision was made so lately that a customer keeps what it gave."""
    # Of two requests at once, the later decision may be the one that is looked at first.
    age = max(now - held.decided_at, timedelta(0))
    return age < timedelta(seconds=campaign.hold_seconds)
