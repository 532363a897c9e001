"""Finds arms that hold more or fewer customers than planned (sample ratio mismatch)."""

import math

from scipy.special import chdtrc

from experiments.health.base import Finding, HealthContext
from experiments.wording import say_list, say_p_value

# Cookie Cats, a sound experiment, has p = .0086: one level would either miss or cry wolf.
WARN_BELOW = 0.01
BLOCK_BELOW = 0.001

# Cochran's rule: below this the chi-square distribution is no longer a fair description.
LEAST_EXPECTED = 5


def check_sample_ratio(context: HealthContext) -> Finding | None:
    """Test the counts against the planned weights by chi-square goodness of fit.

    Arms of weight 0 take no part, also not in the degrees of freedom; a customer in one cannot be
    chance and blocks at once.
    """
    uninvited = [arm for arm in context.arms if arm.weight == 0 and arm.customers > 0]
    if uninvited:
        names = say_list([arm.label for arm in uninvited])
        return Finding(
            code="customers_in_empty_arm",
            severity="blocking",
            title="Customers in an arm that should have none",
            detail=f"{names} should get no customers, yet some were counted there. "
            "Assignment and weights do not match; stop and find out why.",
            evidence={arm.label: arm.customers for arm in uninvited},
        )

    arms = [arm for arm in context.arms if arm.weight > 0]
    expected = [context.customers * arm.weight / context.weight for arm in arms]
    if len(arms) < 2 or min(expected) < LEAST_EXPECTED:
        return None
    chi2 = sum((arm.customers - plan) ** 2 / plan for arm, plan in zip(arms, expected, strict=True))
    p_value = float(chdtrc(len(arms) - 1, chi2))
    if p_value >= WARN_BELOW:
        return None
    is_blocking = p_value < BLOCK_BELOW
    counts = say_list(
        [
            f"{arm.customers:,} in {arm.label} (planned {plan:,.0f})"
            for arm, plan in zip(arms, expected, strict=True)
        ]
    )
    chance = say_p_value(math.log(p_value)) if p_value > 0 else "p below 10\u207b\u00b3\u2070\u2070"
    return Finding(
        code="sample_ratio_mismatch",
        severity="blocking" if is_blocking else "warning",
        title="The arms are not as large as planned",
        detail=f"Counted were {counts}. "
        + (
            f"Chance does not do this ({chance}): customers are lost or added in some arm, "
            "and the arms can no longer be compared."
            if is_blocking
            else f"Chance does this rarely ({chance}): look for customers lost or added "
            "in one arm before trusting a close result."
        ),
        evidence={
            "counted": [arm.customers for arm in arms],
            "expected": expected,
            "chi2": chi2,
            "df": len(arms) - 1,
            "p_value": p_value,
        },
    )
