"""What an evaluation starts from: a payload, and one customer on one page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from audience.conditions import matches
from experiments.growthbook.buckets import hash_of, is_in, is_truthy, text_of
from experiments.growthbook.sticky import Documents

DEFAULT_ATTRIBUTE = "id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A payload's content and what is known of a customer.

    `forced_variations` are indices by an experiment's key, `forced_features` values by a feature's.
    Without `documents`, nothing is remembered of earlier variations. In QA mode only what is forced
    is given.
    """

    features: Mapping[str, Any] = field(default_factory=dict)
    contextual_bandits: Mapping[str, Any] = field(default_factory=dict)
    saved_groups: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    url: str = ""
    forced_variations: Mapping[str, int] = field(default_factory=dict)
    forced_features: Mapping[str, Any] = field(default_factory=dict)
    documents: Documents | None = None
    is_enabled: bool = True
    is_qa: bool = False

    def meets(self, condition: Mapping[str, Any] | None) -> bool:
        """Say whether the customer meets a condition; none is always met."""
        return not condition or matches(condition, self.attributes, saved_groups=self.saved_groups)

    def accepts(self, value: Any, condition: Mapping[str, Any] | None) -> bool:
        """Say whether another feature's value meets a condition on `value`."""
        return matches(condition or {}, {"value": value}, saved_groups=self.saved_groups)

    def unit(self, document: Mapping[str, Any]) -> tuple[str, Any]:
        """Find the attribute that an experiment hashes, and its value; "" where there is none."""
        attribute = document.get("hashAttribute") or DEFAULT_ATTRIBUTE
        value = self._value_of(attribute)
        fallback = document.get("fallbackAttribute")
        if value == "" and fallback and self.is_sticky(document):
            value = self._value_of(fallback)
            attribute = fallback if value != "" else attribute
        return attribute, value

    def is_sticky(self, document: Mapping[str, Any]) -> bool:
        """Say whether an experiment keeps to what is remembered."""
        return self.documents is not None and not document.get("disableStickyBucketing")

    def passes_filters(self, filters: Sequence[Mapping[str, Any]]) -> bool:
        """Say whether the customer lies, for every filter, in one of its ranges."""
        return all(self._passes(each) for each in filters)

    def is_in_rollout(self, rule: Mapping[str, Any], seed: str) -> bool:
        """Say whether the customer is in the share that a forced value is for."""
        within: Sequence[float] | None = rule.get("range")
        coverage: float = rule.get("coverage", 1.0)
        if within is None and "coverage" not in rule:
            return True
        _, value = self.unit(rule)
        place = self._place(rule.get("seed") or seed, value, rule.get("hashVersion") or 1)
        if place is None:
            return False
        if within is not None:
            return is_in(place, within)
        # Who falls on the border is in, but nobody is in no share at all.
        return coverage > 0 and place <= coverage

    def _value_of(self, attribute: str) -> Any:
        value = self.attributes.get(attribute)
        return value if is_truthy(value) else ""

    def _passes(self, part: Mapping[str, Any]) -> bool:
        value = self._value_of(part.get("attribute") or DEFAULT_ATTRIBUTE)
        place = self._place(part.get("seed", ""), value, part.get("hashVersion") or 2)
        return place is not None and any(is_in(place, each) for each in part["ranges"])

    def _place(self, seed: str, value: Any, version: int) -> float | None:
        return None if value == "" else hash_of(seed, text_of(value), version)
