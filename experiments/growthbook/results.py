"""What a feature or an experiment gives a customer, and how the SDKs write it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from experiments.growthbook.buckets import is_truthy

# An exposure as the SDKs' tracking callback gets it: `experiment` and `result`.
Track = Mapping[str, Mapping[str, Any]]


class Source(StrEnum):
    """Where a feature's value comes from."""

    UNKNOWN = "unknownFeature"
    DEFAULT = "defaultValue"
    OVERRIDE = "override"
    FORCE = "force"
    EXPERIMENT = "experiment"
    PREREQUISITE = "prerequisite"
    CYCLIC = "cyclicPrerequisite"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentResult:
    """The variation that a customer gets; the first one where the customer is not let in.

    `was_hashed` tells a draw from a variation that was forced. `place` is on [0, 1). `bandit` holds
    the leaf and the weights that a contextual bandit drew by.
    """

    key: str
    feature: str | None
    is_in: bool
    was_hashed: bool
    variation: int
    value: Any
    attribute: str
    unit: Any
    was_remembered: bool = False
    place: float | None = None
    name: str | None = None
    passes_through: bool = False
    bandit: Mapping[str, Any] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """Write it as the specification has it."""
        document = {
            "key": self.key,
            "featureId": self.feature,
            "inExperiment": self.is_in,
            "hashUsed": self.was_hashed,
            "variationId": self.variation,
            "value": self.value,
            "hashAttribute": self.attribute,
            "hashValue": self.unit,
            "stickyBucketUsed": self.was_remembered,
        }
        if self.place is not None:
            document["bucket"] = self.place
        if self.name:
            document["name"] = self.name
        if self.passes_through:
            document["passthrough"] = True
        return {**document, **self.bandit}


@dataclass(frozen=True, slots=True)
class FeatureResult:
    """The value of a feature, and how it came about."""

    value: Any
    source: Source
    rule: str = ""
    experiment: Mapping[str, Any] | None = None
    result: ExperimentResult | None = None

    def to_document(self) -> dict[str, Any]:
        """Write it as the specification has it."""
        is_on = is_truthy(self.value)
        document: dict[str, Any] = {
            "value": self.value,
            "on": is_on,
            "off": not is_on,
            "source": self.source.value,
            "ruleId": self.rule,
        }
        if self.experiment is not None and self.result is not None:
            document["experiment"] = dict(self.experiment)
            document["experimentResult"] = self.result.to_document()
        return document
