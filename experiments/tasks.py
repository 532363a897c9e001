"""Analyse the experiments that are due."""

from datetime import datetime, timedelta

from celery import shared_task
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from experiments.analysis import analyse
from experiments.lifecycle import ANALYSE_TASK
from experiments.models import Experiment, Status


@shared_task(name=ANALYSE_TASK)
def analyse_due() -> int:
    """Analyse what was asked for, and what runs and was not looked at for a while."""
    done = 0
    while analyse_next(now=timezone.now()):
        done += 1
    return done


def analyse_next(*, now: datetime) -> bool:
    """Analyse one due experiment that no other worker has in hand; tell whether there was one."""
    stale = now - timedelta(seconds=settings.ANALYSIS_INTERVAL_SECONDS)
    asked = Q(analysis_requested_at__isnull=False) & (
        Q(analysed_at__isnull=True) | Q(analysed_at__lt=F("analysis_requested_at"))
    )
    old = Q(status=Status.RUNNING) & (Q(analysed_at__isnull=True) | Q(analysed_at__lt=stale))
    with transaction.atomic():
        experiment = (
            Experiment.objects.select_for_update(skip_locked=True, no_key=True)
            .filter(asked | old, measured__isnull=False)
            .order_by("analysis_requested_at", "pk")
            .first()
        )
        if experiment is None:
            return False
        analyse(experiment, now=now)
        Experiment.objects.filter(pk=experiment.pk).update(analysed_at=now)
    return True
