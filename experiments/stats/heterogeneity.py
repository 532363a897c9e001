"""Asks whether an effect is the same for everybody, and estimates it where it may not be.

Throughout, k segments have estimated effects y_i with known squared errors v_i, as of large groups.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, gammaln

from experiments.stats.roots import find_root

FloatArray = NDArray[np.float64]

# Of Gauss-Legendre quadrature on (0, 1).
_UNIT_NODES, _UNIT_WEIGHTS = np.polynomial.legendre.leggauss(200)
_NODES, _NODE_WEIGHTS = (1 + _UNIT_NODES) / 2, _UNIT_WEIGHTS / 2


@dataclass(frozen=True, slots=True)
class Homogeneity:
    """How far effects are from being all the same.

    Attributes:
        statistic: Chi-square.
        df: Its degrees of freedom.
        ln_p_value: Natural logarithm of the p-value, which never underflows.
    """

    statistic: float
    df: int
    ln_p_value: float


@dataclass(frozen=True, slots=True)
class Shrunk:
    """Effects of segments, each drawn towards their common mean as far as it is uncertain.

    Attributes:
        mean: Of the effects, over segments like these.
        effects: The best guess of each segment's own effect.
        errors: Standard deviation of what it may be.
    """

    mean: float
    effects: tuple[float, ...]
    errors: tuple[float, ...]


def judge_homogeneity(effects: ArrayLike, squared_errors: ArrayLike) -> Homogeneity:
    """Test that all effects are the same (Cochran's Q, 1954).

    Raises:
        ValueError: There are fewer than two effects, or their squared errors are not positive.
    """
    y, v = _read(effects, squared_errors, least=2)
    return _judge(_q(y, v, 0.0), len(y) - 1)


def judge_interaction(means: ArrayLike, squared_errors: ArrayLike) -> Homogeneity:
    """Test that differences between rows are the same in all columns (Wald).

    The distance of the means from the best additive fit, row + column, weighted by their errors.
    With two rows it is Cochran's Q of the columns' differences.

    Args:
        means: Of independent groups, shape (rows, columns), at least 2 by 2.
        squared_errors: The same shape, positive.
    """
    m, v = np.asarray(means, dtype=np.float64), np.asarray(squared_errors, dtype=np.float64)
    if m.ndim != 2 or min(m.shape) < 2:
        raise ValueError(f"an interaction needs two rows and two columns, not shape {m.shape}")
    rows, columns = m.shape
    y, v = _read(m.ravel(), v.ravel(), least=4)
    design = np.hstack(
        [np.kron(np.eye(rows), np.ones((columns, 1))), np.tile(np.eye(columns), (rows, 1))[:, 1:]]
    )  # (rows * columns, rows + columns - 1)
    root = np.sqrt(v)
    fit, *_ = np.linalg.lstsq(design / root[:, None], y / root, rcond=None)
    residuals = (y - design @ fit) / root
    return _judge(float(residuals @ residuals), (rows - 1) * (columns - 1))


def find_variance(
    effects: ArrayLike, squared_errors: ArrayLike, *, mean: float | None = None
) -> float:
    """Estimate the variance of the true effects behind the estimated ones (Paule & Mandel 1982).

    It is the variance with which the weighted sum of squares is just what is expected, or 0 where
    the errors alone explain more than was seen.

    Args:
        effects: Estimated, at least two, or one if their mean is known.
        squared_errors: Of the same length, positive.
        mean: Of the true effects, where it is known.
    """
    y, v = _read(effects, squared_errors, least=2 if mean is None else 1)
    expected = len(y) - (1 if mean is None else 0)

    def excess(variance: float) -> float:
        return _q(y, v, variance, mean=mean) - expected

    if excess(0.0) <= 0:
        return 0.0
    around = y - (np.average(y, weights=1 / v) if mean is None else mean)
    # Each square over v + x is below its share of this x; a mean of its own only lowers the sum.
    most = float(around @ around) / expected
    return find_root(excess, 0.0, most, xtol=1e-14 * most, rtol=1e-12)


def shrink(effects: ArrayLike, squared_errors: ArrayLike) -> Shrunk:
    """Estimate each segment's own effect, drawing all towards their common mean.

    Were the spread tau of the true effects known, a guess would be (1 - B_i) y_i + B_i mean, with
    B_i = v_i / (v_i + tau^2). It is not, and with few segments any one estimate of it, most of all
    0, makes the guesses look surer than they are. So guesses are averaged over tau, by how well
    each tau explains what was seen (Rubin 1981; flat in tau, Gelman 2006). With 3 to 10 segments
    simulated normal intervals of 95% covered 94% to 99.6%, where those from the best single tau
    (Paule & Mandel) covered as little as 83%.

    Raises:
        ValueError: There are fewer than three effects, or their squared errors are not positive.
    """
    y, v = _read(effects, squared_errors, least=3)
    # Quadrature over tau from 0 to infinity, finest where tau is like the errors and differences.
    scale = math.sqrt(float(v.mean() + y.var()))
    tau = scale * _NODES / (1 - _NODES)  # (t,)
    weights = 1 / (v + tau[:, None] ** 2)  # (t, k)
    total = weights.sum(axis=1)
    means = (weights @ y[:, None])[:, 0] / total
    q = (weights * (y - means[:, None]) ** 2).sum(axis=1)
    ln_likelihood = (np.log(weights).sum(axis=1) - np.log(total) - q) / 2
    likely = np.exp(ln_likelihood - ln_likelihood.max()) * _NODE_WEIGHTS / (1 - _NODES) ** 2
    likely /= likely.sum()
    towards = v * weights
    guesses = (1 - towards) * y + towards * means[:, None]
    effect = likely @ guesses
    variance = (1 - towards) * v + towards**2 / total[:, None] + (guesses - effect) ** 2
    return Shrunk(
        float(likely @ means), tuple(effect.tolist()), tuple(np.sqrt(likely @ variance).tolist())
    )


def _read(
    effects: ArrayLike, squared_errors: ArrayLike, *, least: int
) -> tuple[FloatArray, FloatArray]:
    y, v = np.asarray(effects, dtype=np.float64), np.asarray(squared_errors, dtype=np.float64)
    if y.ndim != 1 or y.shape != v.shape or len(y) < least:
        raise ValueError(f"need {least} effects or more with errors, not {y.shape} and {v.shape}")
    if not (np.isfinite(y).all() and np.isfinite(v).all() and (v > 0).all()):
        raise ValueError("effects must be finite, and their squared errors positive")
    return y, v


def _q(y: FloatArray, v: FloatArray, variance: float, *, mean: float | None = None) -> float:
    weights = 1 / (v + variance)
    centre = float(np.average(y, weights=weights)) if mean is None else mean
    return float(weights @ (y - centre) ** 2)


def _judge(statistic: float, df: int) -> Homogeneity:
    p_value = float(chdtrc(df, statistic))
    if p_value > 1e-290:
        return Homogeneity(statistic, df, min(math.log(p_value), 0.0))
    # Far out, the first terms of the incomplete gamma function are right to 1e-5.
    a, x = df / 2, statistic / 2
    tail = (a - 1) * math.log(x) - x - float(gammaln(a)) - math.log1p(-(a - 1) / x)
    return Homogeneity(statistic, df, tail)
