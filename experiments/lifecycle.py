"""Start and stop experiments; ask for their analysis. Nothing else changes a status."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import DateTimeField, Value
from django.db.models.functions import NullIf

from experiments.assignment import BUCKETS
from experiments.models import Arm, Change, Experiment, ExperimentMetric, Metric, Role, Status
from experiments.planning import record_plan
from wire.wakeups import wake

ANALYSE_TASK = "experiments.analyse_due"


@dataclass(frozen=True, slots=True)
class ArmPlan:
    """An arm that an experiment is to have; `weight` in buckets of 10,000."""

    key: str
    name: str
    weight: int
    is_control: bool = False
    payload: Mapping[str, Any] = field(default_factory=dict)


def plan_experiment(
    *,
    key: str,
    name: str,
    arms: Sequence[ArmPlan],
    goal: Metric,
    others: Sequence[Metric] = (),
    guardrails: Mapping[Metric, float | None] = MappingProxyType({}),
    seed: str = "",
    **promises: Any,
) -> Experiment:
    """Make a draft with its arms and metrics, and a seed of its own unless one is given.

    Args:
        key: Of the experiment.
        name: For people.
        arms: All arms, in their order.
        goal: The metric that decides.
        others: Metrics that explain.
        guardrails: Metrics that must not be harmed, each with the loss that is acceptable, if any.
        seed: Decides who falls into which arm.
        promises: Fields of the experiment that its plan is made of, such as `planned_customers`.
    """
    with transaction.atomic():
        experiment = Experiment.objects.create(
            key=key,
            name=name,
            seed=seed or f"{key}:{secrets.token_hex(4)}",
            **promises,
        )
        Arm.objects.bulk_create(
            Arm(
                experiment=experiment,
                key=arm.key,
                name=arm.name,
                weight=arm.weight,
                is_control=arm.is_control,
                payload=dict(arm.payload),
                position=position,
            )
            for position, arm in enumerate(arms)
        )
        parts: list[tuple[Metric, Role, float | None]] = [
            (goal, Role.GOAL, None),
            *((metric, Role.GUARDRAIL, margin) for metric, margin in guardrails.items()),
            *((metric, Role.SECONDARY, None) for metric in others),
        ]
        for position, (metric, role, margin) in enumerate(parts):
            ExperimentMetric.objects.create(
                experiment=experiment, metric=metric, role=role, margin=margin, position=position
            )
    return experiment


def start_experiment(
    experiment: Experiment, *, by: User | None, now: datetime, reason: str = ""
) -> None:
    """Let customers in.

    Raises:
        ValidationError: It is no draft, or its arms or metrics cannot make a comparison.
    """
    with transaction.atomic():
        locked = _lock(experiment)
        _require(locked, Status.DRAFT, "Only a draft can be started.")
        _check_design(locked)
        locked.status, locked.started_at = Status.RUNNING, now
        locked.save(update_fields=["status", "started_at"])
        record_plan(locked, now=now)
        record_change(locked, "started", by=by, now=now, reason=reason)
    experiment.refresh_from_db()


def stop_experiment(
    experiment: Experiment, *, by: User | None, now: datetime, reason: str = ""
) -> None:
    """Let no more customers in, and ask for the last analysis.

    Raises:
        ValidationError: It does not run.
    """
    with transaction.atomic():
        locked = _lock(experiment)
        _require(locked, Status.RUNNING, "Only a running experiment can be stopped.")
        locked.status, locked.stopped_at = Status.STOPPED, now
        locked.save(update_fields=["status", "stopped_at"])
        record_change(locked, "stopped", by=by, now=now, reason=reason)
        request_analysis(locked, now=now)
    experiment.refresh_from_db()


def change_weights(
    experiment: Experiment,
    weights: Mapping[str, int],
    *,
    by: User | None,
    now: datetime,
    reason: str,
) -> None:
    """Give arms other shares of the customers to come, as a new version of the plan.

    Customers are counted against the weights of the time when they came. Those who were exposed
    before may fall into another arm by the new ranges; they are then left out as met in two arms,
    so prefer to let an arm grow into buckets that nobody had.

    Args:
        experiment: One that runs.
        weights: The new shares in buckets, by arm key; arms not named keep theirs.
        by: Who does it.
        now: When.
        reason: Why, for those who read the report.

    Raises:
        ValidationError: It does not run, an arm is not known, or the shares make no comparison.
    """
    with transaction.atomic():
        locked = _lock(experiment)
        _require(locked, Status.RUNNING, "Only a running experiment can be given other weights.")
        arms = {arm.key: arm for arm in locked.arms.all()}
        for key, weight in weights.items():
            if key not in arms:
                raise ValidationError(f"{locked.name} has no arm {key}.")
            arms[key].weight = weight
            arms[key].full_clean()
            arms[key].save(update_fields=["weight"])
        _check_design(locked)
        version = record_plan(locked, now=now)
        said = ", ".join(f"{key} {weight}" for key, weight in weights.items())
        what = f"weights changed to {said} (plan {version.number})"
        record_change(locked, what[:200], by=by, now=now, reason=reason)
    experiment.refresh_from_db()


def record_change(
    experiment: Experiment, action: str, *, by: User | None, now: datetime, reason: str = ""
) -> None:
    """Write down what happened to an experiment, or to the campaign that hangs on it."""
    Change.objects.create(experiment=experiment, at=now, by=by, action=action, reason=reason)


def request_analysis(experiment: Experiment, *, now: datetime) -> None:
    """Ask a worker for a fresh analysis."""
    Experiment.objects.filter(pk=experiment.pk).update(analysis_requested_at=now)
    transaction.on_commit(partial(wake, ANALYSE_TASK))


def record_analysis(experiment: Experiment, *, now: datetime) -> None:
    """Note that an experiment was analysed, as it was read then.

    A request that came since stays open, whatever the clocks of web and worker say.
    """
    seen = Value(experiment.analysis_requested_at, DateTimeField())
    Experiment.objects.filter(pk=experiment.pk).update(
        analysed_at=now, analysis_requested_at=NullIf("analysis_requested_at", seen)
    )


def _lock(experiment: Experiment) -> Experiment:
    # A full lock would make every exposure that names this experiment wait.
    return Experiment.objects.select_for_update(no_key=True).get(pk=experiment.pk)


def _require(experiment: Experiment, status: Status, message: str) -> None:
    if experiment.status != status:
        label = Status(experiment.status).label.lower()
        raise ValidationError(f"{message} {experiment.name} is {label}.")


def _check_design(experiment: Experiment) -> None:
    arms = list(experiment.arms.all())
    weighted = [arm for arm in arms if arm.weight > 0]
    if len(weighted) < 2:
        raise ValidationError("An experiment needs at least two arms with customers.")
    if not any(arm.is_control for arm in weighted):
        raise ValidationError("One of the arms with customers must be the control.")
    if sum(arm.weight for arm in arms) > BUCKETS:
        raise ValidationError("The arms' shares add up to more than all customers.")
    if not experiment.measured.filter(role=Role.GOAL).exists():
        raise ValidationError("An experiment needs a goal metric.")
