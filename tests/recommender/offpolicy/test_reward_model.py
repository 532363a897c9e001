"""The reward model is ridge regression, and cross-fitting never peeks."""

import numpy as np
import pytest

from recommender.arrays import FloatArray, IntArray
from recommender.offpolicy.reward_model import (
    crossfit_predictions,
    fit_reward_model,
    past_predictions,
)


def make_log(seed: int, n: int = 80) -> tuple[FloatArray, IntArray, FloatArray]:
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    return x, rng.integers(2, size=n), rng.normal(size=n)


def test_coefficients_are_least_squares_with_the_ridge_as_extra_rows() -> None:
    x, action, reward = make_log(0)
    model = fit_reward_model(x, action, reward, n_actions=2, ridge=3.0)
    pull = np.sqrt(3.0) * np.eye(3)
    pooled = np.linalg.lstsq(np.vstack([x, pull]), np.append(reward, np.zeros(3)))[0]
    for k in range(2):
        rows, rewards = np.vstack([x[action == k], pull]), reward[action == k]
        theta = np.linalg.lstsq(rows, np.append(rewards, pull @ pooled))[0]
        np.testing.assert_allclose(model.coefficients[k], theta, rtol=1e-9)


def test_an_action_never_shown_predicts_what_the_others_earn_together() -> None:
    x, action, reward = make_log(1)
    model = fit_reward_model(x, action, reward, n_actions=3)
    alone = fit_reward_model(x, np.zeros_like(action), reward, n_actions=2)
    np.testing.assert_allclose(model.predict(x)[:, 2], alone.predict(x)[:, 1])


def test_a_row_is_predicted_without_its_own_reward() -> None:
    x, action, reward = make_log(2)
    before = crossfit_predictions(x, action, reward, n_actions=2)
    reward[7] += 1_000.0
    after = crossfit_predictions(x, action, reward, n_actions=2)
    np.testing.assert_array_equal(after[7], before[7])
    assert (after != before).any()


def test_it_beats_predicting_the_mean() -> None:
    x, action, noise = make_log(3, n=2_000)
    reward = x[:, 1] * np.where(action == 0, 1.0, -1.0) + 0.5 * noise
    predicted = crossfit_predictions(x, action, reward, n_actions=2)
    error = reward - predicted[np.arange(2_000), action]
    assert (error @ error) / 2_000 < 0.3 < reward.var()


def test_the_seed_decides_the_folds() -> None:
    x, action, reward = make_log(4)
    first, again, other = (
        crossfit_predictions(x, action, reward, n_actions=2, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("folds", [1, 81])
def test_impossible_folds_are_refused(folds: int) -> None:
    x, action, reward = make_log(5)
    with pytest.raises(ValueError, match="Folds must lie between 2 and the 80 rows"):
        crossfit_predictions(x, action, reward, n_actions=2, folds=folds)


def test_impossible_logs_are_refused() -> None:
    x, action, reward = make_log(6)
    with pytest.raises(ValueError, match="Expected shapes"):
        fit_reward_model(x, action[:-1], reward, n_actions=2)
    with pytest.raises(ValueError, match="Actions must lie in 0 … 0"):
        fit_reward_model(x, action, reward, n_actions=1)
    with pytest.raises(ValueError, match="ridge must be above 0"):
        fit_reward_model(x, action, reward, n_actions=2, ridge=0.0)


def test_no_rows_predict_zero() -> None:
    empty = fit_reward_model(
        np.empty((0, 2)), np.empty(0, dtype=np.int64), np.empty(0), n_actions=2
    )
    np.testing.assert_array_equal(empty.coefficients, np.zeros((2, 2)))


def test_the_past_alone_predicts() -> None:
    x, action, reward = make_log(21, n=900)
    batch = np.arange(900) // 300
    predictions = past_predictions(x, action, reward, batch=batch, n_actions=2)
    np.testing.assert_array_equal(predictions[:300], 0.0)
    for first in (300, 600):
        model = fit_reward_model(x[:first], action[:first], reward[:first], n_actions=2)
        rows = slice(first, first + 300)
        np.testing.assert_allclose(predictions[rows], model.predict(x[rows]), atol=1e-12)


def test_batches_out_of_order_are_refused() -> None:
    x, action, reward = make_log(22, n=10)
    for batch in (np.arange(10)[::-1], np.zeros(9, dtype=np.int64)):
        with pytest.raises(ValueError, match="never fall"):
            past_predictions(x, action, reward, batch=batch, n_actions=2)
