"""Places customers in buckets and lays variations over them, as GrowthBook's SDKs do."""

import json
from collections.abc import Sequence
from typing import Any

from experiments.assigning.assignment import fnv32a, hash_v2

Range = Sequence[float]

# Weights that miss a sum of 1 by more than this are no weights.
_TOLERANCE = 0.01


def hash_of(seed: str, value: str, version: int) -> float | None:
    """Place a value on [0, 1); None for a version of the hash that is not known.

    Version 1 is for payloads that others made: experiments of ours never use it.
    """
    if version == 2:
        return hash_v2(seed, value)
    if version == 1:
        return fnv32a(value + seed) % 1_000 / 1_000
    return None


def text_of(value: Any) -> str:
    """Write an attribute's value as the text that is hashed: 3 and 3.0 are both "3"."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def is_truthy(value: Any) -> bool:
    """Say whether JavaScript takes a JSON value for true: an empty list or object is."""
    return isinstance(value, list | dict) or bool(value)


def equal_weights(count: int) -> list[float]:
    """Share 1 equally among variations."""
    return [1 / count] * count if count > 0 else []


def bucket_ranges(
    count: int, coverage: float | None = None, weights: Sequence[float] | None = None
) -> list[tuple[float, float]]:
    """Lay weights end to end on [0, 1), and take a share of each from where it begins.

    Args:
        count: How many variations there are.
        coverage: The share that is taken; all without it, and what is beyond [0, 1] is cut.
        weights: One per variation, summing to about 1; otherwise all weigh the same.
    """
    share = 1.0 if coverage is None else min(max(coverage, 0.0), 1.0)
    if weights is None or len(weights) != count or abs(sum(weights) - 1) > _TOLERANCE:
        weights = equal_weights(count)
    ranges: list[tuple[float, float]] = []
    start = 0.0
    for weight in weights:
        ranges.append((start, start + share * weight))
        start += weight
    return ranges


def is_in(place: float, within: Range) -> bool:
    """Say whether a place lies in a range, the end not included."""
    return within[0] <= place < within[1]


def choose_variation(place: float, ranges: Sequence[Range]) -> int:
    """Find the first range that holds a place; -1 when none does."""
    return next((index for index, each in enumerate(ranges) if is_in(place, each)), -1)


def is_in_namespace(value: str, namespace: Sequence[Any]) -> bool:
    """Say whether a value lies in a namespace, `[name, start, end]`, of the old kind."""
    name, start, end = namespace
    place = hash_of(f"__{name}", value, 1)
    assert place is not None, "version 1 is known"
    return is_in(place, (start, end))
