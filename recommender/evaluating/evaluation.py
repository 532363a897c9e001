"""Estimate from the log what policies would have earned, and store it for the report."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
from django.db.models import Avg, Count, QuerySet, Variance

from recommender.learning.holding import find_release, hold_publishing
from recommender.models import Decision, Policy, PolicyEvaluation
from recommender.offpolicy.counterfactuals import (
    FOLDS,
    Earned,
    Log,
    check_log,
    cost_of_learning,
    estimate_values,
    target_policies,
)
from recommender.weighing.odds import Odds

# So many decisions make the intervals narrow enough, and are read and judged within seconds.
MOST = 100_000
PROPENSITIES = "Offers did not come as often as their logged chances say."


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
    integrity = check_log(log, floor=odds.floor)
    if integrity["is_broken"]:
        hold_if_still_broken(policy, odds, campaign=campaign, now=now)
    return PolicyEvaluation.objects.create(
        campaign=campaign,
        computed_at=now,
        population=(
            f"{len(log.reward):,} decisions kept out of learning; version {version.number}, "
            f"learned from {version.learned_from:,} others"
        ),
        rows=rows,
        learning_cost=cost_of_learning(rows, _read_earned(policy, campaign=campaign)),
        integrity=integrity,
    )


def hold_if_still_broken(policy: Policy, odds: Odds, *, campaign: str, now: datetime) -> None:
    """Let a policy publish nothing because its log is broken, unless somebody knows of all that.

    Whoever released it knew of what was wrong before.
    """
    since = find_release(policy)
    if since is not None:
        newer = read_log(policy, campaign=campaign, offers=odds.offers, since=since)
        if newer is None or not check_log(newer, floor=odds.floor)["is_broken"]:
            return
    hold_publishing(policy, reason=PROPENSITIES, now=now)


def can_be_judged(policy: Policy, *, campaign: str) -> bool:
    """Tell whether enough decisions were held back, and settled, to judge the policy on them."""
    decisions = _find_held_back(policy, campaign=campaign, offers=policy.offers)
    return decisions[:FOLDS].count() == FOLDS


def read_log(
    policy: Policy, *, campaign: str, offers: Sequence[str], since: datetime | None = None
) -> Log | None:
    """Read the newest held-back decisions of a campaign whose rewards are settled.

    Args:
        policy: Whose rewards count.
        campaign: Whose decisions are read.
        offers: Decisions in which none of these could be drawn say nothing about them.
        since: Where it is given, only decisions from then on.

    Returns:
        The log, or None while it is too short to be judged on.
    """
    decisions = _find_held_back(policy, campaign=campaign, offers=offers).order_by("-id")
    if since is not None:
        decisions = decisions.filter(decided_at__gte=since)
    rows = list(
        decisions.values_list(
            "features", "offer", "eligible", "propensity", "reward__value", "weights", "arm"
        )[:MOST]
    )
    if len(rows) < FOLDS:
        return None
    actions = tuple(sorted({key for row in rows for key in row[2]}))
    place = {key: index for index, key in enumerate(actions)}
    eligible = np.zeros((len(rows), len(actions)), dtype=bool)
    weights = np.zeros((len(rows), len(actions)))
    for index, row in enumerate(rows):
        places = [place[key] for key in row[2]]
        eligible[index, places] = True
        weights[index, places] = row[5] or np.nan
    return Log(
        features=np.array([row[0] for row in rows], dtype=np.float64),
        action=np.array([place[row[1] or ""] for row in rows], dtype=np.int64),
        eligible=eligible,
        weights=weights,
        propensity=np.array([row[3] for row in rows], dtype=np.float64),
        reward=np.array([row[4] for row in rows], dtype=np.float64),
        actions=actions,
        # Chance put customers into arms, and arms draw in different ways.
        group=np.unique([row[6] for row in rows], return_inverse=True)[1],
    )


def _read_earned(policy: Policy, *, campaign: str) -> Earned:
    """Read what the decisions earned that the policy drew and learned from."""
    found = Decision.objects.filter(
        campaign=campaign,
        policy=policy,
        held_back=False,
        policy_version__isnull=False,
        reward__settled_at__isnull=False,
    ).aggregate(
        n=Count("pk"), mean=Avg("reward__value"), variance=Variance("reward__value", sample=True)
    )
    return Earned(found["n"], found["mean"] or 0.0, found["variance"] or 0.0)


def _find_held_back(policy: Policy, *, campaign: str, offers: Sequence[str]) -> QuerySet[Decision]:
    return Decision.objects.filter(
        campaign=campaign,
        policy=policy,
        held_back=True,
        reward__settled_at__isnull=False,
        eligible__overlap=list(offers),
    )
