"""Compares means after removing what customers' earlier behaviour already explains.

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

Everything reported is such a combination: the difference is (-1, 1), the log-ratio of the means is
(-1 / m_c, 1 / m_t). The last term is there because both arms are predicted at the same estimated
mean, so that m_c and m_t are correlated: Cov(m_c, m_t) = b_c'S b_t / N. It makes the variance that
of the super-population effect, on customers like these; Lin's own Eicker-Huber-White error leaves
it out, as his target is the effect on exactly these customers (Negi & Wooldridge 2021; Ye, Shao, Yi
& Zhao 2023).

Var(e_a) is estimated by s_a^2 (1 / n_a + d_a'A_a^-1 d_a), where s_a^2 has the divisor
n_a - k - 1, d_a = x - x_a, and A_a is the scatter of the arm's covariates. That is the textbook
error of a prediction at x, exact for normal residuals. The second part is O(k / n_a^2); where the
arms' covariates balance it is zero and s_a^2 / n_a is White's HC1 error of the arm's regression. In
general the HC errors differ in order n^-3/2, by moments of e^2 x that these sums do not hold.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from experiments.stats.estimate import Estimate, Inconclusive, Interval, Result
from experiments.stats.lift import compare_means
from experiments.stats.moments import Moments
from experiments.stats.tails import ln_p_student

FloatArray = NDArray[np.float64]

# An arm needs so many customers, and so many for each covariate, for its slopes to be worth having.
_FEWEST, _FEWEST_PER_COVARIATE = 20, 5
# A covariate's variance is all rounding below this share of what it was computed from: its squared
# mean (what is constant), or its own variance (what the covariates before it determine).
_CONSTANT, _COLLINEAR = 1e-24, 1e-8
# So little of the outcome's variance is rounding, if the covariates explain all the rest.
_EXPLAINED = 1e-10


def compare_adjusted(control: Moments, treatment: Moments, *, confidence: float = 0.95) -> Result:
    """Estimate the difference and the lift of means adjusted by a regression per arm (Lin 2013).

    The means are those expected if each arm had held everybody, and may leave the range of the
    outcome when the arms differ by chance. Degrees of freedom are Satterthwaite's, of the two
    residual variances (n_a - k - 1 each) and of the common covariate mean. The lift's interval is
    symmetric in log(m_t / m_c) and given under the same condition as in `compare_means`, which
    decides alone when no covariate is given, or none varies.

    A covariate is dropped when, in either arm, it does not vary or the ones before it determine it.
    Choose covariates before the outcome is seen, and only what was measured before exposure. Cap
    those with heavy tails: a slope that hangs on a handful of customers understates its error.

    Args:
        control: Moments of the outcome and then of the covariates.
        treatment: Moments of the same columns.
        confidence: Of every interval, between 0 and 1.

    Raises:
        ValueError: The arms have different numbers of columns.
    """
    plain = compare_means(control.select(0), treatment.select(0), confidence=confidence)
    used, dropped = _find_usable(control, treatment)
    if isinstance(plain, Inconclusive):
        return plain
    if not used:
        note = f"{plain.method}; {_tell_dropped(dropped)}" if dropped else plain.method
        return replace(plain, method=note)
    if reason := _find_too_few(control.n, treatment.n, covariates=len(used)):
        return Inconclusive(reason)
    fit = _Fit.of(control, treatment, used)
    if not fit.has_residuals:
        return Inconclusive(
            "The covariates explain every customer's outcome, so there is no variation to judge by."
        )

    squared_error, df = fit.combine(-1.0, 1.0)
    m_c, m_t = fit.control.adjusted_mean, fit.treatment.adjusted_mean
    statistic = (m_t - m_c) / math.sqrt(squared_error)
    removed = 1 - squared_error / _plain_squared_error(control, treatment)
    relative, relative_interval = _compare_lift(fit, confidence)
    return Estimate(
        control_mean=m_c,
        treatment_mean=m_t,
        n_control=control.n,
        n_treatment=treatment.n,
        control_interval=_t_interval(m_c, fit.combine(1.0, 0.0), confidence),
        treatment_interval=_t_interval(m_t, fit.combine(0.0, 1.0), confidence),
        difference=m_t - m_c,
        difference_interval=_t_interval(m_t - m_c, (squared_error, df), confidence),
        relative=relative,
        relative_interval=relative_interval,
        # sf keeps precision where 1 - cdf rounds to 0 (|t| > 8).
        p_value=min(2 * float(t.sf(abs(statistic), df)), 1.0),
        ln_p_value=ln_p_student(statistic, df),
        confidence=confidence,
        method=_tell_method(len(used), removed, dropped),
    )


def variance_removed(control: Moments, treatment: Moments) -> float | None:
    """Return the share by which adjustment shrinks the squared error of the difference.

    A share r saves as much as 1 / (1 - r) times the customers would. It is slightly negative where
    covariates explain less than their slopes cost. None where there is no adjusted estimate.
    """
    if isinstance(compare_adjusted(control, treatment), Inconclusive):
        return None
    used, _ = _find_usable(control, treatment)
    if not used:
        return 0.0
    fit = _Fit.of(control, treatment, used)
    return 1 - fit.combine(-1.0, 1.0)[0] / _plain_squared_error(control, treatment)


def apply_cuped(control: Moments, treatment: Moments) -> tuple[Moments, Moments]:
    """Return each arm's moments of y - theta (x - mean x), the CUPED outcome, for `compare_means`.

    Deng, Xu, Kohavi & Walker (2013): theta = cov(y, x) / var(x), over the rows of both arms
    together. `compare_adjusted` with this one covariate differs in that each arm has its own slope.
    Its difference then amounts to theta = (n_c b_t + n_t b_c) / N, while the pooled theta is about
    (n_c b_c + n_t b_t) / N: the same for arms of equal size, and never better in large samples.
    CUPED's error also leaves out that theta was estimated.

    The difference and its test are right, but the two means share the pooled mean of x, which
    `compare_means` cannot know: for a lift, use `compare_adjusted`.

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


@dataclass(frozen=True, slots=True)
class _Arm:
    """One arm's regression: the adjusted mean, its slopes, and the variance that they leave.

    Attributes:
        adjusted_mean: The outcome predicted at the mean covariates of both arms.
        slopes: Shape (k,).
        squared_error: Of the mean residual, estimated.
        df: Degrees of freedom of that estimate.
        is_explained: Nothing of the outcome is left to chance.
    """

    adjusted_mean: float
    slopes: FloatArray
    squared_error: float
    df: int
    is_explained: bool

    @classmethod
    def of(cls, arm: Moments, used: list[int], centre: FloatArray) -> "_Arm":
        """Regress the outcome on the covariates used, and predict at their centre, shape (k,)."""
        covariance, mean = np.array(arm.covariance), np.array(arm.mean)
        xx, xy = covariance[np.ix_(used, used)], covariance[used, 0]
        # Correlations, not covariances, so that cents and shares are solved equally well.
        scale = np.sqrt(np.diag(xx))
        correlation = xx / np.outer(scale, scale)
        shift = centre - mean[used]
        solved = np.linalg.solve(correlation, np.stack([xy / scale, shift / scale], axis=1))
        slopes = solved[:, 0] / scale
        df = arm.n - len(used) - 1
        unexplained = max(float(covariance[0, 0] - xy @ slopes), 0.0)
        leverage = float(shift / scale @ solved[:, 1]) / (arm.n - 1)
        return cls(
            adjusted_mean=float(mean[0] + slopes @ shift),
            slopes=slopes,
            squared_error=unexplained * (arm.n - 1) / df * (1 / arm.n + leverage),
            df=df,
            is_explained=unexplained <= _EXPLAINED * float(covariance[0, 0]),
        )


@dataclass(frozen=True, slots=True)
class _Fit:
    """Both arms' regressions, and the covariance of the covariates' common mean, k by k."""

    control: _Arm
    treatment: _Arm
    spread: FloatArray
    n: int

    @classmethod
    def of(cls, control: Moments, treatment: Moments, used: list[int]) -> "_Fit":
        """Fit both arms."""
        n = control.n + treatment.n
        centre = np.array((control + treatment).mean)[used]
        within = sum((arm.n / n) * np.array(arm.covariance) for arm in (control, treatment))
        return cls(
            control=_Arm.of(control, used, centre),
            treatment=_Arm.of(treatment, used, centre),
            spread=np.asarray(within)[np.ix_(used, used)] / n,
            n=n,
        )

    @property
    def has_residuals(self) -> bool:
        """Whether chance plays any part once the covariates are known."""
        return not (self.control.is_explained and self.treatment.is_explained)

    def combine(self, w_c: float, w_t: float) -> tuple[float, float]:
        """Return the squared error of w_c m_c + w_t m_t, and Satterthwaite's degrees of freedom."""
        slopes = w_c * self.control.slopes + w_t * self.treatment.slopes
        parts = np.array(
            [
                w_c**2 * self.control.squared_error,
                w_t**2 * self.treatment.squared_error,
                slopes @ self.spread @ slopes,
            ]
        )
        total = float(parts.sum())
        if total == 0:
            return 0.0, math.inf
        df = np.array([self.control.df, self.treatment.df, self.n - 2])
        shares = parts / total  # squaring tiny variances would underflow to 0 / 0
        return total, float(1 / (shares**2 / df).sum())


def _find_usable(control: Moments, treatment: Moments) -> tuple[list[int], list[int]]:
    """Split the covariates into those that both arms can tell apart, and the rest.

    A Cholesky decomposition, one column at a time: what remains of a column's variance in an arm,
    given the columns kept so far, decides. In the order given, not by the largest pivot, so that
    the choice does not hang on the last digit and the analyst knows which of two twins goes.
    """
    if len(control.mean) != len(treatment.mean):
        raise ValueError(
            f"the arms have {len(control.mean)} and {len(treatment.mean)} columns, not the same"
        )
    used: list[int] = []
    dropped: list[int] = []
    remains = [np.array(arm.covariance)[1:, 1:] for arm in (control, treatment)]
    arms = list(zip((control, treatment), remains, strict=True))
    for column in range(1, len(control.mean)):
        pivot = column - 1
        if any(
            rest[pivot, pivot] <= _COLLINEAR * arm.covariance[column][column]
            or rest[pivot, pivot] <= _CONSTANT * arm.mean[column] ** 2
            for arm, rest in arms
        ):
            dropped.append(column)
            continue
        used.append(column)
        for _, rest in arms:
            rest -= np.outer(rest[:, pivot], rest[pivot] / rest[pivot, pivot])
    return used, dropped


def _find_too_few(n_control: int, n_treatment: int, *, covariates: int) -> str | None:
    needed = max(_FEWEST, _FEWEST_PER_COVARIATE * covariates)
    for arm, n in (("control", n_control), ("treatment", n_treatment)):
        if n < needed:
            return (
                f"Only {n} customers have been counted in the {arm}; adjusting by {covariates} "
                f"{_covariates(covariates)} needs at least {needed} in each arm."
            )
    return None


def _compare_lift(fit: _Fit, confidence: float) -> tuple[float | None, Interval | None]:
    """Return the lift of the adjusted means and its log-ratio interval, where they are a base."""
    m_c, m_t = fit.control.adjusted_mean, fit.treatment.adjusted_mean
    for mean, weights in ((m_c, (1.0, 0.0)), (m_t, (0.0, 1.0))):
        if not (mean > 0 and math.sqrt(fit.combine(*weights)[0]) <= mean):
            return None, None
    ratio = _t_interval(math.log(m_t / m_c), fit.combine(-1 / m_c, 1 / m_t), confidence)
    return m_t / m_c - 1, Interval(math.expm1(ratio.low), math.expm1(ratio.high))


def _t_interval(value: float, error: tuple[float, float], confidence: float) -> Interval:
    squared_error, df = error
    width = float(t.isf((1 - confidence) / 2, df)) * math.sqrt(squared_error)
    return Interval(value - width, value + width)


def _plain_squared_error(control: Moments, treatment: Moments) -> float:
    return control.covariance[0][0] / control.n + treatment.covariance[0][0] / treatment.n


def _subtract(arm: Moments, *, theta: float, around: float) -> Moments:
    """Return the moments of y - theta (x - around)."""
    (y, x), ((yy, yx), (_, xx)) = arm.mean, arm.covariance
    variance = max(yy - 2 * theta * yx + theta**2 * xx, 0.0)
    return Moments(arm.n, (y - theta * (x - around),), ((variance,),))


def _tell_method(covariates: int, removed: float, dropped: list[int]) -> str:
    method = (
        f"Regression adjustment by {covariates} {_covariates(covariates)} with slopes of each arm "
        f"(Lin), {removed:.1%} of the variance removed; t-test and t intervals, log-ratio delta "
        "interval of the lift"
    )
    return f"{method}; {_tell_dropped(dropped)}" if dropped else method


def _tell_dropped(dropped: list[int]) -> str:
    columns = ", ".join(map(str, dropped))
    noun = "column" if len(dropped) == 1 else "columns"
    return f"covariate {noun} {columns} dropped (constant, or determined by the others)"


def _covariates(count: int) -> str:
    return "covariate" if count == 1 else "covariates"
