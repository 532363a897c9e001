"""The share of customers who came back in a span of days after their exposure."""

from typing import Annotated

import msgspec

from experiments.metrics.base import (
    LONGEST_WINDOW_DAYS,
    EventName,
    Shares,
    Strata,
    Thresholds,
    say_days,
    to_window,
)
from experiments.metrics.columns import (
    SECONDS_PER_DAY,
    Column,
    Cut,
    Events,
    Filter,
    Mature,
    Total,
    Window,
)
from experiments.stats.estimate import Result
from experiments.stats.moments import Moments
from experiments.stats.ratio import compare_ratios_poststratified
from experiments.wording import Unit


class RetentionParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What counts as coming back, and when.

    Attributes:
        event: Name of the events that count.
        from_day: How long after exposure the span begins.
        to_day: When it ends, which is no longer part of it.
        where: Conditions on the events' properties, all of which must hold.
    """

    event: EventName
    from_day: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_WINDOW_DAYS)]
    to_day: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_WINDOW_DAYS)]
    where: list[Filter] = []

    def __post_init__(self) -> None:
        """Refuse a span that ends before it begins."""
        if self.to_day <= self.from_day:
            raise ValueError("`to_day` must be later than `from_day`")

    @property
    def events(self) -> Events:
        """The events that count."""
        return Events(self.event, tuple(self.where))

    @property
    def window(self) -> Window:
        """When events count."""
        return to_window(self.from_day, self.to_day - self.from_day)


class Retention:
    """Of the customers whose span has passed, the share with an event in it.

    Whoever was exposed too recently to be known is left out of both sums, so the share does not
    sink while customers are coming in; it is a ratio of two totals, and compared as one.
    """

    label: str = "Retention (came back in days a to b)"
    params_type: type[RetentionParams] = RetentionParams

    def describe(self, params: RetentionParams) -> str:
        """Say what is measured."""
        span = f"from {say_days(params.from_day)} to {say_days(params.to_day)} after exposure"
        return f"share of customers with {params.events} {span}, once that time has passed"

    def unit(self, params: RetentionParams) -> Unit:
        """Say in what it is measured."""
        return "percent"

    def cuts(self, params: RetentionParams) -> tuple[Cut, ...]:
        """Ask for none."""
        return ()

    def columns(self, params: RetentionParams, thresholds: Thresholds) -> tuple[Column, ...]:
        """Ask for who came back, and for whom that is known."""
        passed = round(params.to_day * SECONDS_PER_DAY)
        came_back = Total("any", params.events, window=params.window, mature_after=passed)
        return (came_back, Mature(passed))

    def history(self, params: RetentionParams) -> tuple[Total, ...]:
        """Look at whether, and then how often, they did it before."""
        return (Total("any", params.events), Total("count", params.events))

    def value(
        self, params: RetentionParams, moments: Moments, thresholds: Thresholds
    ) -> float | None:
        """Return what one arm comes to."""
        return moments.mean[0] / moments.mean[1] if moments.mean[1] else None

    def compare(
        self,
        params: RetentionParams,
        strata: Strata,
        *,
        thresholds: Thresholds,
        confidence: float,
        shares: Shares = None,
    ) -> Result:
        """Compare two shares of the customers whose span has passed."""
        return compare_ratios_poststratified(strata, confidence=confidence, shares=shares)
