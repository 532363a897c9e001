"""Finds customers who do more than people can."""

from experiments.health.base import Finding, HealthContext

# One event a minute through all of the 16 hours that people are awake.
PER_DAY = 1000
# Below this share of an arm's events they hardly move anything.
WARN_ABOVE = 0.01


def check_bots(context: HealthContext) -> Finding | None:
    """Weigh the events of customers who made more than `PER_DAY` in one day."""
    found = [
        busy
        for busy in context.busy
        if busy.customers > 0 and busy.events > WARN_ABOVE * busy.all_events
    ]
    if not found:
        return None
    worst = max(found, key=lambda busy: busy.events / busy.all_events)
    customers = sum(busy.customers for busy in context.busy)
    who = "1 customer" if customers == 1 else f"{customers:,} customers"
    return Finding(
        code="bots",
        severity="warning",
        title="Some customers do more than people can",
        detail=f"{who} made more than {PER_DAY:,} events in a day; in {worst.arm} they make "
        f"{worst.events / worst.all_events:.0%} of all events. They are probably programs: leave "
        "out their identities at the source, or count customers instead of events.",
        evidence={
            "arms": [
                {
                    "arm": busy.arm,
                    "customers": busy.customers,
                    "events": busy.events,
                    "all_events": busy.all_events,
                }
                for busy in context.busy
            ]
        },
    )
