"""Start and stop experiments, and ask for their analysis; `adjusting.py` has what is between."""

from datetime import datetime
from functools import partial

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import DateTimeField, Value
from django.db.models.functions import NullIf

from experiments.assigning.assignment import BUCKETS
from experiments.lifecycle.design import digest_design
from experiments.models import (
    LIVE,
    UNSTARTED,
    Change,
    Experiment,
    Role,
    Status,
)
from experiments.notifying.outbox import CHANGED, tell_endpoints
from experiments.planning.versions import record_plan
from wire.notices import announce_change
from wire.wakeups import wake

ANALYSE_TASK = "experiments.analyse_due"
RUN, APPROVE = "experiments.run_experiment", "experiments.approve_experiment"


def start_experiment(
    experiment: Experiment, *, by: User | None, now: datetime, reason: str = ""
) -> None:
    """Let customers in.

    Raises:
        ValidationError: It was started before, its arms or metrics cannot make a comparison, or
            somebody has to approve it, as it is now, first.
    """
    with transaction.atomic():
        locked = lock(experiment)
        require(locked, *UNSTARTED, message="Only a draft can be started.")
        _check_global(locked, by=by)
        if locked.is_standalone and settings.REVIEW_IS_REQUIRED:
            _check_approval(locked)
        check_design(locked)
        locked.status, locked.started_at = Status.RUNNING, now
        locked.save(update_fields=["status", "started_at"])
        record_plan(locked, now=now)
        record_change(locked, "started", by=by, now=now, reason=reason)
        announce_change()
    experiment.refresh_from_db()


def stop_experiment(
    experiment: Experiment, *, by: User | None, now: datetime, reason: str = ""
) -> None:
    """Let no more customers in, and ask for the last analysis.

    Raises:
        ValidationError: It does not run.
    """
    with transaction.atomic():
        locked = lock(experiment)
        require(locked, *LIVE, message="Only a running experiment can be stopped.")
        _check_right(locked, by=by)
        locked.status, locked.stopped_at = Status.STOPPED, now
        locked.save(update_fields=["status", "stopped_at"])
        record_change(locked, "stopped", by=by, now=now, reason=reason)
        request_analysis(locked, now=now)
        announce_change()
    experiment.refresh_from_db()


def right_to_run(experiment: Experiment) -> str:
    """Return the permission that it takes to start and stop an experiment."""
    return APPROVE if experiment.is_global else RUN


def record_change(
    experiment: Experiment, action: str, *, by: User | None, now: datetime, reason: str = ""
) -> None:
    """Write down what happened to an experiment, or to the campaign that hangs on it."""
    Change.objects.create(experiment=experiment, at=now, by=by, action=action, reason=reason)
    told = {"action": action, "by": None if by is None else str(by), "reason": reason}
    tell_endpoints(CHANGED, experiment, told, now=now)


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


def lock(experiment: Experiment) -> Experiment:
    """Read an experiment again, and keep others from changing its state meanwhile."""
    # A full lock would make every exposure that names this experiment wait.
    return Experiment.objects.select_for_update(no_key=True).get(pk=experiment.pk)


def require(experiment: Experiment, *statuses: Status, message: str) -> None:
    """Refuse an experiment in any other status.

    Raises:
        ValidationError: With the message, and the status that it has.
    """
    if experiment.status not in statuses:
        label = Status(experiment.status).label.lower()
        raise ValidationError(f"{message} {experiment.name} is {label}.")


def check_design(experiment: Experiment) -> None:
    """Refuse arms and metrics that cannot make a comparison.

    Raises:
        ValidationError: What is missing.
    """
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


def _check_global(experiment: Experiment, *, by: User | None) -> None:
    """Refuse a second hold-out from everything: each customer is in one epoch at a time."""
    _check_right(experiment, by=by)
    if not experiment.is_global:
        return
    other = Experiment.objects.filter(is_global=True, status__in=LIVE).first()
    if other is not None:
        raise ValidationError(f"{other} still runs. Stop it first: epochs follow each other.")


def _check_right(experiment: Experiment, *, by: User | None) -> None:
    """Let only who may approve begin or end what keeps customers from everything."""
    if experiment.is_global and by is not None and not by.has_perm(APPROVE):
        raise ValidationError(
            "A hold-out from all campaigns is begun and ended by those who may approve experiments."
        )


def _check_approval(experiment: Experiment) -> None:
    require(experiment, Status.APPROVED, message="Only what is approved can be started.")
    newest = experiment.reviews.first()
    if newest is None or not newest.is_approved or newest.digest != digest_design(experiment):
        raise ValidationError(
            "It is no longer what was approved: a metric that it measures, or what it requires, "
            "was changed. Send it to review again."
        )
