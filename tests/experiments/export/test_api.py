"""Every number of a report can be had as JSON, by those who may."""

from http import HTTPStatus
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audience.models import Scope
from experiments.analysing.analysis import analyse
from experiments.analysing.recompute import recompute
from experiments.models import Experiment
from tests.makers import DAY, NOW, make_experiment, make_source, make_user
from tests.worlds import fill_arms

pytestmark = pytest.mark.django_db


@pytest.fixture
def experiment() -> Experiment:
    made = make_experiment(planned_customers=160)
    fill_arms(made, control=(80, 8), new=(80, 40))
    analyse(made, now=NOW + 30 * DAY)
    return made


def ask(experiment: Experiment, *, key: str = "", **query: str) -> Any:
    headers = {"x-forwarded-proto": "https"} | ({"authorization": f"Bearer {key}"} if key else {})
    return Client(headers=headers).get(f"/api/v1/experiments/{experiment.key}/results", query)


def test_a_key_with_the_scope_reads_the_report(experiment: Experiment) -> None:
    _, key = make_source(Scope.READ)
    answer = ask(experiment, key=key)
    assert answer.status_code == HTTPStatus.OK
    document = answer.json()
    stored = experiment.analyses.get()
    assert document["report"] == stored.report
    assert document["plan"]["sha256"] == experiment.plans.get().digest
    assert "moments" not in document
    whole = ask(experiment, key=key, moments="").json()
    again = recompute(whole["moments"])["metrics"][stored.report["metrics"][0]["key"]]["new"]
    assert again["result"] == stored.report["metrics"][0]["results"]["new"]


def test_nobody_else_does(experiment: Experiment) -> None:
    _, other = make_source(Scope.DECIDE)
    for answer in (ask(experiment), ask(experiment, key=other), ask(experiment, key="wrong")):
        assert answer.status_code == HTTPStatus.UNAUTHORIZED
        assert answer["content-type"] == "application/problem+json"
        assert "scope `read`" in answer.json()["detail"]


def test_who_is_logged_in_and_may_see_reports_may_read_them(experiment: Experiment) -> None:
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user("experiments.view_experiment"))
    address = f"/api/v1/experiments/{experiment.key}/results"
    assert client.get(address).status_code == HTTPStatus.OK
    client.force_login(make_user())
    assert client.get(address).status_code == HTTPStatus.UNAUTHORIZED


def test_what_is_not_there_is_said_so(experiment: Experiment) -> None:
    _, key = make_source(Scope.READ)
    assert ask(make_experiment(), key=key).status_code == HTTPStatus.NOT_FOUND
    assert ask(Experiment(key="nowhere"), key=key).status_code == HTTPStatus.NOT_FOUND
    for wanted in ("0", "x", "-1"):
        assert ask(experiment, key=key, analysis=wanted).status_code == HTTPStatus.NOT_FOUND
    pk = experiment.analyses.get().pk
    assert ask(experiment, key=key, analysis=str(pk)).json()["analysis"] == pk


def test_hidden_results_are_hidden_from_keys_too() -> None:
    _, key = make_source(Scope.READ)
    young = make_experiment(started_at=timezone.now())
    analyse(young, now=timezone.now())
    answer = ask(young, key=key)
    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert "hidden until" in answer.json()["detail"]
