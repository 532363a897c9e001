"""Resolves a payload for one customer, so that a client gets values and no rules.

What comes out is a payload again: every feature forces its value and carries in `tracks` the
exposures that its use means, which the SDKs tell their tracking callback when it is used.
"""

from collections.abc import Mapping
from typing import Any

from experiments.growthbook.context import Context
from experiments.growthbook.evaluator import Evaluator
from experiments.growthbook.payload import HELPER, is_helper


def resolve_features(context: Context) -> dict[str, Any]:
    """Resolve every feature of the context but those that only help others."""
    features: dict[str, Any] = {}
    for key in context.features:
        if not is_helper(key):
            features.update(_resolve(key, context))
    return features


def _resolve(key: str, context: Context) -> dict[str, Any]:
    # One evaluator per feature: each is used by itself, and what it requires counts again.
    evaluator = Evaluator(context)
    value = evaluator.feature(key).value
    tracks: list[Mapping[str, Any]] = evaluator.tracks
    if value is not None:
        rule = {"force": value, "tracks": tracks} if tracks else {"force": value}
        return {key: {"defaultValue": None, "rules": [rule]}}
    if not tracks:
        return {key: {"defaultValue": None}}
    # Who is held out gets nothing, and must be counted. The Python SDK passes over what forces
    # null, tracks and all; but it looks at prerequisites, and so comes by these.
    seen = f"{key}{HELPER}seen"
    requires = {"parentConditions": [{"id": seen, "condition": {"value": False}}]}
    return {
        key: {"defaultValue": None, "rules": [{"force": False, **requires}]},
        seen: {"defaultValue": True, "rules": [{"force": True, "tracks": tracks}]},
    }
