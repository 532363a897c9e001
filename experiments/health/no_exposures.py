"""Finds arms that should have customers and have none."""

import math

from experiments.health.base import Finding, HealthContext
from experiments.wording import say_list

# As for the sample ratio: below this, chance is no explanation for an empty arm.
BLOCK_BELOW = 0.001


def check_no_exposures(context: HealthContext) -> Finding | None:
    """Look for an arm with a weight and no customers, once other arms have some.

    An arm of share w stays empty by chance among n customers with probability (1 - w)^n, over each
    phase; that is all it takes to tell a young experiment from a broken one.
    """
    if context.customers == 0:
        return None
    missing = {
        arm.label: _chance_of_none(context, arm.label)
        for arm in context.arms
        if arm.weight > 0 and arm.customers == 0
    }
    if not missing:
        return None
    chance = min(missing.values())
    is_blocking = chance < BLOCK_BELOW
    names = say_list(list(missing))
    return Finding(
        code="no_exposures",
        severity="blocking" if is_blocking else "warning",
        title="An arm has no customers",
        detail=f"{context.customers:,} customers were counted, none of them in {names}. "
        + (
            "That is no accident: check that this arm is served and its exposures are sent."
            if is_blocking
            else "It may still be chance; look again when more customers have come."
        ),
        evidence={"arms": list(missing), "probability": chance},
    )


def _chance_of_none(context: HealthContext, label: str) -> float:
    """Return the probability that an arm met nobody in any phase in which it had a weight."""
    return math.prod(
        (1 - arm.weight / sum(other.weight for other in phase))
        ** sum(other.customers for other in phase)
        for phase in context.periods
        for arm in phase
        if arm.label == label and arm.weight > 0
    )
