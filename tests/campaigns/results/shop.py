"""A campaign's log with known truth, and the same as plain rows for an oracle."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from audience.models import Customer
from campaigns.lifecycle.drafting import Split
from campaigns.lifecycle.status import start_campaign
from campaigns.models import Campaign
from recommender.decision_ids import RANDOM_BITS, decision_id
from recommender.decisions import Logged
from tests.makers import (
    DAY,
    HOUR,
    NOW,
    event_row,
    expose,
    log_all,
    make_campaign,
    make_customers,
    make_events,
    make_offer,
)

ORDER, REFUND, CANCEL = "Order Completed", "Order Refunded", "Order Cancelled"
OFFERS = ("blue", "red")
COSTS = {"blue": 0.0, "red": 1.5}
SHARES = {"hold-out": 0.25, "control": 0.25, "personalised": 0.5}
WINDOW = timedelta(days=3)
LATER = NOW + 30 * DAY


@dataclass(frozen=True)
class Given:
    """One decision."""

    person: int
    at: datetime
    offer: str | None
    propensity: float
    arm: str


@dataclass(frozen=True)
class Event:
    """One event of an order."""

    person: int
    at: datetime
    name: str
    value: float


@dataclass
class Shop:
    """What happened; `arms` and `countries` by the person's number."""

    campaign: Campaign
    people: Sequence[Customer]
    arms: dict[int, str]
    countries: dict[int, str]
    decisions: list[Given]
    events: list[Event]


def draft_shop(*, cost: bool = True, segments: Sequence[str] = ("country",)) -> Campaign:
    """Draft a campaign of two offers, one of which costs something, and start it."""
    offers = [
        make_offer(key=key, cost_cents=round(100 * COSTS[key]) if cost else 0) for key in OFFERS
    ]
    campaign = make_campaign(
        offers=offers,
        split=Split(holdout_percent=25, control_percent=25),
        started_at=None,
        reward_window_seconds=int(WINDOW.total_seconds()),
    )
    campaign.experiment.segments = list(segments)
    campaign.experiment.save()
    start_campaign(campaign, by=None, now=NOW)
    return campaign


def write(
    campaign: Campaign,
    customer: Customer,
    offer: str | None,
    *,
    at: datetime,
    propensity: float = 0.5,
    position: int = 0,
    arm: str = "personalised",
    cost_cents: int | None = None,
) -> Logged:
    """Write down one decision, drawn from both offers unless it is a hold-out's.

    Without `cost_cents` it costs what `COSTS` say.
    """
    rest = 1 - propensity
    weights = [propensity if key == offer else rest for key in OFFERS]
    return Logged(
        id=decision_id(at, entropy=secrets.randbits(RANDOM_BITS)),
        decided_at=at,
        customer_key=customer.external_key,
        campaign=campaign.key,
        placement=campaign.placement.key,
        arm=arm,
        policy_id=campaign.policy_id if position == 0 else None,
        policy_version=None,
        offer=offer,
        propensity=1.0 if offer is None else propensity,
        due_at=at + WINDOW,
        position=position,
        eligible=() if offer is None else OFFERS,
        weights=() if offer is None else weights,
        cost_cents=round(100 * COSTS.get(offer or "", 0.0)) if cost_cents is None else cost_cents,
    )


def open_shop(n: int, *, seed: int) -> Shop:
    """Let so many customers come, some of them several times; red makes people order more."""
    rng = np.random.default_rng(seed)
    campaign = draft_shop()
    people = [
        *make_customers(n // 2, attributes={"country": "de"}),
        *make_customers(n - n // 2, attributes={"country": "fr"}),
    ]
    arms = {i: str(rng.choice(list(SHARES), p=list(SHARES.values()))) for i in range(n)}
    shop = Shop(campaign, people, arms, {i: "de" if i < n // 2 else "fr" for i in range(n)}, [], [])
    decisions: list[Logged] = []
    for i in range(n):
        at = NOW + timedelta(seconds=int(rng.integers(1, 86_400)))
        expose(campaign.experiment, people[i], arms[i], at=at)
        for _ in range(int(rng.integers(1, 4))):
            decisions.append(_visit(shop, i, at, rng))
            at += timedelta(seconds=int(rng.integers(3_600, 4 * 86_400)))
    log_all(decisions)
    make_events([event_row(people[e.person], e.name, at=e.at, value=e.value) for e in shop.events])
    return shop


def _visit(shop: Shop, i: int, at: datetime, rng: np.random.Generator) -> Logged:
    arm = shop.arms[i]
    offer, propensity = None, 1.0
    if arm != "hold-out":
        # Germans are given red more often, and order more whatever they get.
        of_red = 0.5 if arm == "control" else (0.8 if shop.countries[i] == "de" else 0.2)
        offer = "red" if rng.random() < of_red else "blue"
        propensity = of_red if offer == "red" else 1 - of_red
    shop.decisions.append(Given(i, at, offer, propensity, arm))
    chance = 0.1 + 0.2 * (offer == "red") + 0.2 * (shop.countries[i] == "de")
    for _ in range(2):
        if rng.random() < chance:
            ordered_at = at + timedelta(seconds=int(rng.integers(1, 5 * 86_400)))
            value = round(float(rng.lognormal(3, 0.5)), 2)
            shop.events.append(Event(i, ordered_at, ORDER, value))
            if rng.random() < 0.2:
                name = str(rng.choice([REFUND, CANCEL]))
                shop.events.append(Event(i, ordered_at + HOUR, name, round(value / 2, 2)))
    return write(shop.campaign, shop.people[i], offer, at=at, propensity=propensity, arm=arm)
