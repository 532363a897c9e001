"""Reasons are the weightiest parts of what a score is owed to, by name."""

import numpy as np
import pytest
from django.test import Client

from recommender.interactions.histories import Histories
from recommender.rankers.base import Attribution
from recommender.rankers.popularity import Popularity
from recommender.ranking.learning import train_next
from recommender.ranking.lifecycle import request_version
from recommender.ranking.reasons import Reason, find_reasons, read_reasons, to_json
from recommender.ranking.wording import say_reasons
from tests.makers import NOW, make_user
from tests.recommender.ranking.shops import make_ranking, make_shop

KEYS, WORDS = ["cup", "mug", "pan"], ["blue", "round"]
HISTORY = Histories.of([[0, 1, 0]], n_items=3)


class Told(Popularity):
    """A ranker that is told what its scores are owed to."""

    def __init__(self, told: Attribution) -> None:
        super().__init__()
        self.told = told

    def attribute(self, items: object, item: int, *, n_items: int) -> Attribution:
        return self.told


def test_parts_of_one_product_are_added_up_and_small_ones_left_out() -> None:
    told = Attribution(
        events=np.array([1.0, 2.0, 3.0]), words={1: -2.0, 0: 0.01}, price=1.5, own=0.49
    )
    found = find_reasons(Told(told), HISTORY, 2, keys=KEYS, words=WORDS)
    assert found == [
        Reason("met", "cup", 0.4),
        Reason("met", "mug", 0.2),
        Reason("said", "round", -0.2),
        Reason("price", "", 0.15),
        Reason("itself", "", 0.049),
    ]
    assert read_reasons(to_json(found)) == found
    assert say_reasons(found, {"cup": "A cup"}) == [
        "met A cup 40%",
        "met mug 20%",
        "“round” -20%",
        "its price 15%",
        "the product itself 5%",
    ]


def test_a_score_that_is_owed_to_nothing_has_no_reasons() -> None:
    ranker = Popularity().fit(HISTORY)
    assert find_reasons(ranker, HISTORY, 2, keys=KEYS, words=WORDS) == []
    assert read_reasons(None) == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "given", "kinds"),
    [
        ("markov", {}, {"met"}),
        ("two_tower", {"size": 16, "epochs": 3}, {"met", "itself"}),
    ],
)
def test_the_page_says_why_a_product_comes_first(
    kind: str, given: dict[str, int], kinds: set[str]
) -> None:
    make_shop()
    ranking = make_ranking()
    request_version(ranking, kind=kind, hyperparameters=given, by=None, now=NOW)
    version = train_next(now=NOW)
    assert version is not None
    picks = version.picks.filter(reasons__isnull=False)
    assert picks.count() == 12
    assert {each.kind for some in picks for each in read_reasons(some.reasons)} >= kinds
    looker = Client(headers={"x-forwarded-proto": "https"})
    looker.force_login(make_user("recommender.view_ranking"))
    page = looker.get(ranking.get_absolute_url()).content.decode()
    assert page.count("Version 1 lists <b>Product") == 6
    assert "first: " in page
