"""A plan is made from what customers did, and its numbers are theirs."""

import io

import numpy as np
import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from experiments.plan import Adjustment
from experiments.planning.planner import (
    ENTRY_DAYS,
    WATCHED_DAYS,
    TooLittleHistory,
    advise,
    days_left,
    looks_of,
    read_history,
)
from experiments.stats.moments import FloatArray
from experiments.stats.power import Design
from tests.makers import DAY, HOUR, NOW, event_row, make_customers, make_events, make_metric

pytestmark = pytest.mark.django_db

STARTED = NOW - (ENTRY_DAYS + WATCHED_DAYS) * DAY
NO_HISTORY = Adjustment(days=0)
N = 280


@pytest.fixture
def spends() -> FloatArray:
    """Let 10 customers a day come for four weeks; they spend now as they did before."""
    rng = np.random.default_rng(5)
    usual = rng.gamma(2.0, 10.0, N)
    spent = usual + rng.normal(0.0, 4.0, N)
    rows = []
    for number, customer in enumerate(make_customers(N)):
        entered_at = STARTED + (number % ENTRY_DAYS) * DAY + HOUR
        rows += [
            event_row(customer, "Page Viewed", at=entered_at),
            event_row(customer, "Order", at=entered_at - DAY, value=float(usual[number])),
            event_row(customer, "Order", at=entered_at + DAY, value=float(spent[number])),
        ]
    make_events(rows)
    return spent


@pytest.mark.usefixtures("spends")
def test_history_is_the_same_where_experiments_are_analysed_elsewhere(
    settings: LazySettings,
) -> None:
    metric = make_metric("Order", kind="mean")
    here = read_history(metric, entry="Page Viewed", adjustment=NO_HISTORY, now=NOW)
    # That engine knows only of customers who met an experiment.
    settings.ANALYTICS_ENGINE = "duckdb"
    there = read_history(metric, entry="Page Viewed", adjustment=NO_HISTORY, now=NOW)
    assert there.outcome == here.outcome
    assert there.traffic == here.traffic


def test_history_is_what_customers_did_after_they_entered(
    spends: FloatArray,
) -> None:
    metric = make_metric("Order", kind="mean")
    history = read_history(metric, entry="Page Viewed", adjustment=NO_HISTORY, now=NOW)
    assert history.customers == N
    assert history.outcome.mean == pytest.approx(spends.mean())
    # The error is read off a t interval, which is a little wider than the normal one.
    assert history.outcome.variance == pytest.approx(spends.var(ddof=1), rel=0.02)
    assert history.outcome.removed == 0.0
    assert history.traffic.per_weekday == (10.0,) * 7
    assert history.values is not None
    np.testing.assert_allclose(np.sort(history.values), np.sort(spends))


def test_what_customers_did_before_takes_noise_away(
    spends: FloatArray,
) -> None:
    metric = make_metric("Order", kind="mean")
    adjusted = read_history(metric, entry="Page Viewed", adjustment=Adjustment(days=7), now=NOW)
    plain = read_history(metric, entry="Page Viewed", adjustment=NO_HISTORY, now=NOW)
    # 16 of a variance of about 200 + 16 is noise; the cap at the 99th percentile keeps a little.
    assert 0.8 < adjusted.outcome.removed < 0.95
    design = Design()
    fewer, more = (advise(h, design, effect=0.1).customers for h in (adjusted, plain))
    assert fewer == pytest.approx(more * (1 - adjusted.outcome.removed), rel=0.02)


def test_what_does_not_vary_plans_nothing(
    spends: FloatArray,
) -> None:
    metric = make_metric("Order", window_days=0.5)
    with pytest.raises(TooLittleHistory, match="converted"):
        read_history(metric, entry="Page Viewed", adjustment=NO_HISTORY, now=NOW)
    metric = make_metric("Page Viewed", kind="ratio")
    metric.params = {"numerator": {"event": "Order"}, "denominator": {"event": "Page Viewed"}}
    with pytest.raises(TooLittleHistory):
        read_history(metric, entry="Page Viewed", adjustment=NO_HISTORY, now=NOW)


def test_too_few_customers_plan_nothing() -> None:
    with pytest.raises(TooLittleHistory, match="Only 0 customers had the event “Page Viewed”"):
        read_history(make_metric(), entry="Page Viewed", adjustment=NO_HISTORY, now=NOW)


def test_advice_is_whole_weeks_and_smaller_effects_take_longer(
    spends: FloatArray,
) -> None:
    metric = make_metric("Order", kind="mean")
    history = read_history(metric, entry="Page Viewed", adjustment=NO_HISTORY, now=NOW)
    advice = advise(history, Design(), effect=0.2)
    assert advice.days % 7 == 0
    assert advice.days >= advice.customers / history.traffic.per_week * 7
    effects = [effect for _, effect in advice.effects if effect is not None]
    assert effects == sorted(effects, reverse=True)
    daily = looks_of(history, Design(), days=advice.days)
    assert len(daily.looks) == advice.days
    looked = advise(history, daily, effect=0.2)
    assert looked.customers > advice.customers
    assert looked.expected_days < looked.days


def test_the_command_prints_a_plan_and_replays_it(
    spends: FloatArray,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    metric = make_metric("Order", kind="mean")
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    out = io.StringIO()
    call_command(
        "plan", metric.key, entry="Page Viewed", lift=0.1, simulate=50, stdout=out, stderr=out
    )
    said = out.getvalue()
    assert "70 new customers a week" in said
    assert "To find +10% with power 0.8" in said
    assert "Replayed with" in said


def test_the_command_says_what_is_missing() -> None:
    with pytest.raises(CommandError, match="There is no metric nothing"):
        call_command("plan", "nothing", entry="Page Viewed")
    with pytest.raises(CommandError, match="Only 0 customers"):
        call_command("plan", make_metric().key, entry="Page Viewed", stderr=io.StringIO())


def test_days_left_follow_the_pace() -> None:
    assert days_left(planned=1000, so_far=250, days=5) == 15
    assert days_left(planned=1000, so_far=1200, days=5) == 0
    assert days_left(planned=1000, so_far=0, days=5) is None
