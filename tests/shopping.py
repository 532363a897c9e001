"""Let simulated shoppers come to a campaign by function calls, on a clock that a test sets.

What the decide API, the intake and the worker do for a real site happens here in one thread, and
every random number has a seed: the same run gives the same report.
"""

import asyncio
import secrets
from datetime import datetime, timedelta

import numpy as np
import pytest

from audience.importing.copying import CustomerRow, EventRow, import_customers, import_events
from audience.models import Customer, Source
from campaigns.casestudies.shop import ORDER, PLACEMENT, open_shop
from campaigns.casestudies.shopping import react
from campaigns.deciding.decide import Asked, Slot, decide
from campaigns.deciding.recall import Known
from campaigns.deciding.tally import Tally
from campaigns.models import Campaign
from experiments.analysing.analysis import analyse
from recommender.learning.learn import learn_batch
from recommender.simulators.shop import Shop
from tests.campaigns.client_shop import read_snapshot
from tests.makers import NOW, expose, log_all

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


def open_for_business(
    shop: Shop, *, shoppers: int, waves: int, monkeypatch: pytest.MonkeyPatch
) -> Campaign:
    """Let all shoppers come in waves, a minute apart, with learning after each; then analyse."""
    rng = np.random.default_rng(shop.seed)
    # Decision ids decide the draws, and take their entropy from the operating system.
    monkeypatch.setattr(secrets, "randbits", lambda bits: _bits(rng, bits))
    import_customers(CustomerRow(each.key, each.attributes) for each in shop.shoppers(shoppers))
    campaign = open_shop(shop, shoppers=shoppers, now=NOW)
    for wave, numbers in enumerate(np.array_split(np.arange(shoppers), waves)):
        at = NOW + wave * MINUTE
        send_wave(campaign, shop, [int(number) for number in numbers], at=at)
        learn_batch(campaign.policy_id, now=at + 30 * SECOND)
    analyse(campaign.experiment, now=NOW + waves * MINUTE)
    return campaign


def send_wave(campaign: Campaign, shop: Shop, numbers: list[int], *, at: datetime) -> None:
    """Let shoppers be decided for, and act a second later."""
    snapshot = asyncio.run(read_snapshot())
    known = Customer.objects.in_bulk(
        [shop.shopper(number).key for number in numbers], field_name="external_key"
    )
    decided = {}
    for number in numbers:
        customer = known[shop.shopper(number).key]
        key = customer.external_key
        slate = decide(
            snapshot,
            Asked(PLACEMENT, 1, key, context={}, now=at),
            Known(customer.pk, key, customer.attributes),
            Tally({}),
        )
        assert slate is not None
        (slot,) = slate.slots
        assert isinstance(slot, Slot)
        decided[number] = slot.decision
    log_all(list(decided.values()))
    for arm in {decision.arm for decision in decided.values()}:
        met = [
            known[shop.shopper(number).key]
            for number, decision in decided.items()
            if decision.arm == arm
        ]
        expose(campaign.experiment, met, arm, at=at)
    source, _ = Source.objects.get_or_create(name="simulated shop")
    behaviours = {n: react(shop, n, decision.offer) for n, decision in decided.items()}
    import_events(
        (
            EventRow(
                shop.shopper(number).key,
                ORDER,
                at + SECOND,
                f"order-{number}",
                value=behaviour.order_value_cents / 100,
                properties={"decision_id": str(decided[number].id)},
            )
            for number, behaviour in behaviours.items()
            if behaviour.ordered
        ),
        source=source,
    )


def _bits(rng: np.random.Generator, bits: int) -> int:
    return int.from_bytes(rng.bytes(-(-bits // 8))) & (1 << bits) - 1
