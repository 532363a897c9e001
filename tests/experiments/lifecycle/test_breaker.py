"""An arm that surely does harm is halted at once, unless people say otherwise."""

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from experiments.lifecycle.adjusting import release_arm
from experiments.lifecycle.drafting import ArmPlan
from experiments.lifecycle.status import request_analysis
from experiments.models import Arm, Experiment, Notice
from experiments.tasks import analyse_due
from tests.makers import NOW, make_experiment, make_metric, make_user
from tests.worlds import fill_arms

pytestmark = pytest.mark.django_db

THREE_ARMS = (
    ArmPlan("control", "Control", 4000, is_control=True),
    ArmPlan("bad", "Bad", 3000),
    ArmPlan("fine", "Fine", 3000),
)


@pytest.fixture
def experiment() -> Experiment:
    made = make_experiment(
        arms=THREE_ARMS,
        goal=make_metric("Cart Viewed"),
        guardrails={make_metric(): None},
        planned_customers=2000,
        is_standalone=True,
    )
    # The guardrail collapses in one arm only; too few came for a win or an end.
    fill_arms(made, control=(400, 200), bad=(300, 50), fine=(300, 150))
    return made


def halted(experiment: Experiment) -> list[str]:
    return list(
        Arm.objects.filter(experiment=experiment, halted_at__isnull=False).values_list(
            "key", flat=True
        )
    )


def test_the_analysis_that_finds_harm_halts_the_arm_and_says_why(experiment: Experiment) -> None:
    assert analyse_due() == 1
    assert halted(experiment) == ["bad"]
    change = experiment.changes.get(action="halted Bad")
    assert change.by is None
    assert change.reason.startswith("Circuit breaker: ")
    assert experiment.plans.count() == 2


def test_an_arm_that_people_released_is_theirs(experiment: Experiment) -> None:
    analyse_due()
    release_arm(experiment, "bad", by=None, now=timezone.now(), reason="we know why")
    request_analysis(experiment, now=timezone.now())
    assert analyse_due() == 1
    newest = experiment.analyses.latest()
    assert newest.report["verdict"]["harmful_arms"] == ["bad"]
    assert halted(experiment) == []


def test_the_arm_of_a_campaign_is_left_to_the_campaign() -> None:
    made = make_experiment(guardrails={make_metric(): None}, planned_customers=2000)
    fill_arms(made, control=(400, 200), new=(400, 50))
    analyse_due()
    assert made.analyses.latest().report["verdict"]["harmful_arms"] == ["new"]
    assert halted(made) == []


@pytest.mark.parametrize("is_global", [False, True])
def test_of_a_hold_out_nothing_is_halted_and_people_are_told_once(*, is_global: bool) -> None:
    holdout = make_experiment(
        goal=make_metric("Cart Viewed"),
        guardrails={make_metric(): None},
        planned_customers=2000,
        is_standalone=True,
        is_holdout=True,
        is_global=is_global,
    )
    ada = make_user()
    User.objects.filter(pk=ada.pk).update(email="ada@shop.example")
    Experiment.objects.filter(pk=holdout.pk).update(created_by=ada)
    fill_arms(holdout, control=(400, 200), new=(400, 50))
    for _ in range(2):
        request_analysis(holdout, now=timezone.now())
        assert analyse_due() == 1
        assert holdout.analyses.latest().report["verdict"]["harmful_arms"] == ["new"]
        assert halted(holdout) == []
        notice = Notice.objects.get(event="experiment.harm")
        assert notice.email == "ada@shop.example"
        assert "Nothing was halted" in notice.payload["text"]
        assert notice.payload["subject"] == f"Harm: {holdout.name}"


def test_harm_is_found_before_the_minimum_duration(experiment: Experiment) -> None:
    Experiment.objects.filter(pk=experiment.pk).update(minimum_days=365, started_at=NOW)
    analyse_due()
    assert halted(experiment) == ["bad"]
