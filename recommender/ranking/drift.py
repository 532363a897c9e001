"""Tell whether what a model meets now is still what it was trained on.

A share that moved is measured by the population stability index, Σ (p - q) ln(p / q) over bins:
below 0.1 nothing moved, above 0.25 a lot did (Siddiqi 2006). Without any drift the index, over
1/n + 1/m, falls as χ² with a degree less than there are bins (Yurdakul 2018), so that few events
raise no alarm.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from scipy.stats import chi2, kstwobign

from recommender.arrays import FloatArray

# Where the index begins to matter, and by how little chance it may be that high.
MOVED = 0.25
CHANCE = 0.001
POINTS = 101
BINS = 10
# Of bins that are empty on one side, whose logarithm would be infinite.
SMOOTHING = 0.5


class Sketch(msgspec.Struct, frozen=True):
    """A distribution of numbers: 101 quantiles, from the least to the greatest, of n numbers."""

    quantiles: list[float]
    n: int

    @classmethod
    def of(cls, values: FloatArray) -> "Sketch":
        """Sketch numbers; those that are none are left out."""
        known = values[np.isfinite(values)]
        if not len(known):
            return cls([], 0)
        return cls(np.quantile(known, np.linspace(0, 1, POINTS)).tolist(), len(known))


@dataclass(frozen=True, slots=True)
class Drift:
    """How far a distribution moved.

    Attributes:
        psi: The population stability index.
        p_value: Of an index that high without any drift.
        ks: The greatest distance of the two distribution functions; None where there is no order.
        ks_p_value: Of such a distance without any drift.
    """

    psi: float
    p_value: float
    ks: float | None = None
    ks_p_value: float | None = None

    @property
    def is_large(self) -> bool:
        """Whether it moved a lot, and by more than chance."""
        return self.psi > MOVED and self.p_value < CHANCE


def compare_counts(before: Mapping[str, float], now: Mapping[str, float]) -> Drift | None:
    """Compare how often each of some kinds came; None where nothing came on one side."""
    kinds = sorted({*before, *now})
    old = np.array([before.get(kind, 0.0) for kind in kinds])
    new = np.array([now.get(kind, 0.0) for kind in kinds])
    return _compare(old, new)


def compare_numbers(before: Sketch, values: FloatArray) -> Drift | None:
    """Compare numbers with a sketch of earlier ones, in bins of a tenth of these each."""
    known = np.sort(values[np.isfinite(values)])
    if not before.n or not len(known):
        return None
    quantiles = np.array(before.quantiles)
    edges = np.unique(quantiles[:: (POINTS - 1) // BINS])[1:-1]
    # How much of the sketch lies below each edge: ties may make a bin more than a tenth.
    below = np.searchsorted(quantiles, edges, side="right") / POINTS
    old = np.diff([0.0, *below, 1.0]) * before.n
    new = np.diff([0, *np.searchsorted(known, edges, side="right"), len(known)])
    found = _compare(old, new.astype(np.float64))
    assert found is not None, "both have something"
    ks = _distance(quantiles, known)
    size = np.sqrt(before.n * len(known) / (before.n + len(known)))
    return Drift(found.psi, found.p_value, ks, float(kstwobign.sf(size * ks)))


def _compare(old: FloatArray, new: FloatArray) -> Drift | None:
    n, m = float(old.sum()), float(new.sum())
    if not n or not m:
        return None
    bins = len(old)
    p = (old + SMOOTHING) / (n + SMOOTHING * bins)
    q = (new + SMOOTHING) / (m + SMOOTHING * bins)
    psi = float(((p - q) * np.log(p / q)).sum())
    p_value = float(chi2.sf(psi / (1 / n + 1 / m), bins - 1)) if bins > 1 else 1.0
    return Drift(psi, p_value)


def _distance(quantiles: FloatArray, known: FloatArray) -> float:
    """Return the greatest distance of two distribution functions, one known by its quantiles."""
    places: Sequence[FloatArray] = (quantiles, known)
    at = np.concatenate(places)
    first = np.searchsorted(quantiles, at, side="right") / len(quantiles)
    second = np.searchsorted(known, at, side="right") / len(known)
    return float(np.abs(first - second).max())
