"""Estimates how much of a reward has arrived by which age of its decision."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recommender.arrays import FloatArray

HOUR, DAY = 3_600, 86_400
# The ages at which a decision teaches before its window has passed, where nobody chose others.
LANDMARKS = (HOUR, DAY, 7 * DAY)
MOST_LANDMARKS = 8
# By an age at which less has arrived, one early reward would stand for more than twenty.
LEAST_ARRIVED = 1 / 20
# From fewer decisions that earned anything nobody can tell how rewards arrive.
LEAST_EARNED = 50
POINTS = 32
# What is left of an order that was taken back wholly: sums of cents end with noise far below this.
UNDONE = 1e-6


@dataclass(frozen=True, slots=True)
class Arrival:
    """An order or its reversal: how old its decision was, and what it is worth.

    Attributes:
        decision: Tells decisions apart.
        order: Tells orders apart.
        age: Seconds since the decision.
        amount: The value of an order, or what a reversal takes back, at least 0 then.
        is_reversal: Whether it takes back.
    """

    decision: Any
    order: Any
    age: float
    amount: float
    is_reversal: bool = False


@dataclass(frozen=True, slots=True)
class DelayCurve:
    """What share of the reward has arrived by which age, on average.

    The mean reward at that age over the mean of what it came to in the end, which is what divides
    an early reward so that its mean is right. It passes 1 where orders are taken back later.

    Attributes:
        ages: In seconds, rising; the last one is the window.
        arrived: The share by each of them.
        earned: Decisions that earned something, which it is fitted to.
    """

    ages: Sequence[float]
    arrived: Sequence[float]
    earned: int

    def at(self, age: float) -> float:
        """Return the share that has arrived by an age in seconds."""
        return float(np.interp(age, [0.0, *self.ages], [0.0, *self.arrived]))

    def landmarks(self, ages: Iterable[int]) -> list[tuple[int, int, float]]:
        """Return the stage, the age and the share of those at which enough has arrived."""
        return [
            (stage, age, share)
            for stage, age in enumerate(ages, start=1)
            if (share := self.at(age)) >= LEAST_ARRIVED
        ]

    def to_json(self) -> dict[str, Any]:
        """Write it as plain JSON."""
        return {"ages": list(self.ages), "arrived": list(self.arrived), "earned": self.earned}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "DelayCurve":
        """Read what `to_json` wrote."""
        return cls(ages=value["ages"], arrived=value["arrived"], earned=value["earned"])


def choose_landmarks(chosen: Sequence[int], *, window: int) -> list[int]:
    """Return the ages in seconds at which a decision teaches before its window has passed."""
    return sorted({age for age in chosen or LANDMARKS if 0 < age < window})


def fit_delays(
    arrivals: Sequence[Arrival], *, kind: str, window: int, landmarks: Sequence[int]
) -> DelayCurve | None:
    """Fit the curve to decisions whose window has passed; None if too few earned anything.

    None of them is censored, so that the share of what came is the estimate itself, as Kaplan and
    Meier's (1958) is without censoring, here weighted by what came.

    Args:
        arrivals: What they earned and lost again, of all or of those that earned something.
        kind: How events make a reward: `any`, `count` or `sum`.
        window: In seconds, at least 1.
        landmarks: Ages that the curve has to be exact at.
    """
    if len({each.decision for each in arrivals}) < LEAST_EARNED:
        return None
    ages, changes = _to_steps(arrivals, kind=kind)
    total = changes.sum()
    if total <= 0:
        return None
    grid = np.unique(
        np.concatenate([np.geomspace(max(window / 2_000, 1.0), window, POINTS), landmarks])
    )
    # What happened at an age itself is not yet there at it, as the window's end is not in it.
    came = np.concatenate([[0.0], np.cumsum(changes)])
    arrived = came[np.searchsorted(ages, grid, side="left")] / total
    return DelayCurve(
        ages=grid.tolist(),
        arrived=np.maximum(arrived, 0.0).tolist(),
        earned=len({each.decision for each in arrivals}),
    )


def _to_steps(arrivals: Sequence[Arrival], *, kind: str) -> tuple[FloatArray, FloatArray]:
    """Return at which ages, rising, rewards change, and by how much: two arrays of shape (m,)."""
    left: dict[Any, float] = {}
    standing: dict[Any, int] = {}
    ages: list[float] = []
    changes: list[float] = []
    # An order before its reversal, if both are of one moment.
    for each in sorted(arrivals, key=lambda each: (each.age, each.is_reversal)):
        amount = -each.amount if each.is_reversal else each.amount
        before = left.get(each.order)
        left[each.order] = (before or 0.0) + amount
        if kind == "sum":
            change = amount
        else:
            change = _count(each, before=before, left=left[each.order])
            if kind == "any":
                had = standing.get(each.decision, 0)
                standing[each.decision] = had + int(change)
                change = float(min(standing[each.decision], 1) - min(had, 1))
        ages.append(each.age)
        changes.append(change)
    return np.array(ages), np.array(changes)


def _count(arrival: Arrival, *, before: float | None, left: float) -> float:
    """Return by how many orders it changes their number."""
    if not arrival.is_reversal:
        return 1.0
    is_undone, was_undone = left < UNDONE, before is not None and before < UNDONE
    return -1.0 if is_undone and not was_undone else 0.0
