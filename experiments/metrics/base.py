"""What every metric type promises: which numbers a customer contributes, how arms compare."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Annotated, Any, Literal, Protocol, TypeVar

import msgspec

from experiments.stats.estimate import Result
from experiments.stats.moments import Moments
from experiments.wording import Unit

SECONDS_PER_DAY = 86_400
LONGEST_WINDOW_DAYS = 3660


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One number per customer, computed from the events after exposure.

    Attributes:
        event: Name of the events that count.
        how: `any` gives 1 or 0, `count` their number, `sum` the total of their values.
        window_seconds: How long after exposure an event still counts; None is without end.
    """

    event: str
    how: Literal["any", "count", "sum"]
    window_seconds: int | None


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a marketer settles about a metric.

    Attributes:
        event: Name of the events that count.
        window_days: How long after exposure an event still counts; None is until the analysis.
    """

    event: Annotated[str, msgspec.Meta(min_length=1)]
    window_days: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_WINDOW_DAYS)] | None = None

    @property
    def window_seconds(self) -> int | None:
        """The window in whole seconds, one at least."""
        if self.window_days is None:
            return None
        return max(1, round(self.window_days * SECONDS_PER_DAY))

    def describe_window(self) -> str:
        """Say the window as the end of a sentence."""
        if self.window_days is None:
            return "at any time after exposure"
        days = "day" if self.window_days == 1 else "days"
        return f"within {self.window_days:g} {days} of exposure"


P = TypeVar("P", bound=Params)


class MetricType(Protocol[P]):
    """A way to turn events into one number per customer, and to compare it between arms."""

    label: str
    unit: Unit
    params_type: type[P]

    def describe(self, params: P) -> str:
        """Say what is measured, in one phrase for a report."""
        ...

    def aggregates(self, params: P) -> tuple[Aggregate, ...]:
        """Name the columns that `compare` needs, in their order in the moments."""
        ...

    def compare(self, control: Moments, treatment: Moments, *, confidence: float) -> Result:
        """Compare two arms on the moments of those columns."""
        ...


def read_params(metric: MetricType[P], raw: Mapping[str, Any]) -> P:
    """Check stored or submitted parameters.

    Raises:
        msgspec.ValidationError: A field is missing, unknown or out of range.
    """
    return msgspec.convert(raw, type=metric.params_type)


def compare_by_name(
    path: str, control: Moments, treatment: Moments, *, confidence: float
) -> Result:
    """Compare two arms by a function named `module:function`.

    Web processes import the metric types, for forms and choices, but must never load statsmodels;
    a name leaves no import, so only the worker that compares pays for it.
    """
    compare: Callable[..., Result] = resolve_name(path)
    return compare(control, treatment, confidence=confidence)
