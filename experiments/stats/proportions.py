"""Compares the share of customers who did something in two arms."""

import math

from scipy.stats import norm
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from experiments.stats.estimate import Estimate, Inconclusive, Interval, Result
from experiments.stats.lift import find_too_few
from experiments.stats.moments import Moments
from experiments.stats.tails import ln_p_normal

METHOD = (
    "Pooled two-proportion z-test; Newcombe interval of the difference, "
    "log-ratio interval of the lift, Wilson intervals of the shares"
)


def compare_shares(control: Moments, treatment: Moments, *, confidence: float = 0.95) -> Result:
    """Compare two shares given as the moments of a column of zeros and ones.

    Raises:
        ValueError: The column holds anything but zeros and ones, or is not alone.
    """
    return compare_proportions(
        x_c=_count_ones(control),
        n_c=control.n,
        x_t=_count_ones(treatment),
        n_t=treatment.n,
        confidence=confidence,
    )


def compare_proportions(
    *, x_c: int, n_c: int, x_t: int, n_t: int, confidence: float = 0.95
) -> Result:
    """Estimate the difference and the lift of a share.

    The test pools the arms, as it supposes them equal. The interval of the difference is Newcombe's
    hybrid of two Wilson intervals (1998, method 10). The interval of the lift is symmetric in
    log(p_t / p_c) (Katz et al. 1978) and needs a conversion in each arm.

    Args:
        x_c: Customers of the control who did it.
        n_c: Customers in the control.
        x_t: Customers of the treatment who did it.
        n_t: Customers in the treatment.
        confidence: Of every interval, between 0 and 1.

    Raises:
        ValueError: More conversions than customers, or a negative count.
    """
    if not (0 <= x_c <= n_c and 0 <= x_t <= n_t):
        raise ValueError(f"expected 0 <= x <= n, not {x_c} of {n_c} and {x_t} of {n_t}")
    if reason := find_too_few(n_c, n_t) or _find_no_contrast(x_c, n_c, x_t, n_t):
        return Inconclusive(reason)

    p_c, p_t = x_c / n_c, x_t / n_t
    pooled = (x_c + x_t) / (n_c + n_t)
    z = (p_t - p_c) / math.sqrt(pooled * (1 - pooled) * (1 / n_c + 1 / n_t))
    counts = (x_t, n_t, x_c, n_c)
    alpha = 1 - confidence
    relative, relative_interval = None, None
    if x_c > 0 and x_t > 0:
        relative = p_t / p_c - 1
        low, high = confint_proportions_2indep(*counts, "log", "ratio", alpha)
        relative_interval = Interval(float(low) - 1, float(high) - 1)
    return Estimate(
        control_mean=p_c,
        treatment_mean=p_t,
        n_control=n_c,
        n_treatment=n_t,
        control_interval=_interval(proportion_confint(x_c, n_c, alpha, "wilson")),
        treatment_interval=_interval(proportion_confint(x_t, n_t, alpha, "wilson")),
        difference=p_t - p_c,
        difference_interval=_interval(
            confint_proportions_2indep(*counts, "newcomb", "diff", alpha)
        ),
        relative=relative,
        relative_interval=relative_interval,
        # sf keeps precision where 1 - cdf rounds to 0 (|z| > 8).
        p_value=min(2 * float(norm.sf(abs(z))), 1.0),
        ln_p_value=ln_p_normal(z),
        confidence=confidence,
        method=METHOD,
    )


def _interval(ends: tuple[float, float]) -> Interval:
    return Interval(float(ends[0]), float(ends[1]))


def _find_no_contrast(x_c: int, n_c: int, x_t: int, n_t: int) -> str | None:
    if x_c + x_t == 0:
        return "No customer in either arm has converted yet."
    if x_c + x_t == n_c + n_t:
        return "Every customer in both arms has converted, so there is no variation to judge by."
    return None


def _count_ones(share: Moments) -> int:
    """Recover the number of conversions from the mean of zeros and ones."""
    (p,), ((variance,),) = share.mean, share.covariance
    ones = round(share.n * p)
    expected = ones * (share.n - ones) / share.n / (share.n - 1) if share.n > 1 else 0.0
    is_binary = math.isclose(share.n * p, ones, rel_tol=1e-9, abs_tol=1e-6) and math.isclose(
        variance, expected, rel_tol=1e-6, abs_tol=1e-12
    )
    if not is_binary:
        raise ValueError(f"a share needs one column of zeros and ones, not {share}")
    return ones
