"""Says how likely chance makes a difference, how likely is too unlikely, and both in words."""

import math
from functools import lru_cache

import numpy as np
from scipy.special import ndtr, stdtr

from experiments.health.base import HealthContext
from experiments.looks import LEAST_STEP
from experiments.stats.joint import add_up
from experiments.stats.moments import Moments
from experiments.stats.sequential import Side, find_boundaries, spend_pocock
from experiments.wording import say_p_value

# Of all sound experiments, so many are warned of or blocked by mistake, by each check. Cookie
# Cats, a sound experiment, has p = .0086: one level would either miss or cry wolf.
WARN_BELOW = 0.01
BLOCK_BELOW = 0.001
# Cochran's rule: below this the chi-square distribution is no longer a fair description.
LEAST_EXPECTED = 5


def level_now(context: HealthContext, level: float, *, tests: int = 1) -> float:
    """Return the p-value below which one of several two-sided tests is a finding at this look.

    Without a planned size there is one look, and `level` is shared equally by the tests
    (Bonferroni). With one, it is also shared by all looks, past and future: spent evenly, in the
    manner of Pocock, because what is broken should be noticed early. As for verdicts, looks are at
    least 2% of the planned size apart: one that comes sooner takes the place of the last, so that a
    finding does not come and go in between. Daily looks keep the level (simulated: .0087 to .0105
    of .01); with 1,000 analyses in the life of an experiment it becomes .019.
    """
    if context.fraction is None:
        return level / tests
    fractions: list[float] = []
    for look in sorted(context.earlier):
        if look < 1.0 and max(fractions, default=0.0) + LEAST_STEP <= look:
            fractions.append(look)
    while fractions and context.fraction < fractions[-1] + LEAST_STEP:
        fractions.pop()
    if context.fraction <= 0.0:
        return 0.0
    return _level((*fractions, context.fraction), level / tests)


@lru_cache(maxsize=256)
def _level(fractions: tuple[float, ...], alpha: float) -> float:
    side = Side(alpha / 2, spend_pocock)
    return 2.0 * float(ndtr(-find_boundaries(fractions, upper=side, lower=side)[-1].upper))


def welch_p(control: Moments, treatment: Moments) -> float | None:
    """Return the p-value of equal means, of one column; None where nothing varies or few came."""
    if min(control.n, treatment.n) < 2:
        return None
    arms = (control, treatment)
    squared_error, df = add_up(
        np.array([arm.covariance[0][0] / arm.n for arm in arms]),
        np.array([arm.n - 1.0 for arm in arms]),
    )
    if squared_error == 0:
        return None
    gap = abs(treatment.mean[0] - control.mean[0])
    return 2.0 * float(stdtr(df, -gap / math.sqrt(squared_error)))


def effective_count(moments: Moments) -> float:
    """Return how many customers with equal values would make as uncertain a mean, of one column.

    Kish (1965): the square of the sum over the sum of squares. Of a share it is about the number of
    conversions; of spend it is below the number of buyers.
    """
    mean, variance = moments.mean[0], moments.covariance[0][0]
    return moments.n * mean**2 / (mean**2 + variance) if mean else 0.0


def say_chance(p_value: float) -> str:
    """Say a p-value, also one too small for a number."""
    return say_p_value(math.log(p_value)) if p_value > 0 else "p below 10\u207b\u00b3\u2070\u2070"
