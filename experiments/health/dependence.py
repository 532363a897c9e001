"""Finds other experiments whose arms are not spread evenly over ours."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from experiments.health.base import Finding, HealthContext, Overlap
from experiments.health.chance import (
    BLOCK_BELOW,
    LEAST_EXPECTED,
    WARN_BELOW,
    level_now,
    say_chance,
)
from experiments.stats.multiplicity import adjust_benjamini_hochberg
from experiments.wording import say_list

# The logarithm of what underflows is not known better.
_LEAST_P = 1e-300


def check_dependence(context: HealthContext) -> Finding | None:
    """Test for each other experiment that its assignment is independent of ours.

    Pearson's chi-square on the numbers of customers by our arm and theirs. All experiments are
    judged together (Benjamini & Hochberg).
    """
    tested = [
        (overlap, p_value)
        for overlap in context.overlaps
        if (p_value := _p_value(overlap)) is not None
    ]
    ln_p = [math.log(max(p_value, _LEAST_P)) for _, p_value in tested]
    adjusted = [math.exp(value) for value in adjust_benjamini_hochberg(ln_p)]
    level = level_now(context, WARN_BELOW)
    found = [
        (p_value, overlap)
        for p_value, (overlap, _) in zip(adjusted, tested, strict=True)
        if p_value < level
    ]
    if not found:
        return None
    least = min(p_value for p_value, _ in found)
    is_blocking = least < level_now(context, BLOCK_BELOW)
    names = say_list([overlap.experiment for _, overlap in found])
    return Finding(
        code="dependent_assignment",
        severity="blocking" if is_blocking else "warning",
        title="Another experiment is not spread evenly over the arms",
        detail=f"Customers of our arms are split differently between the arms of {names} "
        f"({say_chance(least)}). Part of the difference between our arms may be the other "
        "experiment's: give the two different seeds and start again.",
        evidence={
            "found": [
                {
                    "experiment": overlap.experiment,
                    "p_value": p_value,
                    "customers": [[our, their, m.n] for (our, their), m in overlap.cells.items()],
                }
                for p_value, overlap in found
            ],
            "tests": len(tested),
        },
    )


def _p_value(overlap: Overlap) -> float | None:
    """Return Pearson's p-value; None where there are not two arms each, or too few customers."""
    counts = _count(overlap)
    if min(counts.shape, default=0) < 2:
        return None
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    if expected.min() < LEAST_EXPECTED:
        return None
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    rows, columns = counts.shape
    return float(chdtrc((rows - 1) * (columns - 1), chi2))


def _count(overlap: Overlap) -> NDArray[np.float64]:
    """Return customers by our arm and theirs, leaving out arms that nobody is in."""
    ours = list(dict.fromkeys(our for our, _ in overlap.cells))
    theirs = list(dict.fromkeys(their for _, their in overlap.cells))
    counts = np.zeros((len(ours), len(theirs)))
    for (our, their), moments in overlap.cells.items():
        counts[ours.index(our), theirs.index(their)] = moments.n
    return counts[counts.any(axis=1)][:, counts.any(axis=0)]
