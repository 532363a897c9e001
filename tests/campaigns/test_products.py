"""An offer comes with each customer's own products of a ranking."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from audience.models import Scope
from campaigns.design import describe_campaign
from campaigns.models import Campaign
from recommender.models import TopPicks
from recommender.ranking.learning import train_next
from recommender.ranking.lifecycle import request_version, serve_version
from tests.asgi import Site, open_site
from tests.makers import NOW, make_campaign, make_offer, make_source
from tests.recommender.ranking.shops import make_ranking, make_shop

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def site(transactional_db: None) -> Iterator[Site]:
    with open_site() as opened:
        yield opened


def ask(site: Site, campaign: Campaign, customer: str, key: str) -> Any:
    body = {"customer": customer, "placements": [campaign.placement.key]}
    answer = site.post("/api/v1/decide", body, key=key)
    assert answer.status == 200, answer.text
    return answer.json()["decisions"][0]["offer"]


def test_each_customer_gets_the_offer_with_their_own_products(site: Site) -> None:
    people, ranking = make_shop(), make_ranking()
    picks, plain = make_offer(ranking=ranking), make_offer()
    campaign = make_campaign(offers=[picks, plain], started_at=timezone.now())
    _, key = make_source(Scope.DECIDE)
    answers = {one.external_key: ask(site, campaign, one.external_key, key) for one in people}
    given = {name: offer for name, offer in answers.items() if offer is not None}
    assert {offer["key"] for offer in given.values()} == {picks.key, plain.key}
    assert all("products" not in offer for offer in given.values() if offer["key"] == plain.key)
    with_list = {name for name, offer in given.items() if offer["key"] == picks.key}
    assert all(given[name]["products"] == [] for name in with_list)

    request_version(ranking, kind="markov", hyperparameters={}, by=None, now=NOW)
    version = train_next(now=NOW)
    assert version is not None
    serve_version(version, now=NOW)
    listed = dict(
        TopPicks.objects.filter(version=version, customer__in=people).values_list(
            "customer__external_key", "items"
        )
    )
    for name in with_list:
        # The same offer is held; its products are those of now.
        offer = ask(site, campaign, name, key)
        assert (offer["key"], offer["ranking"]) == (picks.key, ranking.key)
        assert offer["products"] == listed[name]
    newcomers = TopPicks.objects.get(version=version, customer=None).items
    for number in range(20):
        offer = ask(site, campaign, f"newcomer-{number}", key)
        if offer is not None and offer["key"] == picks.key:
            assert offer["products"] == newcomers


def test_which_products_come_with_an_offer_is_part_of_what_is_approved() -> None:
    make_shop()
    offer = make_offer()
    campaign = make_campaign(offers=[offer], started_at=None)
    before = describe_campaign(campaign)
    offer.ranking = make_ranking()
    offer.save()
    assert describe_campaign(campaign) != before
