"""Counts what became of many simulated experiments."""

from dataclasses import dataclass, fields
from typing import Literal

# What a rule called an effect, or that it called none.
Called = Literal["up", "down", "nothing"]
# Where an interval was, seen from the truth: around it, or wholly on one side at some look.
Place = Literal["around", "below", "above"]


@dataclass(frozen=True, slots=True)
class Followed:
    """What a rule made of one experiment.

    Attributes:
        called: Which way it called an effect, at the first look at which it did.
        difference: Where the interval of the difference was, at the first look at which it missed;
            None where the rule has none.
        lift: Where that of the lift was; None where no look had a lift.
    """

    called: Called
    difference: Place | None
    lift: Place | None


@dataclass(frozen=True, slots=True)
class Tally:
    """How many experiments ended how.

    Attributes:
        runs: All of them.
        compared: Those in which some look had an estimate; the following are among them.
        up: Those called better.
        down: Those called worse.
        differences: The rule has an interval of the difference.
        difference_below: The interval of the difference was below the truth.
        difference_above: It was above the truth.
        lifts: Some look had a lift.
        lift_below: The interval of the lift was below the truth.
        lift_above: It was above the truth.
    """

    runs: int = 0
    compared: int = 0
    up: int = 0
    down: int = 0
    differences: int = 0
    difference_below: int = 0
    difference_above: int = 0
    lifts: int = 0
    lift_below: int = 0
    lift_above: int = 0

    @classmethod
    def of(cls, followed: Followed | None) -> "Tally":
        """Count one experiment; None is one in which no look had an estimate."""
        if followed is None:
            return cls(runs=1)
        return cls(
            runs=1,
            compared=1,
            up=followed.called == "up",
            down=followed.called == "down",
            differences=followed.difference is not None,
            difference_below=followed.difference == "below",
            difference_above=followed.difference == "above",
            lifts=followed.lift is not None,
            lift_below=followed.lift == "below",
            lift_above=followed.lift == "above",
        )

    def __add__(self, other: "Tally") -> "Tally":
        """Count both together."""
        return Tally(
            *(getattr(self, field.name) + getattr(other, field.name) for field in fields(Tally))
        )

    @property
    def called(self) -> int:
        """Those in which an effect was called."""
        return self.up + self.down
