"""Estimate from the log what policies would have earned, and store it for the report."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
from django.db.models import QuerySet

from recommender.arrays import BoolArray, FloatArray, IntArray
from recommender.models import Decision, Policy, PolicyEvaluation
from recommender.odds import Odds
from recommender.offpolicy import (
    PolicyValue,
    ValueDifference,
    Withheld,
    difference,
    doubly_robust,
    snips,
)
from recommender.reward_model import crossfit_predictions

# Decides the folds of the cross-fitting, so that an evaluation can be repeated.
SEED = 2008
FOLDS = 5
# So many decisions make the intervals narrow enough, and are read and judged within seconds.
MOST = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """Settled decisions with a draw, as arrays.

    Attributes:
        features: Shape (n, d).
        action: The place drawn in `actions`, shape (n,).
        eligible: Which actions were in the draw, shape (n, K).
        propensity: Of the logged action, shape (n,).
        reward: Shape (n,).
        actions: Offer keys; the empty key is no offer.
    """

    features: FloatArray
    action: IntArray
    eligible: BoolArray
    propensity: FloatArray
    reward: FloatArray
    actions: tuple[str, ...]


def evaluate_policy(
    policy: Policy, *, campaign: str, names: Mapping[str, str], now: datetime
) -> PolicyEvaluation | None:
    """Judge the newest version of a policy on decisions that it never learned from.

    Args:
        policy: The policy.
        campaign: Whose decisions are the log.
        names: Offers' names by key, for the report.
        now: The time of the evaluation.

    Returns:
        The stored evaluation, or None while there is no version or no log to judge it on.
    """
    version = policy.versions.first()
    if version is None:
        return None
    odds = Odds.from_bytes(bytes(version.odds))
    log = read_log(policy, campaign=campaign, offers=odds.offers)
    if log is None:
        return None
    targets = target_policies(odds, log, names=names)
    rows = estimate_values(targets, log)
    return PolicyEvaluation.objects.create(
        campaign=campaign,
        computed_at=now,
        population=(
            f"{len(log.reward):,} decisions kept out of learning; version {version.number}, "
            f"learned from {version.learned_from:,} others"
        ),
        rows=rows,
    )


def can_be_judged(policy: Policy, *, campaign: str) -> bool:
    """Tell whether enough decisions were held back, and settled, to judge the policy on them."""
    decisions = _find_held_back(policy, campaign=campaign, offers=policy.offers)
    return decisions[:FOLDS].count() == FOLDS


def read_log(policy: Policy, *, campaign: str, offers: Sequence[str]) -> Log | None:
    """Read the newest held-back decisions of a campaign whose rewards are settled.

    Args:
        policy: Whose rewards count.
        campaign: Whose decisions are read.
        offers: Decisions in which none of these could be drawn say nothing about them.

    Returns:
        The log, or None while it is too short to be judged on.
    """
    decisions = _find_held_back(policy, campaign=campaign, offers=offers).order_by("-id")
    rows = list(
        decisions.values_list("features", "offer", "eligible", "propensity", "reward__value")[:MOST]
    )
    if len(rows) < FOLDS:
        return None
    actions = tuple(sorted({key for row in rows for key in row[2]}))
    place = {key: index for index, key in enumerate(actions)}
    eligible = np.zeros((len(rows), len(actions)), dtype=bool)
    for index, row in enumerate(rows):
        eligible[index, [place[key] for key in row[2]]] = True
    return Log(
        features=np.array([row[0] for row in rows], dtype=np.float64),
        action=np.array([place[row[1] or ""] for row in rows], dtype=np.int64),
        eligible=eligible,
        propensity=np.array([row[3] for row in rows], dtype=np.float64),
        reward=np.array([row[4] for row in rows], dtype=np.float64),
        actions=actions,
    )


def _find_held_back(policy: Policy, *, campaign: str, offers: Sequence[str]) -> QuerySet[Decision]:
    return Decision.objects.filter(
        campaign=campaign,
        policy=policy,
        held_back=True,
        reward__settled_at__isnull=False,
        eligible__overlap=list(offers),
    )


def target_policies(odds: Odds, log: Log, *, names: Mapping[str, str]) -> dict[str, FloatArray]:
    """Return the probabilities, shape (n, K), of the policies worth comparing, by label."""
    offers = [index for index, key in enumerate(log.actions) if key in odds.offers]
    offered = np.zeros_like(log.eligible)
    offered[:, offers] = log.eligible[:, offers]
    # Where an offer cannot be shown, every policy that wants it falls back on the others.
    uniform = offered / np.maximum(offered.sum(axis=1, keepdims=True), 1)
    targets = {"Learned policy": _learned(odds, log, offered)}
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


def _learned(odds: Odds, log: Log, offered: BoolArray) -> FloatArray:
    """Return the policy's probabilities of the log's actions; what was never drawn it avoids."""
    places = [(place, key) for place, key in enumerate(odds.offers) if key in log.actions]
    columns = [log.actions.index(key) for _, key in places]
    eligible = np.zeros((len(log.reward), len(odds.offers)), dtype=bool)
    eligible[:, [place for place, _ in places]] = offered[:, columns]
    weights = odds.weights_many(log.features, eligible)  # (n, offers of the policy)
    probabilities = np.zeros(offered.shape)
    for (place, _), column in zip(places, columns, strict=True):
        probabilities[:, column] = weights[:, place]
    return probabilities


def estimate_values(targets: Mapping[str, FloatArray], log: Log) -> list[dict[str, Any]]:
    """Estimate each policy's mean reward by SNIPS and DR, and its distance from the first's."""
    predicted = crossfit_predictions(
        log.features,
        log.action,
        log.reward,
        n_actions=len(log.actions),
        folds=FOLDS,
        seed=SEED,
    )
    each = np.arange(len(log.reward))
    rows: list[dict[str, Any]] = []
    first: PolicyValue | Withheld | None = None
    for label, probabilities in targets.items():
        target = probabilities[each, log.action]
        weighted = snips(log.reward, target, log.propensity)
        robust = doubly_robust(
            log.reward,
            target,
            log.propensity,
            predicted[each, log.action],
            (probabilities * predicted).sum(axis=1),
        )
        first = first or robust
        rows.append(
            {
                "policy": label,
                "snips": _to_json(weighted),
                "dr": _to_json(robust),
                "advantage": None if first is robust else _to_json(difference(first, robust)),
            }
        )
    return rows


def _to_json(value: PolicyValue | ValueDifference | Withheld) -> dict[str, Any]:
    if isinstance(value, Withheld):
        return {"withheld": value.reason}
    document = asdict(value)
    document.pop("influence", None)
    return document
