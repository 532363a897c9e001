"""A running experiment can be steered, and every turn of the wheel is written down."""

from collections.abc import Callable

import pytest
from django.core.exceptions import ValidationError
from django.test import Client

from experiments.analysing.analysis import analyse
from experiments.lifecycle.acts import possible_acts
from experiments.lifecycle.adjusting import (
    halt_arm,
    pause_experiment,
    ramp_experiment,
    release_arm,
    resume_experiment,
)
from experiments.lifecycle.status import stop_experiment
from experiments.models import Experiment, Status
from experiments.planning.versions import read_plan
from tests.makers import DAY, HOUR, NOW, make_experiment, make_user

pytestmark = pytest.mark.django_db


def newest_change(experiment: Experiment) -> tuple[str, str]:
    change = experiment.changes.first()
    assert change is not None
    return change.action, change.reason


def test_a_pause_ends_where_it_began() -> None:
    experiment, user = make_experiment(), make_user()
    pause_experiment(experiment, by=user, now=NOW + HOUR, reason="a bug")
    assert experiment.status == Status.PAUSED
    assert newest_change(experiment) == ("paused", "a bug")
    resume_experiment(experiment, by=user, now=NOW + DAY, reason="fixed")
    assert experiment.status == Status.RUNNING
    assert newest_change(experiment) == ("resumed", "fixed")


def test_a_hold_out_is_not_paused_and_its_page_says_why() -> None:
    holdout = make_experiment(is_holdout=True, is_standalone=True)
    with pytest.raises(ValidationError, match="A hold-out is not paused"):
        pause_experiment(holdout, by=None, now=NOW, reason="too many held out")
    holdout.refresh_from_db()
    assert holdout.status == Status.RUNNING
    assert set(possible_acts(holdout)) == {"extend", "stop", "ship", "roll-back"}
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(is_superuser=True))
    page = client.get(f"/experiments/{holdout.key}/do/stop/").content.decode()
    assert "Nobody is held out any more" in page
    assert "A hold-out is not paused" in page
    assert "nor is an arm of it halted" in page


def test_no_arm_of_a_hold_out_is_halted() -> None:
    holdout = make_experiment(is_holdout=True, is_standalone=True)
    with pytest.raises(ValidationError, match="everybody would be held out"):
        halt_arm(holdout, "new", by=None, now=NOW, reason="it does harm")
    assert holdout.arms.get(key="new").halted_at is None
    assert holdout.plans.count() == 1
    # One that was halted before that was refused can go on.
    holdout.arms.filter(key="new").update(halted_at=NOW)
    assert "release" in possible_acts(holdout)
    release_arm(holdout, "new", by=None, now=NOW, reason="")
    assert holdout.arms.get(key="new").halted_at is None


def test_a_hold_out_only_grows() -> None:
    holdout = make_experiment(is_holdout=True, is_standalone=True, traffic=5000)
    assert "ramp" in possible_acts(holdout)
    with pytest.raises(ValidationError, match="A hold-out only grows"):
        ramp_experiment(holdout, 4999, by=None, now=NOW, reason="")
    ramp_experiment(holdout, 10_000, by=None, now=NOW, reason="")
    assert (holdout.traffic, newest_change(holdout)[0]) == (10_000, "traffic from 50% to 100%")
    assert "ramp" not in possible_acts(holdout)


def test_a_paused_experiment_is_still_analysed() -> None:
    experiment = make_experiment()
    pause_experiment(experiment, by=None, now=NOW + HOUR, reason="")
    due = Experiment.objects.due_for_analysis(now=NOW + DAY, interval_seconds=60)
    assert list(due) == [experiment]
    assert analyse(experiment, now=NOW + DAY).report["customers"] == 0


@pytest.mark.parametrize(
    "turn",
    [
        lambda e: pause_experiment(e, by=None, now=NOW, reason=""),
        lambda e: ramp_experiment(e, 10, by=None, now=NOW, reason=""),
        lambda e: halt_arm(e, "new", by=None, now=NOW, reason=""),
        lambda e: release_arm(e, "new", by=None, now=NOW, reason=""),
        lambda e: resume_experiment(e, by=None, now=NOW, reason=""),
    ],
)
def test_what_is_over_cannot_be_steered(turn: Callable[[Experiment], None]) -> None:
    experiment = make_experiment()
    stop_experiment(experiment, by=None, now=NOW)
    with pytest.raises(ValidationError, match="is stopped"):
        turn(experiment)
    assert newest_change(experiment)[0] == "stopped"


def test_a_ramp_says_from_what_to_what() -> None:
    experiment = make_experiment()
    ramp_experiment(experiment, 2500, by=None, now=NOW, reason="it holds")
    assert experiment.traffic == 2500
    assert newest_change(experiment) == ("traffic from 100% to 25%", "it holds")


@pytest.mark.parametrize("traffic", [0, -1, 10_001])
def test_nobody_and_more_than_all_are_no_share(traffic: int) -> None:
    with pytest.raises(ValidationError, match="and 100% of the audience"):
        ramp_experiment(make_experiment(), traffic, by=None, now=NOW, reason="")


def test_a_halted_arm_gets_no_more_customers_by_a_new_version_of_the_plan() -> None:
    experiment = make_experiment()
    halt_arm(experiment, "new", by=None, now=NOW + HOUR, reason="it breaks the cart")
    arm = experiment.arms.get(key="new")
    assert (arm.halted_at, arm.weight) == (NOW + HOUR, 5000)
    version = experiment.plans.last()
    assert version is not None
    assert {a.key: a.weight for a in read_plan(version).arms} == {"control": 5000, "new": 0}
    release_arm(experiment, "new", by=None, now=NOW + DAY, reason="fixed")
    version = experiment.plans.last()
    assert version is not None
    assert (version.number, read_plan(version).arms[1].weight) == (3, 5000)


@pytest.mark.parametrize("key", ["control", "nobody"])
def test_neither_the_control_nor_an_unknown_arm_can_be_halted(key: str) -> None:
    with pytest.raises(ValidationError):
        halt_arm(make_experiment(), key, by=None, now=NOW, reason="")


def test_an_arm_is_halted_once_and_released_once() -> None:
    experiment = make_experiment()
    with pytest.raises(ValidationError, match="was not halted"):
        release_arm(experiment, "new", by=None, now=NOW, reason="")
    halt_arm(experiment, "new", by=None, now=NOW, reason="")
    with pytest.raises(ValidationError, match="cannot be halted"):
        halt_arm(experiment, "new", by=None, now=NOW, reason="")
