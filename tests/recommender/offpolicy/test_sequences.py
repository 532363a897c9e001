"""Sequences of decisions: estimates against a small world's exact value, by brute force."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from recommender.arrays import FloatArray
from recommender.offpolicy.sequences import (
    Sequences,
    per_decision_ips,
    sequential_doubly_robust,
)
from recommender.offpolicy.values import PolicyValue, Withheld
from recommender.offpolicy.weighting import ips

# Two states, two offers, three decisions; from state 1 some customers leave for good.
DAYS, FADE = 3, 0.8
START = np.array([0.6, 0.4])
CHANCE = np.array([[0.5, 0.3], [0.2, 0.1]])  # of a reward of 1, by state and offer
MOVES = np.array([[[0.2, 0.7, 0.1], [0.8, 0.2, 0.0]], [[0.1, 0.6, 0.3], [0.6, 0.3, 0.1]]])
LOGGED = np.array([[0.5, 0.5], [0.7, 0.3]])  # by state and offer
TARGET = np.array([[0.2, 0.8], [0.5, 0.5]])


def exact(policy: FloatArray) -> float:
    """Add up every sequence of states and offers, times its probability."""
    total = 0.0
    for length in range(1, DAYS + 1):
        for states in product((0, 1), repeat=length):
            for offers in product((0, 1), repeat=length):
                p = START[states[0]]
                for day in range(length):
                    p *= policy[states[day], offers[day]]
                    if day + 1 < length:
                        p *= MOVES[states[day], offers[day], states[day + 1]]
                total += p * FADE ** (length - 1) * CHANCE[states[-1], offers[-1]]
    return total


def worths(policy: FloatArray) -> FloatArray:
    """Return Q(day, state, offer) by backward induction."""
    q = np.zeros((DAYS + 1, 2, 2))
    for day in reversed(range(DAYS)):
        value = (policy * q[day + 1]).sum(axis=1)
        q[day] = CHANCE + FADE * MOVES[:, :, :2] @ value
    return q[:DAYS]


def live(n: int, seed: int) -> tuple[Sequences, np.ndarray, np.ndarray]:
    """Let n customers live under the log's policy; return it held against the target's."""
    rng = np.random.default_rng(seed)
    state = (rng.random(n) >= START[0]).astype(np.int64)
    states, offers = np.zeros((n, DAYS), dtype=np.int64), np.zeros((n, DAYS), dtype=np.int64)
    rewards, exists = np.zeros((n, DAYS)), np.zeros((n, DAYS), dtype=bool)
    is_there = np.ones(n, dtype=bool)
    for day in range(DAYS):
        offer = (rng.random(n) >= LOGGED[state, 0]).astype(np.int64)
        states[:, day], offers[:, day], exists[:, day] = state, offer, is_there
        rewards[:, day] = (rng.random(n) < CHANCE[state, offer]) & is_there
        after = (rng.random((n, 1)) >= np.cumsum(MOVES[state, offer], axis=1)).sum(axis=1)
        is_there &= after < 2
        state = np.where(is_there, after, 0)
    log = Sequences(
        rewards=rewards,
        target=TARGET[states, offers],
        logged=LOGGED[states, offers],
        fade=np.tile(FADE ** np.arange(DAYS), (n, 1)),
        exists=exists,
    )
    return log, states, offers


def estimates(n: int, seed: int, *, wrong: float = 0.0) -> dict[str, PolicyValue]:
    """Estimate the target's value in both ways; the model is off by a factor if it is wrong."""
    log, states, offers = live(n, seed)
    q = (1.0 + wrong) * worths(TARGET)
    days = np.arange(DAYS)
    own = q[days, states, offers]
    mean = (TARGET[states] * q[days, states]).sum(axis=2)
    found = {
        "ips": per_decision_ips(log),
        "dr": sequential_doubly_robust(log, own, mean),
    }
    assert not any(isinstance(each, Withheld) for each in found.values())
    return {name: each for name, each in found.items() if isinstance(each, PolicyValue)}


def test_brute_force_and_backward_induction_agree() -> None:
    for policy in (LOGGED, TARGET):
        value = (START[:, None] * policy * worths(policy)[0]).sum()
        assert exact(policy) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("wrong", [0.0, 0.5, -1.0])
def test_intervals_cover_the_true_value(wrong: float) -> None:
    truth, times = exact(TARGET), 400
    covered = {"ips": 0, "dr": 0}
    for seed in range(times):
        for name, value in estimates(800, seed, wrong=wrong).items():
            covered[name] += value.low <= truth <= value.high
    # Four standard deviations of a share of 95%.
    least = 0.95 - 4 * (0.95 * 0.05 / times) ** 0.5
    assert min(covered.values()) / times >= least


def test_a_good_model_makes_the_interval_narrow() -> None:
    good, bad = estimates(5000, 1), estimates(5000, 1, wrong=-1.0)
    width = {name: value.high - value.low for name, value in good.items()}
    assert width["dr"] < 0.9 * width["ips"]
    # Without a model it is importance sampling.
    assert bad["dr"].estimate == pytest.approx(bad["ips"].estimate, rel=1e-12)


def test_estimates_are_unbiased() -> None:
    truth = exact(TARGET)
    for name in ("ips", "dr"):
        found = np.array([estimates(300, seed, wrong=0.5)[name].estimate for seed in range(400)])
        assert abs(found.mean() - truth) < 4 * found.std() / 20


def test_a_policy_like_its_log_is_worth_what_the_log_earned() -> None:
    log, _, _ = live(500, 3)
    same = per_decision_ips(replace(log, target=log.logged))
    assert isinstance(same, PolicyValue)
    earned = (log.rewards * log.fade).sum(axis=1).mean()
    assert same.estimate == pytest.approx(earned, rel=1e-12)
    assert same.support.effective_sample_size == pytest.approx(500)


def test_one_decision_each_is_weighted_as_any_decision() -> None:
    log, _, _ = live(2000, 4)
    first = Sequences(
        *(getattr(log, name)[:, :1] for name in ("rewards", "target", "logged", "fade", "exists"))
    )
    one, other = (
        per_decision_ips(first),
        ips(first.rewards[:, 0], first.target[:, 0], first.logged[:, 0]),
    )
    assert isinstance(one, PolicyValue)
    assert isinstance(other, PolicyValue)
    assert one.estimate == pytest.approx(other.estimate, rel=1e-12)
    assert (one.low, one.high) == pytest.approx((other.low, other.high), rel=1e-12)


def test_what_the_log_hardly_tells_is_withheld() -> None:
    log, _, _ = live(300, 5)
    rare = replace(
        log, logged=np.full((300, DAYS), 0.02), target=np.where(log.rewards > 0, 0.9, 0.0)
    )
    found = per_decision_ips(rare)
    assert isinstance(found, Withheld)
    assert "at least 100 are needed" in found.reason


def test_propensities_that_are_wrong_are_noticed() -> None:
    log, _, _ = live(20_000, 6)
    wrong = replace(log, logged=np.minimum(1.2 * log.logged, 1.0))
    found = per_decision_ips(wrong)
    assert isinstance(found, Withheld)
    assert "instead of 1" in found.reason


def test_nobody_at_all_is_withheld() -> None:
    log, _, _ = live(50, 7)
    nobody = replace(log, exists=np.zeros((50, DAYS), dtype=bool))
    assert isinstance(per_decision_ips(nobody), Withheld)


def test_what_cannot_be_is_refused() -> None:
    log, _, _ = live(20, 8)
    with pytest.raises(ValueError, match="one shape"):
        replace(log, fade=np.ones((20, 2)))
    with pytest.raises(ValueError, match="does not begin again"):
        replace(log, exists=np.tile([True, False, True], (20, 1)))
    with pytest.raises(ValueError, match="must lie in"):
        replace(log, fade=np.full((20, DAYS), 1.5))
    with pytest.raises(ValueError, match="Expected predictions"):
        sequential_doubly_robust(log, np.zeros((20, 2)), np.zeros((20, 2)))
    with pytest.raises(ValueError, match="finite"):
        per_decision_ips(replace(log, rewards=np.full((20, DAYS), np.nan)))
