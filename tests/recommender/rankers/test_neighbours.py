"""User-kNN, session kNN and content agree with loops that follow their words."""

import math

import numpy as np
import pytest

from recommender.arrays import FloatArray
from recommender.interactions.histories import Histories
from recommender.interactions.item_facts import ItemFacts
from recommender.rankers.content import Content
from recommender.rankers.popularity import Popularity
from recommender.rankers.session_knn import SessionKnn
from recommender.rankers.user_knn import UserKnn
from tests.recommender.rankers.worlds import N_ITEMS, make_histories

DAY = 86_400.0


def test_user_knn_adds_up_the_nearest_profiles() -> None:
    known, asked = make_histories(40), make_histories(6, length=4, seed=9)
    scores = UserKnn(neighbours=5, shrinkage=1.0).fit(known).score(asked)
    x, q = known.profiles().toarray(), asked.profiles().toarray()
    for row in range(6):
        norms = np.sqrt((x**2).sum(axis=1)) * math.sqrt((q[row] ** 2).sum())
        alike = (x @ q[row]) / (norms + 1.0)
        nearest = np.argsort(-alike, kind="stable")[:5]
        np.testing.assert_allclose(scores[row], alike[nearest] @ x[nearest], rtol=1e-5)


def say_of_sessions(known: Histories, current: list[int], *, ended: float) -> FloatArray:
    """Follow the docstring of `SessionKnn` one session after the other."""
    said = np.zeros(N_ITEMS)
    appear = np.zeros(N_ITEMS)
    for number in range(len(known)):
        session = known.items_of(number).tolist()
        appear[session] += 1
        shared = [item for item in current if item in session]
        if not shared:
            continue
        ages = {item: len(current) - 1 - place for place, item in enumerate(current)}
        alike = sum(math.exp(-ages[item] / 3.0) for item in shared) / math.sqrt(len(session))
        alike *= math.exp(-abs(ended - known.times[known.starts[number + 1] - 1]) / DAY / 2.0)
        meeting = session.index(shared[-1])
        for place, item in enumerate(session):
            said[item] += alike * math.exp(-abs(place - meeting) / 3.0)
    return said * (1 + 0.1 * np.log(len(known) / np.maximum(appear, 1)))


def test_session_knn_follows_its_words() -> None:
    known = make_histories(30)
    current = [4, 5, 17]
    asked = Histories.of([current], n_items=N_ITEMS, times=np.array([1.0, 2.0, 3.0]) * DAY)
    scores = SessionKnn(days=2.0).fit(known).score(asked)
    np.testing.assert_allclose(scores[0], say_of_sessions(known, current, ended=3 * DAY), rtol=1e-4)


def test_a_long_pause_begins_a_new_session() -> None:
    lists, times = [[1, 2, 3, 4], [2, 3]], np.array([0.0, 60.0, 7200.0, 7260.0, 0.0, 60.0])
    ranker = SessionKnn(gap_minutes=30).fit(Histories.of(lists, n_items=6, times=times))
    np.testing.assert_array_equal(ranker.starts, [0, 2, 4, 6])
    asked = Histories.of([[1, 3]], n_items=6, times=np.array([0.0, 7200.0]))
    # Item 1 is of a session that is over; only 3 speaks.
    alone = Histories.of([[3]], n_items=6, times=np.array([7200.0]))
    np.testing.assert_allclose(ranker.score(asked), ranker.score(alone))


def test_content_is_a_mean_cosine_and_nearness_of_prices() -> None:
    facts = ItemFacts.of(
        [["red", "shoe"], ["red", "hat"], ["shoe"], ["mug"]], prices=[100.0, 100.0, 50.0, math.nan]
    )
    ranker = Content(decay=0.5, price_weight=0.1, price_spread=0.5)
    ranker.fit(Histories.of([[0]], n_items=4), facts)
    scores = ranker.score(Histories.of([[3, 0], [3]], n_items=4))
    rarity = {word: math.log(4 / n) for word, n in {"red": 2, "shoe": 2, "hat": 1}.items()}
    cosine = rarity["red"] ** 2 / (
        math.hypot(rarity["red"], rarity["shoe"]) * math.hypot(rarity["red"], rarity["hat"])
    )
    # Item 0 is two thirds of the profile, and the only one of known price.
    assert scores[0, 1] == pytest.approx(cosine * 2 / 3 + 0.1, rel=1e-5)
    near = math.exp(-0.5 * (math.log(2) / 0.5) ** 2)
    assert scores[0, 2] == pytest.approx(math.sqrt(0.5) * 2 / 3 + 0.1 * near, rel=1e-5)
    np.testing.assert_allclose(scores[1], [0, 0, 0, 1], atol=1e-6)


def test_content_needs_facts_of_all_items() -> None:
    with pytest.raises(ValueError, match="facts about all 40 items"):
        Content().fit(make_histories(5))
    with pytest.raises(ValueError, match="facts about all 40 items"):
        Content().fit(make_histories(5), ItemFacts.of([["a"]]))


def test_old_popularity_fades_by_half_lives() -> None:
    times = np.array([0.0, 10.0, 10.0]) * DAY
    histories = Histories.of([[0, 1], [1]], n_items=3, times=times)
    ranker = Popularity(half_life_days=5.0).fit(histories)
    np.testing.assert_allclose(ranker.popularity, np.array([0.25, 2.0, 0.0]) / 2.25)


def test_popularity_may_look_at_the_last_days_only() -> None:
    times = np.array([0.0, 10.0, 10.0]) * DAY
    histories = Histories.of([[0, 1], [1]], n_items=3, times=times)
    ranker = Popularity(window_days=7.0).fit(histories)
    np.testing.assert_allclose(ranker.popularity, [0.0, 1.0, 0.0])


def test_popularity_of_nothing_is_nothing() -> None:
    ranker = Popularity(half_life_days=5.0).fit(Histories.of([[]], n_items=3))
    np.testing.assert_array_equal(ranker.popularity, 0.0)
