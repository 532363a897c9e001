"""Remembers which variation a customer got, so that later weights do not move anybody."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.growthbook.buckets import is_truthy, text_of

# What a customer got, by `key_of`, as the specification stores it: `attributeName`,
# `attributeValue`, and `assignments` from an experiment's key and version to a variation's key.
Documents = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Remembered:
    """The variation got before, if any; who got one of a blocked version gets none any more."""

    variation: int | None = None
    is_blocked: bool = False


def key_of(attribute: str, value: Any) -> str:
    """Name the document of an attribute's value."""
    return f"{attribute}||{text_of(value)}"


def select_documents(
    documents: Iterable[Mapping[str, Any]], attributes: Mapping[str, Any]
) -> Documents:
    """Select, out of everybody's documents, those of one customer."""
    return {
        key_of(name, value): document
        for document in documents
        for name, value in [(document["attributeName"], document["attributeValue"])]
        if is_truthy(attributes.get(name)) and text_of(attributes[name]) == value
    }


def recall(
    experiment: Mapping[str, Any], documents: Documents, attributes: Mapping[str, Any]
) -> Remembered:
    """Find the variation that a customer got of an experiment.

    What is remembered under the attribute that is hashed goes before what is remembered under the
    one that stands in for it.
    """
    assignments: dict[str, str] = {}
    for attribute in (experiment.get("fallbackAttribute"), experiment.get("hashAttribute") or "id"):
        value = attributes.get(attribute) if attribute else None
        if is_truthy(value):
            document = documents.get(key_of(str(attribute), value), {})
            assignments.update(document.get("assignments", {}))
    blocked = range(experiment.get("minBucketVersion") or 0)
    if any(_entry(experiment["key"], version) in assignments for version in blocked):
        return Remembered(is_blocked=True)
    key = assignments.get(_entry(experiment["key"], _version(experiment)))
    keys = [each.get("key") for each in experiment.get("meta") or ()]
    return Remembered(keys.index(key) if key is not None and key in keys else None)


def remember(
    experiment: Mapping[str, Any],
    variation_key: str,
    documents: Documents,
    *,
    attribute: str,
    value: Any,
) -> Documents:
    """Add to the documents which variation a customer got, and return them."""
    key = key_of(attribute, value)
    before = documents.get(key, {}).get("assignments", {})
    entry = _entry(experiment["key"], _version(experiment))
    document = {
        "attributeName": attribute,
        "attributeValue": text_of(value),
        "assignments": {**before, entry: variation_key},
    }
    return {**documents, key: document}


def _version(experiment: Mapping[str, Any]) -> int:
    return int(experiment.get("bucketVersion") or 0)


def _entry(key: str, version: int) -> str:
    return f"{key}__{version}"
