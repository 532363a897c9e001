"""Says which arm of an experiment a customer gets, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from audience.conditions import matches
from experiments.assigning.assignment import assign, bucket_of


class Reason(StrEnum):
    """Why a customer gets an arm, or none; clients may rely on the values."""

    UNKNOWN = "unknown"
    SERVED = "served"
    PAUSED = "paused"
    KEPT = "kept"
    NOT_IN_AUDIENCE = "not_in_audience"
    NOT_IN_GROUP = "not_in_group"
    PREREQUISITE = "prerequisite"
    OUTSIDE_TRAFFIC = "outside_traffic"
    ASSIGNED = "assigned"
    HALTED = "halted"


_SENTENCES: Mapping[Reason, str] = {
    Reason.UNKNOWN: "No experiment of this key runs or was decided.",
    Reason.SERVED: "The experiment is decided; all of its audience but the held-out get this arm.",
    Reason.PAUSED: "The experiment is paused, and everybody gets what the control gets.",
    Reason.KEPT: "The customer met this arm before and keeps it.",
    Reason.NOT_IN_AUDIENCE: "The customer is not in the audience.",
    Reason.NOT_IN_GROUP: "The customer belongs to the other experiments of the exclusion group.",
    Reason.PREREQUISITE: "The customer is held out, or lacks another experiment's arm.",
    Reason.OUTSIDE_TRAFFIC: "The customer is in the part of the audience that is not let in.",
    Reason.ASSIGNED: "The customer was assigned by hash.",
    Reason.HALTED: "The customer's arm is halted; its customers get what the control gets.",
}


def say_reason(reason: Reason) -> str:
    """Say a reason in a sentence."""
    return _SENTENCES[reason]


@dataclass(frozen=True, slots=True)
class RunningArm:
    """An arm; of a halted one, customers get the control's payload."""

    id: int
    key: str
    weight: int
    payload: Any
    is_control: bool = False
    is_halted: bool = False


@dataclass(frozen=True, slots=True)
class GroupShare:
    """The buckets of an exclusion group that are an experiment's, the end not included."""

    seed: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class RunningExperiment:
    """All that answering needs to know of an experiment that runs, is paused or was decided.

    `prerequisites` are pairs of an experiment's key and the arm of it that a customer must have;
    `holdouts` are the keys of those among them that hold customers out. `metadata` are what clients
    are told beside an arm.
    """

    id: int
    key: str
    seed: str
    arms: tuple[RunningArm, ...]
    control: RunningArm
    audience: Mapping[str, Any]
    traffic: int
    group: GroupShare | None = None
    prerequisites: tuple[tuple[str, str], ...] = ()
    holdouts: frozenset[str] = frozenset()
    served: RunningArm | None = None
    is_paused: bool = False
    is_holdout: bool = False
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def keeps_to(self) -> tuple[tuple[str, str], ...]:
        """The prerequisites that count now.

        Of what was shipped these are its hold-outs: they measure all that was shipped while they
        last, so who is held out gets none of it. What was rolled back everybody has anyway.
        """
        if self.served is None:
            return self.prerequisites
        if self.served.is_control:
            return ()
        return tuple(pair for pair in self.prerequisites if pair[0] in self.holdouts)


@dataclass(frozen=True, slots=True)
class Answer:
    """The arm whose payload a customer gets, if any, and the exposures to record.

    Exposures are pairs of an experiment's and an arm's id. They may be of other experiments, which
    were required, also where the customer gets nothing: so a hold-out is measured.
    """

    arm_key: str | None
    payload: Any
    reason: Reason
    exposures: tuple[tuple[int, int], ...] = ()


def evaluate(
    key: str,
    customer_key: str,
    attributes: Mapping[str, Any],
    running: Mapping[str, RunningExperiment],
    met: Mapping[int, int],
) -> Answer:
    """Answer which arm of an experiment a customer gets.

    Args:
        key: The experiment's.
        customer_key: What is hashed.
        attributes: What is known of the customer.
        running: All experiments that can be asked for, by key.
        met: Which arm the customer met before, by the experiment's id; it is kept, whatever has
            become of attributes, traffic and weights since.
    """
    return _Evaluation(customer_key, attributes, running, met).answer(key, above=frozenset())


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """One customer before all experiments."""

    customer_key: str
    attributes: Mapping[str, Any]
    running: Mapping[str, RunningExperiment]
    met: Mapping[int, int]

    def answer(self, key: str, *, above: frozenset[str]) -> Answer:
        """Answer for one experiment; `above` are those whose prerequisites led here."""
        experiment = self.running.get(key)
        if experiment is None:
            return _nothing(Reason.UNKNOWN)
        if experiment.served is not None:
            return self._answer_decided(experiment, experiment.served, above=above)
        if experiment.is_paused:
            return _given(experiment.control, Reason.PAUSED)
        known = self.met.get(experiment.id)
        for arm in experiment.arms:
            if arm.id == known:
                return _own(experiment, arm, Reason.KEPT, self._meet_again(experiment, above=above))
        return self._answer_newcomer(experiment, above=above)

    def _answer_decided(
        self, experiment: RunningExperiment, served: RunningArm, *, above: frozenset[str]
    ) -> Answer:
        """Give the arm that was decided for to all of the audience but the held-out.

        Who is on neither side of a hold-out is not measured by it, and gets the arm. Nor is anybody
        on a side who has no key to be hashed.
        """
        if not matches(experiment.audience, self.attributes):
            return _nothing(Reason.NOT_IN_AUDIENCE)
        exposures: tuple[tuple[int, int], ...] = ()
        above = above | {experiment.key}
        for holdout, arm_key in experiment.keeps_to if self.customer_key else ():
            answer = self.answer(holdout, above=above)
            exposures += answer.exposures
            if answer.arm_key not in (None, arm_key):
                return _nothing(Reason.PREREQUISITE, exposures)
        return _given(served, Reason.SERVED, exposures)

    def _answer_newcomer(self, experiment: RunningExperiment, *, above: frozenset[str]) -> Answer:
        if not matches(experiment.audience, self.attributes):
            return _nothing(Reason.NOT_IN_AUDIENCE)
        if not self._is_in(experiment.group):
            return _nothing(Reason.NOT_IN_GROUP)
        is_let_in, exposures = self._meet_required(experiment, above=above)
        if not is_let_in:
            return _nothing(Reason.PREREQUISITE, exposures)
        weights = [arm.weight for arm in experiment.arms]
        index = assign(experiment.seed, self.customer_key, weights, experiment.traffic)
        if index is None:
            return _nothing(Reason.OUTSIDE_TRAFFIC, exposures)
        arm = experiment.arms[index]
        if not arm.is_halted:
            exposures += ((experiment.id, arm.id),)
        return _own(experiment, arm, Reason.ASSIGNED, exposures)

    def _meet_again(
        self, experiment: RunningExperiment, *, above: frozenset[str]
    ) -> tuple[tuple[int, int], ...]:
        """Return what is required and was not met yet, though the arm was.

        A client that told of the arm alone did not tell of it. Who is held out meets the hold-out
        by asking; if those who keep an arm did not, its sides would be of different customers.
        """
        if not (matches(experiment.audience, self.attributes) and self._is_in(experiment.group)):
            return ()
        return self._meet_required(experiment, above=above)[1]

    def _meet_required(
        self, experiment: RunningExperiment, *, above: frozenset[str]
    ) -> tuple[bool, tuple[tuple[int, int], ...]]:
        """Say whether the customer has all arms that are required, and what that exposes to."""
        exposures: tuple[tuple[int, int], ...] = ()
        above = above | {experiment.key}
        for required, arm_key in experiment.prerequisites:
            # Who requires itself, however far around, is never let in.
            if required in above:
                return False, exposures
            answer = self.answer(required, above=above)
            exposures += answer.exposures
            if answer.arm_key != arm_key:
                return False, exposures
        return True, exposures

    def _is_in(self, group: GroupShare | None) -> bool:
        if group is None:
            return True
        return group.start <= bucket_of(group.seed, self.customer_key) < group.end


def _nothing(reason: Reason, exposures: tuple[tuple[int, int], ...] = ()) -> Answer:
    return Answer(None, None, reason, exposures)


def _own(
    experiment: RunningExperiment,
    arm: RunningArm,
    reason: Reason,
    exposures: tuple[tuple[int, int], ...] = (),
) -> Answer:
    """Give customers their arm, or the control instead of a halted one."""
    if arm.is_halted:
        return _given(experiment.control, Reason.HALTED, exposures)
    return _given(arm, reason, exposures)


def _given(arm: RunningArm, reason: Reason, exposures: tuple[tuple[int, int], ...] = ()) -> Answer:
    return Answer(arm.key, arm.payload, reason, exposures)
