"""What an experiment promised before it saw any result, as a document with a hash.

Whoever may choose the metric, the looks or the error afterwards can prove anything. So all of that
is fixed at the start; a change makes a new version beside the old one, and both stay.
"""

import hashlib
from typing import Annotated, Any, Literal

import msgspec

from experiments.wording import tell_apart

Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]
RoleName = Literal["goal", "secondary", "guardrail"]
Rule = Literal["group_sequential", "confidence_sequence", "fixed"]
Spending = Literal["obrien_fleming", "pocock", "power"]


class PlannedArm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An arm, with its share of customers in hash buckets."""

    key: str
    name: str
    weight: int
    is_control: bool


class PlannedMetric(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A metric as it was defined when the plan was made.

    Attributes:
        key: The metric's.
        name: The metric's, as a noun.
        kind: Its type, a key of `METRICS`.
        params: What that type needs.
        higher_is_better: Its good direction.
        role: `goal` decides, a `guardrail` must not be harmed, `secondary` explains.
        margin: Of a guardrail: the relative loss that would still be acceptable, so that it must
            be shown to be smaller (non-inferiority); None asks only that no harm be found.
    """

    key: str
    name: str
    kind: str
    params: dict[str, Any]
    higher_is_better: bool
    role: RoleName
    margin: Share | None = None


class Monitoring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the error that is allowed is spent over looks.

    Attributes:
        rule: `group_sequential` looks at boundaries up to a planned size; `confidence_sequence`
            may go on for ever, and is sharpest at the planned size; `fixed` looks once, there.
        benefit: When the error of a false winner is spent.
        harm: When that of a false alarm is.
    """

    rule: Rule = "group_sequential"
    benefit: Spending = "obrien_fleming"
    harm: Spending = "pocock"


class Adjustment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known about customers before exposure that takes noise out of the comparison.

    Attributes:
        days: How far back their behaviour is looked at; 0 is not at all.
        prediction: Name of a prediction of what they would do, made before exposure.
        strata: A customer attribute by which arms are compared within groups of the same kind.
    """

    days: Annotated[int, msgspec.Meta(ge=0, le=730)] = 28
    prediction: str | None = None
    strata: str | None = None


class Extension(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """More customers were planned while it ran.

    Attributes:
        customers: How many had come by then.
        planned: How many were planned until then.
    """

    customers: int
    planned: int


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that decides how results become a verdict.

    Attributes:
        arms: All arms, in their order.
        metrics: All metrics, in their order; one of them is the goal.
        planned_customers: How many customers are to take part.
        minimum_days: How long results stay hidden, and nothing is said to win.
        confidence: One minus the chance of a false verdict.
        monitoring: How that chance is spent over looks.
        adjustment: What is known beforehand.
        segments: Customer attributes by which results are shown separately.
        correction: Which comparisons are judged together: those of all metrics of a role, or
            those of each metric by itself.
        extensions: When more customers were planned, the oldest first.
    """

    arms: tuple[PlannedArm, ...]
    metrics: tuple[PlannedMetric, ...]
    planned_customers: int
    minimum_days: int = 7
    confidence: Share = 0.95
    monitoring: Monitoring = Monitoring()
    adjustment: Adjustment = Adjustment()
    segments: tuple[str, ...] = ()
    correction: Literal["role", "metric"] = "role"
    extensions: tuple[Extension, ...] = ()

    @property
    def control(self) -> PlannedArm | None:
        """The arm that the others are compared with."""
        return next((arm for arm in self.arms if arm.is_control), None)

    @property
    def treatments(self) -> tuple[PlannedArm, ...]:
        """The arms that are compared with the control."""
        return tuple(arm for arm in self.arms if not arm.is_control)

    @property
    def labels(self) -> dict[str, str]:
        """What to call each arm, by its key; arms of the same name are told apart."""
        return tell_apart({arm.key: arm.name for arm in self.arms})

    @property
    def nouns(self) -> dict[str, str]:
        """What to call each metric, by its key; metrics of the same name are told apart."""
        return tell_apart({metric.key: metric.name for metric in self.metrics})

    @property
    def goal(self) -> PlannedMetric:
        """The metric that decides."""
        return next(metric for metric in self.metrics if metric.role == "goal")

    def to_json(self) -> dict[str, Any]:
        """Write the plan as plain JSON values."""
        written: dict[str, Any] = msgspec.to_builtins(self)
        return written

    @property
    def digest(self) -> str:
        """The plan's SHA-256, over JSON with sorted keys: the same plan, the same digest."""
        return hashlib.sha256(msgspec.json.encode(self.to_json(), order="sorted")).hexdigest()


def plan_from_json(data: Any) -> Plan:
    """Read what `to_json` wrote.

    Raises:
        msgspec.ValidationError: It is no plan.
    """
    return msgspec.convert(data, type=Plan)
