"""What workers do for experiments: analyse what is due, thin out, tell."""

import logging

from celery import shared_task
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from experiments.analysing.analysis import analyse
from experiments.analysing.thinning import thin_analyses
from experiments.lifecycle.breaker import trip
from experiments.lifecycle.status import ANALYSE_TASK, record_analysis
from experiments.measuring.queries import claim_analysis
from experiments.models import Experiment, ExperimentQuerySet
from experiments.notifying.delivery import deliver_due
from experiments.notifying.digest import send_digests
from experiments.notifying.outbox import DELIVER_TASK, VERDICT, tell_endpoints
from experiments.replays.runs import REPLAY_TASK, run_due

THIN_TASK = "experiments.thin_analyses"
DIGEST_TASK = "experiments.write_digests"
# Of one run, so that others have their turn.
MOST_NOTICES = 200

logger = logging.getLogger(__name__)


@shared_task(name=ANALYSE_TASK)
def analyse_due() -> int:
    """Analyse what was asked for, and what runs and was not looked at for a while."""
    done = 0
    for experiment_id in _due().values_list("pk", flat=True):
        try:
            done += analyse_if_due(experiment_id)
        except Exception:
            # One damaged experiment must not keep the others from their analysis.
            logger.exception("Experiment %s could not be analysed", experiment_id)
    return done


def analyse_if_due(experiment_id: int) -> bool:
    """Analyse an experiment unless another worker has it in hand or just did it."""
    with transaction.atomic():
        if not claim_analysis(experiment_id):
            return False
        # Whoever held the claim before may have done it meanwhile.
        experiment = _due().filter(pk=experiment_id).first()
        if experiment is None:
            return False
        now = timezone.now()
        analysis = analyse(experiment, now=now)
        record_analysis(experiment, now=now)
        trip(experiment, analysis, now=now)
        if analysis.is_decision:
            verdict = analysis.report["verdict"]
            told = {name: verdict[name] for name in ("code", "sentence", "next_step")}
            tell_endpoints(VERDICT, experiment, told, now=now)
    logger.info("%s: analysed, %d customers so far", experiment, analysis.report["customers"])
    return True


@shared_task(name=THIN_TASK)
def thin_all() -> int:
    """Thin out old analyses, also those of experiments that stopped; return how many went."""
    now = timezone.now()
    deleted = sum(thin_analyses(experiment, now=now) for experiment in Experiment.objects.all())
    if deleted:
        logger.info("%d old analyses between looks were deleted", deleted)
    return deleted


@shared_task(name=DELIVER_TASK)
def deliver_notices() -> int:
    """Send what is due to endpoints and addresses, until nothing is; return how many were taken."""
    taken = 0
    while taken < MOST_NOTICES and (sent := deliver_due(now=timezone.now())):
        taken += sent
    return taken


@shared_task(name=DIGEST_TASK)
def write_digests() -> int:
    """Write the weekly digest once its time has come; return to how many."""
    return send_digests(now=timezone.now())


@shared_task(name=REPLAY_TASK)
def replay_due() -> int:
    """Run the A/A replays that were asked for; return how many."""
    return run_due()


def _due() -> ExperimentQuerySet:
    return Experiment.objects.due_for_analysis(
        now=timezone.now(), interval_seconds=settings.ANALYSIS_INTERVAL_SECONDS
    )
