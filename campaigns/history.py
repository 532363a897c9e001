"""Bring in a campaign that ran elsewhere: its decisions, as if they had been logged here."""

import math
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from psycopg.types.json import Jsonb

from audience.importing.copying import analyse, copy_rows
from audience.keeping.partitions import make_partitions, month_of
from audience.models import Customer
from campaigns.deciding.draw import is_held_back
from campaigns.models import Campaign
from experiments.models import Exposure
from recommender.decision_ids import (
    DECISIONS,
    RANDOM_BITS,
    decision_id,
    decision_partition,
)
from recommender.models import Reward
from recommender.weighing.features import FeatureSpec

EXPOSURES = Exposure._meta.db_table
REWARDS = Reward._meta.db_table
CHUNK = 5000
REASON = "imported: decided elsewhere"


@dataclass(frozen=True, slots=True)
class PastDecision:
    """What was chosen for whom, out of what and with which probabilities.

    `weights` belong to `eligible`, place by place; an empty key, or None, is no offer. Where the
    log tells only the probability of what was chosen, `eligible` holds that alone.
    """

    customer_key: str
    arm: str
    offer: str | None
    decided_at: datetime
    eligible: Sequence[str]
    weights: Sequence[float]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def propensity(self) -> float:
        """The probability of what was chosen."""
        return self.weights[self.eligible.index(self.offer or "")]

    @property
    def is_whole_draw(self) -> bool:
        """Whether every choice is known, so that other policies can be judged on this one."""
        return math.isclose(sum(self.weights), 1.0, abs_tol=1e-6)


def import_decisions(
    campaign: Campaign,
    decisions: Iterable[PastDecision],
    *,
    progress: Callable[[int], object] = lambda count: None,
) -> int:
    """Bring in decisions with their exposures and pending rewards, all or none.

    The customers must be known already, each decided for once.
    """
    all_decisions = list(decisions)
    months = sorted({month_of(decision.decided_at) for decision in all_decisions})
    # A transaction of its own: who writes customers would wait for one that makes partitions.
    with transaction.atomic():
        make_partitions([decision_partition(month) for month in months])
    with transaction.atomic():
        for first in range(0, len(all_decisions), CHUNK):
            chunk = all_decisions[first : first + CHUNK]
            _import_chunk(campaign, chunk)
            progress(len(chunk))
        for table in (EXPOSURES, DECISIONS, REWARDS):
            analyse(table)
    return len(all_decisions)


def _import_chunk(campaign: Campaign, chunk: Sequence[PastDecision]) -> None:
    keys = [decision.customer_key for decision in chunk]
    customers = dict(
        Customer.objects.filter(external_key__in=keys).values_list("external_key", "pk")
    )
    arms = dict(campaign.experiment.arms.values_list("key", "pk"))
    copy_rows(
        EXPOSURES,
        ["experiment_id", "customer_id", "arm_id", "exposed_at"],
        (
            (campaign.experiment_id, customers[d.customer_key], arms[d.arm], d.decided_at)
            for d in chunk
        ),
    )
    ids = [decision_id(d.decided_at, entropy=secrets.randbits(RANDOM_BITS)) for d in chunk]
    columns = [
        "id", "decided_at", "customer_id", "campaign", "placement", "arm", "policy_id",
        "policy_version", "offer", "propensity", "eligible", "weights", "features", "reasons",
        "held_back", "cost_cents",
    ]  # fmt: skip
    # Whatever a row needs of the database is at hand before COPY takes the connection.
    policy, placement = campaign.policy, campaign.placement.key
    features = FeatureSpec.from_json(policy.features)
    costs = dict(campaign.offers.values_list("key", "cost_cents"))
    rows = (
        (
            id_,
            d.decided_at,
            customers[d.customer_key],
            campaign.key,
            placement,
            d.arm,
            policy.pk,
            None,
            d.offer,
            d.propensity,
            # Off-policy evaluation takes what is logged here for the whole draw, so a part of
            # one is left out, and the propensity stands alone.
            list(d.eligible) if d.is_whole_draw else [],
            list(d.weights) if d.is_whole_draw else [],
            features.encode(d.attributes).tolist(),
            Jsonb([REASON]),
            is_held_back(policy.key, customer_key=d.customer_key, share=policy.held_back_share),
            costs.get(d.offer or "", 0),
        )
        for id_, d in zip(ids, chunk, strict=True)
    )
    copy_rows(DECISIONS, columns, rows)
    window = timedelta(seconds=policy.reward_window_seconds)
    copy_rows(
        REWARDS,
        ["decision_id", "policy_id", "due_at"],
        ((id_, policy.pk, d.decided_at + window) for id_, d in zip(ids, chunk, strict=True)),
    )
