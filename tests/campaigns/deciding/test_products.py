"""An offer comes with each customer's own products of a ranking."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from audience.models import Scope
from campaigns.lifecycle.design import describe_campaign
from campaigns.lifecycle.drafting import Split
from campaigns.models import Campaign
from recommender.models import Decision, Ranking, TopPicks
from tests.asgi import Site, open_site
from tests.campaigns.deciding.placed import those_in
from tests.makers import make_campaign, make_offer, make_source
from tests.recommender.ranking.shops import make_ranking, make_shop, serve_markov

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
    campaign = make_campaign(offers=[picks, plain], started_at=timezone.now(), hold_minutes=0)
    _, key = make_source(Scope.DECIDE)
    names = [one.external_key for one in people]
    given = [offer for name in names if (offer := ask(site, campaign, name, key)) is not None]
    assert {offer["key"] for offer in given} == {picks.key, plain.key}
    assert all("products" not in offer for offer in given if offer["key"] == plain.key)
    assert all(offer["products"] == [] for offer in given if offer["key"] == picks.key)

    version = serve_markov(ranking)
    listed = dict(
        TopPicks.objects.filter(version=version, customer__in=people).values_list(
            "customer__external_key", "items"
        )
    )
    newcomers = TopPicks.objects.get(version=version, customer=None).items
    shown = 0
    for name in [*names, *(f"newcomer-{number}" for number in range(20))]:
        offer = ask(site, campaign, name, key)
        if offer is not None and offer["key"] == picks.key:
            assert offer["ranking"] == ranking.key
            assert offer["products"] == listed.get(name, newcomers)
            shown += 1
    assert shown > 20


def test_what_was_shown_is_logged_and_shown_again_while_the_offer_is_held(site: Site) -> None:
    people, ranking = make_shop(), make_ranking()
    version = serve_markov(ranking)
    campaign = make_campaign(
        offers=[make_offer(ranking=ranking)], split=Split(1, 1), started_at=timezone.now()
    )
    _, key = make_source(Scope.DECIDE)
    answers = {one.pk: ask(site, campaign, one.external_key, key) for one in people[:20]}
    decisions = Decision.objects.filter(campaign=campaign.key, offer__isnull=False)
    assert len(decisions) > 10
    for decision in decisions:
        assert decision.products == answers[decision.customer_id]["products"]
        assert decision.ranker_version == version.pk
    # Another version is served meanwhile: whoever holds an offer holds its products too.
    Ranking.objects.update(most_of_category=1)
    for one in people[:20]:
        assert ask(site, campaign, one.external_key, key) == answers[one.pk]
    newcomers = TopPicks.objects.get(version=version, customer=None).items
    somebody = next(those_in(campaign, "personalised", map("new-{}".format, range(100))))
    new = ask(site, campaign, somebody, key)["products"]
    assert len(new) == len({int(item[1:]) // 8 for item in newcomers}) < len(newcomers)


def test_which_products_come_with_an_offer_is_part_of_what_is_approved() -> None:
    make_shop()
    offer = make_offer()
    campaign = make_campaign(offers=[offer], started_at=None)
    before = describe_campaign(campaign)
    offer.ranking = make_ranking()
    offer.save()
    assert describe_campaign(campaign) != before
