"""Finds segments that the arms fill differently, as an attribute does that arms have changed."""

from experiments.health.base import Finding, HealthContext, Phase
from experiments.health.chance import (
    BLOCK_BELOW,
    LEAST_EXPECTED,
    WARN_BELOW,
    level_now,
    say_chance,
)
from experiments.health.split import Split
from experiments.wording import say_list


def check_shifted(context: HealthContext) -> Finding | None:
    """Test that each segment is split between the arms as the others of its dimension are.

    Attributes are read as they are now. What an arm did to one cannot be told from what customers
    were, and to compare arms among equals then hides the effect: as strata it blocks. The error
    allowed is shared equally by the segments (Bonferroni), and by the looks.
    """
    tested = _test(context)
    if not tested:
        return None
    blocked = [each for each in tested if each[1] == context.strata]
    below = level_now(context, BLOCK_BELOW, tests=len(tested))
    is_blocking = bool(blocked) and min(blocked)[0] < below
    p_value, dimension, value, part = min(blocked if is_blocking else tested)
    if p_value >= level_now(context, WARN_BELOW, tests=len(tested)):
        return None
    arms = zip(part.labels, part.counted.tolist(), part.expected.tolist(), strict=True)
    counted = say_list([f"{n:,.0f} in {arm} (planned {plan:,.0f})" for arm, n, plan in arms])
    chance = say_chance(min(len(tested) * p_value, 1.0))
    return Finding(
        code="segments_shifted",
        severity="blocking" if is_blocking else "warning",
        title="An attribute differs between the arms",
        detail=f"Where {dimension} is {value}, counted were {counted}, unlike elsewhere "
        f"({chance}). Attributes are read as they are now: what an arm changes in them is no "
        "longer what its customers were. "
        + (
            "Arms are compared within such groups here, which hides a part of the effect: run it "
            f"again without {dimension}, or with an attribute that stays."
            if is_blocking
            else f"Do not read the results by {dimension}."
        ),
        evidence={
            "dimension": dimension,
            "value": value,
            "counted": [round(count) for count in part.counted.tolist()],
            "expected": part.expected.tolist(),
            "p_value": p_value,
            "tests": len(tested),
        },
    )


def _test(context: HealthContext) -> list[tuple[float, str, str, Split]]:
    """Return each segment's p-value, with what it is of; without those that are too small."""
    phases: dict[str, list[Phase]] = {}
    for segment in context.segments:
        phases.setdefault(segment.dimension, []).extend(segment.phases)
    wholes = {dimension: Split.of(every) for dimension, every in phases.items()}
    found = []
    for segment in context.segments:
        part = Split.of(segment.phases)
        rest = wholes[segment.dimension].without(part)
        if min(part.least_expected, rest.least_expected) >= LEAST_EXPECTED:
            found.append((part.differs_from(rest), segment.dimension, segment.value, part))
    return found
