"""Send the simulator's shoppers to a running site: they ask for offers and act on them."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
from django.utils import timezone

from campaigns.casestudies.client import ApiClient
from campaigns.casestudies.shop import ORDER, PLACEMENT
from campaigns.models import Campaign
from campaigns.waiting import wait_for_learning
from recommender.simulators.shop import Behaviour, Shop

THREADS = 4
INTRODUCED_AT_ONCE = 500
WAVE = 500
# Tells a shopper's reaction from the shopper's attributes, which have a seed of their own.
REACTION = 1


@dataclass(frozen=True, slots=True)
class Visit:
    """What a shopper was shown by which version of the policy, if by any, and did about it."""

    offer: str | None
    policy_version: int | None
    behaviour: Behaviour


def introduce_shoppers(
    client: ApiClient, shop: Shop, numbers: Sequence[int], *, progress: Callable[[int], object]
) -> None:
    """Tell the site who they are, as an application does when customers register."""
    for first in range(0, len(numbers), INTRODUCED_AT_ONCE):
        some = [shop.shopper(number) for number in numbers[first : first + INTRODUCED_AT_ONCE]]
        messages = [
            {
                "type": "identify",
                "messageId": f"shop-{shop.seed}:{shopper.key}",
                "userId": shopper.key,
                "traits": shopper.attributes,
            }
            for shopper in some
        ]
        client.post("/v1/batch", {"batch": messages})
        progress(len(some))


def send_in_waves(
    campaign: Campaign,
    client: ApiClient,
    shop: Shop,
    numbers: Sequence[int],
    *,
    progress: Callable[[Visit], object],
) -> None:
    """Send shoppers wave by wave; the policy has learned from all waves but the last one.

    To wait for the last one too would only take longer: its shoppers are within their window.
    """
    began_at = timezone.now()
    with ThreadPoolExecutor(THREADS) as pool:
        for first in range(0, len(numbers), WAVE):
            wait_for_learning(campaign, decided_by=began_at)
            began_at = timezone.now()
            some = numbers[first : first + WAVE]
            for visit in pool.map(partial(visit_shop, client, shop), some):
                progress(visit)


def visit_shop(client: ApiClient, shop: Shop, number: int) -> Visit:
    """Let one shopper ask for an offer, react, and let the site know."""
    shopper = shop.shopper(number)
    question = {"customer": shopper.key, "placements": [PLACEMENT]}
    decision = client.post("/api/v1/decide", question)["decisions"][0]
    offer = decision["offer"] and decision["offer"]["key"]
    behaviour = react(shop, number, offer)
    batch = [
        {
            "type": "track",
            "event": event,
            "messageId": f"{decision['decision_id']}:{event}",
            "userId": shopper.key,
            "timestamp": datetime.now(UTC),
            "properties": {"decision_id": decision["decision_id"], **properties},
        }
        for event, properties in _events(offer, behaviour)
    ]
    if batch:
        client.post("/v1/batch", {"batch": batch, "sentAt": datetime.now(UTC)})
    return Visit(offer, decision["policy_version"], behaviour)


def react(shop: Shop, number: int, offer: str | None) -> Behaviour:
    """Let a shopper act; the same shopper does the same about the same offer."""
    rng = np.random.default_rng((shop.seed, number, REACTION))
    return shop.behave(shop.shopper(number), offer, rng=rng)


def _events(offer: str | None, behaviour: Behaviour) -> list[tuple[str, dict[str, Any]]]:
    """Name the events that an application would send, each with its properties."""
    happened: list[tuple[str, bool, dict[str, Any]]] = [
        ("Offer Viewed", behaviour.visited and offer is not None, {"offer": offer}),
        ("Product Viewed", behaviour.clicked, {}),
        (
            ORDER,
            behaviour.ordered,
            {"revenue": behaviour.order_value_cents / 100, "currency": "EUR"},
        ),
    ]
    return [(event, properties) for event, is_true, properties in happened if is_true]
