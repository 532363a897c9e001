"""What an experiment comes to is decided once, can be taken back, and is written down."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from experiments.analysis import analyse
from experiments.models import Experiment, Outcome, Status
from experiments.shipping import extend_experiment, roll_back, ship_arm, undo_decision
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
