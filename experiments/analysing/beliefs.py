"""Says what to believe of each effect, and how often acting on beliefs would err."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.analysing.comparing import Compared
from experiments.plan import Plan
from experiments.stats.bayes import (
    Prior,
    Reading,
    StoppingError,
    find_log_ratio,
    find_stopping_error,
    read_effect,
)
from experiments.stats.estimate import Estimate

# The rule whose error is told: to call an arm once it is better, or worse, so surely.
SURELY = 0.95


@dataclass(frozen=True, slots=True)
class Belief:
    """What to believe of one effect, and how often the rule errs over the looks so far.

    Attributes:
        reading: After the data.
        error: Of calling an arm better or worse once the chance passes `SURELY`, if it is neither.
    """

    reading: Reading
    error: StoppingError

    def to_json(self) -> dict[str, Any]:
        """Write the belief as plain JSON values."""
        reading = self.reading
        return {
            "lift": reading.lift,
            "interval": {"low": reading.interval.low, "high": reading.interval.high},
            "chance_to_beat": reading.chance_to_beat,
            "loss_of_shipping": reading.loss_of_shipping,
            "loss_of_keeping": reading.loss_of_keeping,
            "prior_sd": reading.prior.sd,
            "prior": reading.prior.source,
            "rule": SURELY,
            "rule_error": self.error.total,
        }


def form_beliefs(
    plan: Plan,
    compared: Sequence[Compared],
    *,
    prior: Prior,
    fraction: float,
    earlier: Sequence[float],
) -> Mapping[tuple[str, str], Belief]:
    """Combine every lift with the prior, by metric and arm; what has no lift is left out.

    Args:
        plan: What was promised.
        compared: Every comparison.
        prior: What past experiments say.
        fraction: Customers so far over planned customers.
        earlier: The fractions at the looks before.
    """
    higher_is_better = {metric.key: metric.higher_is_better for metric in plan.metrics}
    looks = [*(look for look in earlier if look < fraction), fraction]
    beliefs = {}
    for item in compared:
        found = find_log_ratio(item.result) if isinstance(item.result, Estimate) else None
        if found is None or fraction <= 0:
            continue
        log_ratio, error = found
        reading = read_effect(
            log_ratio,
            error,
            prior=prior,
            confidence=plan.confidence,
            higher_is_better=higher_is_better[item.metric],
        )
        # An error shrinks with the root of the number of customers.
        errors = [error * math.sqrt(fraction / look) for look in looks]
        stopping = find_stopping_error(SURELY, errors, prior=prior)
        beliefs[item.metric, item.arm] = Belief(reading, stopping)
    return beliefs
