"""Who may do what: every role against every action, by asking the site."""

from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.test import Client

from config.roles import ROLES, make_roles
from experiments.lifecycle.reviewing import request_review
from experiments.models import Experiment
from tests.makers import (
    HOUR,
    NOW,
    make_customer,
    make_event,
    make_experiment,
    make_metric,
    make_user,
    unique,
)

pytestmark = pytest.mark.django_db

EVERYBODY = ("Viewer", "Analyst", "Marketer", "Approver", "Admin")


@dataclass(frozen=True)
class Action:
    """Something on the site: how it is asked for, and who may."""

    method: str
    address: Callable[[Experiment], str]
    may: tuple[str, ...]
    data: dict[str, str] = field(default_factory=dict)
    status: str = "running"


ACTIONS = {
    "see a report": Action("get", lambda e: e.get_absolute_url(), EVERYBODY),
    "see all experiments": Action("get", lambda e: "/experiments/", EVERYBODY),
    "see the calendar": Action("get", lambda e: "/calendar/", EVERYBODY),
    "see the programme": Action("get", lambda e: "/programme/", EVERYBODY),
    "see all campaigns together": Action("get", lambda e: "/campaigns/all/holdout/", EVERYBODY),
    "see the metrics": Action("get", lambda e: "/metrics/", EVERYBODY),
    "ask for an analysis": Action(
        "post", lambda e: f"{e.get_absolute_url()}refresh/", ("Analyst", "Marketer", "Admin")
    ),
    "define a metric": Action(
        "get", lambda e: "/metrics/new/conversion/", ("Analyst", "Marketer", "Admin")
    ),
    "see the audiences": Action("get", lambda e: "/audiences/", EVERYBODY),
    "count an audience": Action("post", lambda e: "/audiences/new/count/", EVERYBODY),
    "build an audience": Action("get", lambda e: "/audiences/new/", ("Marketer", "Admin")),
    "upload a list": Action("get", lambda e: "/audiences/new/list/", ("Marketer", "Admin")),
    "draft an experiment": Action("get", lambda e: "/setup/", ("Marketer", "Admin")),
    "change a draft": Action(
        "get", lambda e: f"/setup/{e.key}/arms/", ("Marketer", "Admin"), status="draft"
    ),
    "see a draft": Action("get", lambda e: f"/setup/{e.key}/", EVERYBODY, status="draft"),
    "pause": Action(
        "post", lambda e: f"{e.get_absolute_url()}do/pause/", ("Marketer", "Admin"), {"reason": "x"}
    ),
    "ship": Action(
        "post",
        lambda e: f"{e.get_absolute_url()}do/ship/",
        ("Marketer", "Admin"),
        {"reason": "x", "arm": "new"},
    ),
}


def log_in(role: str) -> Client:
    user = make_user(is_superuser=role == "Admin")
    if role in ROLES:
        user.groups.add(Group.objects.get(name=role))
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(User.objects.get(pk=user.pk))
    return client


@pytest.mark.parametrize("name", ACTIONS)
@pytest.mark.parametrize("role", EVERYBODY)
def test_each_role_may_do_what_it_is_for(role: str, name: str) -> None:
    action = ACTIONS[name]
    started_at = None if action.status == "draft" else NOW
    experiment = make_experiment(is_standalone=True, started_at=started_at)
    ask = getattr(log_in(role), action.method)
    status = ask(action.address(experiment), action.data).status_code
    expected = {HTTPStatus.OK, HTTPStatus.FOUND} if role in action.may else {HTTPStatus.FORBIDDEN}
    assert status in expected


@pytest.mark.parametrize(("role", "may"), [(r, r in ("Approver", "Admin")) for r in EVERYBODY])
def test_only_approvers_approve(role: str, may: bool) -> None:
    make_event(make_customer(), "Order Completed", at=NOW - HOUR)
    experiment = make_experiment(
        guardrails={make_metric(): None}, is_standalone=True, started_at=None
    )
    request_review(experiment, by=make_user(), now=NOW)
    log_in(role).post(f"/setup/{experiment.key}/", {"do": "approve"})
    experiment.refresh_from_db()
    assert experiment.status == ("approved" if may else "in_review")


def test_a_group_of_one_s_own_stays_and_a_role_is_put_right() -> None:
    own = Group.objects.create(name=unique("group"))
    viewer = Group.objects.get(name="Viewer")
    kept = Permission.objects.get(codename="view_metric")
    viewer.permissions.set([kept, Permission.objects.get(codename="delete_metric")])
    make_roles()
    assert Group.objects.filter(pk=own.pk).exists()
    granted = {f"{p.content_type.app_label}.{p.codename}" for p in viewer.permissions.all()}
    assert granted == set(ROLES["Viewer"])


def test_a_migration_makes_the_roles() -> None:
    Group.objects.all().delete()
    call_command("migrate", verbosity=0)
    assert {group.name for group in Group.objects.all()} == set(ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_every_permission_of_a_role_exists(role: str) -> None:
    assert Group.objects.get(name=role).permissions.count() == len(set(ROLES[role]))
