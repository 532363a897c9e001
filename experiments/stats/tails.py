"""Tails of the normal and of Student's distribution, for many statistics at once.

Two-sided p-values come as logarithms, which stay exact where the p-value itself rounds to zero.
"""

import math
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln, log_ndtr, ndtri, stdtr, stdtrit

FloatArray = NDArray[np.float64]

# From so many degrees of freedom on, Student's quantile is expanded around the normal's.
_NEAR_NORMAL = 1000.0
# Below this, a p-value is about to lose its digits.
_LEAST = 1e-290
# There the integrand of its tail is so flat that these nodes give it to the last digit.
_NODES, _WEIGHTS = np.polynomial.laguerre.laggauss(24)


@overload
def ln_p_normal(z: float) -> float: ...


@overload
def ln_p_normal(z: FloatArray) -> FloatArray: ...


def ln_p_normal(z: float | FloatArray) -> float | FloatArray:
    """Take the natural logarithm of the two-sided p-value of z statistics."""
    logarithm = np.asarray(np.minimum(math.log(2.0) + log_ndtr(-np.abs(z)), 0.0))
    return logarithm if isinstance(z, np.ndarray) else float(logarithm)


@overload
def ln_p_student(statistic: float, df: float) -> float: ...


@overload
def ln_p_student(statistic: FloatArray, df: float | FloatArray) -> FloatArray: ...


def ln_p_student(statistic: float | FloatArray, df: float | FloatArray) -> float | FloatArray:
    """Take the natural logarithm of the two-sided p-value of t statistics.

    With a = df / 2 and x = df / (df + t^2), the p-value is the regularised incomplete beta function
    I_x(a, 1/2). Substituting u = x exp(-s / a) in its integral leaves

        I_x(a, 1/2) = x^a / (a B(a, 1/2)) * integral over s > 0 of e^-s (1 - x e^(-s/a))^(-1/2),

    whose factor has an exact logarithm, and whose integral Gauss-Laguerre quadrature finds. It is
    used only where p underflows, for there x^a is tiny and the root hardly varies.

    Args:
        statistic: Of any shape.
        df: Positive, of a shape that fits; infinite for a normal statistic.
    """
    t, nu = np.broadcast_arrays(np.abs(statistic), np.asarray(df, dtype=np.float64))
    with np.errstate(divide="ignore"):
        logarithm = np.asarray(np.minimum(np.log(2.0 * stdtr(nu, -t)), 0.0))
    is_tiny = np.asarray(logarithm < math.log(_LEAST))
    if is_tiny.any():
        is_normal = is_tiny & np.isinf(nu)
        logarithm[is_normal] = ln_p_normal(t[is_normal])
        is_student = is_tiny & ~is_normal
        logarithm[is_student] = _ln_far_tail(t[is_student], nu[is_student])
    return logarithm if isinstance(statistic, np.ndarray) else float(logarithm)


def t_quantile(df: ArrayLike, *, confidence: float) -> FloatArray:
    """Return how many standard errors a two-sided interval reaches to either side.

    Args:
        df: Degrees of freedom, of any shape; infinite for the normal distribution.
        confidence: Of the interval, between 0 and 1.
    """
    tail = (1.0 - confidence) / 2.0
    z = -float(ndtri(tail))
    nu = np.asarray(df, dtype=np.float64)
    is_near = nu >= max(_NEAR_NORMAL, 100.0 * z * z)
    if is_near.all():
        return _expand(z, nu)
    if not is_near.any():
        return np.asarray(-stdtrit(nu, tail))
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        quantile = _expand(z, nu)
    quantile[~is_near] = -stdtrit(nu[~is_near], tail)
    return quantile


def _expand(z: float, df: FloatArray) -> FloatArray:
    """Expand Student's quantile around the normal's in 1 / df (Abramowitz & Stegun, 26.7.5).

    With at least 1000 degrees of freedom and 100 z^2, what is left out is below 1e-13 of it.
    """
    y, x = z * z, 1.0 / df
    g1 = z * (y + 1) / 4
    g2 = z * ((5 * y + 16) * y + 3) / 96
    g3 = z * (((3 * y + 19) * y + 17) * y - 15) / 384
    g4 = z * ((((79 * y + 776) * y + 1482) * y - 1920) * y - 945) / 92160
    return np.asarray(z + x * (g1 + x * (g2 + x * (g3 + x * g4))))


def _ln_far_tail(t: FloatArray, df: FloatArray) -> FloatArray:
    """Do the same where the p-value is below any float, shapes (m,)."""
    a = df / 2.0
    ratio = t / np.sqrt(df)
    # The square would overflow; that far out, its 1 + no longer matters.
    is_far = ratio > 1e150
    ln_x = np.where(is_far, -2.0 * np.log(ratio), -np.log1p(np.where(is_far, 1.0, ratio) ** 2))
    # -expm1 keeps 1 - x e^(-s/a) exact when x e^(-s/a) is next to 1.
    roots = (-np.expm1(ln_x[:, None] - _NODES / a[:, None])) ** -0.5  # (m, nodes)
    return np.asarray(a * ln_x - np.log(a) - betaln(a, 0.5) + np.log(roots @ _WEIGHTS))
