"""Decides what customers are sent, by the code that decides on the site, and logs it the same way.

The decision is noted at the delivery in the transaction that logs it: a delivery that a worker left
behind is not decided once more.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, LiteralString

from psycopg import AsyncConnection

from audience.customers.finding import Name
from campaigns.deciding.decide import Slate, Slot
from campaigns.deciding.desk import Batch, Visit
from campaigns.deciding.holdout import ARM
from campaigns.deciding.logbook import OVERTAKEN
from campaigns.deciding.products import with_products
from campaigns.deciding.slates import product_content, whole_slate
from campaigns.deciding.snapshot import RunningCampaign, Serves, Snapshot
from campaigns.deciding.workbench import Workbench, alone
from campaigns.sending.claiming import Claimed
from recommender.models import Decision
from recommender.ranking.looking import find_products
from recommender.ranking.reading import Lists
from wire.pools import UNFIT

NOTE: LiteralString = """
    UPDATE campaigns_delivery AS delivery
    SET decision_id = made.decision_id, offer = made.offer, reason = made.reason
    FROM unnest(%(ids)s::bigint[], %(decisions)s::uuid[], %(offers)s::text[], %(reasons)s::text[])
        AS made (id, decision_id, offer, reason)
    WHERE delivery.id = made.id
"""
STILL_THERE: LiteralString = "SELECT id FROM campaigns_delivery WHERE id = ANY(%s)"
HOLD_OUT = "hold-out"
NO_OFFER = "No offer may be shown to this customer now."
CHOSE_NOTHING = "To send nothing was drawn for this customer."
ERASED = "The customer was erased."
NOT_DECIDED = "The campaign does not decide for this customer now."


@dataclass(frozen=True, slots=True)
class Decided:
    """What a delivery brings: an offer, or nothing and why."""

    decision_id: uuid.UUID | None
    offer: str
    content: Mapping[str, Any] | None
    reason: str = ""


class Vanished(LookupError):
    """Somebody was erased while it was decided what to send them."""


class Decider(Workbench):
    """Decides what deliveries bring."""

    def decide(
        self, campaign: RunningCampaign, claimed: Sequence[Claimed], *, now: datetime
    ) -> Mapping[int, Decided]:
        """Decide for deliveries, by id; what was decided before stays so while it may be shown."""
        shown = {offer.rules.key: offer.content for offer in campaign.offers}
        if campaign.fallback is not None:
            shown.setdefault(campaign.fallback.rules.key, campaign.fallback.content)
        if campaign.policy.slate is not None:
            # Of products nothing is known here; they are read from the log below.
            shown = {each.offer: {} for each in claimed if each.offer} | shown
        decided: dict[int, Decided] = {}
        for each in claimed:
            if each.decision_id is not None and (not each.offer or each.offer in shown):
                content = shown.get(each.offer)
                decided[each.id] = Decided(each.decision_id, each.offer, content, each.reason)
        decided = _with_logged_products(decided)
        left = [each for each in claimed if each.id not in decided]
        if left:
            decided |= self.runner.run(self._decide(campaign, left, now))
        return decided

    async def _decide(
        self, campaign: RunningCampaign, claimed: Sequence[Claimed], now: datetime
    ) -> Mapping[int, Decided]:
        connection = await self.connect(now=now)
        try:
            return await _serve(connection, campaign, claimed, self.snapshot, now)
        except (*OVERTAKEN, Vanished):
            # Somebody may have been erased just now, who is not to be made anew: with the customer
            # goes the delivery.
            there = await _find_there(connection, claimed)
            decided = {each.id: Decided(None, "", None, ERASED) for each in claimed}
            left = [each for each in claimed if each.id in there]
            return decided | await _serve(connection, campaign, left, self.snapshot, now)
        except UNFIT:
            await self.disconnect()
            raise


def _with_logged_products(decided: Mapping[int, Decided]) -> dict[int, Decided]:
    """Show the products again that were logged with a decision; what is said of them is of now."""
    ids = {
        made.decision_id
        for made in decided.values()
        if made.decision_id is not None and made.content is not None and _has_products(made.content)
    }
    if not ids:
        return dict(decided)
    logged: dict[uuid.UUID | None, Sequence[str]] = dict(
        Decision.objects.filter(pk__in=ids).values_list("pk", "products")
    )
    lists = Lists(products=find_products(key for keys in logged.values() for key in keys))
    again = dict(decided)
    for id_, made in decided.items():
        keys = logged.get(made.decision_id)
        if made.content and keys is not None:
            again[id_] = replace(made, content=with_products(made.content, keys, lists))
        elif keys:
            slate = [product_content(lists.product(key)) for key in keys]
            again[id_] = replace(made, content=whole_slate(slate))
    return again


def _has_products(content: Mapping[str, Any]) -> bool:
    """Tell whether an offer comes with products, or is one, of which nothing is said here."""
    return not content or "ranking" in content


async def _serve(
    connection: AsyncConnection[Any],
    campaign: RunningCampaign,
    claimed: Sequence[Claimed],
    snapshot: Snapshot,
    now: datetime,
) -> dict[int, Decided]:
    """Decide, log and note it in one transaction.

    Raises:
        Vanished: Somebody was erased meanwhile; nothing is written.
    """
    if not claimed:
        return {}
    slate = campaign.policy.slate
    places = {campaign.placement: 1 if slate is None else slate.places}
    visits = [Visit(Name(each.customer_key), places, {}) for each in claimed]
    batch = Batch(alone(snapshot, campaign), visits, now)
    if not batch.campaigns:
        return {each.id: Decided(None, "", None, NOT_DECIDED) for each in claimed}
    async with connection.transaction():
        await batch.serve(connection)
        slates = [slates[campaign.placement] for slates in batch.slates]
        decided = {
            each.id: _to_decided(campaign, slate)
            for each, slate in zip(claimed, slates, strict=True)
        }
        noted = await connection.execute(
            NOTE,
            {
                "ids": list(decided),
                "decisions": [made.decision_id for made in decided.values()],
                "offers": [made.offer for made in decided.values()],
                "reasons": [made.reason for made in decided.values()],
            },
        )
        if noted.rowcount < len(decided):
            raise Vanished("A delivery went while it was decided what it brings.")
    return decided


async def _find_there(connection: AsyncConnection[Any], claimed: Sequence[Claimed]) -> set[int]:
    cursor = await connection.execute(STILL_THERE, [[each.id for each in claimed]])
    return {id_ for (id_,) in await cursor.fetchall()}


def _to_decided(campaign: RunningCampaign, slate: Slate | None) -> Decided:
    if slate is None or not slate.slots:
        return Decided(None, "", None, NOT_DECIDED)
    slot = slate.slots[0]
    made = slot.decision if isinstance(slot, Slot) else slot.held
    if made.offer is not None and slot.content is not None:
        contents = [each.content for each in slate.slots if each.content is not None]
        is_slate = campaign.policy.slate is not None and bool(made.products)
        return Decided(made.id, made.offer, whole_slate(contents) if is_slate else slot.content)
    if made.offer is not None:
        return Decided(made.id, made.offer, None, CHOSE_NOTHING)
    serves = {arm.key: arm.serves for arm in campaign.arms}
    is_held_out = made.arm == ARM or serves.get(made.arm) is Serves.NOTHING
    return Decided(made.id, "", None, HOLD_OUT if is_held_out else NO_OFFER)
