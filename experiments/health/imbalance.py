"""Finds arms whose customers differed before the experiment could have changed them."""

from experiments.health.base import Finding, HealthContext
from experiments.health.chance import BLOCK_BELOW, WARN_BELOW, level_now, say_chance, welch_p
from experiments.wording import say_values


def check_imbalance(context: HealthContext) -> Finding | None:
    """Test each covariate of each treatment against the control, by Welch's test.

    The error allowed is shared equally by covariates and arms (Bonferroni), and by the looks.
    """
    gaps = [
        (p_value, covariate.name, label, before.mean[0], after.mean[0])
        for covariate in context.covariates
        if (control := covariate.moments.get(context.control or "")) is not None
        for label, moments in covariate.moments.items()
        for before, after in [covariate.alike.get(label, (control, moments))]
        if label != context.control and (p_value := welch_p(before, after)) is not None
    ]
    if not gaps:
        return None
    p_value, name, label, before, after = min(gaps)
    if p_value >= level_now(context, WARN_BELOW, tests=len(gaps)):
        return None
    is_blocking = p_value < level_now(context, BLOCK_BELOW, tests=len(gaps))
    control_mean, treatment_mean = say_values(before, after, unit="number")
    chance = say_chance(min(len(gaps) * p_value, 1.0))
    return Finding(
        code="unequal_before",
        severity="blocking" if is_blocking else "warning",
        title="The arms differed before the experiment",
        detail=f"Before they met the experiment, customers in {label} already differed from those "
        f"in {context.control}: {name} was {treatment_mean} against {control_mean} on average "
        + (
            f"({chance}). Chance does not do this: look for exposures that are logged in one arm "
            "only, or an earlier experiment with the same seed, and start again with a new seed."
            if is_blocking
            else f"({chance}). Chance does this rarely: read the adjusted results, and look for "
            "exposures that are logged differently between the arms."
        ),
        evidence={
            "covariate": name,
            "arm": label,
            "control_mean": before,
            "treatment_mean": after,
            "p_value": p_value,
            "tests": len(gaps),
        },
    )
