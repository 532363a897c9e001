"""Judges effects at looks: which ones have crossed a boundary that allows for every look so far."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.special import ndtri_exp

from experiments.plan import Monitoring
from experiments.stats.bayes import find_log_ratio
from experiments.stats.confidence_sequence import ConfidenceSequence
from experiments.stats.estimate import Estimate, Interval, Result
from experiments.stats.sequential import SPENDING, Boundary, Side, Spending, find_boundaries

# Looks are at least so far apart, in parts of the planned size: more of them would find nothing
# sooner and cost time.
LEAST_STEP = 0.02
# From one look to the next what is known grows at least by such a part: estimates of it waver.
LEAST_GROWTH = 0.01
FAR = 8.0


@dataclass(frozen=True, slots=True)
class Look:
    """One look at an experiment, out of all so far.

    Attributes:
        fraction: Customers so far over planned customers; 1 and more is the planned end.
        boundary: What z must reach, in the metric's good direction upwards.
        number: How many looks there have been, this one included.
        is_early: Whether more customers are to come before the last look.
        is_single: Whether it is the only one for good, and so an ordinary test.
    """

    fraction: float
    boundary: Boundary
    number: int
    is_early: bool
    is_single: bool = False


def take_look(  # noqa: PLR0913 - how looks are paid for, and which this is
    fraction: float,
    earlier: Sequence[float],
    *,
    comparisons: int,
    confidence: float,
    monitoring: Monitoring = Monitoring(),  # noqa: B008 - frozen
    is_running: bool = True,
    harm_looks: int = 0,
    is_for_harm: bool = False,
    information: Sequence[float | None] = (),
) -> Look | None:
    """Look at an experiment, or return None when it is too soon after the last look.

    The error allowed is shared equally by the comparisons (Bonferroni) and by the two directions.
    Looks up to a planned size spend it by the functions settled; a confidence sequence holds over
    all looks for ever, and is sharpest at the planned size; a fixed plan has one look, at its end.
    A look for harm alone, when nothing may win yet, spends nothing on winners: all of that is left
    for the looks that can find one.

    Args:
        fraction: Customers so far over planned customers.
        earlier: The fractions of the looks so far, increasing.
        comparisons: How many are judged by boundaries like this one.
        confidence: One minus the error allowed in all.
        monitoring: How looks are paid for.
        is_running: Whether customers still come; only an experiment without an end asks.
        harm_looks: Of the earlier looks the first so many were for harm alone.
        is_for_harm: Whether this one is too.
        information: What was known at each earlier look and now, as `find_information` says; empty
            where it grows like the customers.
    """
    alpha = (1.0 - confidence) / comparisons
    is_open_ended = monitoring.rule == "confidence_sequence"
    is_early = is_running if is_open_ended else fraction < 1.0
    # What was seen at the planned end before gave no verdict, or it would stand.
    before = [look for look in earlier if look < 1.0 or is_open_ended]
    # The first look for harm alone need not wait, and whoever asks for it sees to the customers.
    start = -LEAST_STEP if is_for_harm else 0.0
    if fraction <= 0.0 or (is_early and fraction < max(before, default=start) + LEAST_STEP):
        return None
    if is_open_ended:
        reach = ConfidenceSequence(alpha, tuned_to=1.0).multiplier(fraction)
        return Look(fraction, Boundary(fraction, reach, -reach, 0, 0), len(before) + 1, is_early)
    if monitoring.rule == "fixed":
        if is_early or is_for_harm:
            return None
        before, harm_looks = [], 0
    if information and len(information) != len(earlier) + 1:
        raise ValueError(
            f"{len(earlier)} looks and this one, but information of {len(information)}"
        )
    known = [value for look, value in zip(earlier, information, strict=False) if look in before]
    boundaries = find_boundaries(
        [*before, fraction],
        information=make_grow([*known, *information[-1:]]),
        upper=Side(
            0.0 if is_for_harm else alpha / 2,
            _spend_after(max(before[:harm_looks], default=0.0), SPENDING[monitoring.benefit]),
        ),
        lower=Side(alpha / 2, SPENDING[monitoring.harm]),
    )
    number = len(boundaries)
    return Look(fraction, boundaries[-1], number, is_early, is_single=number == 1 and not is_early)


def find_information(results: Iterable[Result]) -> float | None:
    """Return how much is known of a metric, on average over the arms; None if no arm has a lift.

    One over the squared error of the lift's logarithm: where outcomes come in later than customers,
    that grows like the outcomes (their number, if each is one conversion), as the variance of all
    that the arms differ by does. The difference's own error would not: early means are smaller.
    """
    found = [find_log_ratio(result) for result in results if isinstance(result, Estimate)]
    known = [1.0 / error**2 for _, error in filter(None, found) if error > 0]
    return sum(known) / len(known) if known else None


def make_grow(information: Sequence[float | None]) -> list[float] | None:
    """Make what was known increase from look to look; None where a look does not say.

    A look is corrected by those before it alone, so that no boundary changes afterwards.
    """
    grown: list[float] = []
    for value in information:
        if value is None:
            return None
        grown.append(max(value, grown[-1] * (1 + LEAST_GROWTH)) if grown else value)
    return grown or None


def _spend_after(start: float, spending: Spending) -> Spending:
    """Return the same spending, but of nothing until the looks for harm alone are over."""

    def spend(t: float, alpha: float) -> float:
        return spending(t, alpha) if t > start else 0.0

    return spend


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
    boundary is crossed. A lift's interval is even on the logarithmic scale, and is widened there,
    unless it ends at -100%, the lowest that a lift can be.
    """
    is_even_in_log = is_lift and interval.low > -1.0
    to_scale, back = (math.log1p, math.expm1) if is_even_in_log else (float, float)
    scaled = Interval(to_scale(interval.low), to_scale(interval.high))
    centre = (scaled.low + scaled.high) / 2
    standard_error = scaled.standard_error(confidence=confidence)
    # A boundary that nothing can cross yet leaves that end open: as good as very far away.
    good, bad = min(look.boundary.upper, FAR), min(-look.boundary.lower, FAR)
    below, above = (good, bad) if higher_is_better else (bad, good)
    lowest = -1.0 if is_lift else -math.inf
    return Interval(
        max(back(centre - below * standard_error), lowest), back(centre + above * standard_error)
    )
