"""Finds metrics whose events have stopped coming, or never came."""

import math

from experiments.health.base import Arrivals, Finding, HealthContext
from experiments.wording import say_list

# So unlikely a silence is no accident.
WARN_BELOW = 0.001
# Whoever delivers once a day is silent for so long.
WARN_DAYS = 1.0
# Without a single event there is no rate to judge by. After a day, with so many customers, a metric
# of which nothing was seen is broken, or happens to less than 1 in 145 (1 - 1/145)^1000 = .001.
LEAST_DAYS, LEAST_CUSTOMERS = 1.0, 1000


def check_silence(context: HealthContext) -> Finding | None:
    """Ask how likely so long a silence is, at the rate of events so far.

    A silence of less than a day is only noted: some senders deliver once a day.
    """
    silent = [one for one in context.arrivals if one.events > 0 and _chance(one) < WARN_BELOW]
    absent = [
        one
        for one in context.arrivals
        if one.events == 0 and one.days >= LEAST_DAYS and one.customers >= LEAST_CUSTOMERS
    ]
    if not silent and not absent:
        return None
    detail = ""
    lasts = absent or max(one.silent_days for one in silent) >= WARN_DAYS
    if silent:
        longest = max(silent, key=lambda one: one.silent_days)
        detail += (
            f"For {_say_days(longest.silent_days)} there was no event of "
            f"{say_list([one.metric for one in silent])}, while {longest.customers_since:,} more "
            "customers came; before, they came steadily. "
        )
    if absent:
        detail += f"No event of {say_list([one.metric for one in absent])} has ever come. "
    return Finding(
        code="events_missing",
        severity="warning" if lasts else "note",
        title="Events are missing",
        detail=detail
        + (
            "Check that the sender still works and that the event's name is right."
            if lasts
            else "If they are delivered once a day, wait; otherwise check the sender."
        ),
        evidence={
            "silent": [
                {
                    "metric": one.metric,
                    "events": one.events,
                    "silent_days": one.silent_days,
                    "customers_since": one.customers_since,
                    "probability": _chance(one),
                }
                for one in silent
            ],
            "absent": [{"metric": one.metric, "customers": one.customers} for one in absent],
        },
    )


def _chance(arrivals: Arrivals) -> float:
    """Return the probability that all events came before the silence, were their rate constant.

    Of a Poisson process, given the number of events, each lies anywhere with equal probability: so
    all k of them lie in the first a out of a + s with probability (a / (a + s))^k. The rate need
    not be known. Time is counted both in days and in customers who came, and the larger answer
    counts: at night customers are few, and after a mailing they are many at once.
    """
    return max(
        _all_before(arrivals.days, arrivals.silent_days, arrivals.events),
        _all_before(arrivals.customers, arrivals.customers_since, arrivals.events),
    )


def _all_before(before: float, since: float, events: int) -> float:
    if before <= 0:
        return 1.0
    return math.exp(-events * math.log1p(since / before))


def _say_days(days: float) -> str:
    return f"{days:.1f} days" if days >= 2 else f"{24 * days:.0f} hours"
