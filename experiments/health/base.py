"""What a health check looks at, and what it can find."""

from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["warning", "blocking"]


@dataclass(frozen=True, slots=True)
class ArmCount:
    """One arm's planned weight, in buckets of 10,000, and the customers counted in it."""

    label: str
    weight: int
    customers: int


@dataclass(frozen=True, slots=True)
class HealthContext:
    """The counts of an experiment, as the checks see them.

    Attributes:
        arms: Every arm, also those with weight 0.
        moved: Customers seen in more than one arm; they are in no arm's count.
    """

    arms: tuple[ArmCount, ...]
    moved: int

    @property
    def customers(self) -> int:
        """Customers counted, over all arms."""
        return sum(arm.customers for arm in self.arms)

    @property
    def weight(self) -> int:
        """Planned buckets, over all arms."""
        return sum(arm.weight for arm in self.arms)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with an experiment.

    Attributes:
        code: Stable name of the problem.
        severity: A warning asks for a look; a blocking finding makes every number untrustworthy.
        title: The problem in a few words.
        detail: What was seen and what to do, in words a marketer can read.
        evidence: The numbers behind it, as JSON values.
    """

    code: str
    severity: Severity
    title: str
    detail: str
    evidence: dict[str, Any]
