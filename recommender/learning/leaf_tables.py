"""Make leaves of a policy's newest version, from the customers it met lately, and keep them."""

from datetime import datetime, timedelta

from recommender.distilling.trees import distil
from recommender.learning.sampling import sample_customers
from recommender.models import PolicyLeaves, PolicyVersion
from recommender.weighing.contacts import sees_contacts
from recommender.weighing.odds import Odds
from wire.notices import announce_change

# A busy policy publishes every few seconds. Clients draw anew with every table, and are all sent
# it: so they keep an offer for about as long as a campaign lets them by default.
PUBLISHED_EVERY = timedelta(minutes=30)
# For so long clients may tell of what they drew by a table.
KEPT_FOR = timedelta(days=30)


def publish_leaves(policy_id: int, *, now: datetime) -> int | None:
    """Distil the newest version unless there are leaves of lately; return its number if so."""
    known = PolicyLeaves.objects.filter(policy_id=policy_id)
    if known.filter(published_at__gt=now - PUBLISHED_EVERY).exists():
        return None
    version = PolicyVersion.objects.filter(policy_id=policy_id).order_by("-number").first()
    if version is None:
        return None
    odds = Odds.from_bytes(bytes(version.odds))
    if sees_contacts(odds.features):
        # No client knows what a customer was offered elsewhere.
        return None
    x = sample_customers(policy_id, odds, now=now)
    if not len(x):
        return None
    leaves = distil(odds, x)
    # Another worker may have made the same.
    PolicyLeaves.objects.bulk_create(
        [
            PolicyLeaves(
                policy_id=policy_id,
                version=version.number,
                table=leaves.to_json(),
                published_at=now,
            )
        ],
        ignore_conflicts=True,
    )
    known.filter(published_at__lt=now - KEPT_FOR).delete()
    announce_change()
    return version.number
