"""Hybrids and blends trust the members that foresee more."""

import numpy as np
import pytest

from recommender.interactions.histories import Histories
from recommender.rankers import hybrid
from recommender.rankers.blend import Blend, fit_logit
from recommender.rankers.composite import Member
from recommender.rankers.hybrid import AMOUNTS, Hybrid
from tests.recommender.rankers.worlds import N_ITEMS, make_facts, make_histories

MEMBERS: tuple[Member, ...] = (("markov", {"lags": 1}), ("popularity", {}))


def test_a_logit_finds_the_weights_that_choices_were_made_by() -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(20_000, 6, 2)) * np.array([1.0, 3.0])
    planted = np.array([0.8, -0.3])
    chosen = (x @ planted + rng.gumbel(size=(20_000, 6))).argmax(axis=1)
    # Three standard errors of a logit with 20,000 choices, and the pull of the penalty.
    np.testing.assert_allclose(fit_logit(x, chosen), planted, atol=0.04)


def test_a_logit_without_choices_weighs_nothing() -> None:
    weights = fit_logit(np.zeros((0, 6, 2)), np.zeros(0, dtype=np.int64))
    np.testing.assert_array_equal(weights, 0.0)


def test_a_hybrid_trusts_the_member_that_foresees_more() -> None:
    ranker = Hybrid(members=MEMBERS).fit(make_histories(), make_facts())
    assert (ranker.weights > 0.5).all()


def test_a_hybrid_weighs_as_each_amount_of_history_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hybrid, "LEAST_CUSTOMERS", 50)
    # Beginners take what is popular, and regulars what follows.
    rng = np.random.default_rng(2)
    beginners = [[int(item), 0] for item in rng.integers(20, N_ITEMS, size=200)]
    beginners += [[0, int(item)] for item in rng.integers(20, N_ITEMS, size=100)]
    regulars = [list(range(first, first + 5)) for first in rng.integers(1, 14, size=200)]
    histories = Histories.of(beginners + regulars, n_items=N_ITEMS)
    members: tuple[Member, ...] = (("markov", {"lags": 1, "shrinkage": 100}), ("popularity", {}))
    weights = Hybrid(members=members).fit(histories).weights
    few, more = np.searchsorted(AMOUNTS, [1, 4], side="right") - 1
    assert weights[few] < weights[more]


def test_a_hybrid_joins_two() -> None:
    with pytest.raises(ValueError, match="joins two rankers, not 1"):
        Hybrid(members=(("popularity", {}),)).fit(make_histories(10))


def test_newcomers_see_what_is_popular_lately() -> None:
    times = np.array([0.0, 1.0, 0.0, 1.0, 50.0, 51.0]) * 86_400
    histories = Histories.of([[0, 1], [1, 0], [2, 3]], n_items=4, times=times)
    ranker = Blend(members=MEMBERS, half_life_days=1.0).fit(histories)
    newcomer, regular = ranker.score(Histories.of([[], [0]], n_items=4))
    assert newcomer.argmax() == 3
    assert not np.array_equal(newcomer, regular)


def test_members_that_need_facts_are_left_out_without_any() -> None:
    ranker = Blend(members=(*MEMBERS, ("content", {})))
    assert len(ranker.fit(make_histories(50)).rankers) == 2
    assert len(ranker.fit(make_histories(50), make_facts()).rankers) == 3


def test_without_refitting_members_know_nothing_of_the_last_events() -> None:
    histories = Histories.of([[0, 1, 2], [3, 4, 5], [1, 2], [4, 5]], n_items=6)
    strict = Blend(members=MEMBERS, refit=0).fit(histories)
    loose = Blend(members=MEMBERS).fit(histories)
    assert strict.rankers[0].score(Histories.of([[1]], n_items=6))[0, 2] == 0
    assert loose.rankers[0].score(Histories.of([[1]], n_items=6))[0, 2] > 0


def test_weights_cannot_be_learned_where_nobody_came_back() -> None:
    with pytest.raises(ValueError, match="Nobody has two events"):
        Blend(members=MEMBERS).fit(Histories.of([[1], [2]], n_items=3))
