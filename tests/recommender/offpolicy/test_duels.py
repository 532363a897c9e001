"""A challenger wins where it earns more, and hardly ever where it does not."""

from dataclasses import replace

import numpy as np
import pytest

from recommender.offpolicy.counterfactuals import Log
from recommender.offpolicy.duels import ALPHA, confidence_at, fight, fight_over_time
from recommender.offpolicy.sequence_values import SequenceLog
from recommender.offpolicy.values import PolicyValue, ValueDifference, Withheld
from recommender.weighing.features import CategoryFeature, FeatureSpec
from recommender.weighing.odds import Odds

FEATURES = FeatureSpec((CategoryFeature("plan", ("pro",)),))
OFFERS = ("red", "blue")
RATES = np.array([[0.1, 0.3], [0.3, 0.1]])  # by plan and offer


def make_odds(prefers: list[list[float]], offers: tuple[str, ...] = OFFERS) -> Odds:
    """Prefer offers by how much others they are thought to earn: intercept and plan, (K, 2)."""
    k = len(offers)
    return Odds(
        offers=offers,
        mean=np.array(prefers),
        factor=np.zeros((k, 2, 2)),
        floor=0.05,
        features=FEATURES,
        version=1,
        temperature=0.1,
    )


EVEN = make_odds([[0.0, 0.0], [0.0, 0.0]])
RIGHT = make_odds([[0.0, 1.0], [0.5, 0.0]])  # blue, and red for pro
WRONG = make_odds([[0.5, 0.0], [0.0, 1.0]])


def make_log(n: int, seed: int, *, rates: np.ndarray = RATES) -> Log:
    rng = np.random.default_rng(seed)
    plan, action = rng.integers(2, size=n), rng.integers(2, size=n)
    return Log(
        features=np.column_stack([np.ones(n), plan]),
        action=action,
        eligible=np.ones((n, 2), dtype=bool),
        weights=np.full((n, 2), 0.5),
        propensity=np.full(n, 0.5),
        reward=(rng.random(n) < rates[plan, action]).astype(float),
        actions=OFFERS,
    )


def test_the_better_one_wins_and_the_worse_one_does_not() -> None:
    log = make_log(4000, 1)
    won, lost = fight(EVEN, RIGHT, log, look=1), fight(EVEN, WRONG, log, look=1)
    assert won.is_won
    assert not lost.is_won
    assert isinstance(won.champion, PolicyValue)
    assert isinstance(won.challenger, PolicyValue)
    assert won.champion.low < 0.2 < won.champion.high
    assert won.challenger.low < 0.29 < won.challenger.high
    assert isinstance(won.advantage, ValueDifference)
    gain = won.challenger.estimate - won.champion.estimate
    assert won.advantage.estimate == pytest.approx(gain)


def test_one_that_is_no_better_hardly_ever_takes_over_in_five_looks() -> None:
    flat = np.full((2, 2), 0.2)
    wins = 0
    for world in range(40):
        log = make_log(2000, world, rates=flat)
        for look in range(1, 6):
            n = 400 * look
            part = replace(log, **{name: getattr(log, name)[:n] for name in NAMES})
            if fight(EVEN, RIGHT, part, look=look).is_won:
                wins += 1
                break
    # The intervals are two-sided, so half of the error is on this side; four deviations of that.
    assert wins <= 40 * ALPHA / 2 + 4 * (40 * ALPHA / 2) ** 0.5


NAMES = ("features", "action", "eligible", "weights", "propensity", "reward")


def test_all_looks_together_spend_the_whole_error() -> None:
    spent = sum(1 - confidence_at(look) for look in range(1, 100_001))
    assert spent == pytest.approx(ALPHA, rel=1e-4)
    with pytest.raises(ValueError, match="counted from 1"):
        confidence_at(0)


def test_a_log_that_is_too_short_is_withheld() -> None:
    duel = fight(EVEN, RIGHT, make_log(60, 1), look=1)
    assert isinstance(duel.advantage, Withheld)
    assert not duel.is_won


def test_they_are_compared_by_the_offers_that_both_know() -> None:
    log = make_log(2000, 2)
    only_red = make_odds([[0.0, 0.0]], offers=("red",))
    duel = fight(EVEN, only_red, log, look=1)
    # Both can do nothing but red then, and so earn the same.
    assert isinstance(duel.advantage, ValueDifference)
    assert duel.advantage.estimate == pytest.approx(0.0, abs=1e-12)
    nothing = replace(log, eligible=log.action[:, None] == np.array([5, 6]))
    assert isinstance(fight(EVEN, RIGHT, nothing, look=1).advantage, Withheld)


def test_over_time_they_are_compared_by_what_customers_bring() -> None:
    n, days = 2000, 3
    parts = [make_log(n, seed) for seed in range(days)]
    log = SequenceLog(
        features=np.stack([part.features for part in parts], axis=1),
        action=np.stack([part.action for part in parts], axis=1),
        weights=np.stack([part.weights for part in parts], axis=1),
        reward=np.stack([part.reward for part in parts], axis=1),
        fade=np.ones((n, days)),
        exists=np.ones((n, days), dtype=bool),
        actions=OFFERS,
    )
    duel = fight_over_time(EVEN, RIGHT, log, look=1)
    assert duel.is_won
    assert isinstance(duel.champion, PolicyValue)
    assert duel.champion.low < 0.6 < duel.champion.high
