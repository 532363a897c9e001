"""Writes the running experiments as the payload that GrowthBook's SDKs evaluate themselves.

Every experiment is a feature of the same key, whose value is the arm's payload. A customer who met
nothing before gets from any SDK exactly what `experiments.assigning.evaluation.evaluate` answers,
and the SDK's tracking callback tells of the same exposures.

Features whose key holds a colon help others, and nobody asks for them: `price:arm` gives the key of
the arm, because two arms may have equal payloads and what is required is an arm; `price:open` says
who is let in. The SDKs look at prerequisites before anything else, and each look exposes the
customer to what is required. So an experiment that requires others requires `price:open` first:
who is not in its audience, or belongs to the rest of its group, is exposed to nothing. What was
shipped requires of its hold-outs only that they do not hold the customer out.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from experiments.assigning.assignment import BUCKETS, ranges
from experiments.assigning.evaluation import RunningArm, RunningExperiment
from experiments.growthbook.context import DEFAULT_ATTRIBUTE
from experiments.growthbook.portable import to_portable

Document = dict[str, Any]
ValueOf = Callable[[RunningArm], Any]

# Keys of experiments are slugs and hold no colon.
HELPER = ":"
HASH_VERSION = 2


@dataclass(frozen=True, slots=True)
class Extras:
    """What others add to the payload: features by key, and bandits by the name rules refer to."""

    features: Mapping[str, Any] = field(default_factory=dict)
    contextual_bandits: Mapping[str, Any] = field(default_factory=dict)


def to_payload(
    running: Mapping[str, RunningExperiment], *, extras: Iterable[Extras] = ()
) -> Document:
    """Write experiments as `features`, with those of others and their `contextualBandits`.

    Raises:
        ValueError: Two features or two bandits have the same key.
    """
    features: Document = {}
    for key, experiment in running.items():
        features[key] = _to_feature(experiment, _payload_of)
        if experiment.keeps_to:
            features[_open(key)] = _to_gate(experiment)
        for required, _ in experiment.keeps_to:
            features[_arm(required)] = _to_arm_feature(running.get(required))
    payload: Document = {"features": features}
    bandits: Document = {}
    for each in extras:
        _merge(features, each.features)
        _merge(bandits, each.contextual_bandits)
    if bandits:
        payload["contextualBandits"] = bandits
    return payload


def is_helper(key: str) -> bool:
    """Say whether a feature is there for others alone."""
    return HELPER in key


def _arm(key: str) -> str:
    return f"{key}{HELPER}arm"


def _open(key: str) -> str:
    return f"{key}{HELPER}open"


def _merge(known: Document, more: Mapping[str, Any]) -> None:
    if twice := known.keys() & more.keys():
        raise ValueError(f"these keys are taken already: {sorted(twice)}")
    known.update(more)


def _payload_of(arm: RunningArm) -> Any:
    return arm.payload


def _key_of(arm: RunningArm) -> str:
    return arm.key


def _to_arm_feature(experiment: RunningExperiment | None) -> Document:
    """Give the key of the arm; nobody has an arm of what does not run."""
    return {"defaultValue": None} if experiment is None else _to_feature(experiment, _key_of)


def _to_gate(experiment: RunningExperiment) -> Document:
    return {"defaultValue": False, "rules": [{"force": True, **_who(experiment)}]}


def _to_feature(experiment: RunningExperiment, value_of: ValueOf) -> Document:
    # The Python SDK passes over a rule that forces null, and the next one has its turn. None of
    # those here applies to the same customers, so they get the default value, which is null too.
    if experiment.served is not None:
        rules = [{"force": value_of(experiment.served), **_whom(experiment)}]
    elif experiment.is_paused:
        rules = [{"force": value_of(experiment.control)}]
    else:
        rules = _to_rules(experiment, value_of)
    return {"defaultValue": None, "rules": rules}


def _to_rules(experiment: RunningExperiment, value_of: ValueOf) -> list[Document]:
    """Draw an arm; a halted one's customers get the control's value and are not exposed."""
    # Never `coverage`: the ranges say which buckets are an arm's, to the bucket.
    weights = [arm.weight for arm in experiment.arms]
    laid = [_share(*each) for each in ranges(weights, experiment.traffic)]
    drawn = {
        "seed": experiment.seed,
        "hashAttribute": DEFAULT_ATTRIBUTE,
        "hashVersion": HASH_VERSION,
        **_whom(experiment),
    }
    pairs = list(zip(experiment.arms, laid, strict=True))
    rule = {
        "key": experiment.key,
        "variations": [value_of(arm) for arm in experiment.arms],
        "meta": [{"key": arm.key} for arm in experiment.arms],
        # What is halted keeps its place in the list, and none of its buckets.
        "ranges": [[start, start if arm.is_halted else end] for arm, (start, end) in pairs],
        **drawn,
    }
    halted = [
        {"force": value_of(experiment.control), "range": list(share), **drawn}
        for arm, share in pairs
        if arm.is_halted
    ]
    return [rule, *halted]


def _whom(experiment: RunningExperiment) -> Document:
    """Say whom a rule is for: who is let in and meets what is required."""
    if not experiment.keeps_to:
        return _who(experiment)
    wanted: list[tuple[str, Any]] = [(_open(experiment.key), True)]
    for required, key in experiment.keeps_to:
        # Who is on neither side of a hold-out gets what was shipped, too.
        wanted.append((_arm(required), key if experiment.served is None else {"$in": [key, None]}))
    return {"parentConditions": [{"id": id_, "condition": {"value": v}} for id_, v in wanted]}


def _who(experiment: RunningExperiment) -> Document:
    """Say who is let in: the audience, and a share of the group, until it is decided."""
    group = experiment.group
    if group is None or experiment.served is not None:
        return _condition(experiment)
    share = {
        "seed": group.seed,
        "ranges": [_share(group.start, group.end)],
        "attribute": DEFAULT_ATTRIBUTE,
        "hashVersion": HASH_VERSION,
    }
    return {**_condition(experiment), "filters": [share]}


def _condition(experiment: RunningExperiment) -> Document:
    return {"condition": to_portable(experiment.audience)} if experiment.audience else {}


def _share(start: int, end: int) -> tuple[float, float]:
    # The SDKs divide a bucket by the same number, so nothing is lost between the two.
    return start / BUCKETS, end / BUCKETS
