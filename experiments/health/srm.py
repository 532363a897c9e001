"""Finds arms that hold more or fewer customers than planned (sample ratio mismatch)."""

from collections import Counter

from experiments.health.base import Finding, HealthContext
from experiments.health.cause import Suspect, find_suspects
from experiments.health.chance import (
    BLOCK_BELOW,
    LEAST_EXPECTED,
    WARN_BELOW,
    level_now,
    say_chance,
)
from experiments.health.split import Split
from experiments.wording import say_list

# A page has room for so many of the segments searched.
MOST_SUSPECTS = 5


def check_sample_ratio(context: HealthContext) -> Finding | None:
    """Test the counts against the weights that held when the customers came.

    Without a planned size this is one chi-square test. With one it is tested at every look, each
    arm against the rest, and the error is spent over the looks. Arms of weight 0 take no part in a
    phase, also not in the degrees of freedom; a customer in one cannot be chance and blocks at
    once.
    """
    if uninvited := _find_uninvited(context):
        return uninvited
    split = Split.of(context.periods)
    if split.least_expected < LEAST_EXPECTED:
        return None
    chi2, df, p_value = split.test()
    # Of two arms, each says what the other says.
    tests = len(split.labels) if len(split.labels) > 2 else 1
    if context.fraction is None:
        least, tests = p_value, 1
    else:
        least = min(split.p_values())
    if least >= level_now(context, WARN_BELOW, tests=tests):
        return None
    is_blocking = least < level_now(context, BLOCK_BELOW, tests=tests)
    suspects = find_suspects(split, context.segments)
    chance = say_chance(min(tests * least, 1.0))
    return Finding(
        code="sample_ratio_mismatch",
        severity="blocking" if is_blocking else "warning",
        title="The arms are not as large as planned",
        detail=f"Counted were {_say_counts(split)}. "
        + (
            f"Chance does not do this ({chance}): customers are lost or added in some arm, "
            "and the arms can no longer be compared."
            if is_blocking
            else f"Chance does this rarely ({chance}): look for customers lost or added "
            "in one arm before trusting a close result."
        )
        + _say_cause(suspects),
        evidence={
            "counted": [round(count) for count in split.counted.tolist()],
            "expected": split.expected.tolist(),
            "chi2": chi2,
            "df": df,
            "p_value": p_value,
            "suspects": [suspect.to_json() for suspect in suspects[:MOST_SUSPECTS]],
        },
    )


def _find_uninvited(context: HealthContext) -> Finding | None:
    uninvited: Counter[str] = Counter()
    for phase in context.periods:
        for arm in phase:
            if arm.weight == 0 and arm.customers > 0:
                uninvited[arm.label] += arm.customers
    if not uninvited:
        return None
    names = say_list(list(uninvited))
    when = " while their weight was 0" if context.phases else ""
    return Finding(
        code="customers_in_empty_arm",
        severity="blocking",
        title="Customers in an arm that should have none",
        detail=f"{names} should get no customers{when}, yet some were counted there. "
        "Assignment and weights do not match; stop and find out why.",
        evidence=dict(uninvited),
    )


def _say_counts(split: Split) -> str:
    arms = zip(split.labels, split.counted.tolist(), split.expected.tolist(), strict=True)
    return say_list(
        [f"{count:,.0f} in {label} (planned {plan:,.0f})" for label, count, plan in arms]
    )


def _say_cause(suspects: list[Suspect]) -> str:
    if not suspects:
        return ""
    first = suspects[0]
    if not first.is_cause:
        return (
            " No segment stands out: look for a cause that touches everybody, such as a redirect "
            "in one arm or a filter after assignment."
        )
    return (
        f" The cause is likely where {first.dimension} is {first.value}: there "
        f"{_say_counts(first.split)} were counted, while the split is sound elsewhere. "
        "Check first how these customers are assigned and logged."
    )
