"""Judges every arm at a look: on the goal, and on what must not be harmed meanwhile."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from experiments.looks import Look, judge
from experiments.stats.bayes import find_log_ratio
from experiments.stats.estimate import Estimate, Result

Side = Literal["better", "worse", "unclear"]


@dataclass(frozen=True, slots=True)
class Guardrail:
    """A metric that must not be harmed.

    Attributes:
        noun: What it measures ("refunds").
        higher_is_better: Its good direction.
        margin: The relative loss that would be acceptable and must be shown to be smaller; None
            asks only that no harm be found.
    """

    noun: str
    higher_is_better: bool = True
    margin: float | None = None


@dataclass(frozen=True, slots=True)
class ArmResult:
    """One treatment arm and how it compares with the control.

    Attributes:
        label: What the arm is called.
        result: On the goal.
        guardrails: On each guardrail, by its noun.
    """

    label: str
    result: Result
    guardrails: Mapping[str, Result] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one arm stands at a look.

    Attributes:
        label: What the arm is called.
        estimate: Of the goal; None where there is none.
        goal: Whether it is surely better or surely worse than the control.
        harmed: The guardrails on which it surely does harm.
        unproven: The guardrails with a margin that it has not been shown to keep.
        was_harmful: Whether it surely did harm at an earlier look: that stands.
    """

    label: str
    estimate: Estimate | None
    goal: Side
    harmed: tuple[str, ...]
    unproven: tuple[str, ...]
    was_harmful: bool = False

    @property
    def is_harmful(self) -> bool:
        """Whether it surely does harm, to the goal or to a guardrail."""
        return self.goal == "worse" or bool(self.harmed) or self.was_harmful

    @property
    def can_ship(self) -> bool:
        """Whether it surely does good, and all that must not be harmed is safe."""
        return self.goal == "better" and not self.is_harmful and not self.unproven


def find_standing(
    arm: ArmResult,
    *,
    goal_higher_is_better: bool,
    guardrails: Sequence[Guardrail],
    goal_look: Look,
    harm_look: Look | None,
) -> Standing:
    """Judge one arm.

    Harm to a guardrail is found by its own boundary, which allows for all guardrails and arms. To
    keep a margin, each guardrail has to pass by itself, so none pays for the others.

    Args:
        arm: Its results.
        goal_higher_is_better: The goal's good direction.
        guardrails: What must not be harmed.
        goal_look: Allows for all arms on the goal.
        harm_look: Allows for all arms on all guardrails; None where there are none.
    """
    side: Side = "unclear"
    if isinstance(arm.result, Estimate):
        side = judge(arm.result, goal_look, higher_is_better=goal_higher_is_better)
    harmed, unproven = [], []
    for guardrail in guardrails:
        result = arm.guardrails[guardrail.noun]
        if _is_harmed(result, guardrail, harm_look):
            harmed.append(guardrail.noun)
        elif guardrail.margin is not None and not _keeps_margin(result, guardrail, goal_look):
            unproven.append(guardrail.noun)
    estimate = arm.result if isinstance(arm.result, Estimate) else None
    return Standing(arm.label, estimate, side, tuple(harmed), tuple(unproven))


def margin_z(result: Result, *, margin: float, higher_is_better: bool) -> float:
    """Return how many standard errors a lift lies on the good side of a margin (non-inferiority).

    On the lift's logarithmic scale, where its interval is even. Minus infinity without a lift.
    """
    found = find_log_ratio(result) if isinstance(result, Estimate) else None
    if found is None:
        return -math.inf
    log_ratio, standard_error = found
    sign = 1.0 if higher_is_better else -1.0
    return sign * (log_ratio - math.log1p(-sign * margin)) / standard_error


def _keeps_margin(result: Result, guardrail: Guardrail, look: Look) -> bool:
    """Say whether a loss as large as the margin is ruled out at a look."""
    assert guardrail.margin is not None
    z = margin_z(result, margin=guardrail.margin, higher_is_better=guardrail.higher_is_better)
    return z >= look.boundary.upper


def _is_harmed(result: Result, guardrail: Guardrail, look: Look | None) -> bool:
    if look is None or not isinstance(result, Estimate):
        return False
    return judge(result, look, higher_is_better=guardrail.higher_is_better) == "worse"
