"""Finds single customers who drown out everybody else in their arm."""

from experiments.health.base import Finding, HealthContext, Largest
from experiments.health.chance import effective_count
from experiments.stats.moments import Moments
from experiments.wording import say_value

# More than half of an arm's variation comes from one customer: as much as from all others together.
# Leaving out that customer would save half of the customers needed, and moves the arm's mean by
# seven tenths of its standard error.
MOST_VARIATION = 0.5
# Among few buyers somebody always stands out. When amounts are lognormal with sigma 1, the largest
# of 300 buyers (effective count 130) makes half of the variation once in 50 arms; of 1,000, once in
# 170; of 50, once in 7.
LEAST_COUNT = 100.0


def check_outliers(context: HealthContext) -> Finding | None:
    """Look for a customer whose squared deviation is more than half of the sum of squares."""
    found = [
        (share, largest)
        for largest in context.largest
        if (share := _share_of_variation(largest)) > MOST_VARIATION
        and effective_count(_without(largest)) >= LEAST_COUNT
    ]
    if not found:
        return None
    share, worst = max(found, key=lambda item: item[0])
    total = worst.moments.n * worst.moments.mean[0]
    more = f" The same holds in {len(found) - 1} more places." if len(found) > 1 else ""
    return Finding(
        code="outlier",
        severity="warning",
        title="One customer drowns out the others",
        detail=f"A single customer in {worst.arm} makes {say_value(worst.value, unit='number')} of "
        f"{say_value(total, unit='number')} in {worst.metric}, and {share:.0%} of all variation "
        f"there.{more} Look whether this is a person, a reseller or a test; set a cap on the "
        "metric, so that no single customer decides.",
        evidence={
            "found": [
                {
                    "metric": largest.metric,
                    "arm": largest.arm,
                    "value": largest.value,
                    "total": largest.moments.n * largest.moments.mean[0],
                    "customers": largest.moments.n,
                    "share_of_variation": part,
                }
                for part, largest in found
            ]
        },
    )


def _share_of_variation(largest: Largest) -> float:
    """Return the largest customer's squared deviation over the sum of all."""
    moments = largest.moments
    scatter = (moments.n - 1) * moments.covariance[0][0]
    return (largest.value - moments.mean[0]) ** 2 / scatter if moments.n > 1 and scatter else 0.0


def _without(largest: Largest) -> Moments:
    """Return the moments of everybody else, at least one customer."""
    n, mean = largest.moments.n, largest.moments.mean[0]
    step = largest.value - mean
    scatter = (n - 1) * largest.moments.covariance[0][0] - step**2 * n / (n - 1)
    # Two customers leave one, who has no variance.
    variance = max(scatter, 0.0) / (n - 2) if n > 2 else 0.0
    return Moments(n - 1, (mean - step / (n - 1),), ((variance,),))
