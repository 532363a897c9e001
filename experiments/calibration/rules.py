"""Follows an experiment by each of the product's rules: when it calls an effect, what it covers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol

from experiments.calibration.tallies import Called, Followed, Place
from experiments.looks import Look, find_information, judge, make_grow, take_look, widen
from experiments.plan import Monitoring
from experiments.stats.bayes import Prior, find_log_ratio, read_effect
from experiments.stats.estimate import Estimate, Interval, Result
from experiments.stats.sequential import Boundary, find_boundaries

CONFIDENCE = 0.95
_CALLED: dict[str, Called] = {"better": "up", "worse": "down", "unclear": "nothing"}


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at an experiment of which everything is known.

    Attributes:
        fraction: Customers so far over planned customers.
        result: What the comparison says.
        difference: The true difference at this time.
        lift: The true lift.
    """

    fraction: float
    result: Result
    difference: float
    lift: float


class Rule(Protocol):
    """A way to decide an experiment."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def follow(self, seen: Sequence[Seen]) -> Followed | None:
        """Go through all looks; None where none of those that count has an estimate."""
        ...


@dataclass(frozen=True, slots=True)
class Monitored:
    """A rule of looks, as a plan settles it. Intervals have to hold at all looks together.

    Attributes:
        name: What it is called.
        monitoring: How looks are paid for.
    """

    name: str
    monitoring: Monitoring

    def follow(self, seen: Sequence[Seen]) -> Followed | None:
        """Go through all looks, and on after a call, as intervals have to hold until the end."""
        called: Called = "nothing"
        difference: Place | None = None
        lift: Place | None = None
        for one, result, look in self._look_at(seen):
            if called == "nothing":
                called = _CALLED[judge(result, look, higher_is_better=True)]
            if difference in (None, "around"):
                widened = _widen(result.difference_interval, look, is_lift=False)
                difference = _place(widened, one.difference)
            interval = result.relative_interval
            if interval is not None and lift in (None, "around"):
                lift = _place(_widen(interval, look, is_lift=True), one.lift)
        return None if difference is None else Followed(called, difference, lift)

    def _look_at(self, seen: Sequence[Seen]) -> Iterator[tuple[Seen, Estimate, Look]]:
        """Return all looks with an estimate; without one, an analysis is none."""
        known = [(one, one.result) for one in seen if isinstance(one.result, Estimate)]
        fractions = tuple(one.fraction for one, _ in known)
        looks = find_looks(self.monitoring, fractions)
        boundaries: Sequence[Boundary | None] = [None] * len(known)
        if self.monitoring.rule == "group_sequential":
            # As `take_look` would at each, but in one pass: all that it costs.
            information = make_grow([find_information([result]) for _, result in known])
            if information is not None:
                boundaries = find_boundaries(fractions, information=information)
        for (one, result), look, boundary in zip(known, looks, boundaries, strict=True):
            if look is not None:
                yield one, result, look if boundary is None else replace(look, boundary=boundary)


@dataclass(frozen=True, slots=True)
class ChanceToBeat:
    """Stop as soon as the chance to beat the control is above c or below 1 - c.

    Attributes:
        name: What it is called.
        chance: The c.
        prior: What is believed before.
    """

    name: str
    chance: float
    prior: Prior

    def follow(self, seen: Sequence[Seen]) -> Followed | None:
        """Go through all looks; the interval is that of the last one, as nothing is promised."""
        called: Called = "nothing"
        lift: Place | None = None
        for one in seen:
            found = find_log_ratio(one.result) if isinstance(one.result, Estimate) else None
            if found is None:
                continue
            reading = read_effect(*found, prior=self.prior, confidence=CONFIDENCE)
            lift = _place(reading.interval, one.lift)
            if called == "nothing" and reading.chance_to_beat > self.chance:
                called = "up"
            elif called == "nothing" and reading.chance_to_beat < 1.0 - self.chance:
                called = "down"
        return None if lift is None else Followed(called, None, lift)


@cache
def find_looks(monitoring: Monitoring, fractions: tuple[float, ...]) -> tuple[Look | None, ...]:
    """Return every look with its boundary; None where the rule does not look yet."""
    return tuple(
        take_look(
            fraction,
            fractions[:index],
            comparisons=1,
            confidence=CONFIDENCE,
            monitoring=monitoring,
            is_running=fraction < 1.0,
        )
        for index, fraction in enumerate(fractions)
    )


def _widen(interval: Interval, look: Look, *, is_lift: bool) -> Interval:
    return widen(interval, look, confidence=CONFIDENCE, is_lift=is_lift, higher_is_better=True)


def _place(interval: Interval, truth: float) -> Place:
    if truth in interval:
        return "around"
    return "below" if interval.high < truth else "above"
