"""One total over another, such as revenue per order or clicks per view."""

from typing import Annotated, Literal

import msgspec

from experiments.metrics.base import (
    LONGEST_WINDOW_DAYS,
    Cap,
    Currency,
    Days,
    EventName,
    Shares,
    Strata,
    Thresholds,
    capped,
    cuts_of,
    describe_window,
    in_currency,
    refuse_nameless,
    to_window,
)
from experiments.metrics.columns import Column, Cut, Events, Filter, PropertyName, Total, Window
from experiments.stats.estimate import Result
from experiments.stats.moments import Moments
from experiments.stats.ratio import compare_ratios_poststratified
from experiments.wording import Unit


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The numerator or the denominator: which events, and what of them is added up.

    Attributes:
        event: Name of the events that count.
        of: The events' values, their number, or 1 for a customer with any.
        where: Conditions on their properties, all of which must hold.
        less: Name of the events that take back.
        from_property: A property of the events that is added up in place of their value.
        cap: The most that one customer's total counts for.
    """

    event: EventName
    of: Literal["value", "count", "any"] = "count"
    where: list[Filter] = []
    less: EventName | None = None
    from_property: PropertyName | None = None
    cap: Cap | None = None

    def total(self, window: Window, besides: tuple[Filter, ...]) -> Total:
        """Return a customer's total of what fulfils these conditions besides, without a cap."""
        how: Literal["sum", "count", "any"] = "sum" if self.of == "value" else self.of
        less = None if self.less is None else Events(self.less, besides)
        events = Events(self.event, (*self.where, *besides))
        return Total(how, events, less, window, from_property=self.from_property or "")

    def __str__(self) -> str:
        """Say what is added up."""
        what = {
            "value": f"total {self.from_property or 'value'} of ",
            "count": "",
            "any": "customers with ",
        }
        less = f" less \u201c{self.less}\u201d" if self.less else ""
        cap = f", {self.cap}" if self.cap else ""
        return f"{what[self.of]}{Events(self.event, tuple(self.where))}{less}{cap}"


class RatioParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is divided by what, and when it counts.

    Attributes:
        numerator: What is added up above.
        denominator: What is added up below.
        is_share: Whether the ratio is said as a percentage.
        currency: In which the ratio is, if it is money: an ISO 4217 code.
        only_in_currency: Whether to leave out, above and below, those of the events whose values
            are added up that do not say this currency.
        delay_days: How long after exposure nothing counts yet.
        window_days: How long after exposure, or after the delay, an event still counts.
    """

    numerator: Part
    denominator: Part
    is_share: bool = False
    currency: Currency | None = None
    only_in_currency: bool = False
    delay_days: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_WINDOW_DAYS)] = 0
    window_days: Days | None = None

    def __post_init__(self) -> None:
        """Refuse a percentage of money."""
        if self.is_share and self.currency is not None:
            raise ValueError("A ratio is a percentage or an amount of money, not both")
        refuse_nameless(self.currency, only=self.only_in_currency)

    @property
    def parts(self) -> tuple[Part, Part]:
        """Numerator and denominator."""
        return self.numerator, self.denominator

    @property
    def window(self) -> Window:
        """When events count."""
        return to_window(self.delay_days, self.window_days)

    def totals(self, window: Window) -> tuple[Total, Total]:
        """Return a customer's numerator and denominator over a window, without caps."""
        in_one = in_currency(self.currency, only=self.only_in_currency)
        valued = {part.event for part in self.parts if part.of == "value"}
        above, below = (
            part.total(window, in_one if part.event in valued else ()) for part in self.parts
        )
        return above, below


class Ratio:
    """All customers' numerators over all customers' denominators: of events, not of customers."""

    label: str = "Ratio of two totals"
    params_type: type[RatioParams] = RatioParams

    def describe(self, params: RatioParams) -> str:
        """Say what is measured."""
        window = describe_window(params.delay_days, params.window_days)
        only = f", in {params.currency} only" if params.only_in_currency else ""
        return f"ratio of {params.numerator} to {params.denominator}{only}, {window}"

    def unit(self, params: RatioParams) -> Unit:
        """Say in what it is measured."""
        return "percent" if params.is_share else params.currency or "number"

    def cuts(self, params: RatioParams) -> tuple[Cut, ...]:
        """Ask for the percentiles to cap at."""
        totals = params.totals(params.window)
        return tuple(
            cut
            for part, total in zip(params.parts, totals, strict=True)
            for cut in cuts_of(total, part.cap)
        )

    def columns(self, params: RatioParams, thresholds: Thresholds) -> tuple[Column, ...]:
        """Ask for the numerator and the denominator."""
        found = iter(thresholds)
        columns = []
        for part, total in zip(params.parts, params.totals(params.window), strict=True):
            own = [next(found) for _ in cuts_of(total, part.cap)]
            columns.append(capped(total, part.cap, own))
        return tuple(columns)

    def history(self, params: RatioParams) -> tuple[Total, ...]:
        """Look at both totals before."""
        return params.totals(Window())

    def value(self, params: RatioParams, moments: Moments, thresholds: Thresholds) -> float | None:
        """Return what one arm comes to."""
        return moments.mean[0] / moments.mean[1] if moments.mean[1] else None

    def compare(
        self,
        params: RatioParams,
        strata: Strata,
        *,
        thresholds: Thresholds,
        confidence: float,
        shares: Shares = None,
    ) -> Result:
        """Compare two ratios."""
        return compare_ratios_poststratified(strata, confidence=confidence, shares=shares)
