"""Every ranker keeps its promises: full lists, nothing seen, one answer everywhere."""

from collections.abc import Callable

import numpy as np
import pytest

from recommender.arrays import IntArray
from recommender.interactions.histories import Histories
from recommender.rankers import RANKERS, make_ranker, name_of, ranker_choices
from recommender.rankers.base import Ranker, TrainingContext
from recommender.rankers.slates import Slates
from recommender.rankers.storing import from_bytes, to_bytes
from tests.recommender.rankers.sentence_models import save_model
from tests.recommender.rankers.worlds import GROUPS, N_ITEMS, SIZE, make_facts, make_histories

# What learns by many small steps learns little from so small a world with its own settings.
READERS = {"size": 32, "batch": 32, "epochs": 12, "rate": 0.02, "dropout": 0.1}
SETTINGS = {
    "bpr": {"rounds": 20},
    "als": {"factors": 8},
    "two_tower": READERS | {"epochs": 20},
    "transformer": READERS,
    "hstu": READERS,
    "gru": READERS,
}


@pytest.fixture(scope="module")
def learn(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Ranker]:
    """Make a ranker that has learned from all but everybody's last event."""
    directory = tmp_path_factory.mktemp("model")

    def learn_one(name: str) -> Ranker:
        ranker = make_ranker(name, SETTINGS.get(name))
        if name == "sentences":
            meanings = {f"group-{each}": np.eye(GROUPS)[each].tolist() for each in range(GROUPS)}
            ranker.prepare(TrainingContext(sentence_model=save_model(directory, meanings)))
        return ranker.fit(make_histories().without_last(1), make_facts())

    return learn_one


@pytest.fixture(scope="module", params=list(RANKERS))
def ranker(request: pytest.FixtureRequest, learn: Callable[[str], Ranker]) -> Ranker:
    return learn(request.param)


def hits(slates: Slates, answers: IntArray) -> float:
    return float((slates.items == answers[:, None]).any(axis=1).mean())


def test_a_ranker_finds_what_comes_next_more_often_than_popularity(ranker: Ranker) -> None:
    histories = make_histories()
    asked, answers = histories.without_last(1), histories.newest(1).items
    popular = make_ranker("popularity").fit(asked)
    found = hits(ranker.recommend(asked, k=3), answers)
    if name_of(ranker) == "popularity":
        assert found == hits(popular.recommend(asked, k=3), answers)
    else:
        # In everybody's own group three items are left, of 33 in all.
        assert found > hits(popular.recommend(asked, k=3), answers) + 0.3


def test_a_slate_falls_and_shows_nothing_seen_or_forbidden(ranker: Ranker) -> None:
    asked = make_histories(20, seed=4)
    allowed = np.arange(N_ITEMS) % 3 > 0
    slates = ranker.recommend(asked, k=5, allowed=allowed)
    assert (np.diff(slates.scores, axis=1) <= 0).all()
    assert allowed[slates.items].all()
    for row in range(20):
        assert not set(slates.items[row]) & set(asked.items_of(row).tolist())


def test_what_was_seen_may_be_shown_again(ranker: Ranker) -> None:
    asked = Histories.of([[1, 2]], n_items=N_ITEMS)
    again = ranker.recommend(asked, k=N_ITEMS, seen_too=True)
    assert set(again.items[0].tolist()) == set(range(N_ITEMS))


def test_places_stay_empty_when_nothing_is_left(ranker: Ranker) -> None:
    allowed = np.zeros(N_ITEMS, dtype=bool)
    allowed[7] = True
    slates = ranker.recommend(Histories.of([[1, 2]], n_items=N_ITEMS), k=3, allowed=allowed)
    np.testing.assert_array_equal(slates.items, [[7, -1, -1]])
    assert np.isneginf(slates.scores[0, 1:]).all()


def test_somebody_without_history_is_answered(ranker: Ranker) -> None:
    scores = ranker.score(Histories.of([[], [3]], n_items=N_ITEMS))
    assert scores.shape == (2, N_ITEMS)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()


def test_a_customer_is_scored_alike_in_any_company(ranker: Ranker) -> None:
    asked = make_histories(12, seed=5)
    alone = ranker.score(asked.of_customers(np.array([7])))
    np.testing.assert_allclose(ranker.score(asked)[[7]], alone, rtol=2e-4, atol=2e-6)


def test_learning_the_same_again_gives_the_same(
    ranker: Ranker, learn: Callable[[str], Ranker]
) -> None:
    again = learn(name_of(ranker))
    asked = make_histories(5, seed=6)
    np.testing.assert_array_equal(again.score(asked), ranker.score(asked))


def test_a_ranker_is_the_same_after_it_was_stored(ranker: Ranker) -> None:
    asked = make_histories(10, seed=7)
    read = from_bytes(to_bytes(ranker))
    assert type(read) is type(ranker)
    np.testing.assert_array_equal(read.score(asked), ranker.score(asked))


def test_what_is_similar_is_another_item(ranker: Ranker) -> None:
    similar = ranker.similar(12, n_items=N_ITEMS, k=3)
    assert 12 not in similar.items
    if name_of(ranker) != "popularity":
        assert (similar.items // SIZE == 1).all()


def test_an_explanation_owes_nothing_to_what_changes_nothing(ranker: Ranker) -> None:
    owed = ranker.explain([1, 2, 15], 3, n_items=N_ITEMS)
    assert owed.shape == (3,)
    if name_of(ranker) == "popularity":
        np.testing.assert_array_equal(owed, 0)
    else:
        # Item 3 follows 2 in their group; 15 is of another one.
        assert owed[1] > owed[2]


def test_its_own_settings_are_among_those_that_are_searched(ranker: Ranker) -> None:
    own = type(ranker)().settings()
    for name, between in ranker.searched.items():
        assert between.low <= own[name] <= between.high
        if isinstance(own[name], int):
            assert (own[name] - between.low) % between.step == 0
        assert between.low > 0 or not between.is_log


def test_every_ranker_has_a_label() -> None:
    assert ("item_knn", "Item Knn") in ranker_choices()


def test_an_unknown_ranker_is_refused() -> None:
    with pytest.raises(ValueError, match="No ranker is called 'oracle'"):
        make_ranker("oracle")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lagz": 3}, "Unknown settings: lagz"),
        ({"decay": "fast"}, "decay must be a number"),
        ({"decay": True}, "decay must be a number"),
        ({"decay": float("nan")}, "decay must be finite"),
        ({"shrinkage": -1}, "shrinkage must be finite and at least 0"),
        ({"lags": 2.5}, "lags must be a whole number"),
        (["lags"], "as an object"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_ranker("markov", settings)


def test_whole_numbers_may_come_with_a_point() -> None:
    assert make_ranker("markov", {"lags": 3.0}).settings()["lags"] == 3


def test_a_ranker_without_one_of_its_arrays_is_refused() -> None:
    ranker = make_ranker("popularity").fit(make_histories())
    blob = to_bytes(ranker).replace(b'"popularity":{"dtype"', b'"pupularity":{"dtype"')
    with pytest.raises(ValueError, match="lacks the array 'popularity'"):
        from_bytes(blob)
