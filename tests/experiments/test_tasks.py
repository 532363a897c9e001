"""Analyses are made when due, once, by whichever worker comes first."""

import logging
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from experiments.analysing.analysis import analyse
from experiments.analysing.earlier import recall_looks
from experiments.lifecycle.status import request_analysis, stop_experiment
from experiments.models import Analysis, Experiment
from experiments.tasks import analyse_due, analyse_if_due, thin_all
from tests.makers import (
    DAY,
    HOUR,
    NOW,
    event_row,
    expose,
    make_customers,
    make_events,
    make_experiment,
)
from tests.racing import locked_table, other_sessions, wait_for_blocked


def analysed(experiment: Experiment) -> int:
    return Analysis.objects.filter(experiment=experiment).count()


def forget_analyses(experiment: Experiment, *, age: timedelta) -> None:
    Experiment.objects.filter(pk=experiment.pk).update(analysed_at=timezone.now() - age)


@pytest.mark.django_db
def test_a_running_experiment_is_analysed_without_being_asked() -> None:
    experiment = make_experiment()
    assert analyse_due() == 1
    assert analysed(experiment) == 1


@pytest.mark.django_db
def test_what_was_just_analysed_is_not_due() -> None:
    experiment = make_experiment()
    analyse_due()
    assert analyse_due() == 0
    assert analysed(experiment) == 1


@pytest.mark.django_db
def test_a_running_experiment_is_due_again_after_the_interval() -> None:
    experiment = make_experiment()
    forget_analyses(experiment, age=timedelta(seconds=settings.ANALYSIS_INTERVAL_SECONDS + 1))
    assert analyse_due() == 1


@pytest.mark.django_db
def test_what_was_asked_for_is_analysed_at_once() -> None:
    experiment = make_experiment()
    analyse_due()
    request_analysis(experiment, now=timezone.now())
    assert analyse_due() == 1
    assert analyse_due() == 0


@pytest.mark.django_db
def test_a_request_from_a_fast_clock_is_answered_once() -> None:
    experiment = make_experiment()
    request_analysis(experiment, now=timezone.now() + timedelta(minutes=5))
    assert analyse_due() == 1
    assert analyse_due() == 0


@pytest.mark.django_db
def test_a_draft_is_analysed_only_when_asked() -> None:
    experiment = make_experiment(started_at=None)
    assert analyse_due() == 0
    request_analysis(experiment, now=timezone.now())
    assert analyse_due() == 1
    assert analysed(experiment) == 1


@pytest.mark.django_db
def test_a_stopped_experiment_is_analysed_one_last_time() -> None:
    experiment = make_experiment()
    stop_experiment(experiment, by=None, now=timezone.now())
    assert analyse_due() == 1
    forget_analyses(experiment, age=timedelta(days=1))
    assert analyse_due() == 0


@pytest.mark.django_db
def test_who_comes_after_another_worker_finds_it_done() -> None:
    experiment = make_experiment()
    assert analyse_if_due(experiment.pk)
    assert not analyse_if_due(experiment.pk)
    assert analysed(experiment) == 1


@pytest.mark.django_db
def test_a_damaged_experiment_does_not_keep_others_from_their_analysis(
    caplog: pytest.LogCaptureFixture,
) -> None:
    damaged = make_experiment()
    damaged.plans.update(plan={"nonsense": True})
    request_analysis(damaged, now=NOW)
    sound = make_experiment()
    with caplog.at_level(logging.ERROR):
        assert analyse_due() == 1
    assert analysed(sound) == 1
    assert f"Experiment {damaged.pk} could not be analysed" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_analyse_once() -> None:
    experiment = make_experiment()
    with other_sessions(2) as run:
        with locked_table("experiments_analysis"):
            first = run(analyse_due)
            wait_for_blocked()
            second = run(analyse_due)
            assert second.result(timeout=10) == 0
        assert first.result(timeout=10) == 1
    assert analysed(experiment) == 1


@pytest.mark.django_db(transaction=True)
def test_a_request_during_an_analysis_neither_waits_for_it_nor_is_lost() -> None:
    experiment = make_experiment()
    with other_sessions(1) as run:
        with locked_table("experiments_analysis"):
            worker = run(analyse_due)
            wait_for_blocked()
            # Asked by a clock that is behind the worker's, and seen by the worker too late.
            request_analysis(experiment, now=NOW)
        assert worker.result(timeout=10) == 1
    assert analyse_due() == 1
    assert analysed(experiment) == 2


@pytest.mark.django_db
def test_old_analyses_go_but_for_what_a_verdict_rests_on_and_one_a_day() -> None:
    experiment = make_experiment(planned_customers=400, minimum_days=0)
    for step in range(3):
        for arm in ("control", "new"):
            people = make_customers(60)
            expose(experiment, people, arm, at=NOW)
            make_events([event_row(p, "Order Completed", at=NOW + HOUR) for p in people[:20]])
        # Nobody came between these, so that only the first of them is a look.
        for minutes in (0, 1, 2):
            analyse(experiment, now=NOW + (2 + step) * HOUR + timedelta(minutes=minutes))
    stop_experiment(experiment, by=None, now=NOW + DAY)
    earlier = recall_looks(experiment)
    assert len(earlier.looks) == 3

    deleted = thin_all()

    assert deleted == 5  # of nine; the day's last stays
    assert recall_looks(experiment) == earlier
    assert thin_all() == 0
