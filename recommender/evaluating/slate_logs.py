"""Read the slates of a campaign from the log, and store what other draws would have earned."""

from collections import Counter, defaultdict
from datetime import datetime
from typing import Any

import numpy as np

from recommender.models import Decision, Policy, PolicyEvaluation
from recommender.offpolicy.slate_values import SlateLog, check_slates, estimate_slates

# Places; so many are read and judged within seconds.
MOST = 100_000
# With fewer, nothing can be told apart from chance.
LEAST = 100


def evaluate_slates(policy: Policy, *, campaign: str, now: datetime) -> PolicyEvaluation | None:
    """Judge other ways of drawing a campaign's slates, and store it for the report.

    Returns:
        The stored evaluation; None while there are too few slates whose rewards are settled.
    """
    log = read_slates(policy, campaign=campaign)
    if log is None:
        return None
    n, places = log.rewards.shape
    return PolicyEvaluation.objects.create(
        campaign=campaign,
        computed_at=now,
        population=f"{n:,} slates of {places} products",
        rows=estimate_slates(log),
        integrity=check_slates(log),
    )


def read_slates(policy: Policy, *, campaign: str) -> SlateLog | None:
    """Read the newest slates that were drawn and whose rewards are settled, all of one length.

    That is the most frequent one: slates of other lengths were asked for elsewhere, or were cut
    by a limit. None while there are too few.
    """
    rows = (
        Decision.objects.filter(
            campaign=campaign,
            policy=policy,
            ranker_version__isnull=False,
            policy_version__isnull=False,
            reward__settled_at__isnull=False,
        )
        .order_by("-id")
        .values_list(
            "customer_id", "decided_at", "position", "offer", "eligible", "weights", "reward__value"
        )[:MOST]
    )
    slates: dict[tuple[int, datetime], dict[int, Any]] = defaultdict(dict)
    for customer, decided_at, position, *place in rows:
        slates[customer, decided_at][position] = place
    lengths = Counter(len(slate) for slate in slates.values())
    length = max(lengths, key=lambda one: (lengths[one], one), default=0)
    whole = [slate for slate in slates.values() if set(slate) == set(range(length))]
    return _to_log(whole, length) if len(whole) >= LEAST else None


def _to_log(slates: list[dict[int, Any]], length: int) -> SlateLog:
    width = max(len(place[1]) for slate in slates for place in slate.values())
    weights = np.zeros((len(slates), length, width))
    drawn = np.zeros((len(slates), length), dtype=np.int64)
    rewards = np.zeros((len(slates), length))
    for row, slate in enumerate(slates):
        for position, (offer, eligible, shares, value) in slate.items():
            weights[row, position, : len(shares)] = shares
            drawn[row, position] = eligible.index(offer)
            rewards[row, position] = value
    return SlateLog(weights=weights, drawn=drawn, rewards=rewards)
