"""Fitted Q iteration, held against a small world whose worths follow from its equations."""

from dataclasses import replace

import numpy as np
import pytest

from recommender.arrays import FloatArray
from recommender.bandits.base import Steps
from recommender.bandits.fitted_q import Fitting, fit_worth, scale_of

# Two states, two offers. The first offer earns more now and leads to the poor state.
REWARD = np.array([[1.0, 0.6], [0.2, 0.1]])
MOVES = np.array([[[0.1, 0.9], [0.9, 0.1]], [[0.3, 0.7], [0.8, 0.2]]])  # (state, offer, next)
AHEAD = 6.0
PLAIN = Fitting(prior=1e-6, ahead_days=AHEAD, caution=0.0, temperature=0.5)


def all_that_happens(*, days: float = 1.0) -> Steps:
    """Every state, offer and next state as often as it happens, so that nothing is chance."""
    rows = [(s, a, t) for s in (0, 1) for a in (0, 1) for t in (0, 1)]
    state, offer, after = (np.array(column) for column in zip(*rows, strict=True))
    eye = np.eye(2)
    return Steps(
        offer_index=offer,
        x=eye[state],
        eligible=np.ones((8, 2), dtype=bool),
        reward=REWARD[state, offer],
        days=np.full(8, days),
        next_x=eye[after],
        next_eligible=np.ones((8, 2), dtype=bool),
        weight=1e4 * MOVES[state, offer, after],
    )


def solve(steps: Steps, *, days: float, temperature: float) -> FloatArray:
    """Find Q(state, offer) by iterating Bellman's equation itself."""
    q, unit = np.zeros((2, 2)), temperature * scale_of(steps)
    for _ in range(5000):
        p = np.exp((q - q.max(axis=1, keepdims=True)) / unit)
        value = (p / p.sum(axis=1, keepdims=True) * q).sum(axis=1)
        q = REWARD + np.exp(-days / AHEAD) * MOVES @ value
    return q


@pytest.mark.parametrize("days", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_it_finds_the_worths_of_a_small_world(days: float, temperature: float) -> None:
    steps = all_that_happens(days=days)
    worth = fit_worth(steps, replace(PLAIN, temperature=temperature))
    expected = solve(steps, days=days, temperature=temperature)
    found = worth.coefficients.T
    gaps = found - found.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(gaps, expected - expected.mean(axis=1, keepdims=True), atol=1e-3)
    assert worth.is_settled


def test_what_leads_to_better_days_is_worth_more_than_what_earns_more_now() -> None:
    ahead = fit_worth(all_that_happens(days=1.0), PLAIN).coefficients
    blind = fit_worth(all_that_happens(days=100.0), PLAIN).coefficients
    assert ahead[1, 0] > ahead[0, 0]
    assert blind[0, 0] > blind[1, 0]


def test_what_ends_is_worth_what_it_earns() -> None:
    steps = replace(all_that_happens(), next_eligible=np.zeros((8, 2), dtype=bool))
    worth = fit_worth(steps, PLAIN)
    np.testing.assert_allclose(worth.coefficients.T, REWARD, atol=1e-4)


def test_units_of_reward_change_nothing_but_units() -> None:
    steps = all_that_happens()
    cents = replace(steps, reward=100.0 * steps.reward)
    one, other = fit_worth(steps, PLAIN), fit_worth(cents, PLAIN)
    np.testing.assert_allclose(other.coefficients, 100.0 * one.coefficients, rtol=1e-9)
    assert other.scale == pytest.approx(100.0 * one.scale)


def luck(n: int) -> Steps:
    """Two offers that earn the same; the second was tried four times, and was lucky."""
    rng = np.random.default_rng(1)
    reward = rng.normal(size=n)
    offer = np.zeros(n, dtype=np.int64)
    offer[:4], reward[:4] = 1, 1.0
    nobody = np.zeros((n, 2), dtype=bool)
    ones = np.ones((n, 1))
    return Steps(offer, ones, ~nobody, reward, np.ones(n), ones, nobody, np.ones(n))


def test_caution_doubts_what_was_seldom_tried() -> None:
    gaps = []
    for caution in (0.0, 0.5, 2.0):
        worth = fit_worth(luck(2000), replace(PLAIN, caution=caution)).coefficients[:, 0]
        gaps.append(worth[1] - worth[0])
    assert gaps[0] > 0.8
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 0.0


def test_caution_passes_with_what_is_known() -> None:
    steps = all_that_happens()
    known = replace(steps, weight=1e6 * steps.weight)
    plain = fit_worth(known, PLAIN).coefficients
    careful = fit_worth(known, replace(PLAIN, caution=2.0)).coefficients
    np.testing.assert_allclose(careful, plain, atol=2e-3)


def test_the_same_steps_give_the_same_bits() -> None:
    one, other = (fit_worth(all_that_happens(), PLAIN).coefficients for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_rewards_that_are_all_alike_have_a_scale() -> None:
    steps = replace(all_that_happens(), reward=np.full(8, 3.0))
    worth = fit_worth(steps, PLAIN)
    assert worth.scale == 1.0
    assert np.isfinite(worth.coefficients).all()


def test_what_does_not_settle_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recommender.bandits.fitted_q.MOST_ITERATIONS", 2)
    assert not fit_worth(all_that_happens(), PLAIN).is_settled
