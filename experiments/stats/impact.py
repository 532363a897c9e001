"""Adds up what several shipped effects come to, and holds the sum against a hold-out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import ndtr, ndtri

from experiments.stats.estimate import Interval


@dataclass(frozen=True, slots=True)
class Cumulative:
    """What all effects so far come to together, on top of each other.

    Attributes:
        lift: Of all of them.
        interval: Where it lies.
        log_ratio: The same as a logarithm.
        sd: The logarithm's standard deviation.
    """

    lift: float
    interval: Interval
    log_ratio: float
    sd: float


@dataclass(frozen=True, slots=True)
class Reconciled:
    """Whether a sum of effects and a hold-out's own estimate can both be true.

    Attributes:
        gap: The sum over the hold-out's estimate, as a lift.
        p_value: Two-sided, of no gap.
    """

    gap: float
    p_value: float


def accumulate(
    effects: Sequence[tuple[float, float]], *, confidence: float = 0.95
) -> list[Cumulative]:
    """Add effects up one after another, as independent changes that multiply.

    Give effects that are already drawn towards what experiments usually do (`bayes.read_effect`):
    only winners ship, so the sum of what they measured claims too much.

    Args:
        effects: Mean and standard deviation of each log-ratio, in their order.
        confidence: Of every interval.
    """
    reach = -float(ndtri((1 - confidence) / 2))
    total, variance = 0.0, 0.0
    found = []
    for mean, sd in effects:
        total += mean
        variance += sd**2
        width = reach * math.sqrt(variance)
        interval = Interval(math.expm1(total - width), math.expm1(total + width))
        found.append(Cumulative(math.expm1(total), interval, total, math.sqrt(variance)))
    return found


def reconcile(total: Cumulative, log_ratio: float, standard_error: float) -> Reconciled:
    """Compare a sum of effects with a hold-out's estimate, which knows nothing of them.

    Args:
        total: The sum.
        log_ratio: The hold-out's: everything that was shipped, over nothing of it.
        standard_error: Of that, positive.
    """
    gap = total.log_ratio - log_ratio
    z = gap / math.hypot(total.sd, standard_error)
    return Reconciled(math.expm1(gap), 2.0 * float(ndtr(-abs(z))))
