"""What every metric type promises: which numbers a customer contributes, how arms compare."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Protocol, TypeVar

import msgspec

from experiments.metrics.columns import (
    CURRENCY,
    SECONDS_PER_DAY,
    Column,
    Cut,
    Events,
    Filter,
    PropertyName,
    Total,
    Window,
)
from experiments.stats.estimate import Result
from experiments.stats.moments import Moments
from experiments.wording import Unit

LONGEST_WINDOW_DAYS = 3660

EventName = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")]
Days = Annotated[float, msgspec.Meta(gt=0, le=LONGEST_WINDOW_DAYS)]
Thresholds = Sequence[Sequence[float]]
Strata = Sequence[tuple[Moments, Moments]]
# How much each of them counts, in all 1; None lets each count by its customers.
Shares = Sequence[float] | None


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a marketer settles about a metric.

    Attributes:
        event: Name of the events that count.
        where: Conditions on their properties, all of which must hold.
        less: Name of the events that take back: refunds, cancellations.
        delay_days: How long after exposure nothing counts yet.
        window_days: How long after exposure, or after the delay, an event still counts; None is
            until the analysis.
    """

    event: EventName
    where: list[Filter] = []
    less: EventName | None = None
    delay_days: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_WINDOW_DAYS)] = 0
    window_days: Days | None = None

    @property
    def events(self) -> Events:
        """The events that count."""
        return Events(self.event, tuple(self.where))

    @property
    def taken_back(self) -> Events | None:
        """The events that count the other way."""
        return None if self.less is None else Events(self.less)

    @property
    def window(self) -> Window:
        """When events count, in whole seconds; a window lasts one at least."""
        return to_window(self.delay_days, self.window_days)

    def describe_window(self) -> str:
        """Say the window as the end of a sentence."""
        return describe_window(self.delay_days, self.window_days)


class ValueParams(Params, frozen=True, forbid_unknown_fields=True):
    """As for every metric, and which values count.

    Attributes:
        from_property: A property of the events whose number counts in place of their value.
        currency: In which values are, if they are money: an ISO 4217 code.
        only_in_currency: Whether to leave out the events that do not say this currency.
    """

    from_property: PropertyName | None = None
    currency: Currency | None = None
    only_in_currency: bool = False

    def __post_init__(self) -> None:
        """Refuse to look for a currency that was not named."""
        refuse_nameless(self.currency, only=self.only_in_currency)

    @property
    def events(self) -> Events:
        """The events that count."""
        return Events(self.event, (*self.where, *self._in_currency))

    @property
    def taken_back(self) -> Events | None:
        """The events that count the other way."""
        return None if self.less is None else Events(self.less, self._in_currency)

    @property
    def _in_currency(self) -> tuple[Filter, ...]:
        return in_currency(self.currency, only=self.only_in_currency)


P = TypeVar("P", bound=msgspec.Struct)


class MetricType(Protocol[P]):
    """A way to turn events into numbers per customer, and to compare them between arms."""

    label: str
    params_type: type[P]

    def describe(self, params: P) -> str:
        """Say what is measured, in one phrase for a report."""
        ...

    def unit(self, params: P) -> Unit:
        """Say in what it is measured."""
        ...

    def cuts(self, params: P) -> tuple[Cut, ...]:
        """Name the quantiles that must be known before the columns are."""
        ...

    def columns(self, params: P, thresholds: Thresholds) -> tuple[Column, ...]:
        """Name the columns that `compare` needs, in their order in the moments.

        Args:
            params: What was settled.
            thresholds: The values found for each of the cuts, in their order.
        """
        ...

    def history(self, params: P) -> tuple[Total, ...]:
        """Name what customers did before that may foretell this metric, the most telling first."""
        ...

    def value(self, params: P, moments: Moments, thresholds: Thresholds) -> float | None:
        """Return what one arm comes to; None where that is not known yet."""
        ...

    def compare(
        self,
        params: P,
        strata: Strata,
        *,
        thresholds: Thresholds,
        confidence: float,
        shares: Shares = None,
    ) -> Result:
        """Compare two arms on the moments of the columns, followed by any covariates.

        Args:
            params: What was settled.
            strata: The control's and the treatment's moments in each stratum; one is everybody.
            thresholds: As for the columns.
            confidence: Of every interval.
            shares: How much each stratum counts.
        """
        ...


def read_params(metric: MetricType[P], raw: Mapping[str, Any]) -> P:
    """Check stored or submitted parameters.

    Raises:
        msgspec.ValidationError: A field is missing, unknown or out of range.
    """
    return msgspec.convert(raw, type=metric.params_type)


def name_events(params: msgspec.Struct) -> list[str]:
    """Name the events that a metric with these parameters counts, wherever they stand in them."""
    names: dict[str, None] = {}

    def look(value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key in ("event", "less") and inner is not None:
                    names[inner] = None
                else:
                    look(inner)
        elif isinstance(value, list):
            for inner in value:
                look(inner)

    look(msgspec.to_builtins(params))
    return list(names)


def in_currency(currency: str | None, *, only: bool) -> tuple[Filter, ...]:
    """Return what an event has to fulfil if it counts only in this currency: nothing if not."""
    if currency is None or not only:
        return ()
    return (Filter(CURRENCY, "in", (currency, currency.lower())),)


def refuse_nameless(currency: str | None, *, only: bool) -> None:
    """Refuse to count only what is in a currency that is not named."""
    if only and currency is None:
        raise ValueError("To count only events in a currency, name it")


def to_window(delay_days: float, window_days: float | None) -> Window:
    """Turn days after exposure into a window in whole seconds."""
    opens = round(delay_days * SECONDS_PER_DAY)
    if window_days is None:
        return Window(opens)
    return Window(opens, opens + max(1, round(window_days * SECONDS_PER_DAY)))


def describe_window(delay_days: float, window_days: float | None) -> str:
    """Say a window as the end of a sentence."""
    if not delay_days:
        if window_days is None:
            return "at any time after exposure"
        return f"within {say_days(window_days)} of exposure"
    if window_days is None:
        return f"from {say_days(delay_days)} after exposure on"
    return f"from {say_days(delay_days)} to {say_days(delay_days + window_days)} after exposure"


def say_days(days: float) -> str:
    """Say a number of days."""
    return f"{days:g} {'day' if days == 1 else 'days'}"


class Cap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The most that one customer's total counts for: a number, or a percentile of the totals.

    The percentile is taken over the customers of all arms whose total is not zero, once for each
    analysis.
    """

    value: Annotated[float, msgspec.Meta(gt=0)] | None = None
    percentile: Annotated[float, msgspec.Meta(ge=50, lt=100)] | None = None

    def __post_init__(self) -> None:
        """Refuse a cap by both, or by neither."""
        if (self.value is None) == (self.percentile is None):
            raise ValueError("A cap has either a `value` or a `percentile`")

    def __str__(self) -> str:
        """Say the cap at the end of a phrase."""
        if self.value is not None:
            return f"at most {self.value:g} for one customer"
        return f"at most the {self.percentile:g}th percentile for one customer"


def uncap(params: P) -> P:
    """Return the same parameters without any cap; the very same where there is none."""
    changes: dict[str, Any] = {}
    for name in params.__struct_fields__:
        value = getattr(params, name)
        if isinstance(value, Cap):
            changes[name] = None
        elif isinstance(value, msgspec.Struct) and (bare := uncap(value)) is not value:
            changes[name] = bare
    return msgspec.structs.replace(params, **changes) if changes else params


def cuts_of(total: Total, cap: Cap | None) -> tuple[Cut, ...]:
    """Ask for the percentile that caps a total, if one does."""
    if cap is None or cap.percentile is None:
        return ()
    return (Cut(total, cap.percentile / 100),)


def capped(total: Total, cap: Cap | None, thresholds: Thresholds) -> Total:
    """Return a total with its cap: the number settled, or the first threshold found, if any."""
    if cap is None or (cap.value is None and not thresholds[0]):
        return total
    # Where most totals are below zero the percentile may be too, and would cap those with nothing.
    return replace(total, cap=max(thresholds[0][0], 0.0) if cap.value is None else cap.value)
