"""How errors follow means, and what an arm's error borrows from the other arm.

A small arm that fell short by chance looks surer than it is: the largest values, which make most of
its variance, are what it missed. Let g be the skewness of one value, n the arm's size, and w the
part of the squared error that is the arm's own, the rest coming from elsewhere. By the Edgeworth
expansion P(T < -z) leaves its place by

    (w z^2 / 2 - (z^2 - 1) / 6) phi(z) g / sqrt(n),

which for w = 1 is Student's and for w = 0 that of a known variance (Hall 1992, sections 2.6 and
3.10): the two err to opposite sides. It is nothing at w = (1 - 1 / z^2) / 3, whatever g is: 0.25 at
z = 1.96, 0.31 at 4. So a third of the error is the arm's own and two thirds are what all values of
both arms say, as they do if the arms are alike.

In groups of looks this matters most, as the first arms are the smallest. With arms of 90% and 10%,
14 daily looks, spend of a tenth of 8,000 customers and sigma 0.6, Welch's test called a difference
in 13.5 of 100 experiments without one, and this one in 4.0; with sigma 1 it was 20.3 and 3.1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

OWN_PART = 1.0 / 3.0
# One value among zeros has an effective count of exactly 1; leave room for its rounding.
ONE_VALUE = 1 - 1e-9
# Errors that grow with the square of a mean would leave it without an upper limit; from here on
# the limit is held at twice as far out.
LEAST_WIDTH = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Variance:
    """The squared error v(m) = a + b m + c m^2 that each arm's mean would have if it were m.

    Attributes:
        fixed: The a, shape (2, ...).
        slope: The b, shape (2, ...).
        curve: The c, shape (2, ...).
        floor: No mean is below, shape (...).
        ceiling: No mean is above.
    """

    fixed: FloatArray | float = 0.0
    slope: FloatArray | float = 0.0
    curve: FloatArray | float = 0.0
    floor: FloatArray | float = 0.0
    ceiling: float = np.inf

    def at(self, mean: FloatArray) -> FloatArray:
        """Return the squared errors of these means, or of one for both arms, shape (2, ...)."""
        return np.asarray(self.fixed + mean * (self.slope + self.curve * mean))

    def find_limits(self, m: FloatArray, q: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the least and the largest means within q of their own errors of those found."""
        squared = q * q
        slope, curve = squared * self.slope, squared * self.curve
        width = np.maximum(1.0 - curve, LEAST_WIDTH)
        centre = (m + slope / 2.0) / width
        inside = squared * (self.at(m) - curve * self.fixed) + slope * slope / 4.0
        reach = np.sqrt(np.maximum(inside, 0.0)) / width
        return np.maximum(centre - reach, self.floor), np.minimum(centre + reach, self.ceiling)


@dataclass(frozen=True, slots=True, eq=False)
class Errors:
    """What errors are, and how they follow means; of each comparison.

    Attributes:
        squared_errors: As estimated, shape (2, ...).
        df: Their degrees of freedom, shape (2, ...).
        most_df: No test has more, shape (...).
        counts: Effective counts, shape (2, ...).
        expected: The same if the arms are alike, shape (2, ...).
        own: How each mean's error follows from it, by what its own arm says.
        common: The mean if the arms are alike, shape (...).
        blended: How errors follow means, by what both arms say.
        correlation: Of these errors, shape (...).
        is_pooled: Whether test and difference take those, shape (...).
        is_own_scored: Whether each mean's own interval takes errors at its ends, shape (2, ...).
        is_countable: Whether no value can be below zero, as far as moments tell, shape (...).
        multiplied: The squared errors by which m_t = r m_c is judged, as those of m_t and of
            r m_c over r^2, if an effect multiplies values; None if it makes them come more often.
    """

    squared_errors: FloatArray
    df: FloatArray
    most_df: FloatArray | float
    counts: FloatArray
    expected: FloatArray
    own: Variance
    common: FloatArray
    blended: Variance
    is_pooled: BoolArray
    is_own_scored: BoolArray
    is_countable: BoolArray
    multiplied: FloatArray | None = None
    correlation: FloatArray | float = 0.0

    @property
    def is_share(self) -> bool:
        """Whether numbers are shares, whose errors follow from themselves and so are sure."""
        return self.own.ceiling < np.inf


def blend(
    m: FloatArray,
    e: FloatArray,
    units: FloatArray,
    *,
    is_countable: BoolArray,
    is_multiplied: bool,
) -> tuple[Variance, FloatArray, FloatArray]:
    """Draw both arms' errors towards what they are if the arms are alike.

    What is borrowed follows the mean, unless values can be negative: if things happen less often,
    like the mean itself; if an effect multiplies their values, like its square.

    Args:
        m: The means, shape (2, ...).
        e: Their squared errors, without what they share, shape (2, ...).
        units: Of how many values each is the mean, shape (2, ...).
        is_countable: Whether no value is below zero, shape (...).
        is_multiplied: Whether an effect multiplies values.

    Returns:
        How errors follow means; and if the arms are alike, their mean, shape (...), and the
        squared error of each arm's, shape (2, ...).
    """
    everything = units[0] + units[1]
    spread = units * units * e
    alike = (spread[0] + spread[1]) / everything / units  # (2, ...)
    common = (units[0] * m[0] + units[1] * m[1]) / everything
    borrowed = (1.0 - OWN_PART) * alike
    own = OWN_PART * e
    fixed = np.where(is_countable, own, own + borrowed)
    power = common * common if is_multiplied else common
    following = np.where(is_countable, borrowed / power, 0.0)
    floor = np.where(is_countable, 0.0, -np.inf)
    variance = (
        Variance(fixed, curve=following, floor=floor)
        if is_multiplied
        else Variance(fixed, slope=following, floor=floor)
    )
    return variance, common, alike


def blend_multiplied(e: FloatArray, units: FloatArray) -> FloatArray:
    """Do the same for every ratio r of the means, where the treatment's values are r times others.

    Then m_t / r and m_c have values alike, so that the squared error of m_t - r m_c borrows e_t
    for r m_c as it is and e_c for m_t times r^2: it is of the form a + b r^2, like Fieller's.

    Args:
        e: The squared errors, shape (2, ...).
        units: Of how many values each number is the mean, shape (2, ...).

    Returns:
        The b and the a, shape (2, ...).
    """
    # What an arm lends, for itself and for the other one.
    lent = units * units * e / (units[0] + units[1]) * (1.0 / units[0] + 1.0 / units[1])
    return np.asarray(OWN_PART * e + (1.0 - OWN_PART) * lent)
