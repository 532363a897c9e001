"""The planner beside the plan: what it takes to find an effect, by the site's own history."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from django import forms

from experiments.assigning.assignment import BUCKETS
from experiments.models import Experiment, Role
from experiments.plan import Adjustment
from experiments.planning.planner import (
    Advice,
    History,
    TooLittleHistory,
    advise,
    looks_of,
    read_history,
)
from experiments.stats.duration import Traffic
from experiments.stats.power import Design
from experiments.wording import say_lift, say_value


class PlannerForm(forms.Form):
    """How small an effect should be found, how surely, and who would take part."""

    entry = forms.CharField(
        max_length=255,
        label="Customers enter by the event",
        help_text="What they do just before they would meet an arm.",
        widget=forms.TextInput(attrs={"list": "events", "autocomplete": "off"}),
    )
    lift = forms.DecimalField(
        min_value=0.1,
        max_value=1000,
        initial=10,
        label="Smallest change worth finding, in per cent",
    )
    power = forms.DecimalField(
        min_value=50, max_value=99, initial=80, label="How surely it is found, in per cent"
    )

    def __init__(self, experiment: Experiment, data: Mapping[str, Any] | None = None) -> None:
        """Propose the goal's own event to enter by."""
        super().__init__(data, prefix="planner", initial={"entry": _usual_entry(experiment)})


def seek_advice(experiment: Experiment, form: PlannerForm, *, now: datetime) -> dict[str, Any]:
    """Return what the planner says, for its template: an advice, or why there is none."""
    goal = experiment.measured.filter(role=Role.GOAL).select_related("metric").first()
    if goal is None:
        return {"why": "Choose the goal first."}
    weights = tuple(
        float(arm.weight) for arm in experiment.arms.order_by("-is_control", "position")
    )
    if len(weights) < 2:
        return {"why": "Choose the arms first."}
    try:
        history = read_history(
            goal.metric,
            entry=form.cleaned_data["entry"],
            adjustment=Adjustment(days=experiment.history_days),
            now=now,
        )
        history = _share_traffic(history, experiment.traffic / BUCKETS)
        design = Design(weights=weights)
        effect, power = (
            float(form.cleaned_data["lift"]) / 100,
            float(form.cleaned_data["power"]) / 100,
        )
        once = advise(history, design, effect=effect, power=power)
        advice = advise(
            history, looks_of(history, design, days=once.days), effect=effect, power=power
        )
    except (TooLittleHistory, ValueError) as error:
        return {"why": str(error)}
    return {
        "advice": advice,
        "effects": _say_effects(advice),
        "removed": say_value(history.outcome.removed, unit="percent", digits=2),
        "per_week": round(history.traffic.per_week),
        "goal": goal.metric,
    }


def _share_traffic(history: History, share: float) -> History:
    """Let only a share of those who come take part."""
    per_weekday = tuple(customers * share for customers in history.traffic.per_weekday)
    return replace(history, traffic=Traffic(per_weekday))


def _say_effects(advice: Advice) -> list[tuple[int, str]]:
    return [
        (weeks, "nothing that could be" if effect is None else say_lift(effect))
        for weeks, effect in advice.effects
    ]


def _usual_entry(experiment: Experiment) -> str:
    if experiment.pk is None:
        return ""
    goal = experiment.measured.filter(role=Role.GOAL).select_related("metric").first()
    params = {} if goal is None else goal.metric.params
    return str(params.get("event", ""))
