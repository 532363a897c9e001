"""Notes that arms hold customers of different times, and differ without an effect."""

from math import gcd

from experiments.health.base import Finding, HealthContext, Phase
from experiments.wording import say_list


def check_unlike(context: HealthContext) -> Finding | None:
    """Say which arms had other odds against the control in some phase than in others."""
    arms = [
        arm.label
        for place, arm in enumerate(context.arms)
        if arm.label != context.control
        and len({odds for phase in context.phases if (odds := _odds(phase, place, context))}) > 1
    ]
    if not arms:
        return None
    return Finding(
        code="weights_changed",
        severity="note",
        title="Weights changed while it ran",
        detail=f"Of {say_list(arms)} and {context.control}, those are compared who came when both "
        "had the same shares. The means of whole arms are of customers of different times: what "
        "they differ by is no effect.",
        evidence={"arms": arms},
    )


def _odds(phase: Phase, place: int, context: HealthContext) -> tuple[int, int] | None:
    """Return an arm's weight and the control's, with nothing in common; None of an empty phase."""
    control = next((arm for arm in phase if arm.label == context.control), None)
    if control is None or sum(arm.customers for arm in phase) == 0:
        return None
    weight, other = phase[place].weight, control.weight
    common = gcd(weight, other)
    return (weight // common, other // common) if common else None
