"""The numbers that a customer can contribute: the vocabulary between metric types and the query.

A column says what is counted, over which time relative to the customer's exposure. It knows no
table; `experiments/sql/columns.py` turns columns into SQL.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import msgspec

SECONDS_PER_DAY = 86_400
# The property by which an event says in what its value is, as Segment's specification has it.
CURRENCY = "currency"

Operator = Literal["=", "!=", ">", ">=", "<", "<=", "in", "exists"]
PropertyName = Annotated[str, msgspec.Meta(pattern=r"^[\w$][\w $.:/-]{0,99}$")]


class Filter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A condition on one property of an event.

    Texts are compared as they are written and numbers as numbers; a property that is missing, or
    of another kind, fulfils nothing but `!=`.

    Attributes:
        property: Its name at the top level of the event's properties.
        op: How it is compared; `exists` takes no value and `in` takes a list of texts.
        value: What it is compared with.
    """

    property: PropertyName
    op: Operator = "="
    value: str | float | bool | tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse a comparison that means nothing."""
        is_order = self.op in (">", ">=", "<", "<=")
        if is_order and (isinstance(self.value, bool) or not isinstance(self.value, int | float)):
            raise ValueError(f"`{self.op}` compares with a number")
        if (self.op == "in") != isinstance(self.value, tuple) or self.value == ():
            raise ValueError("`in`, and nothing else, takes a list of texts, one at least")
        if (self.op == "exists") != (self.value is None):
            raise ValueError("Every comparison but `exists` takes a value")

    def __str__(self) -> str:
        """Say the condition in words."""
        if self.op == "exists":
            return f"{self.property} is given"
        value = " or ".join(self.value) if isinstance(self.value, tuple) else self.value
        return f"{self.property} {'is' if self.op in ('=', 'in') else self.op} {value}"


@dataclass(frozen=True, slots=True)
class Events:
    """Which events count: those of a name that fulfil every condition."""

    name: str
    where: tuple[Filter, ...] = ()

    def __str__(self) -> str:
        """Say which events these are."""
        conditions = f" ({', '.join(map(str, self.where))})" if self.where else ""
        return f"\u201c{self.name}\u201d{conditions}"


@dataclass(frozen=True, slots=True)
class Window:
    """A time relative to exposure, in seconds: from `opens` on, before `closes`.

    A negative time is before exposure. Without `closes` it lasts until the analysis.
    """

    opens: int = 0
    closes: int | None = None


@dataclass(frozen=True, slots=True)
class Total:
    """What a customer's events in a window come to.

    Attributes:
        how: `any` gives 1 or 0, `count` their number, `sum` the total of their values.
        events: Those that count.
        less: Refunds or cancellations, which count as much the other way: a `sum` loses the size
            of their values whatever their sign, a `count` their number, and `any` asks whether
            more happened than was taken back.
        window: When they count.
        cap: No customer's total counts for more than this.
        from_property: Of the event, whose number `sum` adds up; its own value if empty.
        mature_after: So many seconds after exposure the customer is known well enough to count,
            and counts 0 until then; None is at once.
    """

    how: Literal["any", "count", "sum"]
    events: Events
    less: Events | None = None
    window: Window = Window()
    cap: float | None = None
    from_property: str = ""
    mature_after: int | None = None

    def before(self, seconds: int) -> "Total":
        """Return the same total over a time just before exposure."""
        return replace(self, window=Window(-seconds, 0), mature_after=None)


@dataclass(frozen=True, slots=True)
class Mature:
    """1 for a customer whose exposure was so many seconds before the analysis, else 0."""

    after: int


@dataclass(frozen=True, slots=True)
class Reached:
    """1 for a customer who went through steps in their order, each at or after the one before."""

    steps: tuple[Events, ...]
    window: Window = Window()


@dataclass(frozen=True, slots=True)
class AtMost:
    """How many of a customer's values are at most a threshold; with none, how many there are.

    Attributes:
        values: The values are those of these events; or, if `per_customer`, the one total of a
            customer with at least one such event.
        per_customer: See above.
        threshold: The values up to it count.
    """

    values: Total
    per_customer: bool
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Predicted:
    """The last prediction of a name that was made before exposure; 0 without one.

    Attributes:
        name: Of the prediction.
        is_known: Whether to say if there is one, as 1 or 0, in place of what it says.
    """

    name: str
    is_known: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """What a customer was given, added up; a scope says by this name where it is written down."""

    name: str


Column = Total | Mature | Reached | AtMost | Predicted | Given


@dataclass(frozen=True, slots=True)
class Cut:
    """Quantiles over all arms together that a metric needs before its columns are known.

    They are found once for each analysis and stored with it, so that every arm and segment is
    measured by the same numbers and an analysis can be repeated to the digit.

    Attributes:
        of: What is cut: customers' totals other than zero, or single values.
        level: The quantile, between 0 and 1.
        is_spread: Whether levels around it are wanted too, as many as `quantile_levels` gives.
    """

    of: Total | AtMost
    level: float
    is_spread: bool = False
