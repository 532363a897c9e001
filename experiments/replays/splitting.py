"""A/A tests by replay: customers of the past are split at random, and no effect may be found.

Whoever met nothing cannot differ but by chance. If the whole chain (columns, adjustment, test) is
right for a site's own data, a true 5% of such splits find an effect at p < .05, and p-values are
spread evenly.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, kolmogorov

from experiments.measuring.layout import Layout
from experiments.stats.estimate import Estimate
from experiments.stats.moments import Moments

FloatArray = NDArray[np.float64]

CONFIDENCE = 0.95
ALPHA = 0.05
BINS = 20
# Of a hundred replays of a sound chain, at most one has a share outside its band.
BAND = 0.99


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of one metric.

    Attributes:
        found: The share of splits that found an effect where there was none; None if no split had
            an estimate.
        low: Where that share lies by chance alone in 99 of 100 replays, from this on.
        high: To this.
        known: How many splits had an estimate.
        without: How many had none.
        histogram: How many p-values lie in each twentieth.
        distance: Between the p-values' distribution and an even one, at its largest
            (Kolmogorov-Smirnov), from 0 to 1.
        p_value: How likely even p-values would be that far from it or farther. Tiny also where
            p-values can take few values, as of rare conversions; the share is what counts there.
    """

    found: float | None
    low: float
    high: float
    known: int
    without: int
    histogram: tuple[int, ...]
    distance: float
    p_value: float

    @property
    def is_sound(self) -> bool:
        """Whether chance alone explains the share."""
        return self.found is not None and self.low <= self.found <= self.high

    def to_json(self) -> dict[str, Any]:
        """Write it as plain JSON values."""
        return {
            "found": self.found,
            "low": self.low,
            "high": self.high,
            "known": self.known,
            "without": self.without,
            "histogram": list(self.histogram),
            "distance": self.distance,
            "p_value": self.p_value,
            "is_sound": self.is_sound,
        }


def split_at_random(
    layout: Layout, values: FloatArray, *, splits: int, seed: int
) -> Iterator[Sequence[float]]:
    """Yield the p-value of every metric, one split after another; NaN without an estimate.

    Half of the customers, the odd one aside, are the treatment.

    Args:
        layout: Where the metrics' columns and the covariates are.
        values: What each customer contributes, shape (n, columns).
        splits: How many.
        seed: Of the splits: the same one, the same splits.
    """
    half = len(values) // 2
    for split in range(splits):
        shuffled = values[np.random.default_rng([seed, split]).permutation(len(values))]
        arms = [(Moments.of(shuffled[half:]), Moments.of(shuffled[:half]))]
        p_values = []
        for placed in layout.metrics:
            raw = placed.compare(arms, confidence=CONFIDENCE)
            result = placed.sharpen(raw, arms, covariates=layout.covariates, confidence=CONFIDENCE)
            p_values.append(
                math.exp(result.ln_p_value) if isinstance(result, Estimate) else math.nan
            )
        yield p_values


def sum_up(p_values: FloatArray) -> Replayed:
    """Say how often an effect was found, and how often chance alone would find one.

    Args:
        p_values: Of every split; NaN without an estimate.
    """
    known = np.sort(p_values[~np.isnan(p_values)])
    n = len(known)
    counts, _ = np.histogram(known, bins=BINS, range=(0.0, 1.0))
    low, high = chance_band(n)
    distance = _distance_from_even(known)
    root = math.sqrt(n)
    return Replayed(
        found=float(np.mean(known < ALPHA)) if n else None,
        low=low,
        high=high,
        known=n,
        without=len(p_values) - n,
        histogram=tuple(counts.tolist()),
        distance=distance,
        # Stephens (1970): so corrected, the asymptotic law holds from a handful of values on.
        p_value=float(kolmogorov(distance * (root + 0.12 + 0.11 / root))) if n else 1.0,
    )


def chance_band(n: int) -> tuple[float, float]:
    """Return between which shares of n splits a true 5% lies, outside at most 0.5% on each side.

    By the binomial distribution itself: at a few hundred splits it is visibly lopsided.
    """
    if n == 0:
        return 0.0, 1.0
    # The law's mass beyond 5% and ten standard deviations (and a few) is nothing.
    reach = min(math.ceil(ALPHA * n + 10 * math.sqrt(n * ALPHA * (1 - ALPHA)) + 10), n)
    below = bdtr(np.arange(reach + 1.0), n, ALPHA)
    tail = (1 - BAND) / 2
    return int(np.argmax(below > tail)) / n, int(np.argmax(below >= 1 - tail)) / n


def run(
    layout: Layout,
    values: FloatArray,
    *,
    splits: int,
    seed: int,
    progress: Callable[[int], None],
) -> list[Replayed]:
    """Split as often as asked and sum up each metric, in the layout's order.

    Args:
        layout: Where the columns are.
        values: What each customer contributes.
        splits: How many.
        seed: Of the splits.
        progress: Is told after each split how many are done.
    """
    found = np.empty((splits, len(layout.metrics)))
    for split, p_values in enumerate(split_at_random(layout, values, splits=splits, seed=seed)):
        found[split] = p_values
        progress(split + 1)
    return [sum_up(column) for column in found.T]


def _distance_from_even(ordered: FloatArray) -> float:
    """Return the largest gap between the steps of sorted p-values and the diagonal."""
    n = len(ordered)
    steps = np.arange(n + 1) / max(n, 1)
    return float(
        max(np.max(steps[1:] - ordered, initial=0), np.max(ordered - steps[:-1], initial=0))
    )
