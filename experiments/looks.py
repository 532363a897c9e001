"""Judges effects at looks: which ones have crossed a boundary that allows for every look so far."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.special import ndtri, ndtri_exp

from experiments.stats.estimate import Estimate, Interval
from experiments.stats.sequential import (
    Boundary,
    Side,
    find_boundaries,
    spend_obrien_fleming,
    spend_pocock,
)

# Looks are at least so far apart, in parts of the planned size: more of them would find nothing
# sooner and cost time.
LEAST_STEP = 0.02
FAR = 8.0


@dataclass(frozen=True, slots=True)
class Look:
    """One look at an experiment, out of all so far.

    Attributes:
        fraction: Customers so far over planned customers; 1 and more is the planned end.
        boundary: What z must reach, in the metric's good direction upwards.
        number: How many looks there have been, this one included.
    """

    fraction: float
    boundary: Boundary
    number: int

    @property
    def is_early(self) -> bool:
        """Whether the planned size is still to come."""
        return self.fraction < 1.0


def take_look(
    fraction: float, earlier: Sequence[float], *, comparisons: int, confidence: float
) -> Look | None:
    """Look at an experiment, or return None when it is too soon after the last look.

    The error allowed is shared equally by the arms (Bonferroni) and by the two directions, and
    spent over the looks: late for benefit (O'Brien-Fleming), evenly for harm (Pocock).

    Args:
        fraction: Customers so far over planned customers.
        earlier: The fractions of the looks so far, increasing.
        comparisons: Arms that are compared with the control.
        confidence: One minus the error allowed in all.
    """
    # What was seen at the planned end before gave no verdict, or it would stand.
    before = [look for look in earlier if look < 1.0]
    if fraction < 1.0 and fraction < max(before, default=0.0) + LEAST_STEP:
        return None
    alpha = (1.0 - confidence) / comparisons / 2
    fractions = [*before, fraction]
    boundaries = find_boundaries(
        fractions, upper=Side(alpha, spend_obrien_fleming), lower=Side(alpha, spend_pocock)
    )
    return Look(fraction, boundaries[-1], len(fractions))


def judge(
    estimate: Estimate, look: Look, *, higher_is_better: bool
) -> Literal["better", "worse", "unclear"]:
    """Say which boundary an effect has crossed, if any."""
    z = z_of(estimate) * (1 if higher_is_better else -1)
    if z >= look.boundary.upper:
        return "better"
    return "worse" if z <= look.boundary.lower else "unclear"


def z_of(estimate: Estimate) -> float:
    """Return the normal deviate with the estimate's p-value, signed like its difference.

    Worked out from ln p, it keeps its meaning where p underflows.
    """
    deviate = -float(ndtri_exp(min(estimate.ln_p_value, 0.0) - math.log(2.0)))
    return math.copysign(max(deviate, 0.0), estimate.difference)


def widen(
    interval: Interval, look: Look, *, confidence: float, is_lift: bool, higher_is_better: bool
) -> Interval:
    """Widen a single look's interval to one that holds over all looks.

    It reaches as many standard errors as the boundary asks for: it leaves out zero when the
    boundary is crossed. A lift's interval is even on the logarithmic scale, and is widened there.
    """
    to_scale, back = (math.log1p, math.expm1) if is_lift else (float, float)
    low, high = to_scale(interval.low), to_scale(interval.high)
    centre = (low + high) / 2
    standard_error = (high - low) / 2 / -float(ndtri((1.0 - confidence) / 2))
    # A boundary that nothing can cross yet leaves that end open: as good as very far away.
    good, bad = min(look.boundary.upper, FAR), min(-look.boundary.lower, FAR)
    below, above = (good, bad) if higher_is_better else (bad, good)
    return Interval(back(centre - below * standard_error), back(centre + above * standard_error))
