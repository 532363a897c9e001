"""Removes from means what customers' earlier behaviour already explains.

Covariates known before exposure cannot be moved by the treatment, so whatever part of the outcome
they predict is noise. Lin (2013) fits one regression per arm and compares the arms' predictions
for the same customers, the average of everybody: randomisation alone makes that consistent, however
wrong the linear model is, and in large samples it is never less precise than the plain difference.

With means y_a of the outcome and x_a of the k covariates in arm a, x their mean over both arms and
b_a the slopes of the arm's own least squares, the adjusted means are

    m_a = y_a + b_a'(x - x_a),  a in {c, t}.

Let e_a be the mean over arm a of the residuals from the best linear prediction. Least squares makes
residuals uncorrelated with the covariates, so m_a - mu_a = e_a + b_a'(x - E x) to first order, with
e_c, e_t and x uncorrelated. For any weights, writing S for the covariates' covariance within arms
and N = n_c + n_t,

    Var(w_c m_c + w_t m_t) = w_c^2 Var(e_c) + w_t^2 Var(e_t) + g'S g / N,  g = w_c b_c + w_t b_t.

The last term is there because both arms are predicted at the same estimated mean, so that m_c and
m_t are correlated: Cov(m_c, m_t) = b_c'S b_t / N. It makes the variance that of the
super-population effect, on customers like these; Lin's own Eicker-Huber-White error leaves it out,
as his target is the effect on exactly these customers (Negi & Wooldridge 2021; Ye, Shao, Yi & Zhao
2023).

Var(e_a) is estimated by s_a^2 (1 / n_a + d_a'A_a^-1 d_a), where s_a^2 has the divisor
n_a - k - 1, d_a = x - x_a, and A_a is the scatter of the arm's covariates. That is the textbook
error of a prediction at x, exact for normal residuals. The second part is O(k / n_a^2); where the
arms' covariates balance it is zero and s_a^2 / n_a is the HC1 error of the arm's regression. In
general the HC errors differ in order n^-3/2, by moments of e^2 x that these sums do not hold.

Several outcomes are adjusted by the same covariates, each with slopes of its own: y_a, b_a and
s_a^2 become vectors and matrices. Without covariates everything is as measured.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.stats.joint import JointMeans
from experiments.stats.moments import Moments

FloatArray = NDArray[np.float64]

# An arm needs so many customers, and so many for each covariate, for its slopes to be worth having.
_FEWEST, _FEWEST_PER_COVARIATE = 20, 5
# A covariate's variance is all rounding below this share of what it was computed from: its squared
# mean (what is constant), or its own variance (what the covariates before it determine).
_CONSTANT, _COLLINEAR = 1e-24, 1e-8
# So little of an outcome's variance is rounding, if the covariates explain all the rest.
_EXPLAINED = 1e-10


@dataclass(frozen=True, slots=True)
class Adjustment:
    """The means of both arms after adjustment, and what was done.

    Attributes:
        plain: The means as measured.
        joint: The adjusted means; the plain ones where no covariate is used.
        covariates: How many are used.
        dropped: The columns that are not, because in some arm they do not vary or the covariates
            before them determine them.
        obstacle: Why no covariate is used though some could be told apart; empty otherwise.
    """

    plain: JointMeans
    joint: JointMeans
    covariates: int = 0
    dropped: tuple[int, ...] = ()
    obstacle: str = ""


def adjust(control: Moments, treatment: Moments, *, outcomes: int = 1) -> Adjustment:
    """Adjust means by a regression per arm (Lin 2013).

    The means are those expected if each arm had held everybody, and may leave the range of the
    outcome when the arms differ by chance. Too few customers, or covariates that explain
    everything and so leave no chance to judge by, leave the means as measured.

    Choose covariates before the outcome is seen, and only what was measured before exposure. Cap
    those with heavy tails: a slope that hangs on a handful of customers understates its error.

    Args:
        control: Moments of the outcomes and then of the covariates; at least two customers.
        treatment: Moments of the same columns; at least two customers.
        outcomes: How many columns are outcomes.

    Raises:
        ValueError: The arms have different numbers of columns, or fewer than there are outcomes.
    """
    columns = len(control.mean)
    if columns != len(treatment.mean) or columns < outcomes:
        raise ValueError(
            f"the arms need the same columns, {outcomes} at least, "
            f"not {columns} and {len(treatment.mean)} columns"
        )
    plain = take_means(control, treatment, outcomes=outcomes)
    if columns == outcomes:
        return Adjustment(plain, plain)
    mean = np.array([control.mean, treatment.mean])
    covariance = np.array([control.covariance, treatment.covariance])
    used, dropped = _find_usable(mean, covariance, outcomes)
    if not used:
        return Adjustment(plain, plain, dropped=dropped)
    needed = fewest_customers(len(used))
    if min(control.n, treatment.n) < needed:
        obstacle = (
            f"not adjusted, as covariates need {needed} customers in each arm to be worth having"
        )
        return Adjustment(plain, plain, dropped=dropped, obstacle=obstacle)
    # A slice where no column is dropped, for that copies nothing.
    index = used if dropped else slice(outcomes, None)
    joint = _fit(
        plain, mean[:, index], covariance[:, index, :outcomes], covariance[:, index][:, :, index]
    )
    if joint is None:
        obstacle = "not adjusted, as the covariates explain every customer's outcome"
        return Adjustment(plain, plain, dropped=dropped, obstacle=obstacle)
    return Adjustment(plain, joint, len(used), dropped)


def take_means(control: Moments, treatment: Moments, *, outcomes: int) -> JointMeans:
    """Return the means of the first columns as measured, in arms of at least two customers."""
    parts = np.zeros((2, 2, outcomes, 2, outcomes))
    for index, arm in enumerate((control, treatment)):
        parts[index, index, :, index] = (
            np.array([row[:outcomes] for row in arm.covariance[:outcomes]]) / arm.n
        )
    n = np.array([control.n, treatment.n], dtype=np.float64)
    means = np.array([control.mean[:outcomes], treatment.mean[:outcomes]])
    return JointMeans(means, parts, n - 1.0, n)


def fewest_customers(covariates: int) -> int:
    """Return how many customers each arm needs to be adjusted by so many covariates."""
    return max(_FEWEST, _FEWEST_PER_COVARIATE * covariates)


def variance_removed(control: Moments, treatment: Moments) -> float | None:
    """Return the share by which adjustment shrinks the squared error of a mean's difference.

    A share r saves as much as 1 / (1 - r) times the customers would. It is slightly negative where
    covariates explain less than their slopes cost, and 0 where none is used. None where nothing
    varies or an arm has fewer than two customers.

    Args:
        control: Moments of the outcome and then of the covariates.
        treatment: Moments of the same columns.
    """
    if min(control.n, treatment.n) < 2:
        return None
    done = adjust(control, treatment)
    before, after = (
        float(means.read_mean().combine(-1.0, 1.0)[0]) for means in (done.plain, done.joint)
    )
    return 1 - after / before if before > 0 else None


def apply_cuped(control: Moments, treatment: Moments) -> tuple[Moments, Moments]:
    """Return each arm's moments of y - theta (x - mean x), the CUPED outcome, for `compare_means`.

    Deng, Xu, Kohavi & Walker (2013): theta = cov(y, x) / var(x), over the rows of both arms
    together. `compare_means` with this one covariate differs in that each arm has its own slope.
    Its difference then amounts to theta = (n_c b_t + n_t b_c) / N, while the pooled theta is about
    (n_c b_c + n_t b_t) / N: the same for arms of equal size, and never better in large samples.
    CUPED's error also leaves out that theta was estimated.

    The difference and its test are right, but the two means share the pooled mean of x, which
    moments of one column cannot say: for a lift, compare with the covariate itself.

    Args:
        control: Moments of the outcome and one covariate.
        treatment: Moments of the same columns.

    Raises:
        ValueError: There are not exactly two columns, or the covariate does not vary.
    """
    if len(control.mean) != 2 or len(treatment.mean) != 2:
        raise ValueError("CUPED takes the moments of an outcome and one covariate")
    pooled = control + treatment
    variance = pooled.covariance[1][1]
    if variance <= _CONSTANT * pooled.mean[1] ** 2:
        raise ValueError("CUPED needs a covariate that varies")
    theta = pooled.covariance[0][1] / variance
    return (
        _subtract(control, theta=theta, around=pooled.mean[1]),
        _subtract(treatment, theta=theta, around=pooled.mean[1]),
    )


def _fit(plain: JointMeans, x: FloatArray, xy: FloatArray, xx: FloatArray) -> JointMeans | None:
    """Regress q outcomes on k covariates in both arms; None if that leaves nothing to chance.

    Args:
        plain: The outcomes' means as measured.
        x: The covariates' means, shape (2, k).
        xy: Their covariance with the outcomes, shape (2, k, q).
        xx: Their covariance, shape (2, k, k).
    """
    n, everyone, outcomes = plain.n, plain.n.sum(), xy.shape[2]
    weights = n / everyone
    # Correlations, not covariances, so that cents and shares are solved equally well.
    scale = np.sqrt(xx.diagonal(axis1=1, axis2=2))[:, :, None]  # (2, k, 1)
    shift = (weights @ x - x)[:, :, None] / scale
    scaled_xy = xy / scale
    solved = np.linalg.solve(
        xx / (scale * scale.transpose(0, 2, 1)), np.concatenate([scaled_xy, shift], axis=2)
    )
    slopes = solved[:, :, :-1]  # of standardised covariates, (2, k, q)

    yy = np.stack([plain.parts[arm, arm, :, arm] * n[arm] for arm in range(2)])
    left = yy - scaled_xy.transpose(0, 2, 1) @ slopes
    diagonal = np.arange(outcomes)
    left[:, diagonal, diagonal] = np.maximum(left[:, diagonal, diagonal], 0.0)
    if (left[:, diagonal, diagonal] <= _EXPLAINED * yy[:, diagonal, diagonal]).all():
        return None
    df = n - x.shape[1] - 1.0
    leverage = (shift * solved[:, :, -1:]).sum(axis=(1, 2)) / (n - 1.0)

    parts = np.zeros((3, 2, outcomes, 2, outcomes))
    parts[0, 0, :, 0], parts[1, 1, :, 1] = (
        left * ((n - 1.0) / df * (1.0 / n + leverage))[:, None, None]
    )
    both = np.concatenate(slopes / scale, axis=1)  # (k, 2 q)
    spread = (weights[0] * xx[0] + weights[1] * xx[1]) / everyone
    parts[2] = (both.T @ spread @ both).reshape(2, outcomes, 2, outcomes)
    means = plain.means + (shift * slopes).sum(axis=1)
    return JointMeans(means, parts, np.array([*df, everyone - 2.0]), n, 1.0 + n * leverage)


def _find_usable(
    mean: FloatArray, covariance: FloatArray, outcomes: int
) -> tuple[list[int], tuple[int, ...]]:
    """Split the covariates into those that both arms can tell apart, and the rest.

    A Cholesky decomposition, one column at a time: what remains of a column's variance in an arm,
    given the columns kept so far, decides. In the order given, not by the largest pivot, so that
    the choice does not hang on the last digit and the analyst knows which of two twins goes.

    Args:
        mean: Of outcomes and then covariates in both arms, shape (2, q + k).
        covariance: Theirs, shape (2, q + k, q + k).
        outcomes: How many columns are outcomes.
    """
    rest = covariance[:, outcomes:, outcomes:]
    variance = rest.diagonal(axis1=1, axis2=2)
    least = np.maximum(_COLLINEAR * variance, _CONSTANT * mean[:, outcomes:] ** 2)  # (2, k)
    used: list[int] = []
    for pivot in range(len(least[0])):
        left = rest[:, pivot, pivot]
        if (left > least[:, pivot]).all():
            used.append(outcomes + pivot)
            row = rest[:, pivot]
            rest = rest - row[:, :, None] * (row / left[:, None])[:, None]
    return used, tuple(sorted({*range(outcomes, len(mean[0]))} - {*used}))


def _subtract(arm: Moments, *, theta: float, around: float) -> Moments:
    """Return the moments of y - theta (x - around)."""
    (y, x), ((yy, yx), (_, xx)) = arm.mean, arm.covariance
    variance = max(yy - 2 * theta * yx + theta**2 * xx, 0.0)
    return Moments(arm.n, (y - theta * (x - around),), ((variance,),))
