"""Adds up what policies learn from: the stored sums of each offer, and what lessons add to them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from recommender.arrays import FloatArray
from recommender.bandits import load_bandit
from recommender.bandits.base import Bandit, Hyperparameters, Representing, Statistics
from recommender.models import OfferStatistics, Policy, PolicyNetwork
from recommender.rewards.settling import Settled
from recommender.weighing.features import FeatureSpec
from recommender.weighing.representation import Representation

DAY = timedelta(days=1)


def settings_of(policy: Policy) -> Hyperparameters:
    """Return the settings of a policy's bandit."""
    return Hyperparameters.from_json(policy.hyperparameters)


def make_bandit(policy: Policy, *, device: str) -> Bandit:
    """Return the bandit of a policy with its settings, and the network that it has."""
    bandit = load_bandit(policy.kind)(settings_of(policy), device=device)
    if isinstance(bandit, Representing):
        bandit.representation = find_representation(policy)
    return bandit


def find_representation(policy: Policy) -> Representation | None:
    """Return what a policy's network sees in customers; None if it has no network."""
    network = PolicyNetwork.objects.filter(policy=policy).first()
    return None if network is None else Representation.from_bytes(bytes(network.layers))


def read_sums(policy: Policy, *, now: datetime | None = None) -> dict[str, Statistics]:
    """Return the stored sums of all offers of a policy, in their order.

    Args:
        policy: The policy.
        now: As of when: what fades has faded until then. Without it, as they are stored.
    """
    seen, settings = find_representation(policy), settings_of(policy)
    size = FeatureSpec.from_json(policy.features).size if seen is None else seen.size
    found = dict.fromkeys(policy.offers, Statistics.zero(size))
    for row in policy.statistics.filter(offer__in=policy.offers):
        sums = Statistics.from_bytes(bytes(row.sums))
        if now is not None and row.as_of is not None:
            sums = sums.fade(settings.remembered((now - row.as_of) / DAY))
        found[row.offer] = sums
    return found


def find_stored_at(policy: Policy) -> datetime | None:
    """Return as of when the sums of a policy are stored, all of them at once."""
    return policy.statistics.values_list("as_of", flat=True).first()


def write_sums(policy: Policy, sums: Mapping[str, Statistics], *, as_of: datetime | None) -> None:
    """Store the sums of a policy's offers in the place of those before."""
    OfferStatistics.objects.bulk_create(
        [
            OfferStatistics(policy=policy, offer=offer, sums=total.to_bytes(), as_of=as_of)
            for offer, total in sums.items()
        ],
        update_conflicts=True,
        unique_fields=["policy", "offer"],
        update_fields=["sums", "as_of"],
    )


def add_up(
    policy: Policy,
    lessons: Sequence[Settled],
    *,
    bandit: Bandit,
    weights: FloatArray | None = None,
) -> dict[str, Statistics]:
    """Return what lessons come to for each of a policy's offers, in their order.

    Args:
        policy: The policy.
        lessons: All of offers of the policy.
        bandit: The policy's.
        weights: How much of each is remembered, shape (n,); all of it without them.
    """
    place = {offer: index for index, offer in enumerate(policy.offers)}
    size = FeatureSpec.from_json(policy.features).size
    offers = np.array([place[str(row.offer)] for row in lessons], dtype=np.int64)
    x = bandit.represent(
        np.array([row.features for row in lessons], dtype=np.float64).reshape(-1, size)
    )
    rewards = np.array([row.value for row in lessons], dtype=np.float64)
    if weights is None:
        summed = bandit.accumulate(offers, x, rewards, n_offers=len(place))
        return dict(zip(place, summed, strict=True))
    # The sums of products have the weight if both factors have its root.
    root = np.sqrt(weights)
    summed = bandit.accumulate(offers, x * root[:, None], rewards * root, n_offers=len(place))
    counts = np.bincount(offers, weights=weights, minlength=len(place))
    weighed = [replace(each, n=float(n)) for each, n in zip(summed, counts, strict=True)]
    return dict(zip(place, weighed, strict=True))


def correct(
    policy: Policy,
    sums: Mapping[str, Statistics],
    changed: Sequence[Settled],
    *,
    bandit: Bandit,
    now: datetime,
) -> dict[str, Statistics]:
    """Return sums with what their lessons turned out to earn in the place of what they held.

    Customers and numbers are as they were, so b and s alone change: by Σ w x (r - r₀) and
    Σ w (r² - r₀²), where w is what the lesson still counts.

    Args:
        policy: The policy.
        sums: As of now, of all offers.
        changed: Lessons that are in the sums, with what these hold of each.
        bandit: The policy's.
        now: As of when.
    """
    memory, corrected = settings_of(policy), dict(sums)
    by_offer: dict[str, list[Settled]] = {}
    for row in changed:
        by_offer.setdefault(str(row.offer), []).append(row)
    for offer, rows in by_offer.items():
        x = bandit.represent(np.array([row.features for row in rows], dtype=np.float64))  # (n, d)
        ages = [(now - row.learned_at) / DAY for row in rows if row.learned_at is not None]
        weights = np.array([memory.remembered(age) for age in ages])
        value = np.array([row.value for row in rows], dtype=np.float64)
        before = np.array([row.before for row in rows], dtype=np.float64)
        total = corrected[offer]
        corrected[offer] = replace(
            total,
            b=total.b + x.T @ (weights * (value - before)),
            # Rounding must not leave less than nothing.
            s=max(total.s + float(weights @ (value**2 - before**2)), 0.0),
        )
    return corrected
