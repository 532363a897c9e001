"""What an experiment comes to is decided once, can be taken back, and is written down."""

from importlib import import_module

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.test import Client

from experiments.analysing.analysis import analyse
from experiments.lifecycle.shipping import (
    extend_experiment,
    find_holdouts,
    roll_back,
    ship_arm,
    undo_decision,
)
from experiments.lifecycle.status import stop_experiment
from experiments.models import Arm, Experiment, Outcome, Prerequisite, Status
from tests.makers import DAY, HOUR, NOW, make_experiment, make_user
from tests.worlds import fill_arms

pytestmark = pytest.mark.django_db


def actions(experiment: Experiment) -> list[str]:
    return list(experiment.changes.values_list("action", flat=True))


def test_shipping_stops_what_runs_and_serves_the_arm_to_all() -> None:
    experiment, user = make_experiment(is_standalone=True, started_at=NOW), make_user()
    ship_arm(experiment, "new", by=user, now=NOW + DAY, reason="it won")
    assert (experiment.status, experiment.outcome) == (Status.STOPPED, Outcome.SHIPPED)
    assert experiment.served_arm is not None
    assert experiment.served_arm.key == "new"
    assert actions(experiment) == ["shipped New", "stopped", "started"]


def test_when_it_was_decided_is_known_until_that_is_undone() -> None:
    experiment = make_experiment(is_standalone=True)
    stop_experiment(experiment, by=None, now=NOW)
    ship_arm(experiment, "new", by=None, now=NOW + DAY, reason="")
    assert (experiment.stopped_at, experiment.decided_at) == (NOW, NOW + DAY)
    undo_decision(experiment, by=None, now=NOW + 2 * DAY, reason="")
    assert experiment.decided_at is None
    roll_back(experiment, by=None, now=NOW + 3 * DAY, reason="")
    assert experiment.decided_at == NOW + 3 * DAY


def test_what_was_decided_before_learns_from_its_changes_when_that_was() -> None:
    again, back, silent, open_one = (make_experiment(is_standalone=True) for _ in range(4))
    stop_experiment(again, by=None, now=NOW)
    ship_arm(again, "new", by=None, now=NOW + DAY, reason="")
    undo_decision(again, by=None, now=NOW + 2 * DAY, reason="")
    ship_arm(again, "new", by=None, now=NOW + 3 * DAY, reason="")
    ship_arm(back, "new", by=None, now=NOW, reason="")
    undo_decision(back, by=None, now=NOW + DAY, reason="")
    roll_back(back, by=None, now=NOW + DAY, reason="")
    ship_arm(silent, "new", by=None, now=NOW + DAY, reason="")
    silent.changes.all().delete()
    Experiment.objects.update(decided_at=None)
    with connection.cursor() as cursor:
        cursor.execute(import_module("experiments.migrations.0003_when_it_was_decided").FILL)
    found = Experiment.objects.in_bulk([e.pk for e in (again, back, silent, open_one)])
    assert [found[e.pk].decided_at for e in (again, back, silent, open_one)] == [
        NOW + 3 * DAY,
        NOW + DAY,
        NOW + DAY,
        None,
    ]


def test_a_report_says_whom_a_hold_out_keeps_from_what_was_shipped() -> None:
    holdout = make_experiment(is_standalone=True, is_holdout=True)
    other, experiment = make_experiment(is_standalone=True), make_experiment(is_standalone=True)
    for required in (holdout, other):
        arm = Arm.objects.get(experiment=required, key="new")
        Prerequisite.objects.create(experiment=experiment, arm=arm)
    client = Client(headers={"x-forwarded-proto": "https"})
    client.force_login(make_user(is_superuser=True))

    def told() -> str:
        page = client.get(experiment.get_absolute_url()).content.decode()
        return page.partition("Everybody in the audience gets ")[2].partition("</p>")[0]

    assert (list(find_holdouts(experiment)), told()) == ([], "")
    roll_back(experiment, by=None, now=NOW + DAY, reason="")
    assert (list(find_holdouts(experiment)), told()) == ([], "Control.")
    undo_decision(experiment, by=None, now=NOW + DAY, reason="")
    ship_arm(experiment, "new", by=None, now=NOW + DAY, reason="")
    assert list(find_holdouts(experiment)) == [holdout]
    link = f'<a href="{holdout.get_absolute_url()}">{holdout}</a>'
    assert told() == f"New, but for those whom {link} holds out until it ends."
    stop_experiment(holdout, by=None, now=NOW + DAY)
    assert (list(find_holdouts(experiment)), told()) == ([], "New.")


def test_rolling_back_serves_the_control() -> None:
    experiment = make_experiment(is_standalone=True)
    roll_back(experiment, by=None, now=NOW + DAY, reason="no gain")
    assert experiment.served_arm is not None
    assert experiment.served_arm.is_control
    assert experiment.outcome == Outcome.ROLLED_BACK


def test_a_decision_stands_until_it_is_undone() -> None:
    experiment = make_experiment(is_standalone=True)
    roll_back(experiment, by=None, now=NOW + DAY, reason="")
    with pytest.raises(ValidationError, match="Undo that first"):
        ship_arm(experiment, "new", by=None, now=NOW + DAY, reason="")
    undo_decision(experiment, by=None, now=NOW + DAY, reason="too hasty")
    assert (experiment.outcome, experiment.served_arm, experiment.status) == ("", None, "stopped")
    ship_arm(experiment, "new", by=None, now=NOW + DAY, reason="")
    assert experiment.outcome == Outcome.SHIPPED


def test_only_what_was_started_and_is_its_own_can_be_decided() -> None:
    with pytest.raises(ValidationError, match="is draft"):
        ship_arm(
            make_experiment(is_standalone=True, started_at=None), "new", by=None, now=NOW, reason=""
        )
    with pytest.raises(ValidationError, match="Its campaign decides"):
        ship_arm(make_experiment(), "new", by=None, now=NOW, reason="")
    with pytest.raises(ValidationError, match="has no arm"):
        ship_arm(make_experiment(is_standalone=True), "old", by=None, now=NOW, reason="")
    with pytest.raises(ValidationError, match="Nothing was decided"):
        undo_decision(make_experiment(is_standalone=True), by=None, now=NOW, reason="")


def test_the_database_knows_no_decision_without_an_arm() -> None:
    experiment = make_experiment()
    with pytest.raises(IntegrityError, match="decided_when"), transaction.atomic():
        Experiment.objects.filter(pk=experiment.pk).update(outcome="shipped")


def test_an_extension_is_a_new_version_of_the_plan() -> None:
    experiment = make_experiment(planned_customers=1000)
    extend_experiment(experiment, 3000, by=None, now=NOW + HOUR, reason="slow traffic")
    assert experiment.planned_customers == 3000
    assert [v.plan["planned_customers"] for v in experiment.plans.all()] == [1000, 3000]
    assert actions(experiment)[0] == "extended from 1,000 to 3,000 customers (plan 2)"


def test_fewer_customers_are_no_extension() -> None:
    with pytest.raises(ValidationError, match="planned for 100 customers already"):
        extend_experiment(make_experiment(), 100, by=None, now=NOW, reason="")


def test_what_has_a_verdict_cannot_be_extended() -> None:
    experiment = make_experiment(planned_customers=160)
    fill_arms(experiment, control=(80, 8), new=(80, 40))
    analyse(experiment, now=NOW + 30 * DAY)
    with pytest.raises(ValidationError, match="verdict stands"):
        extend_experiment(experiment, 500, by=None, now=NOW + 30 * DAY, reason="")
