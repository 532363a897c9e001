"""What is known of several means in two arms together, and of one number read from them.

All that we estimate is a smooth function of means: a ratio is one mean over another, and so is the
share of values below a threshold. So whatever sharpens means (covariates, strata) sharpens all of
it, and a number's error follows from the means' errors by its gradient (the delta method).

A covariance is kept as a sum of independent parts, each with the degrees of freedom of its own
estimate, because that is what Satterthwaite's degrees of freedom of any combination need (1946):
with v the combination's estimated variance in each part,

    df = (sum of v)^2 / sum of (v^2 / df of the part).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# So little of what cancels is rounding.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """One number in the control and one in the treatment, in that order; or arrays of them.

    Attributes:
        values: Shape (2, ...).
        parts: Independent parts of their covariance, shape (p, 2, 2, ...).
        df: Degrees of freedom of each part's estimate, shape (p, ...).
        n: Customers, shape (2, ...).
        inflation: How many times as large an arm's error is as if the arms were balanced in what
            is known beforehand, shape (2, ...).
    """

    values: FloatArray
    parts: FloatArray
    df: FloatArray
    n: FloatArray
    inflation: FloatArray | float = 1.0

    @classmethod
    def of_independent(
        cls, values: FloatArray, squared_errors: FloatArray, *, df: FloatArray, n: FloatArray
    ) -> "Pair":
        """Pair numbers whose errors are independent; everything has shape (2, ...)."""
        parts = np.zeros((2, *squared_errors.shape[:1], *squared_errors.shape))
        parts[0, 0, 0], parts[1, 1, 1] = squared_errors
        return cls(values, parts, df, n)

    @property
    def own(self) -> tuple[FloatArray, FloatArray]:
        """The squared errors of both numbers, and their degrees of freedom, each (2, ...)."""
        each = np.stack([self.parts[:, 0, 0], self.parts[:, 1, 1]], axis=1)  # (p, 2, ...)
        return add_up(each, self.df[:, None])

    @property
    def covariance(self) -> FloatArray:
        """Of the two numbers' errors, shape (...)."""
        return _sum(self.parts[:, 0, 1])

    def combine(
        self, control: FloatArray | float, treatment: FloatArray | float
    ) -> tuple[FloatArray, FloatArray]:
        """Return the squared error of a weighted sum of the two, and its degrees of freedom.

        Args:
            control: The control's weight, shape (...).
            treatment: The treatment's.
        """
        each = (
            control * control * self.parts[:, 0, 0]
            + 2.0 * control * treatment * self.parts[:, 0, 1]
            + treatment * treatment * self.parts[:, 1, 1]
        )  # (p, ...)
        return add_up(each, self.df)


@dataclass(frozen=True, slots=True, eq=False)
class JointMeans:
    """The means of q outcomes in both arms, the control first, and how their errors hang together.

    Attributes:
        means: Shape (2, q).
        parts: Independent parts of their covariance, shape (p, 2, q, 2, q).
        df: Degrees of freedom of each part's estimate, shape (p,).
        n: Customers in each arm, shape (2,).
        inflation: How many times as large an arm's errors are as if the arms were balanced in what
            is known beforehand, shape (2,).
    """

    means: FloatArray
    parts: FloatArray
    df: FloatArray
    n: FloatArray
    inflation: FloatArray | float = 1.0

    def read(self, values: FloatArray, gradients: FloatArray) -> Pair:
        """Read one number of each arm off its means.

        Args:
            values: The number, shape (2,).
            gradients: Its derivatives by the arm's own means, shape (2, q).
        """
        parts = np.einsum("aq,paqbr,br->pab", gradients, self.parts, gradients)
        # Where a number is the same for everybody, such as a price, rounding is left on either side
        # of zero.
        steep = np.abs(gradients)
        size = np.einsum("aq,paqbr,br->ab", steep, np.abs(self.parts), steep)
        parts[np.abs(parts) <= _ROUNDING * size] = 0.0
        return Pair(values, parts, self.df, self.n, self.inflation)

    def read_mean(self) -> Pair:
        """Read the first mean."""
        return Pair(self.means[:, 0], self.parts[:, :, 0, :, 0], self.df, self.n, self.inflation)


def add_up(variances: FloatArray, df: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Add the independent parts of a squared error, and find its degrees of freedom.

    Args:
        variances: The parts, shape (p, ...).
        df: Degrees of freedom of each part's estimate, of a shape that fits.
    """
    total = _sum(variances)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = variances / total  # squaring tiny variances would underflow to 0 / 0
        found = 1.0 / _sum(shares * shares / df)
    return total, np.where(total > 0.0, found, np.inf)


def _sum(parts: FloatArray) -> FloatArray:
    """Add a few parts: for single numbers, several times as fast as numpy's own sum."""
    return np.asarray(sum(parts[1:], parts[0]))
