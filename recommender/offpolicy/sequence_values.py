"""Estimate what customers would bring under other policies, from logged decisions in a row."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recommender.arrays import BoolArray, FloatArray, IntArray
from recommender.offpolicy.counterfactuals import FOLDS, GREEDY, LEARNED, SEED, to_json
from recommender.offpolicy.reward_model import fit_reward_model
from recommender.offpolicy.sequences import Sequences, per_decision_ips, sequential_doubly_robust
from recommender.offpolicy.values import PolicyValue, Withheld, difference
from recommender.weighing.odds import Odds

AS_DRAWN = "As it was drawn"
EVENLY = "Every offer equally often"


@dataclass(frozen=True, slots=True, eq=False)
class SequenceLog:
    """Settled decisions of n customers in a row, T each at most, among K offers.

    Attributes:
        features: Shape (n, T, d).
        action: The place drawn in `actions`, shape (n, T).
        weights: What was drawn by, shape (n, T, K); 0 where an offer was not in the draw.
        reward: Shape (n, T).
        fade: What a reward counts that comes so late, shape (n, T).
        exists: Where a decision was made, shape (n, T).
        actions: Offer keys.
    """

    features: FloatArray
    action: IntArray
    weights: FloatArray
    reward: FloatArray
    fade: FloatArray
    exists: BoolArray
    actions: tuple[str, ...]

    @property
    def eligible(self) -> BoolArray:
        """Which offers were in the draw, shape (n, T, K)."""
        return self.weights > 0.0

    def of_drawn(self, probabilities: FloatArray) -> FloatArray:
        """Return a policy's probability, or worth, of what was drawn, (n, T, K) to (n, T)."""
        return np.take_along_axis(probabilities, self.action[..., None], axis=2)[..., 0]

    def sequences(self, target: FloatArray) -> Sequences:
        """Hold a policy's probabilities, (n, T, K), against the log's."""
        return Sequences(
            rewards=self.reward,
            target=self.of_drawn(target),
            logged=self.of_drawn(self.weights),
            fade=self.fade,
            exists=self.exists,
        )


def sequence_targets(odds: Odds, log: SequenceLog) -> dict[str, FloatArray]:
    """Return the probabilities, (n, T, K), of the policies worth comparing, by label.

    What a policy does not know it never shows.
    """
    known = np.array([key in odds.places for key in log.actions])
    offered = log.eligible & known
    learned = weights_of(odds, log, offered)
    best = np.where(offered, _worths(odds, log), -np.inf).argmax(axis=2)
    greedy = (np.arange(len(log.actions)) == best[..., None]).astype(np.float64)
    # A row in which nothing is known of is one that nobody decided.
    uniform = offered / np.maximum(offered.sum(axis=2, keepdims=True), 1)
    return {LEARNED: learned, GREEDY: greedy, AS_DRAWN: log.weights, EVENLY: uniform}


def weights_of(odds: Odds, log: SequenceLog, offered: BoolArray) -> FloatArray:
    """Return a version's probabilities of the log's actions, (n, T, K)."""
    places = [
        (odds.places[key], column) for column, key in enumerate(log.actions) if key in odds.places
    ]
    n, days, _ = log.weights.shape
    eligible = np.zeros((n * days, len(odds.offers)), dtype=bool)
    flat = offered.reshape(n * days, -1)
    for place, column in places:
        eligible[:, place] = flat[:, column]
    decided = eligible.any(axis=1)
    found = np.zeros(eligible.shape)
    rows = log.features.reshape(n * days, -1)
    found[decided] = odds.weights_many(rows[decided], eligible[decided])
    weights = np.zeros(flat.shape)
    for place, column in places:
        weights[:, column] = found[:, place]
    return weights.reshape(log.weights.shape)


def _worths(odds: Odds, log: SequenceLog) -> FloatArray:
    """Return what a version expects of the log's actions, (n, T, K); -inf of unknown ones."""
    mean = odds.represent(log.features) @ odds.mean.T
    columns = [
        mean[..., odds.places[key]] if key in odds.places else np.full(mean.shape[:2], -np.inf)
        for key in log.actions
    ]
    return np.stack(columns, axis=2)


def crossfit_worth(
    log: SequenceLog, target: FloatArray, *, folds: int = FOLDS, seed: int = SEED
) -> FloatArray:
    """Predict what each offer is worth with what follows, by models of other customers alone.

    From the last decision to the first, a ridge regression for each offer predicts the reward and
    what is predicted of the next decision under the target: fitted Q evaluation (Le, Voloshin & Yue
    2019) with a model for each place in the row.

    Args:
        log: Decisions.
        target: The policy that is judged, (n, T, K).
        folds: Parts of the customers; each is predicted from the others. At least 2.
        seed: Decides which customer falls into which fold.

    Returns:
        Shape (n, T, K).

    Raises:
        ValueError: There are fewer customers than folds.
    """
    n, days, k = log.weights.shape
    if not 2 <= folds <= n:
        raise ValueError(f"Folds must lie between 2 and the {n} customers, not {folds}.")
    fold = np.random.default_rng(seed).permutation(n) % folds
    worth = np.zeros((n, days, k))
    # How much less the next reward counts than this one.
    later = np.zeros((n, days))
    later[:, :-1] = log.fade[:, 1:] / np.maximum(log.fade[:, :-1], np.finfo(np.float64).tiny)
    later[:, :-1] *= log.exists[:, 1:]
    for held_out in range(folds):
        seen = fold != held_out
        to_come = np.zeros(n)
        for day in reversed(range(days)):
            x, is_there = log.features[:, day], log.exists[:, day]
            rows = seen & is_there
            aim = log.reward[rows, day] + to_come[rows]
            model = fit_reward_model(x[rows], log.action[rows, day], aim, n_actions=k)
            predicted = model.predict(x) * is_there[:, None]  # (n, K)
            worth[~seen, day] = predicted[~seen]
            if day:
                to_come = later[:, day - 1] * (target[:, day] * predicted).sum(axis=1)
    return worth


def judge_sequences(log: SequenceLog, target: FloatArray) -> PolicyValue | Withheld:
    """Estimate what a customer would bring under a policy, (n, T, K), doubly robustly."""
    worth = crossfit_worth(log, target)
    return sequential_doubly_robust(
        log.sequences(target), log.of_drawn(worth), (target * worth).sum(axis=2)
    )


def estimate_sequences(targets: Mapping[str, FloatArray], log: SequenceLog) -> list[dict[str, Any]]:
    """Estimate what a customer would bring under each policy, and its distance from the first's.

    The rows are those of `estimate_values`, with customers in the place of decisions.
    """
    rows: list[dict[str, Any]] = []
    first: PolicyValue | Withheld | None = None
    for label, target in targets.items():
        robust = judge_sequences(log, target)
        first = first or robust
        rows.append(
            {
                "policy": label,
                "is_rival": label not in (LEARNED, GREEDY),
                "snips": to_json(per_decision_ips(log.sequences(target))),
                "dr": to_json(robust),
                "advantage": None if first is robust else to_json(difference(first, robust)),
            }
        )
    return rows
