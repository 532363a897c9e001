"""Experiments start and stop once, only when they can prove something, and leave a trace."""

from collections.abc import Callable

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from experiments.lifecycle.drafting import ArmPlan, plan_experiment
from experiments.lifecycle.status import request_analysis, start_experiment, stop_experiment
from experiments.models import Change, Experiment, Role, Status
from tests.makers import HOUR, NOW, expose, make_customer, make_experiment, make_metric, make_user
from tests.racing import other_sessions, wait_for_blocked

pytestmark = pytest.mark.django_db


def test_a_plan_is_a_draft_with_arms_and_metrics_in_order() -> None:
    goal, other = make_metric(), make_metric()
    experiment = make_experiment(goal=goal, others=[other], started_at=None)
    assert experiment.status == Status.DRAFT
    assert [arm.key for arm in experiment.arms.all()] == ["control", "new"]
    assert [(m.metric, m.role) for m in experiment.measured.all()] == [
        (goal, Role.GOAL),
        (other, Role.SECONDARY),
    ]


def test_two_experiments_never_share_a_seed_by_accident() -> None:
    assert make_experiment().seed != make_experiment().seed


def test_the_longest_key_still_has_room_for_a_seed() -> None:
    experiment = plan_experiment(
        key="k" * 60, name="Long", arms=[], goal=make_metric(), planned_customers=2
    )
    experiment.refresh_from_db()
    assert experiment.seed.startswith("k" * 60)


def test_an_experiment_needs_two_customers_at_least() -> None:
    with pytest.raises(IntegrityError, match="two_customers_planned_or_more"), transaction.atomic():
        make_experiment(planned_customers=1, started_at=None)


def test_starting_is_written_down() -> None:
    experiment, user = make_experiment(started_at=None), make_user()
    start_experiment(experiment, by=user, now=NOW, reason="ready")
    assert (experiment.status, experiment.started_at) == (Status.RUNNING, NOW)
    change = Change.objects.get(experiment=experiment)
    assert (change.action, change.by, change.at, change.reason) == ("started", user, NOW, "ready")


def test_stopping_is_written_down_and_asks_for_the_last_analysis() -> None:
    experiment, user = make_experiment(), make_user()
    stop_experiment(experiment, by=user, now=NOW + HOUR, reason="enough")
    assert (experiment.status, experiment.stopped_at) == (Status.STOPPED, NOW + HOUR)
    assert experiment.analysis_requested_at == NOW + HOUR
    newest = experiment.changes.first()
    assert newest is not None
    assert (newest.action, newest.by, newest.reason) == ("stopped", user, "enough")


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ([ArmPlan("a", "A", 10_000, is_control=True)], "at least two arms with customers"),
        (
            [ArmPlan("a", "A", 10_000, is_control=True), ArmPlan("b", "B", 0)],
            "at least two arms with customers",
        ),
        ([ArmPlan("a", "A", 5000), ArmPlan("b", "B", 5000)], "must be the control"),
        (
            [ArmPlan("a", "A", 0, is_control=True), ArmPlan("b", "B", 1), ArmPlan("c", "C", 1)],
            "must be the control",
        ),
        (
            [ArmPlan("a", "A", 6000, is_control=True), ArmPlan("b", "B", 5000)],
            "more than all customers",
        ),
    ],
)
def test_arms_that_prove_nothing_are_refused(arms: list[ArmPlan], message: str) -> None:
    experiment = make_experiment(arms=arms, started_at=None)
    with pytest.raises(ValidationError, match=message):
        start_experiment(experiment, by=None, now=NOW)
    experiment.refresh_from_db()
    assert experiment.status == Status.DRAFT
    assert not experiment.changes.exists()


def test_an_experiment_without_a_goal_is_refused() -> None:
    experiment = make_experiment(started_at=None)
    experiment.measured.update(role=Role.GUARDRAIL)
    with pytest.raises(ValidationError, match="needs a goal metric"):
        start_experiment(experiment, by=None, now=NOW)


def start(experiment: Experiment) -> None:
    start_experiment(experiment, by=None, now=NOW)


def stop(experiment: Experiment) -> None:
    stop_experiment(experiment, by=None, now=NOW)


@pytest.mark.parametrize(
    ("before", "step", "message"),
    [
        ([start], start, "Only a draft can be started. .* is running."),
        ([start, stop], start, "Only a draft can be started. .* is stopped."),
        ([], stop, "Only a running experiment can be stopped. .* is draft."),
        ([start, stop], stop, "Only a running experiment can be stopped. .* is stopped."),
    ],
)
def test_steps_out_of_turn_are_refused(
    before: list[Callable[[Experiment], None]], step: Callable[[Experiment], None], message: str
) -> None:
    experiment = make_experiment(started_at=None)
    for earlier in before:
        earlier(experiment)
    with pytest.raises(ValidationError, match=message):
        step(experiment)
    assert experiment.changes.count() == len(before)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_start_at_once_one_is_refused() -> None:
    experiment = make_experiment(started_at=None)
    with other_sessions(2) as run:
        with transaction.atomic():
            Experiment.objects.select_for_update().get(pk=experiment.pk)
            attempts = [
                run(lambda: start(Experiment.objects.get(pk=experiment.pk))) for _ in range(2)
            ]
            wait_for_blocked(2)
        errors = [attempt.exception(timeout=10) for attempt in attempts]
    assert sorted(type(error).__name__ for error in errors) == ["NoneType", "ValidationError"]
    assert experiment.changes.count() == 1


@pytest.mark.django_db(transaction=True)
def test_exposures_do_not_wait_for_a_transition() -> None:
    experiment, customer = make_experiment(), make_customer()
    with other_sessions(1) as run, transaction.atomic():
        stop(experiment)
        run(lambda: expose(experiment, customer, "new", at=NOW)).result(timeout=5)


def test_a_request_wakes_a_worker_after_the_commit(
    django_capture_on_commit_callbacks: Callable[..., object],
) -> None:
    experiment = make_experiment()
    with django_capture_on_commit_callbacks() as callbacks:  # type: ignore[attr-defined]
        request_analysis(experiment, now=NOW)
    assert len(callbacks) == 1
