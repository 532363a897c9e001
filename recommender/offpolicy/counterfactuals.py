"""Estimate what other policies would have earned for the decisions of a log."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from recommender.arrays import BoolArray, FloatArray, IntArray
from recommender.offpolicy.calibration import check_propensities
from recommender.offpolicy.groups import count_by_group
from recommender.offpolicy.reward_model import crossfit_predictions
from recommender.offpolicy.robust import ModelledLog, doubly_robust, shrunk
from recommender.offpolicy.support import share_at_floor
from recommender.offpolicy.values import (
    CONFIDENCE,
    PolicyValue,
    ValueDifference,
    Withheld,
    difference,
)
from recommender.offpolicy.weighting import snips
from recommender.weighing.odds import Odds

# Decides the folds of the cross-fitting, so that an evaluation can be repeated.
SEED = 2008
FOLDS = 5
LEARNED = "Learned policy"
GREEDY = "Learned policy, never exploring"


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """Settled decisions with a draw, as arrays.

    Attributes:
        features: Shape (n, d).
        action: The place drawn in `actions`, shape (n,).
        eligible: Which actions were in the draw, shape (n, K).
        weights: What they were drawn by, shape (n, K); not a number in a row where only the logged
            action's is known.
        propensity: Of the logged action, shape (n,).
        reward: Shape (n,).
        actions: Offer keys; the empty key is no offer.
        group: Which customers each is of, who were put into groups by chance, shape (n,), counted
            from 0; without it all are one.
    """

    features: FloatArray
    action: IntArray
    eligible: BoolArray
    weights: FloatArray
    propensity: FloatArray
    reward: FloatArray
    actions: tuple[str, ...]
    group: IntArray | None = None

    def counts_for(self, probabilities: FloatArray) -> FloatArray:
        """Return how often each decision counts of a policy with these probabilities, (n, K)."""
        rows = np.arange(len(self.reward))
        group = np.zeros(len(rows), dtype=np.int64) if self.group is None else self.group
        is_drawn = ~(self.weights <= 0)  # what is not a number stays so
        squares = np.divide(
            probabilities**2, self.weights, out=np.zeros_like(probabilities), where=is_drawn
        )
        weights = probabilities[rows, self.action] / self.propensity
        return count_by_group(weights, squares.sum(axis=1), group)


def target_policies(odds: Odds, log: Log, *, names: Mapping[str, str]) -> dict[str, FloatArray]:
    """Return the probabilities, shape (n, K), of the policies worth comparing, by label.

    Args:
        odds: The learned policy.
        log: The decisions.
        names: Offers' names by key.
    """
    offers = [index for index, key in enumerate(log.actions) if key in odds.offers]
    offered = np.zeros_like(log.eligible)
    offered[:, offers] = log.eligible[:, offers]
    # Where an offer cannot be shown, every policy that wants it falls back on the others.
    uniform = offered / np.maximum(offered.sum(axis=1, keepdims=True), 1)
    learned, greedy = probabilities_of(odds, log, offered)
    targets = {LEARNED: learned, GREEDY: greedy}
    for index in offers:
        only = np.zeros_like(uniform)
        only[:, index] = 1.0
        key = log.actions[index]
        targets[f"{names.get(key, key)} to all"] = np.where(offered[:, [index]], only, uniform)
    targets["Every offer equally often"] = uniform
    if "" in log.actions:
        nothing = np.zeros_like(uniform)
        nothing[:, log.actions.index("")] = 1.0
        targets["No offer"] = nothing
    return targets


def probabilities_of(odds: Odds, log: Log, offered: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Return the policy's probabilities of the log's actions, and those of its favourites alone.

    What was never drawn it avoids.

    Args:
        odds: The policy.
        log: The decisions.
        offered: Which of the log's actions may be chosen, shape (n, K).
    """
    places = [(place, key) for place, key in enumerate(odds.offers) if key in log.actions]
    columns = [log.actions.index(key) for _, key in places]
    eligible = np.zeros((len(log.reward), len(odds.offers)), dtype=bool)
    eligible[:, [place for place, _ in places]] = offered[:, columns]
    weights = odds.weights_many(log.features, eligible)  # (n, offers of the policy)
    mean, _ = odds.predict(log.features)
    best = np.where(eligible, mean, -np.inf).argmax(axis=1)  # (n,)
    probabilities, favourites = np.zeros(offered.shape), np.zeros(offered.shape)
    for (place, _), column in zip(places, columns, strict=True):
        probabilities[:, column] = weights[:, place]
        favourites[:, column] = best == place
    return probabilities, favourites


def estimate_values(targets: Mapping[str, FloatArray], log: Log) -> list[dict[str, Any]]:
    """Estimate each policy's mean reward in three ways, and its distance from the first's.

    The plain weights, the doubly robust estimate and the shrunk one stand side by side: where they
    disagree, few decisions or a bad model decide.
    """
    predicted = predict_rewards(log)
    each = np.arange(len(log.reward))
    rows: list[dict[str, Any]] = []
    first: PolicyValue | Withheld | None = None
    for label, probabilities in targets.items():
        target = probabilities[each, log.action]
        modelled = model_log(log, probabilities, predicted)
        robust = doubly_robust(modelled)
        first = first or robust
        rows.append(
            {
                "policy": label,
                "is_rival": label not in (LEARNED, GREEDY),
                "snips": to_json(snips(log.reward, target, log.propensity, counts=modelled.counts)),
                "dr": to_json(robust),
                "shrunk": to_json(shrunk(modelled)),
                "advantage": None if first is robust else to_json(difference(first, robust)),
            }
        )
    return rows


def predict_rewards(log: Log) -> FloatArray:
    """Predict what each offer earns in each decision, by models of the others, shape (n, K)."""
    return crossfit_predictions(
        log.features,
        log.action,
        log.reward,
        n_actions=len(log.actions),
        folds=FOLDS,
        seed=SEED,
    )


def model_log(log: Log, probabilities: FloatArray, predicted: FloatArray) -> ModelledLog:
    """Hold a policy's probabilities against the log's, beside predictions, each (n, K)."""
    each = np.arange(len(log.reward))
    return ModelledLog(
        rewards=log.reward,
        target=probabilities[each, log.action],
        logged=log.propensity,
        predicted_logged=predicted[each, log.action],
        predicted_target=(probabilities * predicted).sum(axis=1),
        counts=log.counts_for(probabilities),
    )


@dataclass(frozen=True, slots=True)
class Earned:
    """What decisions earned: how many, their mean reward and its sample variance."""

    n: int
    mean: float
    variance: float


def cost_of_learning(rows: Sequence[Mapping[str, Any]], earned: Earned) -> dict[str, Any]:
    """Say what learning has cost a decision so far, as plain JSON.

    It is how much more a policy would have earned that never explored and knew from the first
    decision on what is known now. The two are estimated from different customers, so that their
    variances add up.

    Args:
        rows: Of `estimate_values`.
        earned: Of the decisions that the policy drew and learned from.

    Returns:
        Nothing where either of both cannot be said.
    """
    (favourites,) = (row["dr"] for row in rows if row["policy"] == GREEDY)
    if "withheld" in favourites or earned.n < 2:
        return {}
    z = float(ndtri((1 + CONFIDENCE) / 2))
    error = (favourites["high"] - favourites["low"]) / (2 * z)
    cost = favourites["estimate"] - earned.mean
    around = z * float(np.hypot(error, (earned.variance / earned.n) ** 0.5))
    return {"n": earned.n, "estimate": cost, "low": cost - around, "high": cost + around}


def check_log(log: Log, *, floor: float) -> dict[str, Any]:
    """Test whether the log's offers came as often as it says, as plain JSON.

    Args:
        log: The decisions; those whose weights are not all known are left out.
        floor: The least probability of an eligible offer now; it was more before.
    """
    known = np.isfinite(log.weights).all(axis=1)
    check = check_propensities(log.weights[known], log.action[known], log.eligible[known])
    worst = check.worst
    return {
        "n": int(known.sum()),
        "groups": len(check.deviations),
        "bound": check.bound,
        "is_broken": check.is_broken,
        "share_at_floor": share_at_floor(log.propensity, floor),
        "worst": None
        if worst is None
        else {
            "offer": log.actions[worst.offer],
            "n": worst.n,
            "expected": worst.expected,
            "drawn": worst.drawn,
            # JSON knows no infinity: what had no chance at all was drawn.
            "z": worst.z if np.isfinite(worst.z) else None,
        },
    }


def to_json(value: PolicyValue | ValueDifference | Withheld) -> dict[str, Any]:
    """Write an estimate, or why there is none, as plain JSON."""
    if isinstance(value, Withheld):
        return {"withheld": value.reason}
    if isinstance(value, ValueDifference):
        return asdict(value)
    return {
        "estimate": value.estimate,
        "low": value.low,
        "high": value.high,
        "bias": value.bias,
        "method": value.method,
        "confidence": value.confidence,
        "support": asdict(value.support),
    }
