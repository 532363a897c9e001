"""Let a policy decide and be rewarded, and hold what it learned against its log."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pytest

from audience.models import Customer
from recommender.bandits.base import Statistics
from recommender.models import Decision, Policy
from recommender.weighing.features import FeatureSpec
from tests.makers import NOW, SECOND, event_row, log_all, logged, make_customers, make_events

ORDER = "Order Completed"
OFFERS = ("red", "blue", "green")


def happen(
    policy: Policy,
    n: int,
    *,
    seed: int = 1,
    at: datetime = NOW,
    offers: Sequence[str | None] = OFFERS,
    held_back: bool = False,
) -> None:
    """Let a policy decide for n new customers, some of whom order."""
    rng = np.random.default_rng(seed)
    customers: list[Customer] = make_customers(n)
    log_all(
        [
            logged(
                policy,
                customer,
                offers[int(rng.integers(len(offers)))],
                at=at + index * SECOND,
                attributes=attributes(rng),
                held_back=held_back,
            )
            for index, customer in enumerate(customers)
        ]
    )
    make_events(
        [
            event_row(customer, ORDER, at=at + index * SECOND, value=float(rng.gamma(2.0)))
            for index, customer in enumerate(customers)
            if rng.random() < 0.4
        ]
    )


def attributes(rng: np.random.Generator) -> dict[str, object]:
    """Make somebody up."""
    return {"age": float(rng.normal(40, 10)), "plan": str(rng.choice(["basic", "pro"]))}


def rebuild(policy: Policy) -> dict[str, Statistics]:
    """Add up the log from the beginning, row by row."""
    size = FeatureSpec.from_json(policy.features).size
    totals = {offer: Statistics.zero(size) for offer in policy.offers}
    rows = Decision.objects.filter(policy=policy, held_back=False, reward__settled_at__isnull=False)
    for offer, features, value in rows.values_list("offer", "features", "reward__value"):
        if offer in totals and value is not None:
            x = np.array(features)
            totals[offer] += Statistics(
                precision_update=np.outer(x, x), b=x * value, n=1.0, s=value**2
            )
    return totals


def stored(policy: Policy) -> dict[str, Statistics]:
    return {row.offer: Statistics.from_bytes(bytes(row.sums)) for row in policy.statistics.all()}


def assert_learned_the_log(policy: Policy) -> None:
    """Hold the stored sums against the log."""
    kept, expected = stored(policy), rebuild(policy)
    assert kept.keys() == expected.keys()
    for offer, statistics in kept.items():
        oracle = expected[offer]
        assert statistics.n == oracle.n
        assert statistics.s == pytest.approx(oracle.s, rel=1e-9)
        np.testing.assert_allclose(statistics.b, oracle.b, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(
            statistics.precision_update, oracle.precision_update, rtol=1e-9, atol=1e-9
        )
