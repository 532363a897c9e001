"""A ranker is admitted only where it beats its rivals beyond chance."""

import numpy as np
import pytest

from recommender.interactions.histories import Histories
from recommender.judging.judge import Judged
from recommender.rankers.slates import Slates
from recommender.ranking.gate import admit, split_for_trial
from tests.recommender.rankers.worlds import N_ITEMS

SLATES = Slates(np.zeros((0, 10), np.int64), np.zeros((0, 10), np.float32))


def judged(ndcg: list[float], *, coverage: float = 0.5) -> Judged:
    return Judged(SLATES, {"ndcg@10": np.tile(ndcg, 200)}, {"coverage": coverage})


def test_who_beats_the_rival_is_admitted() -> None:
    admission = admit(judged([0.4, 0.5]), {"version 1": judged([0.3, 0.5])})
    assert admission.is_admitted
    assert admission.reasons[0].startswith("It beats version 1: NDCG@10 0.4500 against 0.4000")


def test_a_difference_that_may_be_chance_is_not_enough() -> None:
    noise = np.random.default_rng(4).normal(0, 0.3, size=400)
    rival = Judged(SLATES, {"ndcg@10": np.full(400, 0.4)}, {"coverage": 0.5})
    lucky = Judged(SLATES, {"ndcg@10": 0.41 + noise - noise.mean()}, {"coverage": 0.5})
    admission = admit(lucky, {"version 1": rival})
    assert not admission.is_admitted
    assert "does not beat version 1" in admission.reasons[0]


def test_who_shows_far_fewer_products_is_not_admitted() -> None:
    admission = admit(judged([0.9], coverage=0.3), {"version 1": judged([0.1], coverage=0.5)})
    assert not admission.is_admitted
    assert "30% of all products and version 1 50%" in admission.reasons[1]


def test_the_first_has_nobody_to_beat() -> None:
    assert admit(judged([0.1]), {}).is_admitted


def test_one_of_several_rivals_is_enough_to_fail() -> None:
    rivals = {"weak": judged([0.1, 0.2]), "strong": judged([0.8, 0.9])}
    assert not admit(judged([0.5, 0.6]), rivals).is_admitted


def come_back(customers: int) -> Histories:
    """Everybody meets three products, then the first again, and last a new one."""
    lists = [[c % 30, c % 30 + 1, c % 30 + 2, c % 30, c % 30 + 3] for c in range(customers)]
    times = np.tile([1.0, 2.0, 3.0, 9.0, 10.0], customers)
    return Histories.of(lists, n_items=N_ITEMS, times=times)


def test_answers_are_later_and_new_to_the_customer() -> None:
    split = split_for_trial(come_back(150))
    assert split.learned.times.max() < split.answers.times.min()
    assert (split.answers.lengths == 1).all()
    assert split.answers.items_of(7).tolist() == [10]


def test_too_few_customers_prove_nothing() -> None:
    with pytest.raises(ValueError, match="Only 99 customers did something new"):
        split_for_trial(come_back(99))
