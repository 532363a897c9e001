"""Finds effects that fade or grow while a customer is in the experiment."""

from experiments.health.base import Finding, HealthContext, Trend
from experiments.health.chance import WARN_BELOW, level_now, say_chance, welch_p


def check_trend(context: HealthContext) -> Finding | None:
    """Test whether the change from early to later days is the same in treatment and control.

    Whatever changes for everybody, such as a season, is in both arms and cancels. What is left is
    the change of the effect: it fades once something is no longer new, or grows while customers
    learn to use it (Kohavi, Tang & Xu 2020, ch. 23). Two-sided, Welch, the error shared by arms and
    looks.
    """
    judged = [
        (p_value, trend)
        for trend in context.trends
        if (p_value := welch_p(trend.control, trend.treatment)) is not None
    ]
    level = level_now(context, WARN_BELOW, tests=max(len(judged), 1))
    found = sorted((item for item in judged if item[0] < level), key=lambda item: item[0])
    if not found:
        return None
    p_value, first = found[0]
    grows = _gap(first) > 0
    chance = say_chance(min(len(judged) * p_value, 1.0))
    return Finding(
        code="effect_grows" if grows else "effect_fades",
        severity="warning",
        title="The effect grows with time" if grows else "The effect fades with time",
        detail=f"What {first.arm} does for a customer is "
        f"{'better' if grows else 'worse'} in the later days than at first ({chance}). "
        + (
            "Customers may need time to learn it: run longer, or the effect will be understated."
            if grows
            else "It may only have been new: run longer, and judge by the later days."
        ),
        evidence={
            "found": [
                {"arm": trend.arm, "change": _gap(trend), "p_value": value}
                for value, trend in found
            ],
            "tests": len(judged),
        },
    )


def _gap(trend: Trend) -> float:
    """Return by how much the effect changed, in the metric's good direction."""
    sign = 1.0 if trend.higher_is_better else -1.0
    return sign * (trend.treatment.mean[0] - trend.control.mean[0])
