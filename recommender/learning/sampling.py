"""Reads the customers that a policy met lately, as it sees them."""

from datetime import datetime, timedelta

import numpy as np
from django.db import connection, transaction

from recommender.arrays import FloatArray
from recommender.decision_ids import first_id_at
from recommender.models import Decision
from recommender.weighing.odds import Odds

# Customers of longer ago may be other ones.
SAMPLED_FROM = timedelta(days=30)
SAMPLE = 4000
# To weigh this many offers, one customer after the other, takes about a second.
WEIGHED = 200_000
# A policy that decides seldom, among others that do often, may be searched for long.
PATIENCE = "5s"


def sample_customers(policy_id: int, odds: Odds, *, now: datetime) -> FloatArray:
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
