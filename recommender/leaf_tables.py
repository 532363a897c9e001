"""Make leaves of a policy's newest version, from the customers it met lately, and keep them."""

from datetime import datetime, timedelta

import numpy as np
from django.db import connection, transaction

from recommender.arrays import FloatArray
from recommender.contacts import sees_contacts
from recommender.decision_ids import first_id_at
from recommender.distilling import distil
from recommender.models import Decision, PolicyLeaves, PolicyVersion
from recommender.odds import Odds
from wire.notices import announce_change

# A busy policy publishes every few seconds. Clients draw anew with every table, and are all sent
# it: so they keep an offer for about as long as a campaign lets them by default.
PUBLISHED_EVERY = timedelta(minutes=30)
# For so long clients may tell of what they drew by a table.
KEPT_FOR = timedelta(days=30)
# Customers of longer ago may be other ones.
SAMPLED_FROM = timedelta(days=30)
SAMPLE = 4000
# To weigh this many offers, one customer after the other, takes about a second.
WEIGHED = 200_000
# A policy that decides seldom, among others that do often, may be searched for long.
PATIENCE = "5s"


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
    x = _sample_customers(policy_id, odds, now=now)
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


def _sample_customers(policy_id: int, odds: Odds, *, now: datetime) -> FloatArray:
    """Return the features of the last decisions, as far as the policy still looks at them."""
    recent = Decision.objects.filter(
        policy_id=policy_id,
        id__gte=first_id_at(now - SAMPLED_FROM),
        features__len=odds.features.size,
    ).order_by("-id")
    most = min(SAMPLE, WEIGHED // len(odds.offers))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [PATIENCE])
        rows = list(recent.values_list("features", flat=True)[:most])
    return np.array(rows, dtype=np.float64).reshape(len(rows), odds.features.size)  # (n, d)
