"""Clients get a customer's products, ranked by the session and by the shop's rules."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from audience.models import Identity, Scope
from recommender.models.rankings import RankerVersion, Ranking, Status, TopPicks
from recommender.ranking.catalogue import update_products
from recommender.ranking.learning import train_next
from recommender.ranking.lifecycle import request_version, serve_version
from tests.asgi import Answer, Site, open_site
from tests.makers import NOW, make_customer, make_customers, make_event, make_source, merge
from tests.recommender.ranking.shops import make_ranking, make_shop

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/api/v1/picks"


class Asker:
    """A client of a site, with one key."""

    def __init__(self, site: Site, *scopes: Scope) -> None:
        _, self._key = make_source(*scopes)
        self._site = site

    def post(self, question: dict[str, Any]) -> Answer:
        return self._site.post(PATH, question, key=self._key)

    def __call__(self, ranking: Ranking, **question: Any) -> dict[str, Any]:
        answer = self.post({"ranking": ranking.key, **question})
        assert answer.status == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
def site(transactional_db: None) -> Iterator[Site]:
    with open_site() as opened:
        yield opened


@pytest.fixture
def ask(site: Site) -> Asker:
    return Asker(site, Scope.DECIDE)


def trained(ranking: Ranking) -> RankerVersion:
    request_version(ranking, kind="markov", hyperparameters={}, by=None, now=NOW)
    version = train_next(now=NOW)
    assert version is not None
    assert version.status in (Status.ADMITTED, Status.SERVED)
    return version


def test_nothing_is_shown_until_a_version_is_served(ask: Asker) -> None:
    people = make_shop()
    ranking = make_ranking()
    version = trained(ranking)
    customer = people[0].external_key
    assert ask(ranking, customer=customer) == {"version": None, "products": []}
    serve_version(version, now=NOW)
    picks = TopPicks.objects.get(version=version, customer=people[0])
    assert ask(ranking, customer=customer) == {"version": 1, "products": picks.items}


def test_a_visitor_gets_the_list_of_the_customer_they_turned_out_to_be(ask: Asker) -> None:
    people = make_shop()
    ranking = make_ranking()
    version = trained(ranking)
    serve_version(version, now=NOW)
    (visitor,) = make_customers(1)
    merge(visitor, into=people[3])
    Identity.objects.create(customer=people[3], kind="anonymous_id", value="browser-3")
    picks = TopPicks.objects.get(version=version, customer=people[3])
    for name in ({"customer": visitor.external_key}, {"anonymous_id": "browser-3"}):
        assert ask(ranking, **name)["products"] == picks.items


def test_somebody_unknown_gets_the_list_of_newcomers(ask: Asker) -> None:
    make_shop()
    ranking = make_ranking()
    version = trained(ranking)
    serve_version(version, now=NOW)
    newcomers = TopPicks.objects.get(version=version, customer=None)
    for name in ({"customer": make_customer().external_key}, {"anonymous_id": "never-seen"}):
        assert ask(ranking, **name)["products"] == newcomers.items


def test_a_session_moves_what_follows_it_to_the_front(ask: Asker) -> None:
    make_shop()
    ranking = make_ranking()
    serve_version(trained(ranking), now=NOW)
    session = ["p05", "unheard-of", "p11"]
    shown = ask(ranking, anonymous_id="new", session=session)["products"]
    assert shown[0] == "p12"
    assert not set(session) & set(shown)


def test_a_shop_s_rules_are_kept(ask: Asker) -> None:
    make_shop()
    ranking = make_ranking()
    serve_version(trained(ranking), now=NOW)
    update_products(now=NOW)
    asked = {"anonymous_id": "new", "session": ["p11"]}
    assert "p12" not in ask(ranking, **asked, exclude=["p12"])["products"]
    # A product costs ten more than its number; eight of them are of one category.
    priced = ask(ranking, **asked, price_from=23, price_to=25)["products"]
    assert set(priced) == {"p13", "p14", "p15"}
    assert all(int(item[1:]) >= 14 for item in ask(ranking, **asked, price_from=24)["products"])
    capped = ask(ranking, **asked, most_of_category=1)["products"]
    assert len({int(item[1:]) // 8 for item in capped}) == len(capped) > 1
    (customer,) = make_customers(1)
    sold_out = {"product_id": "p12", "in_stock": False}
    make_event(customer, "Product Viewed", at=NOW, properties=sold_out)
    update_products(now=NOW)
    assert "p12" not in ask(ranking, **asked)["products"]


def test_a_ranking_s_own_rules_hold_until_somebody_asks_for_others(ask: Asker) -> None:
    people, ranking = make_shop(), make_ranking(shown=24, price_to=20)
    serve_version(trained(ranking), now=NOW)
    update_products(now=NOW)
    shown = ask(ranking, anonymous_id="new", count=24)["products"]
    assert {int(item[1:]) for item in shown} == set(range(11))
    dear = ask(ranking, anonymous_id="new", count=24, price_to=40)["products"]
    assert {int(item[1:]) for item in dear} == set(range(24))
    Ranking.objects.update(
        price_to=None, boosts=[{"attribute": "category", "value": "shelf 2", "factor": 50.0}]
    )
    first = ask(ranking, anonymous_id="new", count=3)["products"]
    assert {int(item[1:]) // 8 for item in first} == {2}
    Ranking.objects.update(diversity=0.9)
    assert (
        len({int(item[1:]) // 8 for item in ask(ranking, anonymous_id="new", count=3)["products"]})
        == 3
    )
    # Bought just now, by somebody whose list was made before.
    who = people[0].external_key
    Ranking.objects.update(boosts=[], diversity=0, bought_days=30)
    before = ask(ranking, customer=who, count=24)["products"]
    bought = {"order_id": "1", "products": [{"product_id": before[0]}]}
    make_event(people[0], "Order Completed", at=datetime.now(UTC), properties=bought)
    assert ask(ranking, customer=who, count=24)["products"] == before[1:]
    make_event(people[0], "Product Viewed", at=datetime.now(UTC), properties={"sku": before[1]})
    assert ask(ranking, customer=who, count=24)["products"] == before[1:]
    Ranking.objects.update(met_days=1)
    assert ask(ranking, customer=who, count=24)["products"] == before[2:]


def test_a_newer_version_is_taken_up(ask: Asker) -> None:
    people = make_shop()
    ranking = make_ranking()
    serve_version(trained(ranking), now=NOW)
    customer = people[0].external_key
    assert ask(ranking, customer=customer, session=["p11"])["version"] == 1
    assert trained(ranking).status == Status.SERVED
    assert ask(ranking, customer=customer, session=["p11"])["version"] == 2


def test_a_half_published_version_is_never_seen(ask: Asker) -> None:
    people = make_shop()
    ranking = make_ranking()
    first = trained(ranking)
    serve_version(first, now=NOW)
    name = connection.settings_dict["NAME"]
    with psycopg.connect(settings.DATABASE_URL, dbname=name) as worker:
        # Another worker has retired the first one and taken its lists, and has not committed yet.
        retire = "UPDATE recommender_rankerversion SET status = 'retired' WHERE id = %s"
        worker.execute(retire, [first.pk])
        worker.execute("DELETE FROM recommender_toppicks WHERE version_id = %s", [first.pk])
        assert ask(ranking, customer=people[0].external_key)["version"] == 1
        worker.rollback()


def test_a_key_that_may_not_decide_is_refused(site: Site) -> None:
    question = {"ranking": "any", "customer": "ann"}
    assert Asker(site, Scope.READ).post(question).status == 403


def test_a_customer_is_named_once(ask: Asker) -> None:
    assert ask.post({"ranking": "any"}).status == 422
