"""Finds what past experiments did to their goals, for what to expect of the next one."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import OuterRef, Subquery

from experiments.models import Analysis, Experiment, Status
from experiments.stats.bayes import Prior, find_log_ratio, fit_prior
from experiments.stats.estimate import Estimate, result_from_json

# Older ones say little about the site of today.
MOST_PAST = 200


def find_prior(besides: Experiment | None = None) -> Prior:
    """Learn what effects to expect: from all experiments that ended, winners and losers alike."""
    newest = Analysis.objects.filter(experiment=OuterRef("pk")).order_by("-computed_at")
    ended = Experiment.objects.filter(status=Status.STOPPED, is_holdout=False)
    if besides is not None:
        ended = ended.exclude(pk=besides.pk)
    reports: Iterable[Any] = (
        ended.order_by("-stopped_at")
        .annotate(
            newest=Subquery(newest.values("report__metrics")[:1]),
            kind=Subquery(newest.values("report__verdict__kind")[:1]),
        )
        # What a check found untrustworthy says nothing of effects, and is often far too large.
        .exclude(kind="unsound")
        .values_list("newest", flat=True)[:MOST_PAST]
    )
    effects = [effect for metrics in reports if metrics for effect in _goal_effects(metrics)]
    return fit_prior([log_ratio for log_ratio, _ in effects], [error for _, error in effects])


def _goal_effects(metrics: list[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Read every arm's log-ratio on the goal, with its standard error."""
    goal = next(metric for metric in metrics if metric["role"] == "goal")
    results = [result_from_json(result) for result in goal["results"].values()]
    found = [find_log_ratio(result) for result in results if isinstance(result, Estimate)]
    return [effect for effect in found if effect is not None]
