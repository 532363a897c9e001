"""The circuit breaker: an arm that surely does harm is halted by the analysis that found it."""

import logging
from datetime import datetime

from django.conf import settings
from django.core.exceptions import ValidationError

from experiments.lifecycle.adjusting import halt_arm
from experiments.models import LIVE, Analysis, Experiment
from experiments.notifying.outbox import HARM, mail, tell_endpoints
from experiments.wording import say_list

logger = logging.getLogger(__name__)

_OF_HOLDOUT = (
    "Nothing was halted, because no arm of a hold-out is: everybody would be held out. Look which "
    "experiment, campaign or shipped arm does the harm, and halt it or roll it back. The hold-out "
    "is at"
)


def trip(experiment: Experiment, analysis: Analysis, *, now: datetime) -> list[str]:
    """Halt the arms that an analysis found harmful, unless people let one go on; return them.

    An arm that somebody released after it was halted is theirs: the same harm, which stands in
    every later analysis, does not halt it again. Of a hold-out none is halted, and people are told.
    """
    if not experiment.is_standalone or experiment.status not in LIVE:
        return []
    verdict = analysis.report["verdict"]
    if experiment.is_holdout:
        # What all experiments or campaigns do together is for people to judge: halted, they would
        # shut everybody out of all of them.
        if verdict["harmful_arms"] and not _was_told(experiment, analysis):
            _mail(experiment, analysis, "Harm", _OF_HOLDOUT, now=now)
        return []
    halted = []
    for arm in experiment.arms.filter(key__in=verdict["harmful_arms"], halted_at=None):
        if experiment.changes.filter(action=f"released {arm}"[:200]).exists():
            continue
        try:
            halt_arm(experiment, arm.key, by=None, now=now, reason=_say_why(analysis))
        except ValidationError:
            # Somebody stopped the experiment, or halted the arm, while it was analysed.
            continue
        logger.warning("%s: %s does harm and was halted", experiment, arm)
        halted.append(arm.key)
    if halted:
        _tell(experiment, analysis, halted, now=now)
    return halted


def _tell(experiment: Experiment, analysis: Analysis, halted: list[str], *, now: datetime) -> None:
    """Let endpoints know, and whoever drafted or approved the experiment, by mail."""
    verdict = analysis.report["verdict"]
    tell_endpoints(HARM, experiment, {"arms": halted, "sentence": verdict["sentence"]}, now=now)
    what = (
        f"The circuit breaker halted {say_list(halted)}: everybody gets what the control gets. If "
        "that is wrong, let it go on at"
    )
    _mail(experiment, analysis, "Halted", what, now=now)


def _was_told(experiment: Experiment, analysis: Analysis) -> bool:
    """Say whether an earlier analysis of a hold-out found harm, which stands in every later one."""
    earlier = experiment.analyses.exclude(pk=analysis.pk)
    return earlier.exclude(report__verdict__harmful_arms=[]).exists()


def _mail(
    experiment: Experiment, analysis: Analysis, title: str, what: str, *, now: datetime
) -> None:
    """Write to whoever drafted or approved the experiment, once for each analysis."""
    verdict = analysis.report["verdict"]
    reviews = experiment.reviews.filter(is_approved=True).select_related("answered_by")
    people = [experiment.created_by, *(review.answered_by for review in reviews)]
    url = f"{settings.SITE_URL}{experiment.get_absolute_url()}"
    for email in dict.fromkeys(person.email for person in people if person and person.email):
        mail(
            HARM,
            f"harm.{analysis.pk}.{email}"[:100],
            email,
            {
                "subject": f"{title}: {experiment.name}",
                "text": f"{verdict['sentence']}\n\n{what}\n{url}\n",
            },
            now=now,
        )


def _say_why(analysis: Analysis) -> str:
    verdict = analysis.report["verdict"]
    return f"Circuit breaker: {verdict['sentence']}"
