"""Steer experiments while they run: pause, ramp, other weights, arms that did harm."""

from collections.abc import Mapping
from datetime import datetime

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from experiments.assigning.assignment import BUCKETS
from experiments.lifecycle.status import check_design, lock, record_change, require
from experiments.models import LIVE, Arm, Experiment, Status
from experiments.planning.versions import record_plan
from wire.notices import announce_change


def pause_experiment(
    experiment: Experiment, *, by: User | None, now: datetime, reason: str
) -> None:
    """Give everybody what the control gets, and let nobody in; measuring goes on.

    A hold-out is not paused. Its control is kept from every experiment, so everybody would be, and
    none of them would let a newcomer in; and letting the held-out ones in, if only for some days,
    would end the comparison for good.

    Raises:
        ValidationError: It does not run, or it is a hold-out.
    """
    with transaction.atomic():
        locked = lock(experiment)
        require(locked, Status.RUNNING, message="Only a running experiment can be paused.")
        if locked.is_holdout:
            raise ValidationError("A hold-out is not paused: it holds the same people out or ends.")
        _set_status(locked, Status.PAUSED)
        record_change(locked, "paused", by=by, now=now, reason=reason)
    experiment.refresh_from_db()


def resume_experiment(
    experiment: Experiment, *, by: User | None, now: datetime, reason: str
) -> None:
    """Let a paused experiment go on: everybody gets the arm they had.

    Raises:
        ValidationError: It is not paused.
    """
    with transaction.atomic():
        locked = lock(experiment)
        require(locked, Status.PAUSED, message="Only a paused experiment can go on.")
        _set_status(locked, Status.RUNNING)
        record_change(locked, "resumed", by=by, now=now, reason=reason)
    experiment.refresh_from_db()


def ramp_experiment(
    experiment: Experiment, traffic: int, *, by: User | None, now: datetime, reason: str
) -> None:
    """Let more of the audience in, or fewer; nobody changes arms by that.

    Args:
        experiment: One that runs or is paused.
        traffic: How many of the audience take part, in buckets.
        by: Who does it.
        now: When.
        reason: Why, for those who read the report.

    Raises:
        ValidationError: It does not run, the share is none, or it is a hold-out that fewer would be
            on a side of: they would be let into no experiment that keeps to it.
    """
    if not 0 < traffic <= BUCKETS:
        raise ValidationError("Between 0.01% and 100% of the audience can take part.")
    with transaction.atomic():
        locked = lock(experiment)
        require(locked, *LIVE, message="Only a running experiment can be ramped.")
        if locked.is_holdout and traffic < locked.traffic:
            raise ValidationError(
                "A hold-out only grows: who is on neither side of it is let into no experiment "
                "that keeps to it. To hold fewer people out, end it and begin another one."
            )
        before, locked.traffic = locked.traffic, traffic
        locked.save(update_fields=["traffic"])
        what = f"traffic from {before / 100:g}% to {traffic / 100:g}%"
        record_change(locked, what, by=by, now=now, reason=reason)
        announce_change()
    experiment.refresh_from_db()


def halt_arm(
    experiment: Experiment, arm_key: str, *, by: User | None, now: datetime, reason: str
) -> None:
    """Give an arm's customers what the control gets, and expose nobody more to it.

    The others keep their arms: no range of buckets moves. It is a new version of the plan, by
    which the arm has no share of the customers to come.

    No arm of a hold-out is halted. Its customers would be held out like its control's, so everybody
    would be: no experiment that keeps to it would let a newcomer in, and what was shipped would be
    taken from all.

    Raises:
        ValidationError: The experiment is over or a hold-out, or the arm is its control, unknown or
            halted already.
    """
    with transaction.atomic():
        locked = lock(experiment)
        require(locked, *LIVE, message="Only an arm of a running experiment can be halted.")
        if locked.is_holdout:
            raise ValidationError(
                "No arm of a hold-out is halted: everybody would be held out. Roll back what does "
                "the harm, or end the hold-out."
            )
        arm = _find_arm(locked, arm_key)
        if arm.is_control or arm.halted_at is not None:
            raise ValidationError(f"{arm} cannot be halted.")
        arm.halted_at = now
        arm.save(update_fields=["halted_at"])
        record_plan(locked, now=now)
        record_change(locked, f"halted {arm}"[:200], by=by, now=now, reason=reason)
        announce_change()


def release_arm(
    experiment: Experiment, arm_key: str, *, by: User | None, now: datetime, reason: str
) -> None:
    """Let a halted arm go on.

    Raises:
        ValidationError: The experiment is over, or the arm is unknown or was not halted.
    """
    with transaction.atomic():
        locked = lock(experiment)
        require(locked, *LIVE, message="Only an arm of a running experiment can go on.")
        arm = _find_arm(locked, arm_key)
        if arm.halted_at is None:
            raise ValidationError(f"{arm} was not halted.")
        arm.halted_at = None
        arm.save(update_fields=["halted_at"])
        record_plan(locked, now=now)
        record_change(locked, f"released {arm}"[:200], by=by, now=now, reason=reason)
        announce_change()


def change_weights(
    experiment: Experiment,
    weights: Mapping[str, int],
    *,
    by: User | None,
    now: datetime,
    reason: str,
) -> None:
    """Give arms other shares of the customers to come, as a new version of the plan.

    Customers are counted against the weights of the time when they came, and compared with those
    who came at the same odds (`experiments/analysing/phases.py`). Those who were exposed
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
        locked = lock(experiment)
        require(locked, *LIVE, message="Only a running experiment can be given other weights.")
        arms = {arm.key: arm for arm in locked.arms.all()}
        for key, weight in weights.items():
            if key not in arms:
                raise ValidationError(f"{locked.name} has no arm {key}.")
            arms[key].weight = weight
            arms[key].full_clean()
            arms[key].save(update_fields=["weight"])
        check_design(locked)
        version = record_plan(locked, now=now)
        said = ", ".join(f"{key} {weight}" for key, weight in weights.items())
        what = f"weights changed to {said} (plan {version.number})"
        record_change(locked, what[:200], by=by, now=now, reason=reason)
        announce_change()
    experiment.refresh_from_db()


def _set_status(experiment: Experiment, status: Status) -> None:
    experiment.status = status
    experiment.save(update_fields=["status"])
    announce_change()


def _find_arm(experiment: Experiment, key: str) -> Arm:
    arm = experiment.arms.filter(key=key).first()
    if arm is None:
        raise ValidationError(f"{experiment.name} has no arm {key}.")
    return arm
