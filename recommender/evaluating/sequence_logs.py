"""Reads customers' decisions in a row from the log, and stores what other policies would bring."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import numpy as np
from django.db.models.functions import Coalesce

from recommender.evaluating.evaluation import hold_if_still_broken
from recommender.learning.sums import settings_of
from recommender.models import Decision, Policy, PolicyEvaluation
from recommender.offpolicy.counterfactuals import Log, check_log
from recommender.offpolicy.sequence_values import SequenceLog, estimate_sequences, sequence_targets
from recommender.rewards.settling import GRACE
from recommender.weighing.odds import Odds

# Decisions; so many are read and judged within some seconds.
MOST = 100_000
# From a customer's first decision on so much is looked at: weights are products, and with more
# decisions a log tells nothing of other policies any more.
WINDOW = timedelta(days=30)
MOST_DECISIONS = 10
# With fewer customers nothing can be told apart from chance.
LEAST = 100

DAY = timedelta(days=1)


def evaluate_sequences(policy: Policy, *, campaign: str, now: datetime) -> PolicyEvaluation | None:
    """Judge the newest version of a policy that decides over time, and store it for the report.

    Returns:
        The stored evaluation; None while there is no version, or too few customers whom it never
        learned from and whose window has passed.
    """
    version = policy.versions.first()
    if version is None:
        return None
    odds = Odds.from_bytes(bytes(version.odds))
    log = read_sequences(policy, campaign=campaign, size=odds.features.size, now=now)
    if log is None:
        return None
    integrity = check_log(flatten(log), floor=odds.floor)
    if integrity["is_broken"]:
        hold_if_still_broken(policy, odds, campaign=campaign, now=now)
    return PolicyEvaluation.objects.create(
        campaign=campaign,
        computed_at=now,
        population=(
            f"the first {WINDOW.days} days, and {MOST_DECISIONS} decisions at most, of "
            f"{len(log.reward):,} customers kept out of learning; version {version.number}, "
            f"learned from {version.learned_from:,} decisions of others"
        ),
        rows=estimate_sequences(sequence_targets(odds, log), log),
        integrity=integrity,
    )


def read_sequences(
    policy: Policy, *, campaign: str, size: int, now: datetime
) -> SequenceLog | None:
    """Read the decisions that a policy drew for customers who are held back, in a row.

    Rewards fade with the time since a customer's first decision, as they do for the policy.

    Args:
        policy: Whose rewards count.
        campaign: Whose decisions are read.
        size: How many columns customers have.
        now: The time of the evaluation.

    Returns:
        The log; None while there are too few customers.
    """
    rows = (
        Decision.objects.filter(
            campaign=campaign,
            policy=policy,
            held_back=True,
            policy_version__isnull=False,
            features__len=size,
            weights__len__gt=0,
        )
        .annotate(person=Coalesce("customer__merged_into", "customer"))
        .order_by("-id")
        .values_list(
            "person", "decided_at", "offer", "eligible", "weights", "features", "reward__value",
            "reward__settled_at",
        )[:MOST]
    )  # fmt: skip
    ripe = now - WINDOW - timedelta(seconds=policy.reward_window_seconds) - GRACE
    found = []
    for _, group in groupby(sorted(rows, key=lambda row: row[:2]), key=lambda row: row[0]):
        decisions = list(group)
        begun = decisions[0][1]
        some = [row for row in decisions if row[1] < begun + WINDOW][:MOST_DECISIONS]
        if begun <= ripe and all(row[7] is not None for row in some):
            found.append(some)
    if len(found) < LEAST:
        return None
    return _to_log(found, size=size, ahead_days=settings_of(policy).ahead_days)


def _to_log(
    found: Sequence[Sequence[Sequence[Any]]], *, size: int, ahead_days: float
) -> SequenceLog:
    actions = tuple(sorted({key for some in found for row in some for key in row[3]}))
    place = {key: index for index, key in enumerate(actions)}
    n, days = len(found), max(map(len, found))
    features, weights = np.zeros((n, days, size)), np.zeros((n, days, len(actions)))
    action = np.zeros((n, days), dtype=np.int64)
    reward, fade = np.zeros((n, days)), np.zeros((n, days))
    exists = np.zeros((n, days), dtype=bool)
    for person, some in enumerate(found):
        for day, (_, at, offer, eligible, shares, x, value, _) in enumerate(some):
            weights[person, day, [place[key] for key in eligible]] = shares
            features[person, day], reward[person, day] = x, value
            action[person, day], exists[person, day] = place[offer], True
            fade[person, day] = np.exp(-((at - some[0][1]) / DAY) / ahead_days)
    return SequenceLog(features, action, weights, reward, fade, exists, actions)


def flatten(log: SequenceLog) -> Log:
    """Return the decisions one by one, for what looks at each."""
    there = log.exists
    return Log(
        features=log.features[there],
        action=log.action[there],
        eligible=log.eligible[there],
        weights=log.weights[there],
        propensity=log.of_drawn(log.weights)[there],
        reward=log.reward[there],
        actions=log.actions,
    )
