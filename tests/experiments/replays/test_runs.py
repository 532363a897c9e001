"""Replays read the site's own past, are run by one worker at a time, and survive its death."""

from pathlib import Path

import numpy as np
import pytest
from django.db import OperationalError
from pytest_django import Settings
from scipy import stats

from experiments.engines import load_engine
from experiments.metrics.columns import Events, Total
from experiments.models import Metric, Replay
from experiments.planning.planner import ENTRY_DAYS, WATCHED_DAYS
from experiments.replays import runs as replays
from experiments.replays.runs import report_progress, request_replay, run_due
from experiments.replays.splitting import FloatArray
from experiments.sql.columns import Scope
from experiments.sql.statements import values_statement
from experiments.tasks import replay_due
from tests.makers import (
    DAY,
    HOUR,
    NOW,
    event_row,
    expose,
    make_customers,
    make_events,
    make_experiment,
    make_metric,
)
from tests.racing import end_sessions, locked_table, other_sessions, wait_for_blocked

STARTED = NOW - (ENTRY_DAYS + WATCHED_DAYS) * DAY
N = 300
SPLITS = 100


def make_past(*, usual: FloatArray | None = None) -> FloatArray:
    """Let customers come over four weeks and spend; return what each spent, in ascending order."""
    rng = np.random.default_rng(5)
    spent = rng.gamma(2.0, 10.0, N) + (0.0 if usual is None else usual)
    rows = []
    for number, customer in enumerate(make_customers(N)):
        entered_at = STARTED + (number % ENTRY_DAYS) * DAY + HOUR
        rows += [
            event_row(customer, "Page Viewed", at=entered_at),
            event_row(customer, "Order", at=entered_at + DAY, value=float(spent[number])),
        ]
        if usual is not None:
            before = float(usual[number])
            rows.append(event_row(customer, "Order", at=entered_at - DAY, value=before))
        if number % 3 == 0:
            rows.append(event_row(customer, "Sign Up", at=entered_at + DAY))
    make_events(rows)
    return np.sort(spent)


def make_replay(*metrics: Metric, entry: str = "Page Viewed") -> Replay:
    return request_replay(list(metrics), entry=entry, splits=SPLITS, by=None, now=NOW)


def seeded(replay: Replay, *, seed: int) -> Replay:
    """Give a replay the number from which its splits follow, whatever was made before."""
    metrics = list(replay.metrics.all())
    replay.delete()
    replay.pk = seed
    replay.save(force_insert=True)
    replay.metrics.set(metrics)
    return replay


@pytest.mark.django_db
def test_independent_values_stay_in_the_band_for_every_metric() -> None:
    make_past()
    mean, conversion = make_metric("Order", kind="mean"), make_metric("Sign Up")
    replay = seeded(make_replay(mean, conversion), seed=1)
    assert replay_due() == 1
    replay.refresh_from_db()
    assert (replay.result["customers"], replay.result["entered"]) == (N, N)
    assert [metric["name"] for metric in replay.result["metrics"]] == [mean.name, conversion.name]
    assert [metric["is_sound"] for metric in replay.result["metrics"]] == [True, True]
    assert (replay.done, replay.finished_at is not None) == (SPLITS, True)


@pytest.mark.django_db
def test_a_share_is_that_of_welchs_test_on_what_customers_spent() -> None:
    spent = make_past()
    replay = make_replay(make_metric("Order", kind="mean"))
    run_due()
    replay.refresh_from_db()
    p_values = []
    for split in range(SPLITS):
        order = np.random.default_rng([replay.pk, split]).permutation(N)
        halves = spent[order[: N // 2]], spent[order[N // 2 :]]
        p_values.append(stats.ttest_ind(*halves, equal_var=False).pvalue)
    (metric,) = replay.result["metrics"]
    assert metric["found"] == pytest.approx(np.mean(np.array(p_values) < 0.05))
    assert metric["histogram"] == np.histogram(p_values, bins=20, range=(0, 1))[0].tolist()


@pytest.mark.django_db
def test_what_is_known_from_before_adjusts_as_in_an_experiment() -> None:
    usual = np.random.default_rng(6).gamma(2.0, 50.0, N)
    spent = make_past(usual=usual)
    replay = seeded(make_replay(make_metric("Order", kind="mean")), seed=2)
    run_due()
    replay.refresh_from_db()
    (metric,) = replay.result["metrics"]
    order = [np.random.default_rng([2, split]).permutation(N) for split in range(SPLITS)]
    raw = [
        stats.ttest_ind(spent[o[: N // 2]], spent[o[N // 2 :]], equal_var=False).pvalue
        for o in order
    ]
    # Most of what customers spend they spent before: other splits stand out once that is out.
    assert metric["histogram"] != np.histogram(raw, bins=20, range=(0, 1))[0].tolist()
    assert metric["is_sound"]


@pytest.mark.django_db
def test_of_very_many_customers_a_sample_is_split(monkeypatch: pytest.MonkeyPatch) -> None:
    make_past()
    monkeypatch.setattr(replays, "MOST_CUSTOMERS", 120)
    replay = make_replay(make_metric("Order", kind="mean"))
    run_due()
    replay.refresh_from_db()
    assert (replay.result["customers"], replay.result["entered"]) == (120, N)
    first = replay.result
    Replay.objects.filter(pk=replay.pk).update(finished_at=None, result={})
    run_due()
    replay.refresh_from_db()
    assert replay.result == first


@pytest.mark.django_db
def test_every_engine_draws_the_same_sample(settings: Settings, tmp_path: Path) -> None:
    settings.LAKE_DIR = tmp_path / "lake"
    experiment = make_experiment()
    customers = make_customers(50)
    expose(experiment, customers, "control", at=NOW)
    make_events(
        [event_row(c, "Order", at=NOW + HOUR, value=float(n)) for n, c in enumerate(customers)]
    )
    spent = Total("sum", Events("Order"))
    statement = values_statement(Scope(experiment.pk, NOW, NOW + DAY), [spent], most=20)
    database, lake = (
        sorted(load_engine(name).run(statement.text, experiment_id=experiment.pk, since=NOW))
        for name in ("postgres", "duckdb")
    )
    assert len(database) == 20
    assert database == lake
    # Mixed, and not those who came first.
    assert database != [(float(n),) for n in range(20)]


@pytest.mark.django_db
def test_too_few_customers_are_explained() -> None:
    replay = make_replay(make_metric(), entry="Never Seen")
    assert run_due() == 1
    replay.refresh_from_db()
    assert "Only 0 customers had the event “Never Seen”" in replay.result["error"]
    assert replay.finished_at is not None


@pytest.mark.django_db
def test_a_replay_without_its_metrics_says_so() -> None:
    metric = make_metric()
    replay = make_replay(metric)
    metric.delete()
    run_due()
    replay.refresh_from_db()
    assert "deleted" in replay.result["error"]


@pytest.mark.django_db
def test_a_broken_metric_ends_its_replay_and_not_the_next_one() -> None:
    make_past()
    broken = make_metric("Order", kind="mean", no_such_parameter=1)
    first, second = make_replay(broken), make_replay(make_metric("Order", kind="mean"))
    assert run_due() == 2
    first.refresh_from_db()
    second.refresh_from_db()
    assert "failed" in first.result["error"]
    assert second.result["customers"] == N


@pytest.mark.django_db
def test_what_is_finished_is_not_run_again() -> None:
    make_replay(make_metric(), entry="Never Seen")
    assert (run_due(), run_due()) == (1, 0)


@pytest.mark.django_db(transaction=True)
def test_one_worker_at_a_time_and_the_next_takes_up_what_a_killed_one_left() -> None:
    make_past()
    replay = make_replay(make_metric("Order", kind="mean"))
    with other_sessions(2) as session:
        with locked_table("experiments_replay"):
            killed = session(run_due)
            # It stands where it tells of its first progress.
            wait_for_blocked()
            assert session(run_due).result(timeout=20) == 0
            end_sessions(only_blocked=True)
        with pytest.raises(OperationalError):
            killed.result(timeout=20)
    replay.refresh_from_db()
    assert (replay.finished_at, replay.result) == (None, {})
    assert run_due() == 1
    replay.refresh_from_db()
    assert replay.done == SPLITS
    first = replay.result
    Replay.objects.filter(pk=replay.pk).update(finished_at=None, result={}, done=0)
    run_due()
    replay.refresh_from_db()
    assert replay.result == first


@pytest.mark.django_db(transaction=True)
def test_progress_is_seen_by_others_while_it_runs() -> None:
    make_past()
    replay = make_replay(make_metric("Order", kind="mean"))
    seen = []

    def look() -> int:
        return Replay.objects.get(pk=replay.pk).done

    tell = report_progress(replay)
    with other_sessions(1) as session:
        for done in (1, 2, 3, SPLITS):
            tell(done)
            seen.append(session(look).result(timeout=20))
    # Every second split of a hundred is told.
    assert seen == [0, 2, 2, SPLITS]
