"""Explains every interval of an analysis at its last look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec

from experiments.analysing.comparing import Compared
from experiments.analysing.phases import Phase, pair
from experiments.analysing.sentences import Progress
from experiments.analysing.stages import Explained, explain
from experiments.analysing.verdict import find_last_look
from experiments.looks import Look, find_information
from experiments.measuring.layout import Layout
from experiments.plan import Plan


@dataclass(frozen=True, slots=True)
class Looks:
    """How far an experiment is, and how often it was looked at before.

    Attributes:
        progress: How far it is.
        earlier: The fractions of the planned size at the looks so far.
        harm_looks: Of these the first so many came before the minimum duration.
        information: How much was known of the goal at each.
    """

    progress: Progress
    earlier: tuple[float, ...]
    harm_looks: int
    information: tuple[float | None, ...]

    def to_json(self) -> dict[str, Any]:
        """Write it as plain JSON values."""
        written: dict[str, Any] = msgspec.to_builtins(self)
        return written

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Looks":
        """Read what `to_json` wrote."""
        return msgspec.convert(data, type=Looks)


def explain_all(
    plan: Plan,
    layout: Layout,
    compared: Sequence[Compared],
    phases: Sequence[Phase],
    looks: Looks,
) -> dict[tuple[str, str], Explained]:
    """Explain every interval, by metric and arm.

    Args:
        plan: What was promised.
        layout: Where the columns are.
        compared: Every comparison.
        phases: Of every arm, by its key, by when customers came.
        looks: How often it was looked at.
    """
    arms = max(len(plan.treatments), 1)
    guardrails = sum(metric.role == "guardrail" for metric in plan.metrics)

    known = find_information(c.result for c in compared if c.role == "goal")

    @cache
    def look(comparisons: int) -> Look | None:
        return find_last_look(
            looks.progress,
            looks.earlier,
            looks.harm_looks,
            comparisons=comparisons,
            confidence=plan.confidence,
            monitoring=plan.monitoring,
            information=[*looks.information, known],
        )

    # What the verdict allows for. Secondary metrics are judged among each other, without looks.
    among = {"goal": arms, "guardrail": arms * guardrails}
    placed = {one.measured.planned.key: one for one in layout.metrics}
    found = {}
    for item in compared:
        metric = placed[item.metric]
        uncapped = None
        if plan.control is not None:
            paired = pair(phases, plan.control.key, item.arm)
            uncapped = metric.compare_uncapped(
                paired.whole, confidence=plan.confidence, shares=paired.shares
            )
        explained = explain(
            item.result,
            raw=item.raw,
            uncapped=uncapped,
            alone=look(1),
            among=look(among[item.role]) if item.role in among else None,
            higher_is_better=metric.measured.planned.higher_is_better,
        )
        if explained is not None:
            found[item.metric, item.arm] = explained
    return found
