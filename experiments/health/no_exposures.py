"""Finds arms that should have customers and have none."""

from experiments.health.base import Finding, HealthContext
from experiments.wording import say_list

# As for the sample ratio: below this, chance is no explanation for an empty arm.
BLOCK_BELOW = 0.001


def check_no_exposures(context: HealthContext) -> Finding | None:
    """Look for an arm with a weight and no customers, once other arms have some.

    An arm of share w stays empty by chance among n customers with probability (1 - w)^n; that is
    all it takes to tell a young experiment from a broken one.
    """
    if context.customers == 0:
        return None
    missing = [arm for arm in context.arms if arm.weight > 0 and arm.customers == 0]
    if not missing:
        return None
    chance = min((1 - arm.weight / context.weight) ** context.customers for arm in missing)
    is_blocking = chance < BLOCK_BELOW
    names = say_list([arm.label for arm in missing])
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
        evidence={"arms": [arm.label for arm in missing], "probability": chance},
    )
