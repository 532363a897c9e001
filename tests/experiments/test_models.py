"""How rows name themselves, and rules that the database itself keeps."""

import pytest
from django.db import IntegrityError, transaction

from experiments.analysing.analysis import analyse
from experiments.models import Arm, Experiment, ExperimentMetric, Exposure, Role, Status
from tests.makers import NOW, expose, make_customer, make_experiment, make_metric

pytestmark = pytest.mark.django_db


def test_rows_say_what_they_are() -> None:
    experiment, customer = make_experiment(), make_customer()
    expose(experiment, customer, "new", at=NOW)
    arm = experiment.arms.get(key="new")
    measured = experiment.measured.get()
    assert str(arm) == "New"
    assert str(measured) == f"{measured.metric} (goal)"
    assert str(Exposure.objects.get()) == f"customer {customer.pk} met {arm.pk}"
    assert str(analyse(experiment, now=NOW)) == f"{experiment} at 2026-03-02 12:00"
    assert str(experiment.changes.get()) == "started at 2026-03-02 12:00"


def test_an_experiment_has_one_control() -> None:
    experiment = make_experiment()
    with pytest.raises(IntegrityError, match="one_control_per_experiment"), transaction.atomic():
        Arm.objects.filter(experiment=experiment).update(is_control=True)


def test_an_experiment_has_one_goal() -> None:
    experiment = make_experiment(others=[make_metric()])
    with pytest.raises(IntegrityError, match="one_goal_per_experiment"), transaction.atomic():
        ExperimentMetric.objects.filter(experiment=experiment).update(role=Role.GOAL)


def test_what_runs_was_started() -> None:
    experiment = make_experiment(started_at=None)
    with pytest.raises(IntegrityError, match="started_when_no_draft"), transaction.atomic():
        Experiment.objects.filter(pk=experiment.pk).update(status=Status.RUNNING)
