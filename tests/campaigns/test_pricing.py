"""A campaign's scarce offers are charged for, so that they go where they earn most."""

from collections import Counter as Count
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from campaigns.lifecycle.drafting import Split, find_nothing
from campaigns.models import Campaign, Counter, Offer, Pacing
from campaigns.pricing import find_priced, find_scarce, price_campaign
from campaigns.replaying import replay
from campaigns.tasks import price_due
from recommender.learning.versions import store_version
from recommender.models import Decision, PolicyPrice
from recommender.weighing.features import FeatureSpec, NumberFeature
from recommender.weighing.odds import Odds
from tests.campaigns.offices import Office, open_office, used, visit
from tests.makers import DAY, HOUR, make_campaign, make_metric, make_offer, make_user

pytestmark = pytest.mark.django_db(transaction=True)

FEATURES = FeatureSpec((NumberFeature("keen", 0.0, 1.0),))
BEGIN = datetime.fromisoformat("2026-03-02T00:00:00Z")
BUDGET = 10_000


@pytest.fixture
def spring() -> Campaign:
    """A campaign of ten days whose gift costs 1.00; the keener a customer, the more it earns."""
    with time_machine.travel(BEGIN, tick=False):
        campaign = make_campaign(
            offers=[make_offer(key="gift", cost_cents=100), find_nothing()],
            split=Split(1, 1),
            goal=make_metric(kind="mean"),
            features=FEATURES,
            hold_minutes=0,
            started_at=BEGIN,
            budget_cents=BUDGET,
            budget_pacing=Pacing.DUAL,
            ends_at=BEGIN + 10 * DAY,
        )
    campaign.policy.refresh_from_db()
    return campaign


def publish(campaign: Campaign) -> None:
    """Let the policy know exactly that a gift earns 5 and 2 more for each unit of keenness."""
    policy = campaign.policy
    mean = {"gift": [5.0, 2.0], "nothing": [0.0, 0.0]}
    odds = Odds(
        offers=tuple(policy.offers),
        mean=np.array([mean[key] for key in policy.offers]),
        factor=np.tile(1e-6 * np.eye(2), (2, 1, 1)),
        floor=1e-4,
        features=FEATURES,
        version=1,
    )
    store_version(policy, odds, learned_from=100, now=timezone.now())


def come(office: Office, campaign: Campaign, n: int, *, rng: np.random.Generator) -> None:
    """Let so many customers come, each as keen as chance has it, who meet the newest version."""
    office.runner.run(office.snapshot.look(at_once=True))
    names = rng.integers(1 << 60, size=n)
    office.serve(
        *(
            visit(campaign, f"c{name}", keen=float(keen))
            for name, keen in zip(names, rng.normal(size=n), strict=True)
        )
    )


def test_a_budget_goes_to_those_with_whom_it_earns_most(spring: Campaign, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    with open_office(tmp_path) as office:
        for step in range(160):
            with time_machine.travel(BEGIN + step * 1.5 * HOUR, tick=False):
                if step == 1:
                    publish(spring)
                come(office, spring, 4, rng=rng)
                price_due()
    # 640 come, and there are 100 gifts: at 1.00 more, a sixth of them is worth it.
    spent = used(f"budget:{spring.key}")
    assert 0.9 * BUDGET < spent <= BUDGET
    chosen = Decision.objects.filter(arm="personalised", policy_version__gt=20)
    assert chosen.count() > 400
    keen = {True: [], False: []}  # type: ignore[var-annotated]
    for decision in chosen:
        keen[decision.offer == "gift"].append(decision.features[1])
    assert np.mean(keen[True]) > 1.0 > 0.1 > np.mean(keen[False])
    last = Decision.objects.filter(arm="personalised").order_by("-id")[:20]
    assert all(replay(decision.pk).is_confirmed for decision in last)
    price = PolicyPrice.objects.get().price * 100
    assert 5.0 < price < 9.0


def test_before_anything_is_learned_it_is_spent_evenly(spring: Campaign, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    with open_office(tmp_path) as office:
        for day in range(3):
            with time_machine.travel(BEGIN + day * DAY, tick=False):
                come(office, spring, 30, rng=rng)
                assert price_due() == 0
                assert used(f"budget:{spring.key}") <= day * BUDGET / 10 + 100


def test_what_is_scarce_is_the_budget_and_offers_limited_in_total(spring: Campaign) -> None:
    Offer.objects.filter(key="gift").update(cap_total=7)
    Counter.objects.create(name="offer:gift", used=3)
    budget, gifts = find_scarce(spring)
    assert (budget.resource, budget.total, budget.used) == (f"budget:{spring.key}", BUDGET, 0)
    assert budget.uses == {"gift": 100}
    assert (gifts.resource, gifts.total, gifts.used, gifts.uses) == (
        "offer:gift",
        7,
        3,
        {"gift": 1},
    )
    assert (budget.begins_at, budget.ends_at) == (BEGIN, BEGIN + 10 * DAY)
    Campaign.objects.update(budget_pacing=Pacing.EVEN)
    assert find_scarce(Campaign.objects.get()) == []


def test_who_paces_otherwise_from_now_on_is_charged_nothing(
    spring: Campaign, tmp_path: Path
) -> None:
    with open_office(tmp_path) as office, time_machine.travel(BEGIN, tick=False):
        come(office, spring, 20, rng=np.random.default_rng(4))
    publish(spring)
    assert price_campaign(spring, now=BEGIN + HOUR) is None
    Counter.objects.update_or_create(name=f"budget:{spring.key}", defaults={"used": 900})
    assert price_campaign(spring, now=BEGIN + 2 * HOUR) == 2
    Campaign.objects.update(budget_pacing=Pacing.FAST)
    later = BEGIN + 3 * HOUR
    (found,) = find_priced(now=later)
    assert price_campaign(found, now=later) == 3
    assert not find_priced(now=later).exists()


def test_the_page_says_what_each_has_to_earn(spring: Campaign) -> None:
    publish(spring)
    price_campaign(spring, now=BEGIN + HOUR)
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(is_superuser=True))
    address = reverse("campaign-report", args=[spring.key])
    assert "There is enough of each 1.00 of the budget" in client.get(address).content.decode()
    PolicyPrice.objects.update(price=0.0234)
    page = client.get(address).content.decode()
    assert "Each 1.00 of the budget has to earn 2.34 more than what uses nothing up." in page


def test_one_damaged_policy_keeps_nobody_else_from_its_prices(spring: Campaign) -> None:
    other: Any = make_campaign(
        offers=[make_offer(cost_cents=5)],
        budget_cents=100,
        started_at=BEGIN,
        ends_at=BEGIN + 10 * DAY,
        budget_pacing=Pacing.DUAL,
    )
    other.policy.versions.create(number=1, odds=b"no odds", learned_from=1, published_at=BEGIN)
    publish(spring)
    with time_machine.travel(BEGIN + HOUR, tick=False):
        assert price_due() == 0
    assert [row.resource for row in PolicyPrice.objects.all()] == [f"budget:{spring.key}"]
    assert Count(find_priced(now=BEGIN + HOUR)) == Count([spring, other])
