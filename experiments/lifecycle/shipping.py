"""Decide what an experiment comes to: ship an arm, roll back, extend; and take that back."""

from datetime import datetime

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from experiments.lifecycle.status import lock, record_change, require, stop_experiment
from experiments.models import (
    LIVE,
    Arm,
    Experiment,
    ExperimentQuerySet,
    Exposure,
    Outcome,
    Status,
)
from experiments.plan import Extension
from experiments.planning.versions import record_plan
from wire.notices import announce_change


def ship_arm(
    experiment: Experiment, arm_key: str, *, by: User | None, now: datetime, reason: str
) -> None:
    """Give everybody in the audience an arm's payload, and stop the experiment if it runs.

    Whom a hold-out keeps from it, that it keeps to, gets nothing until the hold-out ends.

    Raises:
        ValidationError: It was never started or is decided already, or there is no such arm.
    """
    _decide(experiment, arm_key, Outcome.SHIPPED, by=by, now=now, reason=reason)


def roll_back(experiment: Experiment, *, by: User | None, now: datetime, reason: str) -> None:
    """Give everybody in the audience the control's payload, and stop the experiment if it runs.

    Raises:
        ValidationError: It was never started or is decided already.
    """
    control = experiment.arms.get(is_control=True)
    _decide(experiment, control.key, Outcome.ROLLED_BACK, by=by, now=now, reason=reason)


def undo_decision(experiment: Experiment, *, by: User | None, now: datetime, reason: str) -> None:
    """Take a decision back: nobody is given an arm any more, and it can be decided again.

    Raises:
        ValidationError: Nothing was decided.
    """
    with transaction.atomic():
        locked = lock(experiment)
        if not locked.outcome:
            raise ValidationError("Nothing was decided that could be taken back.")
        undone = Outcome(locked.outcome).label.lower()
        locked.outcome, locked.served_arm, locked.decided_at = "", None, None
        locked.save(update_fields=["outcome", "served_arm", "decided_at"])
        record_change(locked, f"undid: {undone}", by=by, now=now, reason=reason)
        announce_change()
    experiment.refresh_from_db()


def extend_experiment(
    experiment: Experiment, planned: int, *, by: User | None, now: datetime, reason: str
) -> None:
    """Plan for more customers, as a new version of the plan.

    The error that looks have spent stays spent; what is left is spread over what is to come.

    Args:
        experiment: One that runs, without a verdict that stands.
        planned: How many customers are to take part instead.
        by: Who does it.
        now: When.
        reason: Why, for those who read the report.

    Raises:
        ValidationError: It is over or decided, or that would be no more customers than before.
    """
    with transaction.atomic():
        locked = lock(experiment)
        require(locked, *LIVE, message="Only a running experiment can be extended.")
        if locked.analyses.filter(is_decision=True).exists():
            raise ValidationError(
                "Its verdict stands: all the error that was allowed is spent. Draft a new one."
            )
        if planned <= locked.planned_customers:
            raise ValidationError(
                f"It is planned for {locked.planned_customers:,} customers already."
            )
        before, locked.planned_customers = locked.planned_customers, planned
        locked.full_clean(exclude=["seed"])
        locked.save(update_fields=["planned_customers"])
        came = Exposure.objects.filter(experiment=locked).count()
        version = record_plan(locked, now=now, extension=Extension(came, before))
        what = f"extended from {before:,} to {planned:,} customers (plan {version.number})"
        record_change(locked, what, by=by, now=now, reason=reason)
    experiment.refresh_from_db()


def find_holdouts(experiment: Experiment) -> ExperimentQuerySet:
    """Find the hold-outs that keep their customers from what was shipped, for as long as they run.

    What was rolled back is kept from nobody.
    """
    if experiment.served_arm is None or experiment.served_arm.is_control:
        return Experiment.objects.none()
    return Experiment.objects.filter(
        is_holdout=True, status__in=LIVE, arms__required_by__experiment=experiment
    ).distinct()


def _decide(
    experiment: Experiment,
    arm_key: str,
    outcome: Outcome,
    *,
    by: User | None,
    now: datetime,
    reason: str,
) -> None:
    with transaction.atomic():
        locked = lock(experiment)
        require(locked, *LIVE, Status.STOPPED, message="Only what was started can be decided.")
        if locked.outcome:
            raise ValidationError(
                f"It is decided: {Outcome(locked.outcome).label.lower()}. Undo that first."
            )
        if not locked.is_standalone:
            raise ValidationError("Its campaign decides what customers get.")
        arm: Arm | None = locked.arms.filter(key=arm_key).first()
        if arm is None:
            raise ValidationError(f"{locked.name} has no arm {arm_key}.")
        if locked.status != Status.STOPPED:
            stop_experiment(locked, by=by, now=now, reason=reason)
        locked.outcome, locked.served_arm, locked.decided_at = outcome, arm, now
        locked.save(update_fields=["outcome", "served_arm", "decided_at"])
        action = f"shipped {arm}" if outcome == Outcome.SHIPPED else f"rolled back to {arm}"
        record_change(locked, action[:200], by=by, now=now, reason=reason)
        announce_change()
    experiment.refresh_from_db()
