"""Predict each offer's reward by ridge regression, for doubly robust estimates."""

from dataclasses import dataclass

import numpy as np

from recommender.arrays import FloatArray, IntArray

RIDGE = 10.0  # the pull towards the pooled fit, in rewards


@dataclass(frozen=True, slots=True, eq=False)
class RewardModel:
    """One linear model for each action.

    Attributes:
        coefficients: Shape (K, d).
    """

    coefficients: FloatArray

    def predict(self, x: FloatArray) -> FloatArray:
        """Predict every action's reward, (n, d) to (n, K)."""
        return x @ self.coefficients.T  # (n, d) @ (d, K) -> (n, K)


def fit_reward_model(
    x: FloatArray, action: IntArray, reward: FloatArray, *, n_actions: int, ridge: float = RIDGE
) -> RewardModel:
    """Fit one ridge regression for each action, pulled towards one that ignores the action.

    With A, b over an action's rows and θ₀ the pooled fit, θ = θ₀ + (A + λI)⁻¹ (b - A θ₀): an
    action without rows predicts what the pooled fit does.

    Args:
        x: Encoded contexts, shape (n, d).
        action: What was shown, shape (n,), each in 0 … n_actions - 1.
        reward: What it earned, shape (n,).
        n_actions: K.
        ridge: λ, above 0.

    Raises:
        ValueError: Shapes disagree, an action is out of range, or the ridge is not above 0.
    """
    _check(x, action, reward, n_actions=n_actions)
    if not ridge > 0.0:
        raise ValueError(f"The ridge must be above 0, not {ridge}.")
    pull = ridge * np.eye(x.shape[1])
    pooled = np.linalg.solve(x.T @ x + pull, x.T @ reward)  # (d,)
    surprise = reward - x @ pooled  # (n,)
    coefficients = np.empty((n_actions, x.shape[1]))
    for k in range(n_actions):
        rows = x[action == k]  # (n_k, d)
        coefficients[k] = pooled + np.linalg.solve(
            rows.T @ rows + pull, rows.T @ surprise[action == k]
        )
    return RewardModel(coefficients=coefficients)


def crossfit_predictions(
    x: FloatArray,
    action: IntArray,
    reward: FloatArray,
    *,
    n_actions: int,
    folds: int = 5,
    seed: int = 0,
    ridge: float = RIDGE,
) -> FloatArray:
    """Predict every row by a model that has not seen it.

    Args:
        x: Encoded contexts, shape (n, d).
        action: What was shown, shape (n,), each in 0 … n_actions - 1.
        reward: What it earned, shape (n,).
        n_actions: K.
        folds: Equal parts of the log; each is predicted from the others. At least 2.
        seed: Decides which row falls into which fold.
        ridge: As in `fit_reward_model`.

    Returns:
        Predicted rewards of all actions, shape (n, K).

    Raises:
        ValueError: As in `fit_reward_model`, or there are fewer rows than folds.
    """
    _check(x, action, reward, n_actions=n_actions)
    n = len(reward)
    if not 2 <= folds <= n:
        raise ValueError(f"Folds must lie between 2 and the {n} rows, not {folds}.")
    fold = np.random.default_rng(seed).permutation(n) % folds  # (n,)
    predictions = np.empty((n, n_actions))
    for held_out in range(folds):
        seen, unseen = fold != held_out, fold == held_out
        model = fit_reward_model(
            x[seen], action[seen], reward[seen], n_actions=n_actions, ridge=ridge
        )
        predictions[unseen] = model.predict(x[unseen])
    return predictions


def past_predictions(
    x: FloatArray,
    action: IntArray,
    reward: FloatArray,
    *,
    batch: IntArray,
    n_actions: int,
    ridge: float = RIDGE,
) -> FloatArray:
    """Predict every row by a model of the batches before its own; 0 in the first.

    So a prediction never depends on what its row, or a later one, earned: what adaptive inference
    stands on.

    Args:
        x: Encoded contexts, shape (n, d).
        action: What was shown, shape (n,), each in 0 … n_actions - 1.
        reward: What it earned, shape (n,).
        batch: Whose policy decided, shape (n,), never falling.
        n_actions: K.
        ridge: As in `fit_reward_model`.

    Returns:
        Predicted rewards of all actions, shape (n, K).

    Raises:
        ValueError: As in `fit_reward_model`, or batches are out of order.
    """
    _check(x, action, reward, n_actions=n_actions)
    if batch.shape != reward.shape or (np.diff(batch) < 0).any():
        raise ValueError("Batches must be one for each row, and never fall.")
    d = x.shape[1]
    pull = ridge * np.eye(d)
    a, b = np.zeros((n_actions, d, d)), np.zeros((n_actions, d, 1))
    predictions = np.zeros((len(reward), n_actions))
    for rows in np.split(np.arange(len(reward)), np.flatnonzero(np.diff(batch)) + 1):
        pooled = np.linalg.solve(a.sum(axis=0) + pull, b.sum(axis=0))  # (d, 1)
        step = np.linalg.solve(a + pull, b - a @ pooled)  # (K, d, 1)
        predictions[rows] = x[rows] @ (pooled + step)[:, :, 0].T  # (r, d) @ (d, K) -> (r, K)
        for k in range(n_actions):
            mine = rows[action[rows] == k]
            a[k] += x[mine].T @ x[mine]
            b[k] += x[mine].T @ reward[mine][:, None]
    return predictions


def _check(x: FloatArray, action: IntArray, reward: FloatArray, *, n_actions: int) -> None:
    n = len(reward)
    if x.ndim != 2 or x.shape[0] != n or action.shape != (n,) or reward.shape != (n,):
        raise ValueError(
            f"Expected shapes (n, d), (n,) and (n,), not {x.shape}, {action.shape} "
            f"and {reward.shape}."
        )
    if n and not 0 <= action.min() <= action.max() < n_actions:
        raise ValueError(f"Actions must lie in 0 … {n_actions - 1}.")
