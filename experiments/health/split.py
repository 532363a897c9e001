"""Compares how customers were split between the arms with how they should have been."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, ndtr

from experiments.health.base import Phase

FloatArray = NDArray[np.float64]

# A direction that varies less than this, as a share of a single phase's, does not vary at all.
_NOTHING = 1e-9


@dataclass(frozen=True, slots=True)
class Split:
    """Customers counted and expected in each of k arms, and how the counts vary by chance.

    In a phase with n customers and shares w, the counts are multinomial: expected are n w, and the
    covariance is n (diag(w) - w w'). Phases are independent, so both add up. A phase with a single
    arm leaves nothing to chance and takes no part.

    Attributes:
        labels: Of the arms that shared some phase with another.
        counted: Shape (k,).
        expected: Shape (k,).
        covariance: Of the counts, shape (k, k).
    """

    labels: tuple[str, ...]
    counted: FloatArray
    expected: FloatArray
    covariance: FloatArray

    @classmethod
    def of(cls, phases: Sequence[Phase]) -> Split:
        """Add up phases, each with its own weights."""
        weighted = [[arm for arm in phase if arm.weight > 0] for phase in phases]
        shared = [arms for arms in weighted if len(arms) > 1]
        labels = tuple(dict.fromkeys(arm.label for arms in shared for arm in arms))
        k = len(labels)
        counted, expected, covariance = np.zeros(k), np.zeros(k), np.zeros((k, k))
        for arms in shared:
            weights, counts = np.zeros(k), np.zeros(k)
            for arm in arms:
                weights[labels.index(arm.label)] = arm.weight
                counts[labels.index(arm.label)] = arm.customers
            n, shares = counts.sum(), weights / weights.sum()
            counted += counts
            expected += n * shares
            covariance += n * (np.diag(shares) - np.outer(shares, shares))
        return cls(labels, counted, expected, covariance)

    def without(self, part: Split) -> Split:
        """Take away some of these customers, split into the same arms in the same phases."""
        if part.labels != self.labels:
            raise ValueError(f"the part has arms {part.labels}, not {self.labels}")
        return Split(
            self.labels,
            self.counted - part.counted,
            self.expected - part.expected,
            self.covariance - part.covariance,
        )

    @property
    def customers(self) -> int:
        """Customers counted, over all arms."""
        return round(float(self.counted.sum()))

    @property
    def least_expected(self) -> float:
        """The fewest customers expected in an arm; 0 where no two arms share a phase."""
        return float(self.expected.min()) if self.labels else 0.0

    def test(self) -> tuple[float, int, float]:
        """Return chi-square, its degrees of freedom and its p-value, of the split as a whole.

        The quadratic form d'V⁺d of counted minus expected: with one phase it is Pearson's.
        """
        return _test(self.counted - self.expected, self.covariance, scale=self.expected)

    def p_values(self) -> list[float]:
        """Return the two-sided p-value of each arm against the rest."""
        variance = np.diag(self.covariance)
        gap = np.abs(self.counted - self.expected)
        z = np.where(variance > 0, gap / np.sqrt(np.where(variance > 0, variance, 1.0)), 0.0)
        return [2.0 * float(ndtr(-value)) for value in z]

    def differs_from(self, other: Split) -> float:
        """Return the p-value that other customers were split no differently, given the plan."""
        gap = (self.counted - self.expected) / self.customers
        gap -= (other.counted - other.expected) / other.customers
        covariance = self.covariance / self.customers**2 + other.covariance / other.customers**2
        _, _, p_value = _test(gap, covariance, scale=np.diag(covariance))
        return p_value


def _test(
    gap: FloatArray, covariance: FloatArray, *, scale: FloatArray
) -> tuple[float, int, float]:
    """Weigh a gap that should be 0, with a covariance of any rank, in units of the scale's root."""
    root = np.sqrt(np.where(scale > 0, scale, 1.0))
    values, vectors = np.linalg.eigh(covariance / np.outer(root, root))
    varies = values > _NOTHING
    along = (gap / root) @ vectors[:, varies]
    chi2 = float((along**2 / values[varies]).sum())
    df = int(varies.sum())
    return chi2, df, float(chdtrc(df, chi2)) if df else math.nan
