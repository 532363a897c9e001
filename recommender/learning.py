"""Learn from settled decisions and publish: one transaction, all of it or nothing."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from django.db import transaction
from django.db.models import Max

from recommender.bandits import load_bandit
from recommender.bandits.base import Bandit, Hyperparameters, Statistics
from recommender.features import FeatureSpec
from recommender.leaf_tables import publish_leaves
from recommender.models import OfferStatistics, Policy, PolicyVersion
from recommender.rewards import Settled, settle_rewards
from wire.notices import announce_change

logger = logging.getLogger(__name__)

# So many rows fit in memory easily and keep the transaction down to a second or so.
BATCH = 20_000
# A busy policy publishes every few seconds, half a megabyte at a time; the log itself holds the
# weights of every decision, so old versions are only there to look at.
KEPT_VERSIONS = 100


@dataclass(frozen=True, slots=True)
class Learned:
    """What one batch did: rewards settled, decisions learned from, the version published."""

    settled: int
    learned: int
    version: int | None


def learn_batch(policy_id: int, *, now: datetime, device: str = "cpu") -> Learned | None:
    """Settle, learn and publish one batch, unless another worker is at it or nothing is due.

    The rewards, the statistics and the version are committed together. A worker that dies before
    that has done nothing: PostgreSQL drops its transaction with its connection, and the next beat
    starts over. Leaves follow by themselves: they are made from what is learned already.
    """
    learned = _learn(policy_id, now=now, device=device)
    if learned is not None and learned.version is not None:
        try:
            publish_leaves(policy_id, now=now)
        except Exception:
            # Clients go on with the leaves that they have; nothing learned is lost with these.
            logger.exception("Policy %s could not be distilled into leaves", policy_id)
    return learned


def _learn(policy_id: int, *, now: datetime, device: str) -> Learned | None:
    with transaction.atomic():
        # The key stays free: decisions that name this policy are logged meanwhile.
        policy = (
            Policy.objects.select_for_update(skip_locked=True, no_key=True)
            .filter(pk=policy_id)
            .first()
        )
        if policy is None:
            return None
        settled = settle_rewards(policy, now=now, limit=BATCH)
        if not settled:
            return None
        lessons = [row for row in settled if row.offer in policy.offers and not row.held_back]
        version = _publish(policy, lessons, now=now, device=device) if lessons else None
        return Learned(settled=len(settled), learned=len(lessons), version=version)


def _publish(policy: Policy, lessons: Sequence[Settled], *, now: datetime, device: str) -> int:
    """Add the lessons to the statistics, and publish what follows from them all."""
    bandit = load_bandit(policy.kind)(
        Hyperparameters.from_json(policy.hyperparameters), device=device
    )
    features = FeatureSpec.from_json(policy.features)
    statistics = _add_up(policy, bandit, lessons, features=features)
    last = policy.versions.aggregate(last=Max("number"))["last"] or 0
    odds = bandit.publish(
        statistics,
        offers=tuple(policy.offers),
        features=features,
        floor=policy.floor,
        version=last + 1,
    )
    PolicyVersion.objects.create(
        policy=policy,
        number=last + 1,
        odds=odds.to_bytes(),
        learned_from=sum(round(each.n) for each in statistics),
        published_at=now,
    )
    policy.versions.filter(number__lte=last + 1 - KEPT_VERSIONS).delete()
    announce_change()
    return last + 1


def _add_up(
    policy: Policy, bandit: Bandit, lessons: Sequence[Settled], *, features: FeatureSpec
) -> list[Statistics]:
    """Add the lessons to the stored sums and return the totals, in the order of the offers."""
    place = {offer: index for index, offer in enumerate(policy.offers)}
    news = bandit.accumulate(
        np.array([place[str(row.offer)] for row in lessons], dtype=np.int64),
        np.array([row.features for row in lessons], dtype=np.float64),  # (n, d)
        np.array([row.value for row in lessons], dtype=np.float64),  # (n,)
        n_offers=len(place),
    )
    stored = {row.offer: Statistics.from_bytes(bytes(row.sums)) for row in policy.statistics.all()}
    totals = [
        stored.get(offer, Statistics.zero(features.size)) + new
        for offer, new in zip(place, news, strict=True)
    ]
    OfferStatistics.objects.bulk_create(
        [
            OfferStatistics(policy=policy, offer=offer, sums=total.to_bytes())
            for offer, total in zip(place, totals, strict=True)
        ],
        update_conflicts=True,
        unique_fields=["policy", "offer"],
        update_fields=["sums"],
    )
    return totals
