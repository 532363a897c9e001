"""Intervals that hold at every look of an experiment without a planned end.

Asymptotic confidence sequences (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2021, theorem 2.2):
the chance that the interval ever leaves out the truth, over all looks for ever, is at most alpha
for large n. The price is an interval some half wider than that of a single look. It is least near
the size for which the sequence is tuned, so tune it to the size that seems likely.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConfidenceSequence:
    """A two-sided sequence at level 1 - alpha, tuned to a number of customers.

    Raises:
        ValueError: On construction, if alpha is not in (0, 1) or the number not positive.
    """

    alpha: float
    tuned_to: float

    def __post_init__(self) -> None:
        """Refuse what tunes nothing."""
        if not 0.0 < self.alpha < 1.0:
            raise ValueError(f"alpha must lie between 0 and 1, not {self.alpha}")
        if not self.tuned_to > 0.0:
            raise ValueError(f"tune to a positive number of customers, not {self.tuned_to}")

    @property
    def mixture_variance(self) -> float:
        """Variance rho² of the mixing normal that makes the interval shortest at `tuned_to`."""
        evidence = -2.0 * math.log(self.alpha)
        return (evidence + math.log(evidence + 1.0)) / self.tuned_to

    def multiplier(self, n: float) -> float:
        """Return how many standard errors the interval reaches to either side at n customers."""
        m = n * self.mixture_variance
        return math.sqrt(2.0 * (m + 1.0) / m * (0.5 * math.log(m + 1.0) - math.log(self.alpha)))

    def interval(self, estimate: float, standard_error: float, *, n: float) -> tuple[float, float]:
        """Return the interval at n customers."""
        reach = self.multiplier(n) * standard_error
        return estimate - reach, estimate + reach

    def ln_p_value(self, z: float, *, n: float) -> float:
        """Return the logarithm of the always-valid p-value of no effect.

        It is the least alpha, with the mixture kept as it is, at which the interval leaves out
        zero: valid whenever one looks, and never below what all the data at hand support.
        """
        m = n * self.mixture_variance
        return min(0.0, 0.5 * math.log(m + 1.0) - z * z * m / (2.0 * (m + 1.0)))
