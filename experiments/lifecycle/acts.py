"""What people can do to an experiment, each with a page that explains it and asks why."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib.auth.models import User

from audience.overwriting import CarefulForm
from experiments.assigning.assignment import BUCKETS
from experiments.lifecycle.adjusting import (
    halt_arm,
    pause_experiment,
    ramp_experiment,
    release_arm,
    resume_experiment,
)
from experiments.lifecycle.shipping import extend_experiment, roll_back, ship_arm, undo_decision
from experiments.lifecycle.status import start_experiment, stop_experiment
from experiments.models import LIVE, UNSTARTED, Experiment, Status

Take = Callable[[Experiment, Mapping[str, Any], User, datetime, str], None]


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that can be done.

    Attributes:
        verb: What its button says.
        explanation: What happens then.
        take: Does it.
        is_possible: Whether it can be done to an experiment as it is.
        asks: What it has to know: `arm`, `traffic` or `planned`.
        of_holdout: What happens then to a hold-out, where that is something else.
    """

    verb: str
    explanation: str
    take: Take
    is_possible: Callable[[Experiment], bool]
    asks: str = ""
    of_holdout: str = ""

    def explain(self, experiment: Experiment) -> str:
        """Say what happens then to an experiment."""
        return (experiment.is_holdout and self.of_holdout) or self.explanation


def _start(e: Experiment, data: Mapping[str, Any], by: User, now: datetime, why: str) -> None:
    start_experiment(e, by=by, now=now, reason=why)


def _pause(e: Experiment, data: Mapping[str, Any], by: User, now: datetime, why: str) -> None:
    pause_experiment(e, by=by, now=now, reason=why)


def _resume(e: Experiment, data: Mapping[str, Any], by: User, now: datetime, why: str) -> None:
    resume_experiment(e, by=by, now=now, reason=why)


def _ramp(e: Experiment, data: Mapping[str, Any], by: User, now: datetime, why: str) -> None:
    buckets = round(data["traffic"] * BUCKETS / 100)
    ramp_experiment(e, buckets, by=by, now=now, reason=why)


def _extend(e: Experiment, data: Mapping[str, Any], by: User, now: datetime, why: str) -> None:
    extend_experiment(e, data["planned"], by=by, now=now, reason=why)


def _halt(e: Experiment, data: Mapping[str, Any], by: User, now: datetime, why: str) -> None:
    halt_arm(e, data["arm"], by=by, now=now, reason=why)


def _release(e: Experiment, data: Mapping[str, Any], by: User, now: datetime, why: str) -> None:
    release_arm(e, data["arm"], by=by, now=now, reason=why)


def _stop(e: Experiment, data: Mapping[str, Any], by: User, now: datetime, why: str) -> None:
    stop_experiment(e, by=by, now=now, reason=why)


def _ship(e: Experiment, data: Mapping[str, Any], by: User, now: datetime, why: str) -> None:
    ship_arm(e, data["arm"], by=by, now=now, reason=why)


def _roll_back(e: Experiment, data: Mapping[str, Any], by: User, now: datetime, why: str) -> None:
    roll_back(e, by=by, now=now, reason=why)


def _undo(e: Experiment, data: Mapping[str, Any], by: User, now: datetime, why: str) -> None:
    undo_decision(e, by=by, now=now, reason=why)


def _is_undecided(experiment: Experiment) -> bool:
    return experiment.status in (*LIVE, Status.STOPPED) and not experiment.outcome


ACTS: dict[str, Act] = {
    "start": Act(
        "Start",
        "Customers of the audience who come from now on are divided between the arms. What is "
        "planned is fixed, with its hash.",
        _start,
        lambda e: e.status in UNSTARTED,
    ),
    "ramp": Act(
        "Let more in, or fewer",
        "Another share of the audience takes part. Nobody changes arms by that.",
        _ramp,
        lambda e: e.status in LIVE and not (e.is_holdout and e.traffic == BUCKETS),
        asks="traffic",
        of_holdout="A larger share of the customers is divided into those held out and the others. "
        "Nobody changes sides by that, and it cannot be made smaller again. Who is in neither gets "
        "what is shipped, but takes part in no experiment that keeps to this hold-out.",
    ),
    "pause": Act(
        "Pause",
        "Everybody gets what the control gets, within about two seconds, and nobody new takes "
        "part. Those who took part are measured on, and it can go on as it was.",
        _pause,
        lambda e: e.status == Status.RUNNING and not e.is_holdout,
    ),
    "resume": Act(
        "Go on",
        "Everybody gets the arm they had, and new customers take part again.",
        _resume,
        lambda e: e.status == Status.PAUSED,
    ),
    "extend": Act(
        "Extend",
        "More customers take part than were planned. It is a new version of the plan: the error "
        "that looks have spent stays spent. Extending because the result is nearly there makes a "
        "false winner somewhat likelier than was promised; say why.",
        _extend,
        lambda e: e.status in LIVE,
        asks="planned",
    ),
    "halt": Act(
        "Halt an arm",
        "Its customers get what the control gets, and nobody new is given it. The others keep "
        "their arms.",
        _halt,
        lambda e: e.status in LIVE and not e.is_holdout and _has_arm(e, is_halted=False),
        asks="arm",
    ),
    "release": Act(
        "Let a halted arm go on",
        "Its customers get it again, and new ones are given it. The circuit breaker does not halt "
        "it a second time.",
        _release,
        lambda e: e.status in LIVE and _has_arm(e, is_halted=True),
        asks="arm",
    ),
    "stop": Act(
        "Stop",
        "Nobody takes part any more, for good, and the report is brought up to date. Clients fall "
        "back to their own default until it is decided what everybody gets.",
        _stop,
        lambda e: e.status in LIVE,
        of_holdout="Nobody is held out any more, for good: those who were get what all the others "
        "get, what was shipped meanwhile too, and the report is brought up to date. A hold-out is "
        "not paused, because who was let in for some days cannot be held against the others again; "
        "nor is an arm of it halted, because everybody would be held out. To hold people out "
        "later, begin another one.",
    ),
    "ship": Act(
        "Ship an arm",
        "Everybody in the audience gets the arm's values, within about two seconds; but for those "
        "whom a hold-out keeps from it, who do when that ends. The experiment stops if it runs.",
        _ship,
        _is_undecided,
        asks="arm",
    ),
    "roll-back": Act(
        "Roll back",
        "Everybody in the audience gets the control's values, within about two seconds. The "
        "experiment stops if it runs.",
        _roll_back,
        _is_undecided,
    ),
    "undo": Act(
        "Undo the decision",
        "Nobody is given an arm any more; it can be decided again. The experiment stays stopped.",
        _undo,
        lambda e: bool(e.outcome),
    ),
}


OF_GLOBAL = ("start", "extend", "stop")


class ActForm(CarefulForm, forms.Form):
    """Why, and what the act has to know."""

    reason = forms.CharField(max_length=1000, label="Why?", help_text="It is kept with the change.")

    def __init__(self, experiment: Experiment, verb: str, data: Mapping[str, Any] | None) -> None:
        """Ask what the act asks."""
        super().__init__(data)
        match ACTS[verb].asks:
            case "arm":
                arms = experiment.arms.order_by("-is_control", "position")
                if verb == "halt":
                    arms = arms.filter(is_control=False, halted_at=None)
                elif verb == "release":
                    arms = arms.exclude(halted_at=None)
                else:
                    arms = arms.filter(is_control=False)
                self.fields["arm"] = forms.ChoiceField(choices=[(a.key, a.name) for a in arms])
            case "traffic":
                self.fields["traffic"] = forms.DecimalField(
                    min_value=0.01,
                    max_value=100,
                    decimal_places=2,
                    initial=experiment.traffic * 100 / BUCKETS,
                    label="Share of the audience in per cent",
                )
            case "planned":
                self.fields["planned"] = forms.IntegerField(
                    min_value=experiment.planned_customers + 1,
                    max_value=2_000_000_000,
                    label="Customers in all arms together",
                    help_text=f"{experiment.planned_customers:,} so far.",
                )
        self.order_fields(["arm", "traffic", "planned", "reason"])


def possible_acts(experiment: Experiment) -> dict[str, Act]:
    """Return what can be done to an experiment as it is."""
    if not experiment.is_standalone:
        return {}
    return {verb: act for verb, act in ACTS.items() if is_possible(verb, experiment)}


def is_possible(verb: str, experiment: Experiment) -> bool:
    """Tell whether something can be done to an experiment as it is.

    Who is held out from all campaigns stays so until the end of the epoch: there is nothing to
    pause, to halt or to ship.
    """
    is_open = not experiment.is_global or verb in OF_GLOBAL
    return is_open and ACTS[verb].is_possible(experiment)


def _has_arm(experiment: Experiment, *, is_halted: bool) -> bool:
    arms = experiment.arms.filter(is_control=False, halted_at__isnull=not is_halted)
    return arms.exists()
