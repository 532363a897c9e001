"""Compares those who were given offers with those who were held out, line by line.

A line is one number of each customer: whether the goal was reached, what was ordered, what the
offers cost, what is left. Customers are told apart by the arm that they met, whatever they did or
were given after, so all of it is the campaign's doing but for chance.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.analysing.phases import Phase, pair
from experiments.stats.confidence_sequence import ConfidenceSequence
from experiments.stats.estimate import Estimate, Inconclusive, Result
from experiments.stats.lift import compare_means_poststratified
from experiments.stats.moments import Moments
from experiments.stats.poststratification import Stratum
from experiments.wording import Unit

# No arm has such a key.
HELD_OUT, SERVED = "held out", "served"
NOBODY_SERVED = Inconclusive("Nobody has met an arm that gives offers yet.")
NO_HOLDOUT = Inconclusive(
    "Nobody was held out, so nothing tells what would have been without offers."
)


@dataclass(frozen=True, slots=True)
class Line:
    """One number of each customer, and how it is read off moments.

    Attributes:
        key: By which programs know it.
        name: What people call it.
        unit: Of the number.
        value: The mean per customer of a group; None where that is not known.
        compare: A comparison of the second group with the first, among customers who had the same
            chances, each of several such groups by its share.
    """

    key: str
    name: str
    unit: Unit
    value: Callable[[Moments], float | None]
    compare: Callable[[Sequence[Stratum], Sequence[float] | None], Result]

    @staticmethod
    def of_money(
        key: str, name: str, unit: Unit, weights: Mapping[int, float], *, confidence: float
    ) -> "Line":
        """Make a line of the sum of some columns, each with its weight; it may be below zero."""

        def value(moments: Moments) -> float | None:
            return moments.combine(weights).mean[0] if moments.n else None

        def compare(pairs: Sequence[Stratum], shares: Sequence[float] | None) -> Result:
            return compare_means_poststratified(
                [(before.combine(weights), after.combine(weights)) for before, after in pairs],
                confidence=confidence,
                can_be_negative=True,
                shares=shares,
            )

        return Line(key, name, unit, value, compare)

    def without(self, reason: str) -> "Line":
        """Return the line where something keeps its numbers from meaning anything."""
        return Line(self.key, self.name, self.unit, lambda _: None, lambda *_: Inconclusive(reason))


@dataclass(frozen=True, slots=True)
class Groups:
    """Customers by what their arm gave them.

    Attributes:
        held_out: Those whose arm gives no offer.
        served: All others together.
        arms: Each arm that gives offers, by its key.
        phases: The same by when customers came, as `HELD_OUT`, `SERVED` and the arms' keys.
    """

    held_out: Moments
    served: Moments
    arms: Mapping[str, Moments]
    phases: Sequence[Phase]


def to_groups(phases: Sequence[Phase], *, silent: Sequence[str], nobody: Moments) -> Groups:
    """Put arms together.

    Args:
        phases: Every arm's moments by its key, by when customers came.
        silent: The arms that give no offer.
        nobody: The moments of an empty group.
    """
    grouped = [_to_phase(phase, silent, nobody) for phase in phases]

    def add_up_phases(key: str) -> Moments:
        return sum((phase.moments[key] for phase in grouped), start=nobody)

    keys = [key for key in phases[0].moments if key not in silent]
    arms = {key: add_up_phases(key) for key in keys}
    return Groups(add_up_phases(HELD_OUT), add_up_phases(SERVED), arms, grouped)


def _to_phase(phase: Phase, silent: Sequence[str], nobody: Moments) -> Phase:
    """Add what was held out, and what was served, to the arms of a phase."""
    arms = phase.moments
    held_out = sum((arms[key] for key in silent), start=nobody)
    served = sum((arms[key] for key in arms if key not in silent), start=nobody)
    weights = tuple(
        {
            **each,
            HELD_OUT: sum(weight for key, weight in each.items() if key in silent),
            SERVED: sum(weight for key, weight in each.items() if key not in silent),
        }
        for each in phase.weights
    )
    return Phase(weights, {**arms, HELD_OUT: held_out, SERVED: served})


def to_rows(lines: Sequence[Line], groups: Groups, *, planned: int) -> list[dict[str, Any]]:
    """Write down each line: means per customer, what offers changed, and what that is in total.

    Args:
        lines: What is compared.
        groups: Who.
        planned: How many customers are to take part: what holds at every look is sharpest there.
    """
    return [_to_row(line, groups, planned) for line in lines]


def _to_row(line: Line, groups: Groups, planned: int) -> dict[str, Any]:
    result = _compare(line, groups, SERVED, groups.served)
    held_out, served = _read_means(line, groups, SERVED, groups.served)
    return {
        "key": line.key,
        "name": line.name,
        "unit": line.unit,
        "held_out": held_out,
        "served": served,
        "result": result.to_json(),
        "lasting": _find_lasting(result, planned=planned),
        "total": add_up(result),
        "arms": {
            key: {
                "mean": _read_means(line, groups, key, moments)[1],
                "result": _compare(line, groups, key, moments).to_json(),
            }
            for key, moments in groups.arms.items()
        },
    }


def _compare(line: Line, groups: Groups, key: str, served: Moments) -> Result:
    if served.n == 0:
        return NOBODY_SERVED
    if groups.held_out.n == 0:
        return NO_HOLDOUT
    paired = pair(groups.phases, HELD_OUT, key)
    return line.compare(paired.whole, paired.shares)


def _read_means(
    line: Line, groups: Groups, key: str, served: Moments
) -> tuple[float | None, float | None]:
    """Return the means that are compared: where shares changed, of those with the same chances."""
    if len(groups.phases) == 1 or not (groups.held_out.n and served.n):
        return line.value(groups.held_out), line.value(served)
    before, after = pair(groups.phases, HELD_OUT, key).mixed
    return line.value(before), line.value(after)


def _find_lasting(result: Result, *, planned: int) -> dict[str, float] | None:
    """Return the interval of a change that holds however often one looks."""
    if not isinstance(result, Estimate):
        return None
    error = result.difference_interval.standard_error(confidence=result.confidence)
    sequence = ConfidenceSequence(1.0 - result.confidence, tuned_to=planned)
    n = result.n_control + result.n_treatment
    low, high = sequence.interval(result.difference, error, n=n)
    return {"low": low, "high": high}


def add_up(result: Result) -> dict[str, float] | None:
    """Return what all who were given offers brought more than they would have without."""
    if not isinstance(result, Estimate):
        return None
    n, ends = result.n_treatment, result.difference_interval
    return {"point": n * result.difference, "low": n * ends.low, "high": n * ends.high}
