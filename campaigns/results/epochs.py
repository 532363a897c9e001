"""Finds the hold-outs from all campaigns, past and present, whom they hold out, and ends them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audience.models import Customer
from campaigns.results.page import LineRow, say_line
from campaigns.results.worth import add_up
from experiments.assigning.assignment import BUCKETS, assign
from experiments.lifecycle.status import stop_experiment
from experiments.models import LIVE, Analysis, Experiment, Exposure
from experiments.stats.estimate import result_from_json
from experiments.wording import say_value

ENDED = "its planned end has come"


@dataclass(frozen=True, slots=True)
class Epoch:
    """One hold-out from all campaigns, and what they came to against it.

    Attributes:
        experiment: The hold-out.
        share: The share of customers that it holds out, in words.
        analysis: The newest; None where there is none, or it is hidden.
        hidden_until: When results are shown, where they are hidden from whoever looks.
        served: How many customers campaigns could reach.
        held_out: How many they could not, who would have got something.
        lines: Its metrics, per customer.
        sentence: What its verdict is.
    """

    experiment: Experiment
    share: str
    analysis: Analysis | None
    hidden_until: datetime | None = None
    served: int = 0
    held_out: int = 0
    lines: Sequence[LineRow] = ()
    sentence: str = ""


def list_epochs(*, may_peek: bool, now: datetime) -> list[Epoch]:
    """Return all epochs that were begun or are being set up, the newest first."""
    holdouts = Experiment.objects.filter(is_global=True).order_by("-created_at", "-pk")
    return [_to_epoch(holdout, may_peek=may_peek, now=now) for holdout in holdouts]


def end_epoch(*, now: datetime) -> bool:
    """Stop the epoch whose planned end has come; return whether there was one."""
    over = Experiment.objects.filter(
        is_global=True, status__in=LIVE, planned_end__lte=now.date()
    ).first()
    if over is None:
        return False
    stop_experiment(over, by=None, now=now, reason=ENDED)
    return True


def find_holdout_of(person: Customer, customer_ids: Sequence[int]) -> str:
    """Return the name of the epoch that holds a person out now; empty where none does.

    Args:
        person: Who.
        customer_ids: Of all names of the person.
    """
    holdout = Experiment.objects.filter(is_global=True, status__in=LIVE).first()
    if holdout is None:
        return ""
    met = (
        Exposure.objects.filter(experiment=holdout, customer_id__in=customer_ids)
        .select_related("arm")
        .order_by("exposed_at")
        .first()
    )
    if met is not None:
        return holdout.name if met.arm.is_control else ""
    arms = list(holdout.arms.order_by("position", "id"))
    weights = [arm.weight for arm in arms]
    index = assign(holdout.seed, person.external_key, weights, holdout.traffic)
    return holdout.name if index is not None and arms[index].is_control else ""


def _to_epoch(holdout: Experiment, *, may_peek: bool, now: datetime) -> Epoch:
    arms = list(holdout.arms.all())
    kept = sum(arm.weight for arm in arms if arm.is_control)
    share = say_value(kept * holdout.traffic / BUCKETS**2, unit="percent")
    hidden_until = None if may_peek else holdout.hidden_until(now)
    analysis = holdout.analyses.defer("moments").order_by("-computed_at", "-pk").first()
    if analysis is None or hidden_until is not None:
        return Epoch(holdout, share, None, hidden_until)
    report = analysis.report
    control = next(arm for arm in report["arms"] if arm["is_control"])
    open_ = next(arm for arm in report["arms"] if not arm["is_control"])
    return Epoch(
        holdout,
        share,
        analysis,
        served=open_["customers"],
        held_out=control["customers"],
        lines=[_to_line(metric, control["key"], open_["key"]) for metric in report["metrics"]],
        sentence=report["verdict"]["sentence"],
    )


def _to_line(metric: dict[str, Any], control: str, open_: str) -> LineRow:
    means, result = metric["means"], result_from_json(metric["results"][open_])
    return say_line({**metric, "held_out": means[control]}, means[open_], result, add_up(result))
