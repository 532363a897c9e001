"""Evaluates features and experiments of a payload for one customer, as GrowthBook's SDKs do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from experiments.growthbook.addresses import find_override, is_targeted
from experiments.growthbook.bandits import add_leaf
from experiments.growthbook.buckets import (
    bucket_ranges,
    choose_variation,
    hash_of,
    is_in_namespace,
    text_of,
)
from experiments.growthbook.context import Context
from experiments.growthbook.results import ExperimentResult, FeatureResult, Source, Track
from experiments.growthbook.sticky import Documents, Remembered, recall, remember

Document = Mapping[str, Any]

# What an experiment takes over from the rule that it is made of.
_TAKEN = (
    "coverage",
    "weights",
    "hashAttribute",
    "fallbackAttribute",
    "disableStickyBucketing",
    "bucketVersion",
    "minBucketVersion",
    "namespace",
    "meta",
    "ranges",
    "name",
    "phase",
    "seed",
    "hashVersion",
    "filters",
    "condition",
)
_OUTSIDE = -1


@dataclass(frozen=True, slots=True)
class _Draw:
    """Which variation a customer drew or had before, and where the hash places the customer."""

    variation: int = _OUTSIDE
    place: float | None = None
    was_remembered: bool = False


class Evaluator:
    """One customer before a payload; gathers whom to expose to what on the way.

    `tracks` are the exposures so far, each once. `documents` are what was remembered before and
    since, None where nothing is.
    """

    def __init__(self, context: Context) -> None:
        """Evaluate in this context."""
        self._context = context
        self.tracks: list[Track] = []
        self.documents: Documents | None = context.documents

    def feature(self, key: str) -> FeatureResult:
        """Find the value of a feature: the first rule that applies gives it."""
        return self._feature(key, above=frozenset())

    def run(self, experiment: Document) -> ExperimentResult:
        """Find the variation of an experiment that no feature belongs to."""
        return self._run(experiment, None, above=frozenset())

    def _feature(self, key: str, *, above: frozenset[str]) -> FeatureResult:
        """Evaluate a feature; `above` are those whose prerequisites led here."""
        if key in above:
            return FeatureResult(None, Source.CYCLIC)
        if key in self._context.forced_features:
            return FeatureResult(self._context.forced_features[key], Source.OVERRIDE)
        feature = self._context.features.get(key)
        if feature is None:
            return FeatureResult(None, Source.UNKNOWN)
        for rule in feature.get("rules") or ():
            found = self._apply(rule, key, above | {key})
            if found is not None:
                return found
        return FeatureResult(feature.get("defaultValue"), Source.DEFAULT)

    def _apply(self, rule: Document, key: str, above: frozenset[str]) -> FeatureResult | None:
        """Apply a rule; None where the next one has its turn."""
        unmet = self._find_unmet(rule.get("parentConditions") or (), above)
        if unmet is not None:
            return unmet if unmet.source is not Source.DEFAULT else None
        if not self._context.passes_filters(rule.get("filters") or ()):
            return None
        if "force" in rule:
            return self._force(rule, key)
        variations = rule.get("contextualVariations")
        if variations is None:
            variations = rule.get("variations")
        if variations is None:
            return None
        experiment = self._to_experiment(rule, variations, key)
        result = self._run(experiment, key, above=above)
        if not result.is_in or result.passes_through:
            return None
        if not result.was_hashed:
            # The weights of a leaf gave nobody a variation that was forced.
            experiment = {k: v for k, v in experiment.items() if k != "contextualBandit"}
        return FeatureResult(
            result.value, Source.EXPERIMENT, rule.get("id") or "", experiment, result
        )

    def _find_unmet(
        self, parents: Sequence[Document], above: frozenset[str]
    ) -> FeatureResult | None:
        """Find what the first prerequisite that is not met makes of a feature.

        A source of `DEFAULT` makes nothing of it: only the rule does not apply.
        """
        for parent in parents:
            result = self._feature(parent["id"], above=above)
            if result.source is Source.CYCLIC:
                return FeatureResult(None, Source.CYCLIC)
            if not self._context.accepts(result.value, parent.get("condition")):
                is_gate = parent.get("gate", False)
                return FeatureResult(None, Source.PREREQUISITE if is_gate else Source.DEFAULT)
        return None

    def _force(self, rule: Document, key: str) -> FeatureResult | None:
        if not self._context.meets(rule.get("condition")):
            return None
        if not self._context.is_in_rollout(rule, key):
            return None
        for track in rule.get("tracks") or ():
            self._expose(track)
        return FeatureResult(rule["force"], Source.FORCE, rule.get("id") or "")

    def _to_experiment(self, rule: Document, variations: Sequence[Any], key: str) -> Document:
        experiment = {
            "key": rule.get("key") or key,
            "variations": variations,
            **{name: rule[name] for name in _TAKEN if rule.get(name) is not None},
        }
        bandit = rule.get("contextualBanditRef")
        if not bandit:
            return experiment
        return add_leaf(experiment, self._context.contextual_bandits.get(bandit), self._context)

    def _run(
        self, experiment: Document, feature: str | None, *, above: frozenset[str]
    ) -> ExperimentResult:
        """Run an experiment; `above` are the features that led here."""
        outside = self._result(experiment, _OUTSIDE, feature)
        if not self._is_possible(experiment):
            return outside
        forced = self._find_forced(experiment)
        if forced is not None:
            return self._result(experiment, forced, feature)
        draw = self._draw(experiment, above)
        if draw.variation == _OUTSIDE:
            return replace(outside, was_remembered=draw.was_remembered)
        if "force" in experiment:
            return self._result(experiment, experiment["force"], feature)
        if self._context.is_qa or experiment.get("status") == "stopped":
            return outside
        result = replace(
            self._result(experiment, draw.variation, feature),
            was_hashed=True,
            was_remembered=draw.was_remembered,
            place=draw.place,
            bandit=experiment.get("contextualBandit", {}),
        )
        self._remember(experiment, result)
        self._expose({"experiment": experiment, "result": result.to_document()})
        return result

    def _draw(self, experiment: Document, above: frozenset[str]) -> _Draw:
        """Draw a variation by hash, or take the one that is remembered."""
        _, unit = self._context.unit(experiment)
        if unit == "" or not _is_active(experiment):
            return _Draw()
        remembered = self._recall(experiment)
        if remembered.variation is None and not self._lets_in(experiment, unit, above):
            return _Draw()
        seed = experiment.get("seed") or experiment["key"]
        place = hash_of(seed, text_of(unit), experiment.get("hashVersion") or 1)
        if place is None or remembered.is_blocked:
            return _Draw(was_remembered=remembered.is_blocked)
        if remembered.variation is not None:
            return _Draw(remembered.variation, place, was_remembered=True)
        return _Draw(choose_variation(place, _ranges(experiment)), place)

    def _is_possible(self, experiment: Document) -> bool:
        targets = experiment.get("urlPatterns")
        return (
            len(experiment["variations"]) > 1
            and self._context.is_enabled
            and (targets is None or is_targeted(self._context.url, targets))
        )

    def _find_forced(self, experiment: Document) -> int | None:
        key, count = experiment["key"], len(experiment["variations"])
        forced = find_override(key, self._context.url, count)
        return self._context.forced_variations.get(key) if forced is None else forced

    def _recall(self, experiment: Document) -> Remembered:
        if self.documents is None or not self._context.is_sticky(experiment):
            return Remembered()
        return recall(experiment, self.documents, self._context.attributes)

    def _remember(self, experiment: Document, result: ExperimentResult) -> None:
        if self.documents is not None and self._context.is_sticky(experiment):
            self.documents = remember(
                experiment,
                result.key,
                self.documents,
                attribute=result.attribute,
                value=result.unit,
            )

    def _lets_in(self, experiment: Document, unit: Any, above: frozenset[str]) -> bool:
        """Say whether an experiment is for the customer, whichever variation it may be."""
        filters, namespace = experiment.get("filters"), experiment.get("namespace")
        if filters is not None:
            is_in_share = self._context.passes_filters(filters)
        else:
            is_in_share = namespace is None or is_in_namespace(text_of(unit), namespace)
        return (
            is_in_share
            and self._context.meets(experiment.get("condition"))
            and self._find_unmet(experiment.get("parentConditions") or (), above) is None
        )

    def _result(self, experiment: Document, index: int, feature: str | None) -> ExperimentResult:
        """Describe a variation that was not drawn, or the first one for who is not let in."""
        variations = experiment["variations"]
        is_in = 0 <= index < len(variations)
        index = index if is_in else 0
        meta = (experiment.get("meta") or [{}] * (index + 1))[index]
        attribute, unit = self._context.unit(experiment)
        return ExperimentResult(
            key=meta.get("key") or str(index),
            feature=feature,
            is_in=is_in,
            was_hashed=False,
            variation=index,
            value=variations[index],
            attribute=attribute,
            unit=unit,
            name=meta.get("name"),
            passes_through=bool(meta.get("passthrough")),
        )

    def _expose(self, track: Track) -> None:
        if all(_identity(track) != _identity(known) for known in self.tracks):
            self.tracks.append(track)


def _is_active(experiment: Document) -> bool:
    return experiment.get("active", True) and experiment.get("status") != "draft"


def _ranges(experiment: Document) -> Sequence[Sequence[float]]:
    ranges: Sequence[Sequence[float]] | None = experiment.get("ranges")
    if ranges is not None:
        return ranges
    count = len(experiment["variations"])
    return bucket_ranges(count, experiment.get("coverage"), experiment.get("weights"))


def _identity(track: Track) -> tuple[Any, ...]:
    """Tell one exposure from another, as the SDKs do: by customer, experiment and variation."""
    result = track["result"]
    unit = text_of(result["hashValue"])
    return result["hashAttribute"], unit, track["experiment"]["key"], result["variationId"]
