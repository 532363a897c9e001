"""Says results in templates."""

from django.template import Library

from experiments.stats.estimate import Estimate
from experiments.stats.impact import Cumulative
from experiments.wording import say_lift

register = Library()


@register.filter
def lift(value: float) -> str:
    """Say a lift."""
    return say_lift(value)


@register.filter
def said_total(total: Cumulative) -> str:
    """Say a sum of effects with its interval."""
    ends = total.interval
    return f"{say_lift(total.lift)} ({say_lift(ends.low)} to {say_lift(ends.high)})"


@register.filter
def said_lift(estimate: Estimate) -> str:
    """Say an estimate's lift with its interval."""
    ends = estimate.relative_interval
    if estimate.relative is None or ends is None:
        return "nothing yet"
    return f"{say_lift(estimate.relative)} ({say_lift(ends.low)} to {say_lift(ends.high)})"
