"""Trains the network of a policy when much has been learned since, and renews its sums."""

from datetime import datetime, timedelta

from recommender.bandits.base import Representing, Statistics
from recommender.learning.lessons import read_log
from recommender.learning.rebuilding import rebuild_sums
from recommender.models import Policy, PolicyNetwork

# With fewer lessons a network sees what is not there.
FIRST_LESSONS = 2_000
GROWTH = 1.5  # it is trained again after so many times the lessons
# Where lessons fade their number stays, and what they say changes.
TRAIN_AGAIN_AFTER = timedelta(days=7)


def is_due(policy: Policy, *, learned: float, now: datetime) -> bool:
    """Tell whether a policy that remembers so many lessons should have a new network."""
    network = PolicyNetwork.objects.filter(policy=policy).first()
    if network is None:
        return learned >= FIRST_LESSONS
    return learned >= GROWTH * network.learned_from or now >= network.trained_at + TRAIN_AGAIN_AFTER


def train_network(
    policy: Policy, bandit: Representing, *, learned: float, now: datetime
) -> dict[str, Statistics]:
    """Train and store a policy's network, and return its sums as the log says through that.

    Runs in the transaction at hand, in which the caller stores the sums: at no time do they belong
    to another network.
    """
    log = read_log(policy, now=now)
    bandit.representation = bandit.train(log, n_offers=len(policy.offers))
    PolicyNetwork.objects.update_or_create(
        policy=policy,
        defaults={
            "layers": bandit.representation.to_bytes(),
            "learned_from": learned,
            "trained_at": now,
        },
    )
    return rebuild_sums(policy, as_of=now)
