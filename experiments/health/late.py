"""Finds events that come in so late that today's numbers are not yet true."""

from experiments.health.base import Finding, HealthContext

# With a twentieth of the events a day behind, the last days look worse than they are by about as
# much as the lifts that people hope for.
WARN_ABOVE = 0.05
# Of fewer events, one or two would already be that many.
LEAST_EVENTS = 100


def check_late_events(context: HealthContext) -> Finding | None:
    """Weigh the events that came more than a day after they happened."""
    found = [
        arrivals
        for arrivals in context.arrivals
        if arrivals.events >= LEAST_EVENTS and arrivals.late > WARN_ABOVE * arrivals.events
    ]
    if not found:
        return None
    worst = max(found, key=lambda arrivals: arrivals.late / arrivals.events)
    return Finding(
        code="late_events",
        severity="warning",
        title="Events come in late",
        detail=f"{worst.late / worst.events:.0%} of the events of {worst.metric} came more than a "
        "day after they happened. The last days are not complete: wait a few days after the end "
        "before reading the result, and check how often the sender delivers.",
        evidence={
            "found": [
                {"metric": one.metric, "events": one.events, "late": one.late} for one in found
            ]
        },
    )
