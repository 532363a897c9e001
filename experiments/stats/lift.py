"""Compares the mean per customer of two arms."""

import math

from scipy.stats import norm, t

from experiments.stats.estimate import Estimate, Inconclusive, Interval, Result
from experiments.stats.moments import Moments
from experiments.stats.tails import ln_p_student

METHOD = "Welch's t-test and t intervals; log-ratio delta interval of the lift, normal quantile"


def compare_means(control: Moments, treatment: Moments, *, confidence: float = 0.95) -> Result:
    """Estimate the difference and the lift of a mean, for groups that may vary unequally.

    The difference is Welch's t with Satterthwaite's degrees of freedom. The lift's interval is
    symmetric in log(m_t / m_c), with variance v_t / (n_t m_t^2) + v_c / (n_c m_c^2) by the delta
    method and the normal quantile, so it never goes below -100%. A lift is given only where each
    mean is at least one standard error above zero: always so for totals and counts (for
    non-negative values v / n <= m^2), while a margin that hovers around zero is no base for one.

    Args:
        control: Moments of one column.
        treatment: Moments of the same column.
        confidence: Of every interval, between 0 and 1.

    Raises:
        ValueError: The moments have more than one column.
    """
    if len(control.mean) != 1 or len(treatment.mean) != 1:
        raise ValueError("a mean is compared on moments of exactly one column")
    (m_c,), ((v_c,),) = control.mean, control.covariance
    (m_t,), ((v_t,),) = treatment.mean, treatment.covariance
    if reason := find_too_few(control.n, treatment.n):
        return Inconclusive(reason)
    e_c, e_t = v_c / control.n, v_t / treatment.n  # squared standard errors of the two means
    if e_c + e_t == 0:
        return Inconclusive(
            "Every customer within an arm has the same value, so there is no variation to judge by."
        )

    df = welch_df(e_c, e_t, n_control=control.n, n_treatment=treatment.n)
    error = math.sqrt(e_c + e_t)
    statistic = (m_t - m_c) / error
    relative, relative_interval = None, None
    if _is_a_base(m_c, e_c) and _is_a_base(m_t, e_t):
        relative = m_t / m_c - 1
        width = float(norm.isf((1 - confidence) / 2)) * math.hypot(
            math.sqrt(e_t) / m_t, math.sqrt(e_c) / m_c
        )
        ln_ratio = math.log(m_t / m_c)
        relative_interval = Interval(math.expm1(ln_ratio - width), math.expm1(ln_ratio + width))
    return Estimate(
        control_mean=m_c,
        treatment_mean=m_t,
        n_control=control.n,
        n_treatment=treatment.n,
        control_interval=_t_interval(m_c, math.sqrt(e_c), control.n - 1, confidence),
        treatment_interval=_t_interval(m_t, math.sqrt(e_t), treatment.n - 1, confidence),
        difference=m_t - m_c,
        difference_interval=_t_interval(m_t - m_c, error, df, confidence),
        relative=relative,
        relative_interval=relative_interval,
        # sf keeps precision where 1 - cdf rounds to 0 (|t| > 8).
        p_value=min(2 * float(t.sf(abs(statistic), df)), 1.0),
        ln_p_value=ln_p_student(statistic, df),
        confidence=confidence,
        method=METHOD,
    )


def welch_df(e_c: float, e_t: float, *, n_control: int, n_treatment: int) -> float:
    """Return Satterthwaite's degrees of freedom of a difference of two means.

    Args:
        e_c: Squared standard error of the control's mean; not 0 together with the treatment's.
        e_t: Squared standard error of the treatment's mean.
        n_control: Customers in the control, at least 2.
        n_treatment: Customers in the treatment, at least 2.
    """
    # In shares, because squaring tiny variances would underflow to 0 / 0.
    share = e_t / (e_c + e_t)
    return 1 / (share**2 / (n_treatment - 1) + (1 - share) ** 2 / (n_control - 1))


def find_too_few(n_control: int, n_treatment: int) -> str | None:
    """Say which arm has too few customers for any comparison, or None when both have enough."""
    for arm, n in (("control", n_control), ("treatment", n_treatment)):
        if n == 0:
            return f"No customers have been counted in the {arm} yet."
        if n == 1:
            return f"Only one customer has been counted in the {arm}; at least two are needed."
    return None


def _is_a_base(mean: float, squared_error: float) -> bool:
    # A single value among zeros has exactly one standard error; leave room for its rounding.
    return mean > 0 and math.sqrt(squared_error) <= mean * (1 + 1e-9)


def _t_interval(mean: float, error: float, df: float, confidence: float) -> Interval:
    width = float(t.isf((1 - confidence) / 2, df)) * error
    return Interval(mean - width, mean + width)
