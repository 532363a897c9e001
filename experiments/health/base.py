"""What a health check looks at, and what it can find."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from experiments.stats.moments import Moments

Severity = Literal["note", "warning", "blocking"]


@dataclass(frozen=True, slots=True)
class ArmCount:
    """One arm's planned weight, in buckets of 10,000, and the customers counted in it."""

    label: str
    weight: int
    customers: int


# Customers first exposed in a period in which weights stayed the same, arm by arm.
Phase = tuple[ArmCount, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """Customers who have something in common: `value` in `dimension`, such as phone in device.

    `phases` are those of the experiment, in the same order, with only these customers counted.
    """

    dimension: str
    value: str
    phases: tuple[Phase, ...]


@dataclass(frozen=True, slots=True)
class Covariate:
    """Something measured before exposure: its name and its moments, one column, by arm label.

    Where weights changed, `alike` has the control's and a treatment's among customers whose odds
    were the same, by the treatment's label.
    """

    name: str
    moments: Mapping[str, Moments]
    alike: Mapping[str, tuple[Moments, Moments]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Largest:
    """The largest value of a single customer in one arm, and the arm's moments, one column."""

    metric: str
    arm: str
    value: float
    moments: Moments


@dataclass(frozen=True, slots=True)
class Busy:
    """How many customers of an arm did too much, how many events they made, and how many all did.

    Too much is more than `experiments.health.bots.PER_DAY` events in one day.
    """

    arm: str
    customers: int
    events: int
    all_events: int


@dataclass(frozen=True, slots=True)
class Trend:
    """How a metric changed from a customer's early days in the experiment to the later ones.

    Attributes:
        arm: The treatment's label.
        control: Moments of later minus early, one column, in the control.
        treatment: The same in the treatment.
        higher_is_better: The metric's good direction.
    """

    arm: str
    control: Moments
    treatment: Moments
    higher_is_better: bool = True


@dataclass(frozen=True, slots=True)
class Overlap:
    """Customers who are also in another running experiment.

    Attributes:
        experiment: The other experiment's name.
        cells: The goal's moments, one column, by (our arm, their arm).
    """

    experiment: str
    cells: Mapping[tuple[str, str], Moments]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """How the events behind a metric came in.

    Attributes:
        metric: The metric's name.
        events: Events counted, over all arms.
        late: Those that came more than a day after they happened.
        days: From the start of the experiment to the last event, or to now when there was none.
        silent_days: From the last event to now; 0 when there was none.
        customers: Exposures until the last event, or until now when there was none.
        customers_since: Exposures since the last event.
    """

    metric: str
    events: int
    late: int
    days: float
    silent_days: float
    customers: int
    customers_since: int


@dataclass(frozen=True, slots=True)
class Currencies:
    """In which currencies the values came that a metric adds up, or takes a quantile of.

    Attributes:
        metric: The metric's name.
        decides: Whether it is the goal or a guardrail.
        own: The currency in which the metric is said; None if it says none.
        counted: Events that count, by their currency; those that say none are under "".
        left_out: Events that would count if they said the metric's currency, in the same way.
    """

    metric: str
    decides: bool
    own: str | None
    counted: Mapping[str, int]
    left_out: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class HealthContext:
    """What is known of an experiment's data, as the checks see them.

    Only `arms` and `moved` are always known; a check without what it needs finds nothing.

    Attributes:
        arms: Every arm, also those with weight 0.
        moved: Customers seen in more than one arm; they are in no arm's count.
        control: Label of the arm that the others are compared with.
        phases: The same customers by periods of constant weights; empty when weights never changed.
        fraction: Customers so far over planned customers; None when no size was planned.
        earlier: The fractions at which the experiment was looked at before.
        segments: Where to search for the cause of a broken split.
        strata: The dimension of them within which arms are compared, if there is one.
        covariates: What was measured before exposure.
        largest: The largest customer of each metric and arm.
        busy: The customers with absurdly many events, of each arm.
        trends: How the goal changed with time, of each treatment.
        overlaps: The other experiments that our customers are in.
        arrivals: How each metric's events came in.
        currencies: In which currencies each metric's values came, if it has any.
        days: Days since the start; None before it.
        minimum_days: Days that must pass before anybody should read the numbers.
    """

    arms: tuple[ArmCount, ...]
    moved: int
    control: str | None = None
    phases: tuple[Phase, ...] = ()
    fraction: float | None = None
    earlier: tuple[float, ...] = ()
    segments: tuple[Segment, ...] = ()
    strata: str | None = None
    covariates: tuple[Covariate, ...] = ()
    largest: tuple[Largest, ...] = ()
    busy: tuple[Busy, ...] = ()
    trends: tuple[Trend, ...] = ()
    overlaps: tuple[Overlap, ...] = ()
    arrivals: tuple[Arrivals, ...] = ()
    currencies: tuple[Currencies, ...] = ()
    days: float | None = None
    minimum_days: int = 0

    @property
    def customers(self) -> int:
        """Customers counted, over all arms."""
        return sum(arm.customers for arm in self.arms)

    @property
    def periods(self) -> tuple[Phase, ...]:
        """The phases; all the time is one where weights never changed."""
        return self.phases or (self.arms,)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with an experiment, or worth knowing.

    Attributes:
        code: Stable name of the problem.
        severity: A note says what is no fault; a warning asks for a look; a blocking finding makes
            every number untrustworthy.
        title: The problem in a few words.
        detail: What was seen and what to do, in words a marketer can read.
        evidence: The numbers behind it, as JSON values.
    """

    code: str
    severity: Severity
    title: str
    detail: str
    evidence: dict[str, Any]
