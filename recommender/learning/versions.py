"""Stores what a policy publishes, and lets the deciding know."""

from datetime import datetime

from recommender.models import Policy, PolicyVersion
from recommender.weighing.odds import Odds
from wire.notices import announce_change

# A busy policy publishes every few seconds, half a megabyte at a time; the log itself holds the
# weights of every decision, so old versions are only there to look at.
KEPT_VERSIONS = 100


def store_version(policy: Policy, odds: Odds, *, learned_from: int, now: datetime) -> int:
    """Publish odds as the policy's newest version, in the transaction at hand; return its number.

    The policy is locked by the caller, who chose the number.
    """
    PolicyVersion.objects.create(
        policy=policy,
        number=odds.version,
        odds=odds.to_bytes(),
        learned_from=learned_from,
        published_at=now,
    )
    old = policy.versions.filter(number__lte=odds.version - KEPT_VERSIONS)
    old.exclude(number=policy.pinned_version or 0).delete()
    announce_change()
    return odds.version
