"""Says an answer about an experiment in OpenFeature's words, as a flag."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET

from experiments.evaluation import Answer, Reason, RunningArm, RunningExperiment
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


def to_flag(experiment: RunningExperiment, made: Answer, *, is_degraded: bool = False) -> Flag:
    """Write an answer about an experiment as its flag.

    Who gets no arm gets what the control gets, as flag clients expect a value of every flag; the
    metadata name no arm then. What is the same for everybody has its author's metadata alone: there
    is nothing to report it to.

    Args:
        experiment: What was asked about.
        made: What `evaluate` answered, of a known experiment.
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
        if made.arm_key is not None:
            flag.metadata["arm"] = made.arm_key
        if is_degraded:
            flag.metadata["degraded"] = True
    return flag


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
