"""The page of a ranking says what is served and why, and lets people judge for themselves."""

from collections import Counter
from http import HTTPStatus
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from recommender.listing.lists import Rules
from recommender.models.rankings import RankerVersion, Ranking, Status
from recommender.ranking.examples import find_examples
from recommender.ranking.forms import RankingForm
from recommender.ranking.learning import train_next
from recommender.ranking.lifecycle import request_version, serve_version
from recommender.ranking.wording import say_rules
from tests.makers import NOW, make_user
from tests.recommender.ranking.shops import make_ranking, make_shop, serve_markov

pytestmark = pytest.mark.django_db


def browse(*permissions: str) -> Client:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user("recommender.view_ranking", *permissions))
    return client


def marketer() -> Client:
    return browse("recommender.change_ranking")


def trained(ranking: Ranking, kind: str = "markov") -> RankerVersion:
    request_version(ranking, kind=kind, hyperparameters={}, by=None, now=NOW)
    version = train_next(now=NOW)
    assert version is not None
    return version


def test_the_page_shows_numbers_reasons_and_examples() -> None:
    people = make_shop()
    ranking = make_ranking()
    serve_version(trained(ranking), now=NOW)
    trained(ranking, "popularity")
    page = browse().get(ranking.get_absolute_url()).content.decode()
    assert "2: Popularity" in page
    assert "It does not beat version 1 (markov), which is served" in page
    assert "NDCG@10 by how many events a customer had: 3 to 9: 0." in page
    assert "From 1,440 events of 240 customers with 24 products." in page
    assert people[0].external_key in page
    assert "Version 1 lists" in page
    assert "Product 7" in page
    assert "Train it" not in page


def test_the_page_shows_what_rules_make_of_the_served_lists() -> None:
    make_shop()
    ranking = make_ranking(shown=24)
    serve_markov(ranking)
    page = browse().get(ranking.get_absolute_url()).content.decode()
    assert "Newcomers" in page
    assert "What is not in stock is left out." in page
    ranking.boosts = [{"attribute": "category", "value": "shelf 2", "factor": 50}]
    ranking.price_from, ranking.price_to = 10, 90
    ranking.most_of_category, ranking.diversity = 2, 0.25
    ranking.bought_days, ranking.met_days = 30, 7
    ranking.save()
    page = browse().get(ranking.get_absolute_url()).content.decode()
    for says in (
        "The category “shelf 2” counts 50 times.",
        "Prices are from 10 to 90.",
        "Of each category there are 2 at most.",
        "25% by how products differ",
        "bought within 30 days",
        "looked at within 7 days",
    ):
        assert says in page
    newcomers = find_examples(ranking, now=NOW)[-1]
    assert newcomers.shown is not None
    shelves = [int(name.removeprefix("Product ")) // 8 for name in newcomers.shown]
    assert shelves[0] == 2
    assert Counter(shelves) == {0: 2, 1: 2, 2: 2}


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        (Rules(shows_sold_out=True), []),
        (Rules(shows_sold_out=True, price_from=5), ["Prices are 5 at least."]),
        (Rules(shows_sold_out=True, price_to=5.5), ["Prices are 5.5 at most."]),
    ],
)
def test_rules_are_said_in_sentences(rules: Rules, says: list[str]) -> None:
    assert say_rules(rules) == says


def test_an_empty_page_says_how_to_begin() -> None:
    page = marketer().get(make_ranking().get_absolute_url()).content.decode()
    assert "Begin with the Markov model" in page
    assert "Train it" in page


def test_a_marketer_asks_for_a_training() -> None:
    ranking = make_ranking()
    address = reverse("ranking-train", args=[ranking.key])
    answer = marketer().post(address, {"kind": "markov", "settings": '{"lags": 3}'})
    assert answer.status_code == HTTPStatus.FOUND
    version = ranking.versions.get()
    assert (version.status, version.recipe) == (Status.WAITING, ("markov", {"lags": 3}))
    assert version.requested_by is not None


def test_settings_that_a_ranker_does_not_take_are_refused_in_words() -> None:
    ranking = make_ranking()
    address = reverse("ranking-train", args=[ranking.key])
    page = marketer().post(address, {"kind": "markov", "settings": '{"lagz": 3}'}).content.decode()
    assert "Unknown settings: lagz" in page
    assert not ranking.versions.exists()


def test_a_marketer_serves_what_was_admitted_and_nothing_else() -> None:
    make_shop()
    ranking = make_ranking()
    trained(ranking)
    client = marketer()
    for number, words in ((1, "Version 1 is served"), (1, "is served and cannot be served")):
        address = reverse("ranking-serve", args=[ranking.key, number])
        assert words in client.post(address, follow=True).content.decode()
    assert ranking.versions.get().status == Status.SERVED


def test_who_may_only_look_changes_nothing() -> None:
    ranking = make_ranking()
    train = reverse("ranking-train", args=[ranking.key])
    assert browse().post(train, {"kind": "markov"}).status_code == HTTPStatus.FORBIDDEN
    serve = reverse("ranking-serve", args=[ranking.key, 1])
    assert browse().post(serve).status_code == HTTPStatus.FORBIDDEN


def test_the_admin_s_list_leads_to_the_page() -> None:
    make_shop()
    ranking = make_ranking()
    address = reverse("admin:recommender_ranking_changelist")
    assert "nothing yet" in browse().get(address).content.decode()
    serve_version(trained(ranking), now=NOW)
    page = browse().get(address).content.decode()
    assert "v1, markov" in page
    assert ranking.get_absolute_url() in page


def add_ranking(**given: str) -> Any:
    """Fill the form of a new ranking."""
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(is_superuser=True))
    usual = {
        "key": "picks",
        "name": "Picks",
        "event_weights": "Product Viewed: 1",
        "window_days": 30,
        "events_per_customer": 50,
        "shown": 10,
        "refresh_hours": 0,
        "bought_days": 0,
        "met_days": 0,
        "diversity": 0,
    }
    return client.post(reverse("admin:recommender_ranking_add"), usual | given)


def test_weights_and_boosts_are_written_as_lines_and_shown_so() -> None:
    written = "Product Viewed: 0.5\n\n Order: Completed : 5 "
    assert add_ranking(event_weights=written, boosts="brand Acme & Sons: 2\r\ncategory new: 0")
    ranking = Ranking.objects.get()
    assert ranking.event_weights == {"Product Viewed": 0.5, "Order: Completed": 5.0}
    assert ranking.boosts == [
        {"attribute": "brand", "value": "Acme & Sons", "factor": 2.0},
        {"attribute": "category", "value": "new", "factor": 0.0},
    ]
    form = RankingForm(instance=ranking)
    assert form["event_weights"].value() == "Product Viewed: 0.5\nOrder: Completed: 5"
    assert form["boosts"].value() == "brand Acme & Sons: 2\ncategory new: 0"


@pytest.mark.parametrize(
    ("field", "written", "says"),
    [
        ("event_weights", "", "This field is required."),
        ("event_weights", "Product Viewed", "“Product Viewed” is not understood."),
        ("event_weights", "Product Viewed: many", "is not understood."),
        ("event_weights", "Product Viewed: nan", "is not understood."),
        ("event_weights", ": 1", "is not understood."),
        ("event_weights", "Product Viewed: 0", "must count a number above 0"),
        ("event_weights", "Product Viewed: 1\nProduct Viewed: 2", "An event is named twice."),
        ("boosts", "colour red: 2", "does not begin with category, brand or variant"),
        ("boosts", "brand: 2", "does not begin with"),
        ("boosts", "brand Acme: 1000", "A factor must be in"),
    ],
)
def test_lines_that_mean_nothing_are_refused(field: str, written: str, says: str) -> None:
    answer = add_ranking(**{field: written})
    assert answer.status_code == HTTPStatus.OK
    page = answer.content.decode()
    assert says in page
    assert written in page
    assert not Ranking.objects.exists()
