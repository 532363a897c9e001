"""The SQL that is handed out is the SQL that was run."""

from typing import Any

import pytest
from django.db import connection

from experiments.export.sql_file import to_sql
from experiments.models import Experiment
from experiments.stats.moments import Moments

pytestmark = pytest.mark.django_db


def run(text: str) -> list[list[tuple[Any, ...]]]:
    """Run a file as it is, and return the rows of each statement."""
    found = []
    with connection.cursor() as cursor:
        cursor.execute(text)
        while True:
            found.append(cursor.fetchall())
            if not cursor.nextset():
                return found


def test_the_sql_gives_the_moments_that_are_stored(experiment: Experiment) -> None:
    analysis = experiment.analyses.get()
    exposures, moments = run(to_sql(experiment, analysis))
    assert sum(row[-3] for row in exposures if row[2] == 1) == 680
    ids = dict(experiment.arms.values_list("pk", "key"))
    everybody = [row for row in moments if row[1] == 1]
    assert {ids[row[0]] for row in everybody} == set(analysis.moments["arms"])
    for arm_id, _, _, n, means, pairs, _ in everybody:
        stored = Moments.from_json(analysis.moments["arms"][ids[arm_id]])
        count = len(means)
        lower = [stored.covariance[i][j] for i in range(count) for j in range(i + 1)]
        assert n == stored.n
        assert means == pytest.approx(list(stored.mean[:count]), rel=1e-12)
        assert pairs == pytest.approx(lower, rel=1e-9, abs=1e-12)
        assert count >= 18


def test_the_sql_gives_the_moments_of_each_segment(experiment: Experiment) -> None:
    analysis = experiment.analyses.get()
    _, moments = run(to_sql(experiment, analysis))
    ids = dict(experiment.arms.values_list("pk", "key"))
    goal = analysis.report["metrics"][0]["key"]
    (place,) = analysis.moments["metrics"][goal]["columns"]
    stored = analysis.moments["segments"]["country"]
    found = {(row[2], ids[row[0]]): (row[3], row[4][place]) for row in moments if row[1] == 0}
    assert found == {
        (value, arm): (kept["n"], pytest.approx(kept["mean"][0], rel=1e-12))
        for value, metrics in stored.items()
        for arm, kept in metrics[goal].items()
    }


def test_the_sql_gives_the_moments_of_each_phase(ramped: Experiment) -> None:
    analysis = ramped.analyses.get()
    text = to_sql(ramped, analysis)
    assert "-- Phase 2: control 5000, new 5000" in text
    exposures, moments = run(text)
    ids = dict(ramped.arms.values_list("pk", "key"))
    counted = {(row[0], ids[row[1]]): row[2] for row in exposures}
    found = {(row[0], ids[row[1]]): (row[2], row[3]) for row in moments}
    assert counted == {key: n for key, (n, _) in found.items()}
    assert found == {
        (number, arm): (kept["n"], pytest.approx(kept["mean"][: len(found[0, "new"][1])]))
        for number, phase in enumerate(analysis.moments["phases"])
        for arm, kept in phase["arms"].items()
        if kept["n"]
    }


def test_a_name_stays_in_its_comment(experiment: Experiment) -> None:
    hostile = "x\n; DROP TABLE audience_event; --\r; SELECT 1; %s */ \u2028 '"
    Experiment.objects.filter(pk=experiment.pk).update(name=hostile)
    experiment.refresh_from_db()
    text = to_sql(experiment, experiment.analyses.get())
    assert text.startswith("-- x ; DROP TABLE audience_event; -- ; SELECT 1; %s */ ', as of ")
    exposures, moments = run(text)
    assert exposures
    assert moments


def test_every_column_is_named(experiment: Experiment) -> None:
    text = to_sql(experiment, experiment.analyses.get())
    assert [line for line in text.splitlines() if line.startswith("--   1: ")] != []
    for metric in experiment.metrics.all():
        assert f"--   {metric.name}: columns " in text
