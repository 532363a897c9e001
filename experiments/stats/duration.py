"""Turns customers needed into days, by how many come on each weekday."""

import math
from dataclasses import dataclass

import numpy as np

from experiments.stats.power import Design, Outcome, find_stops

WEEK = 7
# Of a week's customers, so few are rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Traffic:
    """Customers who newly meet the experiment on each weekday, Monday first."""

    per_weekday: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what is no week."""
        if len(self.per_weekday) != WEEK or min(self.per_weekday) < 0 or not self.per_week > 0:
            raise ValueError(f"need seven numbers, not all 0, and not {self.per_weekday}")

    @classmethod
    def steady(cls, per_day: float) -> "Traffic":
        """Describe traffic that is the same every day."""
        return cls((per_day,) * WEEK)

    @property
    def per_week(self) -> float:
        """Customers in a whole week."""
        return sum(self.per_weekday)

    def days_until(self, customers: float, *, weekday: int = 0) -> int:
        """Return after how many days so many have come, if the first day is `weekday`."""
        weeks = max(math.ceil(customers / self.per_week) - 1, 0)
        days, missing = WEEK * weeks, customers - weeks * self.per_week
        while missing > _ROUNDING * self.per_week:
            missing -= self.per_weekday[(weekday + days) % WEEK]
            days += 1
        return days

    def looks(self, days: int, *, weekday: int = 0) -> tuple[float, ...]:
        """Return the fractions at which daily looks fall, over so many days from `weekday` on.

        Days without customers bring no look.
        """
        came = np.cumsum([self.per_weekday[(weekday + day) % WEEK] for day in range(days)])
        return tuple(float(fraction) for fraction in np.unique(came[came > 0] / came[-1]))


def find_days(customers: float, traffic: Traffic) -> int:
    """Return how long to run until so many have come, in whole weeks."""
    return _round_up(traffic.days_until(customers))


def find_expected_days(
    outcome: Outcome,
    design: Design,
    *,
    effect: float,
    customers: float,
    traffic: Traffic,
    weekday: int = 0,
) -> float:
    """Return after how many days the experiment is expected to be over, at one of its looks.

    Args:
        outcome: Without treatment.
        design: How the experiment is decided.
        effect: Of every treatment, on the design's scale.
        customers: Planned, in all arms together.
        traffic: Customers by weekday.
        weekday: Of the first day, 0 for Monday.
    """
    stops = find_stops(outcome, design, effect=effect, customers=customers)
    days = [traffic.days_until(look * customers, weekday=weekday) for look in design.looks]
    return float(stops @ np.array(days, dtype=np.float64))


def find_days_left(needed: float, traffic: Traffic, *, so_far: int, days: int, weekday: int) -> int:
    """Return how many days more a running experiment needs, so that it ends on whole weeks.

    How many customers are needed follows from today's mean and variance, by `find_size`.

    Args:
        needed: Customers, in all arms together.
        traffic: Customers by weekday.
        so_far: Customers who have come.
        days: For how many days it has run.
        weekday: Of the next day, 0 for Monday.
    """
    more = traffic.days_until(max(needed - so_far, 0.0), weekday=weekday)
    return _round_up(days + more) - days


def _round_up(days: int) -> int:
    return WEEK * math.ceil(days / WEEK)
