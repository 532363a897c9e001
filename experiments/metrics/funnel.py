"""The share of customers who went through several steps in their order."""

from typing import Annotated

import msgspec

from experiments.metrics.base import (
    Days,
    EventName,
    Shares,
    Strata,
    Thresholds,
    describe_window,
    to_window,
)
from experiments.metrics.columns import Column, Cut, Events, Filter, Reached, Total, Window
from experiments.stats.estimate import Result
from experiments.stats.moments import Moments
from experiments.stats.proportions import compare_shares_poststratified
from experiments.wording import Unit


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step: an event, with conditions on its properties."""

    event: EventName
    where: list[Filter] = []

    @property
    def events(self) -> Events:
        """The events that make the step."""
        return Events(self.event, tuple(self.where))


class FunnelParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The steps, and how long after exposure the last one still counts."""

    steps: Annotated[list[Step], msgspec.Meta(min_length=2, max_length=10)]
    window_days: Days | None = None

    def __post_init__(self) -> None:
        """Refuse a step that the same event would make twice."""
        for earlier, later in zip(self.steps, self.steps[1:], strict=False):
            if earlier == later:
                raise ValueError(f"Two steps in a row are the same: {later.events}")

    @property
    def window(self) -> Window:
        """When steps count."""
        return to_window(0, self.window_days)


class Funnel:
    """Each customer counts 1 who reached the last step; the steps before are there to be shown."""

    label: str = "Funnel (steps in their order)"
    params_type: type[FunnelParams] = FunnelParams

    def describe(self, params: FunnelParams) -> str:
        """Say what is measured."""
        steps = ", then ".join(str(step.events) for step in params.steps)
        return f"share of customers with {steps}, {describe_window(0, params.window_days)}"

    def unit(self, params: FunnelParams) -> Unit:
        """Say in what it is measured."""
        return "percent"

    def cuts(self, params: FunnelParams) -> tuple[Cut, ...]:
        """Ask for none."""
        return ()

    def columns(self, params: FunnelParams, thresholds: Thresholds) -> tuple[Column, ...]:
        """Ask for who reached each step, the last one first: it is what decides."""
        steps = tuple(step.events for step in params.steps)
        return tuple(Reached(steps[:n], params.window) for n in range(len(steps), 0, -1))

    def history(self, params: FunnelParams) -> tuple[Total, ...]:
        """Look at whether they made the last step before, and the first."""
        return (
            Total("any", params.steps[-1].events),
            Total("any", params.steps[0].events),
        )

    def value(self, params: FunnelParams, moments: Moments, thresholds: Thresholds) -> float | None:
        """Return what one arm comes to."""
        return moments.mean[0] if moments.n else None

    def compare(
        self,
        params: FunnelParams,
        strata: Strata,
        *,
        thresholds: Thresholds,
        confidence: float,
        shares: Shares = None,
    ) -> Result:
        """Compare the shares that reached the last step."""
        keep = [0, *range(len(params.steps), len(strata[0][0].mean))]
        last = [(control.select(*keep), treatment.select(*keep)) for control, treatment in strata]
        return compare_shares_poststratified(last, confidence=confidence, shares=shares)
