"""Begins an assignment, and finds those that are not finished."""

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import connection, transaction

from campaigns.models import Assignment, Campaign, Status
from campaigns.sending.enrolling import find_audience_members
from experiments.lifecycle.status import record_change
from wire.wakeups import wake

ASSIGN_TASK = "campaigns.assign_audiences"
PUT_DOWN = """
    INSERT INTO campaigns_assigned (assignment_id, customer_id, arm, offer)
    SELECT %(assignment)s, member.id, '', '' FROM ({members}) AS member ORDER BY member.id
"""


def ask_for_assignment(campaign: Campaign, *, by: User | None, now: datetime) -> Assignment:
    """Put a campaign's whole audience down to be decided for, as it is now.

    Raises:
        ValidationError: The campaign does not run, or is being assigned already.
    """
    with transaction.atomic():
        locked = (
            Campaign.objects.select_for_update(no_key=True, of=("self",))
            .select_related("audience", "experiment")
            .get(pk=campaign.pk)
        )
        if locked.status != Status.RUNNING:
            raise ValidationError("Only a campaign that runs decides for its audience.")
        if Assignment.objects.filter(campaign=locked, finished_at=None).exists():
            raise ValidationError("Its audience is being decided for already.")
        assignment = Assignment.objects.create(campaign=locked, asked_at=now, asked_by=by)
        members = find_audience_members(locked, now=now)
        params: dict[str, Any] = {**members.params, "assignment": assignment.pk}
        with connection.cursor() as cursor:
            cursor.execute(PUT_DOWN.format(members=members.sql), params)
            assignment.total = cursor.rowcount
        assignment.save(update_fields=["total"])
        words = f"asked to decide for all {assignment.total:,} of its audience"
        record_change(locked.experiment, words, by=by, now=now)
        transaction.on_commit(lambda: wake(ASSIGN_TASK))
    return assignment


def find_unfinished() -> list[Assignment]:
    """Return what is not finished, the oldest first."""
    unfinished = Assignment.objects.filter(finished_at=None)
    return list(unfinished.select_related("campaign__policy").order_by("asked_at"))


def note_problem(assignment: Assignment, error: Exception) -> None:
    """Write down why an assignment does not go on."""
    words = f"{type(error).__name__}: {error}"[:300]
    Assignment.objects.filter(pk=assignment.pk).update(problem=words)
