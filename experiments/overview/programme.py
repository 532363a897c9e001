"""What all shipped experiments come to together, and whether a hold-out says the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import OuterRef, Subquery
from django.db.models.functions import Coalesce

from experiments.models import Analysis, Experiment, ExperimentQuerySet, Outcome, Prerequisite
from experiments.planning.past import find_prior
from experiments.stats.bayes import Prior, find_log_ratio, read_effect
from experiments.stats.estimate import Estimate, result_from_json
from experiments.stats.impact import Cumulative, Reconciled, accumulate, reconcile

UNSURE = 0.05


@dataclass(frozen=True, slots=True)
class Shipped:
    """A shipped experiment: what it measured on its goal, and what to believe of that.

    Attributes:
        experiment: The experiment.
        at: When everybody began to get its arm.
        measured: The lift as measured.
        believed: The lift after the prior.
        log_ratio: What is believed, as a logarithm.
        sd: Its standard deviation.
    """

    experiment: Experiment
    at: datetime
    measured: float
    believed: float
    log_ratio: float
    sd: float


@dataclass(frozen=True, slots=True)
class HoldoutSays:
    """A hold-out's own estimate of what was shipped while it lasted and keeps to it.

    Attributes:
        experiment: The hold-out.
        estimate: What it says of the metric.
        reconciled: How that fits the sum of what was shipped.
        shipped: How many were shipped that it measures.
        others: How many both of its sides got meanwhile, because they do not keep to it.
    """

    experiment: Experiment
    estimate: Estimate
    reconciled: Reconciled
    shipped: int
    others: int

    @property
    def agrees(self) -> bool:
        """Whether chance alone may explain the gap."""
        return self.reconciled.p_value >= UNSURE


@dataclass(frozen=True, slots=True)
class Impact:
    """What was shipped for one metric.

    Attributes:
        metric: The metric's key.
        name: Its name.
        shipped: The experiments, the oldest first.
        totals: What they come to after each of them.
        naive: What a sum of the lifts as measured would claim.
        holdouts: What hold-outs say of the same metric.
    """

    metric: str
    name: str
    shipped: Sequence[Shipped]
    totals: Sequence[Cumulative]
    naive: float
    holdouts: Sequence[HoldoutSays]


def find_impact() -> tuple[list[Impact], Prior]:
    """Add up what was shipped, by goal metric; and return what was believed before.

    The prior is fitted over every experiment that ended, losers too. An experiment in which less is
    better counts by its own metric like any other: its lift is meant to be negative.
    """
    prior = find_prior()
    by_metric: dict[str, list[Shipped]] = {}
    names: dict[str, str] = {}
    for experiment in _with_newest(Experiment.objects.filter(outcome=Outcome.SHIPPED)):
        read = _read_shipped(experiment, prior)
        if read is not None:
            key, name, shipped = read
            by_metric.setdefault(key, []).append(shipped)
            names[key] = name
    # One that keeps from campaigns too measures more than what was shipped.
    holdouts = list(_with_newest(Experiment.objects.filter(is_holdout=True, is_global=False)))
    impacts = []
    for key, shipped_ones in by_metric.items():
        naive = 1.0
        for one in shipped_ones:
            naive *= 1.0 + one.measured
        totals = accumulate([(one.log_ratio, one.sd) for one in shipped_ones])
        says = [_hold_against(holdout, key, shipped_ones) for holdout in holdouts]
        found = [one for one in says if one is not None]
        impacts.append(Impact(key, names[key], shipped_ones, totals, naive - 1.0, found))
    return sorted(impacts, key=lambda impact: -len(impact.shipped)), prior


def _with_newest(experiments: ExperimentQuerySet) -> ExperimentQuerySet:
    newest = Analysis.objects.filter(experiment=OuterRef("pk")).order_by("-computed_at")
    return (
        experiments.exclude(started_at=None)
        .annotate(metrics_found=Subquery(newest.values("report__metrics")[:1]))
        .select_related("served_arm")
        .order_by(Coalesce("decided_at", "stopped_at"), "pk")
    )


def _read_shipped(experiment: Experiment, prior: Prior) -> tuple[str, str, Shipped] | None:
    metrics = getattr(experiment, "metrics_found", None) or []
    goal = next((metric for metric in metrics if metric["role"] == "goal"), None)
    arm = experiment.served_arm
    at = experiment.decided_at or experiment.stopped_at
    if goal is None or arm is None or at is None:
        return None
    if arm.key not in goal["results"]:
        return None
    result = result_from_json(goal["results"][arm.key])
    log_ratio = find_log_ratio(result) if isinstance(result, Estimate) else None
    if not isinstance(result, Estimate) or log_ratio is None:
        return None
    reading = read_effect(*log_ratio, prior=prior)
    weight = 1.0 / (1.0 + (log_ratio[1] / prior.sd) ** 2)
    shipped = Shipped(
        experiment,
        at,
        float(result.relative or 0.0),
        reading.lift,
        weight * log_ratio[0],
        weight**0.5 * log_ratio[1],
    )
    return goal["key"], goal["name"], shipped


def _hold_against(
    holdout: Experiment, metric: str, shipped: Sequence[Shipped]
) -> HoldoutSays | None:
    """Compare a hold-out with what was shipped while it lasted and withheld from its held-out."""
    keeping = set(
        Prerequisite.objects.filter(arm__experiment=holdout, arm__is_control=False).values_list(
            "experiment_id", flat=True
        )
    )
    meanwhile = [one for one in shipped if _is_during(holdout, one.at)]
    since = [one for one in meanwhile if one.experiment.pk in keeping]
    metrics = getattr(holdout, "metrics_found", None) or []
    found = next((m for m in metrics if m["key"] == metric), None)
    if found is None or not since:
        return None
    results = [result_from_json(result) for result in found["results"].values()]
    estimate = next((result for result in results if isinstance(result, Estimate)), None)
    log_ratio = None if estimate is None else find_log_ratio(estimate)
    if estimate is None or log_ratio is None:
        return None
    total = accumulate([(one.log_ratio, one.sd) for one in since])[-1]
    reconciled = reconcile(total, *log_ratio)
    return HoldoutSays(holdout, estimate, reconciled, len(since), len(meanwhile) - len(since))


def _is_during(holdout: Experiment, at: datetime) -> bool:
    start, end = holdout.started_at, holdout.stopped_at
    return start is not None and start <= at and (end is None or at <= end)
