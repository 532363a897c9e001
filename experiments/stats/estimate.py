"""What a comparison of two arms can say: an estimate, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from scipy.special import ndtri


@dataclass(frozen=True, slots=True)
class Interval:
    """The values that the data leave plausible, both ends included."""

    low: float
    high: float

    def __post_init__(self) -> None:
        """Refuse ends that are unknown or the wrong way round."""
        if not -math.inf < self.low <= self.high < math.inf:
            raise ValueError(f"an interval needs finite low <= high, not {self.low}, {self.high}")

    def __contains__(self, value: float) -> bool:
        """Say whether a value is plausible."""
        return self.low <= value <= self.high

    def standard_error(self, *, confidence: float) -> float:
        """Read off the standard error behind it, as of a normal interval with this confidence."""
        return (self.high - self.low) / 2 / -float(ndtri((1.0 - confidence) / 2))


@dataclass(frozen=True, slots=True)
class Estimate:
    """How a treatment compares with the control.

    Attributes:
        control_mean: Mean per customer; a share when the metric is one.
        treatment_mean: The same in the treatment.
        n_control: Customers in the control.
        n_treatment: Customers in the treatment.
        control_interval: Where the control's true mean may lie.
        treatment_interval: Where the treatment's true mean may lie.
        difference: Treatment minus control, in the metric's unit.
        difference_interval: Where the true difference may lie.
        relative: Lift, treatment / control - 1; None where the control is no base for one.
        relative_interval: Where the true lift may lie; None exactly when `relative` is.
        p_value: Two-sided, of no difference. Underflows to 0 beyond about 1e-308.
        ln_p_value: Its natural logarithm, which never underflows.
        confidence: Of every interval here, for example 0.95.
        method: The procedures used, in words for an analyst.
        no_lift: Why there is no lift, in words a marketer can read; empty where there is one.
    """

    control_mean: float
    treatment_mean: float
    n_control: int
    n_treatment: int
    control_interval: Interval
    treatment_interval: Interval
    difference: float
    difference_interval: Interval
    relative: float | None
    relative_interval: Interval | None
    p_value: float
    ln_p_value: float
    confidence: float
    method: str
    no_lift: str = ""

    def __post_init__(self) -> None:
        """Refuse numbers that no comparison gives."""
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence must lie between 0 and 1, not {self.confidence}")
        if not (0 <= self.p_value <= 1 and -math.inf < self.ln_p_value <= 0):
            raise ValueError(f"no p-value: {self.p_value}, with logarithm {self.ln_p_value}")
        if (self.relative is None) != (self.relative_interval is None):
            raise ValueError("a lift comes with its interval, or neither is known")
        if self.no_lift and self.relative is not None:
            raise ValueError(f"there is a lift, {self.relative}, so nothing explains its absence")

    @property
    def is_significant(self) -> bool:
        """Whether chance alone is an implausible cause, at this confidence and for one test."""
        return self.is_significant_among(1)

    @property
    def direction(self) -> Literal["up", "down", "none"]:
        """Which way the treatment's mean moved, significantly or not."""
        if self.difference == 0:
            return "none"
        return "up" if self.difference > 0 else "down"

    def is_significant_among(self, comparisons: int) -> bool:
        """Say whether the difference stays significant when it is one of several looked at.

        Bonferroni: the error allowed, 1 - confidence, is shared equally by the comparisons. It is
        decided by the p-value; an interval from another formula can differ at the very edge.
        """
        return self.ln_p_value < math.log((1 - self.confidence) / comparisons)

    def to_json(self) -> dict[str, Any]:
        """Write the estimate as plain JSON values, without loss."""
        return {"kind": "estimate", **asdict(self)}


@dataclass(frozen=True, slots=True)
class Inconclusive:
    """No estimate can be made, and why, in words a marketer can read."""

    reason: str

    def to_json(self) -> dict[str, Any]:
        """Write the reason as plain JSON values."""
        return {"kind": "inconclusive", "reason": self.reason}


Result = Estimate | Inconclusive


def result_from_json(data: Mapping[str, Any]) -> Result:
    """Read what either `to_json` wrote.

    Raises:
        ValueError: The kind is neither estimate nor inconclusive.
    """
    values = dict(data)
    match values.pop("kind", None):
        case "inconclusive":
            return Inconclusive(**values)
        case "estimate":
            for name in ("control", "treatment", "difference", "relative"):
                interval = values[f"{name}_interval"]
                values[f"{name}_interval"] = None if interval is None else Interval(**interval)
            return Estimate(**values)
        case other:
            raise ValueError(f"a result is an estimate or inconclusive, not {other!r}")
