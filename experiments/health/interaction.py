"""Finds other experiments that change what ours does."""

from collections.abc import Sequence

import numpy as np

from experiments.health.base import Finding, HealthContext, Overlap
from experiments.health.chance import WARN_BELOW, effective_count, level_now, say_chance
from experiments.stats.heterogeneity import Homogeneity, judge_interaction
from experiments.stats.moments import Moments
from experiments.stats.multiplicity import adjust_benjamini_hochberg
from experiments.wording import say_list

# A mean is close to normal, and its error known, once so many effective customers are behind it. In
# simulations of cells that just pass, p < .01 came in 0.6% of runs for shares of 1% and in 1.5% for
# lognormal spend, p < .001 in at most 0.14%.
LEAST_COUNT = 20.0


def check_interaction(context: HealthContext) -> Finding | None:
    """Test for each other experiment that our effect is the same in all its arms.

    All of them are judged together, so that among the experiments named at most one in a hundred
    is expected to be there by chance (Benjamini & Hochberg).
    """
    tested = [
        (overlap, cells, _judge(overlap, *cells))
        for overlap in context.overlaps
        if (cells := _find_cells(overlap)) is not None
    ]
    adjusted = adjust_benjamini_hochberg([result.ln_p_value for *_, result in tested])
    level = level_now(context, WARN_BELOW)
    found = sorted(
        (
            (float(np.exp(ln_p)), overlap, cells)
            for ln_p, (overlap, cells, _) in zip(adjusted, tested, strict=True)
            if np.exp(ln_p) < level
        ),
        key=lambda item: item[0],
    )
    if not found:
        return None
    names = say_list([overlap.experiment for _, overlap, _ in found])
    return Finding(
        code="interaction",
        severity="warning",
        title="Another experiment changes the effect",
        detail=f"What our arms do depends on which arm of {names} a customer is in "
        f"({say_chance(found[0][0])}). The effect reported is an average over those arms and will "
        "change when that experiment ends: decide which combination to ship, or run one after the "
        "other.",
        evidence={
            "found": [
                {
                    "experiment": overlap.experiment,
                    "p_value": p_value,
                    "means": {
                        ours: {their: overlap.cells[ours, their].mean[0] for their in theirs}
                        for ours in rows
                    },
                }
                for p_value, overlap, (rows, theirs) in found
            ],
            "tests": len(tested),
        },
    )


def _find_cells(overlap: Overlap) -> tuple[list[str], list[str]] | None:
    """Return our arms and theirs, if all their combinations have enough customers to judge."""
    ours = list(dict.fromkeys(our for our, _ in overlap.cells))
    theirs = list(dict.fromkeys(their for _, their in overlap.cells))
    cells = [overlap.cells.get((our, their)) for our in ours for their in theirs]
    if len(ours) < 2 or len(theirs) < 2 or not all(_is_enough(cell) for cell in cells):
        return None
    return ours, theirs


def _is_enough(cell: Moments | None) -> bool:
    return cell is not None and cell.covariance[0][0] > 0 and effective_count(cell) >= LEAST_COUNT


def _judge(overlap: Overlap, ours: Sequence[str], theirs: Sequence[str]) -> Homogeneity:
    cells = [[overlap.cells[our, their] for their in theirs] for our in ours]
    return judge_interaction(
        [[cell.mean[0] for cell in row] for row in cells],
        [[cell.covariance[0][0] / cell.n for cell in row] for row in cells],
    )
