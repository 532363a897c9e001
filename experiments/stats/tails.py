"""Two-sided p-values as logarithms, which stay exact where the p-value itself rounds to zero."""

import math

from scipy.integrate import quad
from scipy.special import betaln
from scipy.stats import norm, t


def ln_p_normal(z: float) -> float:
    """Take the natural logarithm of the two-sided p-value of a z statistic."""
    return min(math.log(2) + float(norm.logsf(abs(z))), 0.0)


def ln_p_student(statistic: float, df: float) -> float:
    """Take the natural logarithm of the two-sided p-value of a t statistic.

    With a = df / 2 and x = df / (df + t^2), the p-value is the regularised incomplete beta function
    I_x(a, 1/2). Substituting u = x w^(1/a) in its integral leaves

        I_x(a, 1/2) = x^a / (a B(a, 1/2)) * integral over w in (0, 1) of (1 - x w^(1/a))^(-1/2),

    whose integrand is tame and whose factor has an exact logarithm.
    """
    # scipy's t.logsf is the logarithm of sf, so it is -inf as soon as sf underflows.
    p_value = 2 * float(t.sf(abs(statistic), df))
    if p_value > 1e-290:
        return min(math.log(p_value), 0.0)
    a = df / 2
    ratio = abs(statistic) / math.sqrt(df)
    # The square would overflow; that far out, its 1 + no longer matters.
    ln_x = -math.log1p(ratio * ratio) if ratio < 1e150 else -2 * math.log(ratio)
    # -expm1 keeps 1 - x w^(1/a) exact when x w^(1/a) is next to 1.
    integral, _ = quad(lambda w: (-math.expm1(ln_x + math.log(w) / a)) ** -0.5, 0, 1, epsabs=0)
    return a * ln_x - math.log(a) - float(betaln(a, 0.5)) + math.log(integral)
