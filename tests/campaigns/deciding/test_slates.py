"""A campaign shows each customer's own products, drawn place by place and proven as any other."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from audience.models import Customer, Scope
from campaigns.client_draws.growthbook import to_extras
from campaigns.customers.why import explain_campaign
from campaigns.deciding.slates import LONGEST_KEY, find_listed
from campaigns.deciding.snapshot import RunningArm, RunningSlate, Serves
from campaigns.lifecycle.cloning import clone_campaign
from campaigns.lifecycle.design import describe_campaign
from campaigns.lifecycle.drafting import Split
from campaigns.lifecycle.preflight import find_issues
from campaigns.lifecycle.status import start_campaign
from campaigns.models import Campaign, Cap
from campaigns.replaying import replay
from campaigns.tasks import evaluate_campaign, evaluate_due
from experiments.models import Experiment
from recommender.listing.lists import Rules
from recommender.models import (
    Decision,
    PolicyEvaluation,
    RankerVersion,
    Ranking,
    Reward,
    TopPicks,
)
from recommender.ranking.catalogue import update_products
from recommender.ranking.reading import Lists, Served
from recommender.rewards.settling import settle_rewards
from tests.asgi import Site, open_site
from tests.campaigns.client_shop import read_snapshot
from tests.campaigns.deciding.placed import those_in
from tests.makers import (
    NOW,
    make_campaign,
    make_customer,
    make_event,
    make_metric,
    make_offer,
    make_source,
    make_user,
)
from tests.recommender.ranking.shops import make_ranking, make_shop, serve_markov

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class Shop:
    """A shop with a campaign that shows products."""

    site: Site
    key: str
    people: list[Customer]
    ranking: Ranking
    version: RankerVersion
    campaign: Campaign

    def ask(self, customer: str, count: int = 4) -> list[dict[str, Any]]:
        """Return what was decided for each place."""
        places = [{"key": self.campaign.placement.key, "count": count}]
        body = {"customer": customer, "placements": places}
        answer = self.site.post("/api/v1/decide", body, key=self.key)
        assert answer.status == 200, answer.text
        decisions: list[dict[str, Any]] = answer.json()["decisions"]
        return decisions

    def keys_of(self, arm: str) -> list[str]:
        """Return whom of its people the hash puts into an arm."""
        return list(those_in(self.campaign, arm, (one.external_key for one in self.people)))

    def keys(self, customer: str, count: int = 4) -> list[str]:
        return [made["offer"]["key"] for made in self.ask(customer, count) if made["offer"]]


def open_shop(
    site: Site, *, split: Split | None = None, caps: Sequence[Cap] = (), **plan: Any
) -> Shop:
    people, ranking = make_shop(), make_ranking(shown=8)
    version = serve_markov(ranking)
    campaign = make_campaign(
        offers=[],
        ranking=ranking,
        split=split or Split(10, 20),
        started_at=None,
        **plan,
    )
    for cap in caps:
        cap.campaign = campaign
        cap.save()
    start_campaign(campaign, by=None, now=timezone.now())
    _, key = make_source(Scope.DECIDE)
    return Shop(site, key, people, ranking, version, campaign)


@pytest.fixture
def site(transactional_db: None) -> Iterator[Site]:
    with open_site() as opened:
        yield opened


def test_each_arm_shows_what_it_should_and_every_place_is_logged_and_replayed(site: Site) -> None:
    shop = open_shop(site, temperature=0.5)
    lists: dict[str | None, list[str]] = dict(
        TopPicks.objects.filter(version=shop.version).values_list("customer__external_key", "items")
    )
    by_arm: dict[str, list[list[dict[str, Any]]]] = defaultdict(list)
    for one in shop.people[:80]:
        made = shop.ask(one.external_key)
        by_arm[made[0]["arm"]].append(made)
        keys = [place["offer"]["key"] for place in made if place["offer"]]
        if made[0]["arm"] == "personalised":
            assert len(set(keys)) == 4
            assert set(keys) <= set(lists[one.external_key])
            assert made[0]["offer"]["link"] == f"https://shop.example/{keys[0]}"
            assert made[0]["offer"]["headline"] == f"Product {int(keys[0][1:])}"
        elif made[0]["arm"] == "control":
            assert keys == lists[None][:4]
        else:
            assert keys == []
    assert set(by_arm) == {"personalised", "control", "hold-out"}
    decisions = Decision.objects.filter(campaign=shop.campaign.key)
    for decision in decisions:
        assert replay(decision.pk).is_confirmed
    drawn = [d for d in decisions if d.arm == "personalised"]
    assert all(d.policy_version == shop.version.number for d in drawn)
    assert all(d.ranker_version == shop.version.pk for d in drawn)
    assert all(len(d.eligible) == 8 - d.position for d in drawn)
    assert all(d.propensity == d.weights[d.eligible.index(d.offer or "")] for d in drawn)
    assert len({tuple(d.products) for d in drawn if d.position == 0}) > 5
    # Each place waits for a reward of its own.
    assert Reward.objects.count() == decisions.count()


def test_places_are_drawn_as_often_as_their_propensities_say(site: Site) -> None:
    shop = open_shop(site, split=Split(1, 1), temperature=1.0)
    slates = [shop.ask(f"new-{number}", 2) for number in range(400)]
    drawn = [made for made in slates if made[0]["arm"] == "personalised"]
    first = Counter(made[0]["offer"]["key"] for made in drawn)
    decision = Decision.objects.filter(campaign=shop.campaign.key, position=0, arm="personalised")[
        0
    ]
    assert decision.weights[0] / decision.weights[-1] == pytest.approx(np.e, rel=0.02)
    for key, weight in zip(decision.eligible, decision.weights, strict=True):
        error = np.sqrt(weight * (1 - weight) * len(drawn))
        assert abs(first[key] - weight * len(drawn)) < 4 * error


def test_a_slate_is_held_while_it_can_be_had_and_is_long_enough(site: Site) -> None:
    shop = open_shop(site, split=Split(1, 1), temperature=1.0, places=6)
    name = shop.keys_of("personalised")[0]
    slate = shop.keys(name)
    assert len(slate) == 4
    assert shop.keys(name) == slate
    assert shop.keys(name, 2) == slate[:2]
    longer = shop.keys(name, 20)
    assert len(longer) == 6
    assert shop.keys(name, 20) == longer
    gone = {"product_id": longer[1], "in_stock": False}
    make_event(make_customer(), "Product Viewed", at=NOW, properties=gone)
    update_products(now=NOW)
    assert longer[1] not in shop.keys(name, 20)


def test_a_limit_does_not_take_away_a_slate_that_is_held(site: Site) -> None:
    caps = [Cap(limit=3, is_per_customer=True, hours=24)]
    shop = open_shop(site, split=Split(1, 1), caps=caps)
    name = shop.keys_of("personalised")[0]
    slate = shop.keys(name)
    assert len(slate) == 3
    assert shop.keys(name) == slate
    assert Decision.objects.count() == 3


def test_rules_of_the_ranking_hold_in_slates(site: Site) -> None:
    shop = open_shop(site, temperature=2.0)
    Ranking.objects.update(most_of_category=1)
    for one in shop.people[:30]:
        shelves = [int(key[1:]) // 8 for key in shop.keys(one.external_key)]
        assert len(shelves) == len(set(shelves))


def test_where_there_is_nothing_to_show_the_fallback_is(site: Site) -> None:
    fallback = make_offer()
    shop = open_shop(site, split=Split(1, 1), fallback=fallback)
    Ranking.objects.update(price_to=1)
    first, second, *_ = shop.keys_of("personalised")
    (made,) = shop.ask(first)
    assert (made["offer"]["key"], made["propensity"]) == (fallback.key, 1.0)
    assert "leave nothing" in made["reasons"][0]
    RankerVersion.objects.update(status="retired")
    (made,) = shop.ask(second)
    assert "lists nothing now" in made["reasons"][0]
    assert made["offer"]["key"] == fallback.key


def test_limits_of_the_campaign_end_a_slate_where_they_are_reached(site: Site) -> None:
    shop = open_shop(
        site,
        split=Split(1, 1),
        hold_minutes=0,
        caps=[
            Cap(limit=5, is_per_customer=True, hours=24),
            Cap(limit=8, is_per_customer=False, hours=24),
        ],
    )
    first, second, third, *_ = shop.keys_of("personalised")
    assert len(shop.keys(first)) == 4
    (last,) = shop.ask(first)
    assert last["offer"]
    assert Decision.objects.get(pk=last["decision_id"]).products == [last["offer"]["key"]]
    assert len(shop.keys(second)) == 3
    (nothing,) = shop.ask(third)
    assert nothing["offer"] is None
    assert "as often as it may be" in nothing["reasons"][0]


def test_it_starts_only_where_a_version_is_served() -> None:
    ranking = make_ranking()
    campaign = make_campaign(offers=[], ranking=ranking, started_at=None)
    issues = [issue.code for issue in find_issues(campaign, now=NOW) if issue.is_blocking]
    assert issues == ["ranking"]
    with pytest.raises(ValidationError, match="serves no version yet"):
        start_campaign(campaign, by=None, now=NOW)
    make_shop()
    version = serve_markov(ranking)
    assert not [issue for issue in find_issues(campaign, now=NOW) if issue.is_blocking]
    version.picks.filter(customer=None).update(items=[])
    (issue,) = [issue for issue in find_issues(campaign, now=NOW) if issue.is_blocking]
    assert "newcomers" in issue.sentence


def test_the_report_says_what_other_draws_would_have_earned(site: Site) -> None:
    goal = make_metric("Product Clicked")
    shop = open_shop(site, split=Split(1, 1), temperature=1.0, goal=goal)
    now = timezone.now()
    for number in range(150):
        made = shop.ask(f"new-{number}", 3)
        if number % 5 == 0 and made[0]["offer"]:
            who = Customer.objects.get(external_key=f"new-{number}")
            clicked = {"product_id": made[1]["offer"]["key"]}
            make_event(who, "Product Clicked", at=timezone.now(), properties=clicked)
    assert evaluate_campaign(shop.campaign) is None
    later = now + timedelta(days=4)
    while settle_rewards(shop.campaign.policy, now=later, limit=500):
        pass
    clicks = Reward.objects.filter(decision__position=1, value=1)
    assert clicks.count() == Reward.objects.filter(value=1).count() > 20
    assert evaluate_due() == 1
    assert evaluate_due() == 0
    evaluation = PolicyEvaluation.objects.get(campaign=shop.campaign.key)
    assert "slates of 3 products" in evaluation.population
    as_drawn = evaluation.rows[0]["cascade"]["estimate"]
    personal = Decision.objects.filter(arm="personalised", position=0).count()
    of_these = clicks.filter(decision__arm="personalised").count()
    assert as_drawn == pytest.approx(of_these / personal)
    Experiment.objects.update(minimum_days=0)
    browser = Client(headers={"x-forwarded-proto": "https"})
    browser.force_login(make_user(is_superuser=True))
    page = browser.get(shop.campaign.get_absolute_url()).content.decode()
    assert "It shows 4 products of" in page
    assert "Best first, without chance" in page
    assert "Propensities hold" in page


def test_no_client_draws_products_by_itself() -> None:
    make_shop()
    ranking = make_ranking()
    serve_markov(ranking)
    make_campaign(offers=[], ranking=ranking)
    plain = make_campaign()
    snapshot = asyncio.run(read_snapshot())
    assert len(list(snapshot.all_campaigns)) == 2
    assert set(to_extras(snapshot, now=NOW).features) == {plain.key}


def test_the_customer_s_page_says_which_product_was_drawn(site: Site) -> None:
    shop = open_shop(site, split=Split(1, 1))
    (one, made) = next(
        (one, made) for one in shop.people if (made := shop.ask(one.external_key))[0]["offer"]
    )
    said = explain_campaign(shop.campaign, one, [one.pk], now=timezone.now())
    assert any(made[0]["offer"]["name"] in sentence for sentence in said)
    assert f"Drawn from {shop.ranking.key} version 1." in said


def test_what_is_drawn_is_part_of_what_is_approved_and_copied() -> None:
    ranking = make_ranking()
    campaign = make_campaign(offers=[], ranking=ranking, places=3, temperature=0.7, started_at=None)
    described = describe_campaign(campaign)
    assert described["chooses by"] == "3 products of Top picks, drawn with temperature 0.7"
    policy = clone_campaign(campaign, by=make_user(), now=NOW).policy
    assert (policy.ranking, policy.places, policy.temperature) == (ranking, 3, 0.7)


def test_what_has_too_long_a_key_is_not_shown() -> None:
    long = "p" * (LONGEST_KEY + 1)
    lists = Lists(
        served={"top": Served(1, 1, Rules(), ())},
        listed={(1, 0): (("a", long, "b"), (3.0, 2.0, 1.0))},
    )
    arm = RunningArm(1, "personalised", 1, Serves.POLICY)
    listed = find_listed(RunningSlate("top", 3, 0.1), arm, lists, None)
    assert listed is not None
    assert (listed.items, listed.scores) == (("a", "b"), (3.0, 1.0))
