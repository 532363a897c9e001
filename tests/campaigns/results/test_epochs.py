"""Epochs follow each other, begun and ended by approvers, and say what all campaigns came to."""

from http import HTTPStatus

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.test import Client
from django.utils import timezone

from campaigns.results.epochs import end_epoch, list_epochs
from campaigns.tasks import keep_schedule
from experiments.analysing.analysis import analyse
from experiments.lifecycle.acts import possible_acts
from experiments.lifecycle.breaker import trip
from experiments.lifecycle.preflight import find_issues
from experiments.lifecycle.status import APPROVE, start_experiment, stop_experiment
from experiments.models import Experiment, ExperimentMetric, Role, Status
from experiments.setup.audience import keep_to_holdouts
from tests.makers import (
    DAY,
    NOW,
    approve,
    make_experiment,
    make_holdout,
    make_metric,
    make_user,
)
from tests.worlds import fill_arms

pytestmark = pytest.mark.django_db
VIEW, PEEK = "campaigns.view_campaign", "experiments.peek_at_results"
DRAFTS = ("experiments.add_experiment", "experiments.change_experiment")
LATER = NOW + 60 * DAY


def browse(*permissions: str) -> Client:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(*permissions))
    return client


def read(*permissions: str) -> str:
    answer = browse(VIEW, *permissions).get("/campaigns/all/holdout/")
    assert answer.status_code == HTTPStatus.OK
    return answer.content.decode()


def test_only_who_may_approve_begins_and_ends_one() -> None:
    holdout = make_holdout(started_at=None)
    approve(holdout)
    runner, approver = make_user("experiments.run_experiment"), make_user(APPROVE)
    with pytest.raises(ValidationError, match="by those who may approve"):
        start_experiment(holdout, by=runner, now=NOW)
    start_experiment(holdout, by=approver, now=NOW)
    with pytest.raises(ValidationError, match="by those who may approve"):
        stop_experiment(holdout, by=runner, now=LATER)
    stop_experiment(holdout, by=approver, now=LATER)
    assert holdout.status == Status.STOPPED


def test_one_runs_at_a_time_and_the_next_has_a_salt_of_its_own() -> None:
    first, second = make_holdout(), make_holdout(started_at=None)
    approve(second)
    assert [i.code for i in find_issues(second, now=NOW) if i.code == "epoch"] == ["epoch"]
    with pytest.raises(ValidationError, match="still runs"):
        start_experiment(second, by=None, now=NOW)
    stop_experiment(first, by=None, now=LATER)
    start_experiment(second, by=None, now=LATER)
    assert first.seed != second.seed
    assert [epoch.experiment for epoch in list_epochs(may_peek=True, now=LATER)] == [second, first]


def test_the_database_refuses_a_second_one_and_one_that_holds_nobody_out() -> None:
    make_holdout()
    other = make_experiment()
    with pytest.raises(IntegrityError, match="one_global_holdout_at_a_time"):
        Experiment.objects.filter(pk=other.pk).update(is_holdout=True, is_global=True)


def test_one_for_some_customers_only_cannot_be_started() -> None:
    holdout = make_holdout(started_at=None, audience={"country": "de"})
    found = {issue.code: issue.is_blocking for issue in find_issues(holdout, now=NOW)}
    assert found["global"]


def test_it_is_begun_extended_and_stopped_and_nothing_else() -> None:
    assert set(possible_acts(make_holdout())) == {"extend", "stop"}
    holdout = Experiment.objects.get(is_global=True)
    answer = browse(APPROVE, "experiments.view_experiment").post(
        f"/experiments/{holdout.key}/do/pause/", {"reason": "why not"}, follow=True
    )
    assert "that cannot be done" in answer.content.decode()


def test_campaigns_that_do_harm_together_are_for_people_to_judge() -> None:
    holdout = make_holdout(percent=50, planned_customers=400)
    fill_arms(holdout, **{"held-out": (200, 180), "open": (200, 20)})
    analysis = analyse(holdout, now=LATER)
    assert analysis.report["verdict"]["harmful_arms"] == ["open"]
    assert trip(holdout, analysis, now=LATER) == []


def test_experiments_keep_to_it_only_if_somebody_says_so() -> None:
    make_holdout()
    draft = make_experiment(started_at=None, is_standalone=True)
    keep_to_holdouts(draft)
    assert not draft.prerequisites.exists()
    assert "holdout" not in {issue.code for issue in find_issues(draft, now=NOW)}


def test_it_ends_by_itself_on_its_day() -> None:
    holdout = make_holdout(planned_end=(NOW + 90 * DAY).date())
    assert not end_epoch(now=NOW + 89 * DAY)
    assert end_epoch(now=NOW + 90 * DAY)
    holdout.refresh_from_db()
    assert holdout.status == Status.STOPPED
    assert not end_epoch(now=NOW + 91 * DAY)


def test_the_clock_of_campaigns_ends_it() -> None:
    make_holdout(planned_end=timezone.now().date())
    keep_schedule()
    assert Experiment.objects.get().status == Status.STOPPED


def test_the_page_says_what_all_campaigns_came_to() -> None:
    assert "Nobody was ever held out" in read()
    revenue = make_metric(kind="mean", of="value", currency="EUR")
    holdout = make_holdout(percent=20, others=[revenue], planned_customers=1000)
    assert "There is no analysis yet." in read(PEEK)
    fill_arms(holdout, **{"held-out": (200, 40), "open": (800, 240)})
    analyse(holdout, now=LATER)
    (epoch,) = list_epochs(may_peek=True, now=LATER)
    assert (epoch.share, epoch.held_out, epoch.served) == ("20.0%", 200, 800)
    goal, money = epoch.lines
    assert (goal.served, goal.held_out, goal.change) == ("30.0%", "20.0%", "+10.0 points")
    assert goal.total == "+80.0"
    assert (money.served, money.held_out, money.change) == ("€3.00", "€2.00", "+€1.00")
    assert money.total == "+€800"
    page = read(PEEK)
    assert epoch.sentence in page
    assert holdout.seed in page
    assert "800 customers whom campaigns could reach and 200 whom they could not" in page


def test_results_are_hidden_until_the_minimum_duration() -> None:
    holdout = make_holdout()
    Experiment.objects.filter(pk=holdout.pk).update(started_at=timezone.now(), minimum_days=28)
    analyse(holdout, now=timezone.now())
    assert "Results are hidden until" in read()
    assert "Results are hidden until" not in read(PEEK)


def test_who_drafts_experiments_drafts_one_and_an_approver_starts_and_stops_it() -> None:
    typed = {"name": "Spring 2026", "hypothesis": "Campaigns earn more than they cost."}
    address = "/setup/?holdout=all"
    marketer = browse(*DRAFTS, "experiments.view_experiment", "experiments.run_experiment")
    assert "get no offer from any campaign" in marketer.get(address).content.decode()
    marketer.post(address, typed)
    made = Experiment.objects.get(name="Spring 2026")
    assert (made.is_holdout, made.is_global, made.status) == (True, True, Status.DRAFT)
    assert made.arms.get(is_control=True).weight == 500
    ExperimentMetric.objects.create(experiment=made, metric=make_metric(), role=Role.GOAL)
    approve(made)
    approver = browse("experiments.view_experiment", APPROVE)
    for verb, status in (("start", Status.RUNNING), ("stop", Status.STOPPED)):
        act = f"/experiments/{made.key}/do/{verb}/"
        assert marketer.post(act, {"reason": "x"}).status_code == HTTPStatus.FORBIDDEN
        approver.post(act, {"reason": "x"})
        made.refresh_from_db()
        assert made.status == status
