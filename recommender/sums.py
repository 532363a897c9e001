"""Adds up what policies learn from: the stored sums of each offer, and what lessons add to them."""

from collections.abc import Mapping, Sequence

import numpy as np

from recommender.bandits import load_bandit
from recommender.bandits.base import Bandit, Hyperparameters, Statistics
from recommender.features import FeatureSpec
from recommender.models import OfferStatistics, Policy
from recommender.rewards import Settled


def make_bandit(policy: Policy, *, device: str) -> Bandit:
    """Return the bandit of a policy with its settings."""
    settings = Hyperparameters.from_json(policy.hyperparameters)
    return load_bandit(policy.kind)(settings, device=device)


def read_sums(policy: Policy) -> dict[str, Statistics]:
    """Return the stored sums of a policy's offers, of all of them in their order."""
    size = FeatureSpec.from_json(policy.features).size
    stored = {row.offer: Statistics.from_bytes(bytes(row.sums)) for row in policy.statistics.all()}
    return {offer: stored.get(offer, Statistics.zero(size)) for offer in policy.offers}


def write_sums(policy: Policy, sums: Mapping[str, Statistics]) -> None:
    """Store the sums of a policy's offers in the place of those before."""
    OfferStatistics.objects.bulk_create(
        [
            OfferStatistics(policy=policy, offer=offer, sums=total.to_bytes())
            for offer, total in sums.items()
        ],
        update_conflicts=True,
        unique_fields=["policy", "offer"],
        update_fields=["sums"],
    )


def add_up(policy: Policy, lessons: Sequence[Settled], *, bandit: Bandit) -> dict[str, Statistics]:
    """Return what lessons come to for each of a policy's offers, in their order."""
    place = {offer: index for index, offer in enumerate(policy.offers)}
    size = FeatureSpec.from_json(policy.features).size
    summed = bandit.accumulate(
        np.array([place[str(row.offer)] for row in lessons], dtype=np.int64),
        np.array([row.features for row in lessons], dtype=np.float64).reshape(-1, size),
        np.array([row.value for row in lessons], dtype=np.float64),  # (n,)
        n_offers=len(place),
    )
    return dict(zip(place, summed, strict=True))
