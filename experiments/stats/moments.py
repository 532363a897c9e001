"""Sufficient statistics of one arm, which merge exactly and from which every number follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# Sums over millions of rows lose a few digits; a broken matrix is off by far more than this.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Moments:
    """How many customers, their mean in k columns, and how the columns vary together.

    Attributes:
        n: Number of customers.
        mean: Mean of each column, length k; zeros when there is nobody.
        covariance: Sample covariance (divisor n - 1), k by k; zeros when n < 2.

    Raises:
        ValueError: On construction, if no sample could have these moments.
    """

    n: int
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        """Refuse what no sample could give."""
        k = len(self.mean)
        if self.n < 0:
            raise ValueError(f"n must be at least 0, not {self.n}")
        if k == 0 or len(self.covariance) != k or any(len(row) != k for row in self.covariance):
            raise ValueError(f"the covariance of {k} columns must be {k} by {k}, and k at least 1")
        mean = np.array(self.mean)
        covariance = np.array(self.covariance)
        if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
            raise ValueError("mean and covariance must be finite")
        if (self.n == 0 and mean.any()) or (self.n < 2 and covariance.any()):
            raise ValueError(f"{self.n} customers have no such moments: what is unknown must be 0")
        _check_covariance(covariance)

    @classmethod
    def of(cls, rows: FloatArray) -> Moments:
        """Compute the moments of raw rows, shape (n, k)."""
        rows = np.asarray(rows, dtype=np.float64)
        if rows.ndim != 2:
            raise ValueError(f"rows must have shape (n, k), not {rows.shape}")
        n, k = rows.shape
        mean = rows.mean(axis=0) if n else np.zeros(k)
        centred = rows - mean
        return cls._from_arrays(n, mean, centred.T @ centred / max(n - 1, 1))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Moments:
        """Read what `to_json` wrote."""
        return cls(
            n=int(data["n"]),
            mean=tuple(float(value) for value in data["mean"]),
            covariance=tuple(tuple(float(value) for value in row) for row in data["covariance"]),
        )

    def to_json(self) -> dict[str, Any]:
        """Write the moments as plain JSON values, without loss."""
        return {
            "n": self.n,
            "mean": list(self.mean),
            "covariance": [list(row) for row in self.covariance],
        }

    def select(self, *columns: int) -> Moments:
        """Keep some columns, in the order given."""
        index = list(columns)
        covariance = np.array(self.covariance)[np.ix_(index, index)]
        return self._from_arrays(self.n, np.array(self.mean)[index], covariance)

    def combine(self, weights: Mapping[int, float]) -> Moments:
        """Return the moments of one column: the sum of some columns, each with its weight."""
        index = list(weights)
        w = np.array(list(weights.values()))
        variance = w @ np.array(self.covariance)[np.ix_(index, index)] @ w
        mean = w @ np.array(self.mean)[index]
        # Columns that cancel leave a trace of rounding, which may lie below zero.
        return self._from_arrays(self.n, mean.reshape(1), np.maximum(variance, 0.0).reshape(1, 1))

    def __add__(self, other: Moments) -> Moments:
        """Pool two disjoint groups of customers (Chan, Golub & LeVeque 1979, pairwise update)."""
        if len(self.mean) != len(other.mean):
            raise ValueError(f"cannot pool {len(self.mean)} columns with {len(other.mean)}")
        if self.n == 0 or other.n == 0:
            return other if self.n == 0 else self
        n = self.n + other.n
        step = np.array(other.mean) - np.array(self.mean)
        scatter = (
            (self.n - 1) * np.array(self.covariance)
            + (other.n - 1) * np.array(other.covariance)
            + np.outer(step, step) * (self.n * other.n / n)
        )
        return self._from_arrays(n, np.array(self.mean) + step * (other.n / n), scatter / (n - 1))

    @classmethod
    def _from_arrays(cls, n: int, mean: FloatArray, covariance: FloatArray) -> Moments:
        return cls(n, tuple(mean.tolist()), tuple(tuple(row) for row in covariance.tolist()))


def _check_covariance(covariance: FloatArray) -> None:
    """Raise unless a matrix is symmetric and positive semidefinite, but for rounding.

    Both are judged on the scale of correlations, so that a column in cents and a share weigh the
    same.
    """
    variance = covariance.diagonal()
    if (variance < 0).any():
        raise ValueError("a variance is negative")
    k = len(covariance)
    if k == 1:
        return
    deviation = np.sqrt(np.where(variance > 0, variance, 1.0))
    correlation = covariance / np.outer(deviation, deviation)
    if np.abs(correlation - correlation.T).max() > _ROUNDING:
        raise ValueError("the covariance is not symmetric")
    # A matrix whose eigenvalues are above -r is one that has a Cholesky factor once r is added.
    correlation.flat[:: k + 1] += _ROUNDING * k
    try:
        np.linalg.cholesky(correlation)
    except np.linalg.LinAlgError:
        raise ValueError("the covariance is not positive semidefinite") from None
