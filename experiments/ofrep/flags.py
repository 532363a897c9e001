"""Says an answer about an experiment in OpenFeature's words, as a flag."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import UNSET

from experiments.assigning.evaluation import Answer, Reason, RunningArm, RunningExperiment
from experiments.ofrep.documents import Flag, FlagReason

# "Served" is said by the audience and hold-outs; see `_reason_of`. "Unknown" is no flag at all.
_REASONS: Mapping[Reason, FlagReason] = {
    Reason.ASSIGNED: "SPLIT",
    Reason.KEPT: "SPLIT",
    Reason.PAUSED: "DISABLED",
    Reason.HALTED: "DEFAULT",
    Reason.NOT_IN_AUDIENCE: "DEFAULT",
    Reason.NOT_IN_GROUP: "DEFAULT",
    Reason.PREREQUISITE: "DEFAULT",
    Reason.OUTSIDE_TRAFFIC: "DEFAULT",
}


def needs_customer(experiment: RunningExperiment) -> bool:
    """Say whether it matters who asks: not where everybody gets the same."""
    if experiment.served is not None:
        return bool(experiment.audience or experiment.keeps_to)
    return not experiment.is_paused


def needs_key(experiment: RunningExperiment) -> bool:
    """Say whether nothing can be said without a key; what was decided or paused asks none.

    Who has no key is on no side of a hold-out, and gets what was shipped.
    """
    return experiment.served is None and not experiment.is_paused


def to_flag(
    experiment: RunningExperiment,
    made: Answer,
    *,
    untold: Mapping[str, str] = MappingProxyType({}),
    is_degraded: bool = False,
) -> Flag:
    """Write an answer about an experiment as its flag.

    Who gets no arm gets what the control gets, as flag clients expect a value of every flag; the
    metadata name an arm only where the customer's own is given. What is the same for everybody has
    its author's metadata alone: there is nothing to report it to.

    Args:
        experiment: What was asked about.
        made: What `evaluate` answered, of a known experiment.
        untold: Arms that the customer meets by using the flag, by their experiments' keys, which
            were not recorded and are left to the client to report.
        is_degraded: Whether the customer could not be looked up.
    """
    variant, value = made.arm_key, made.payload
    if variant is None:
        variant, value = experiment.control.key, experiment.control.payload
    reason = _reason_of(experiment, made.reason)
    flag = Flag(experiment.key, reason, variant, _typed(value, experiment.arms))
    if experiment.metadata:
        flag.metadata = dict(experiment.metadata)
    if reason != "STATIC":
        told = {"experiment": experiment.key, "reason": made.reason.value}
        flag.metadata = {**experiment.metadata, **told}
        if made.arm_key is not None and reason == "SPLIT":
            flag.metadata["arm"] = made.arm_key
        if untold:
            flag.metadata["exposures"] = _say_exposures(untold)
        if is_degraded:
            flag.metadata["degraded"] = True
    return flag


def name_exposures(
    exposures: Iterable[tuple[int, int]], experiments: Mapping[int, RunningExperiment]
) -> Mapping[str, str]:
    """Name by their keys the arms that an answer exposes to, by their experiments' keys.

    Args:
        exposures: The answer's.
        experiments: What runs, by id.
    """
    return {
        experiments[id_].key: arm.key
        for id_, arm_id in exposures
        for arm in experiments[id_].arms
        if arm.id == arm_id
    }


def _say_exposures(untold: Mapping[str, str]) -> str:
    """Write the properties of the events that report them; metadata hold no lists, so as text."""
    said = [{"experiment_id": key, "variation_id": arm} for key, arm in untold.items()]
    return msgspec.json.encode(said).decode()


def _reason_of(experiment: RunningExperiment, reason: Reason) -> FlagReason:
    if reason is Reason.SERVED:
        return "TARGETING_MATCH" if needs_customer(experiment) else "STATIC"
    return _REASONS[reason]


def _typed(value: Any, arms: Sequence[RunningArm]) -> Any:
    """Keep a flag's values of one type: where one arm's number has a fraction, all are floats.

    A typed client refuses 10 where it asks for a float. PostgreSQL keeps 10.0 apart from 10, but
    people write 10 next to 10.5, and so do other tools.
    """
    if value is None:
        return UNSET
    payloads = [arm.payload for arm in arms if arm.payload is not None]
    # `type`, because to Python true is an integer.
    if type(value) is int and float in {type(each) for each in payloads}:
        return float(value)
    return value
