"""What each rule promises, and whether simulated counts can be reconciled with it.

A check asks whether any true share between two bounds could have given the count that was seen, or
one further out, with a chance of at least 0.5%: the 99% Monte-Carlo band around the bounds.
"""

from dataclasses import dataclass
from typing import Literal

from scipy.special import bdtr, bdtrc

from experiments.calibration.tallies import Tally

NOMINAL = 0.05
COVERAGE = (0.94, 0.96)
RARER_SIDE = 0.2
# The error that the Bayesian states supposes normal estimates whose errors are known; with some
# hundred customers at the first look it is an eighth too low.
STATED_TOLERANCE = 0.2
# The chance beyond either end of the band.
_RARE = 0.005

# False positives of just 5%; of at most 5%; or of what the rule itself states.
Promise = Literal["exactly", "at most", "as stated"]


@dataclass(frozen=True, slots=True)
class Check:
    """One promise, and what was counted.

    Attributes:
        name: What is counted.
        count: How often it happened.
        of: Out of how many.
        low: The least true share that keeps the promise.
        high: The largest.
    """

    name: str
    count: int
    of: int
    low: float
    high: float

    @property
    def is_kept(self) -> bool:
        """Whether some share that keeps the promise could have given this count."""
        is_too_few = bdtr(self.count, self.of, self.low) < _RARE
        # P(X >= count) is P(X > count - 1).
        is_too_many = self.count > 0 and bdtrc(self.count - 1, self.of, self.high) < _RARE
        return not (is_too_few or is_too_many)


@dataclass(frozen=True, slots=True)
class Row:
    """One rule with one adjustment in one scenario, or in several together.

    Attributes:
        kind: The metric's type.
        scenario: The scenario's name.
        adjustment: The adjustment's name.
        rule: The rule's name.
        promise: What its false positives are held to.
        none: What became of experiments without an effect.
        some: What became of experiments with one.
        stated: The false positives that the rule states, if it does.
        is_second: Whether these are the numbers of a second try.
    """

    kind: str
    scenario: str
    adjustment: str
    rule: str
    promise: Promise
    none: Tally
    some: Tally
    stated: float = NOMINAL
    is_second: bool = False

    @property
    def checks(self) -> tuple[Check, ...]:
        """All that the row is held to."""
        return (
            self._error(),
            *self._intervals("difference", self.some.difference_below, self.some.difference_above),
            *self._intervals("lift", self.some.lift_below, self.some.lift_above),
        )

    @property
    def broken(self) -> list[str]:
        """Name the promises that were not kept."""
        return [check.name for check in self.checks if not check.is_kept]

    def _error(self) -> Check:
        low, high = {
            "exactly": (NOMINAL, NOMINAL),
            "at most": (0.0, NOMINAL),
            "as stated": (
                self.stated * (1 - STATED_TOLERANCE),
                self.stated * (1 + STATED_TOLERANCE),
            ),
        }[self.promise]
        return Check("false positives", self.none.called, self.none.compared, low, high)

    def _intervals(self, what: str, below: int, above: int) -> tuple[Check, Check]:
        of = self.some.lifts if what == "lift" else self.some.differences
        low, high = COVERAGE
        misses = below + above
        return (
            Check(
                f"{what} covered", of - misses, of, low, 1.0 if self.promise == "at most" else high
            ),
            Check(f"{what} missed on both sides", min(below, above), misses, RARER_SIDE, 1.0),
        )
