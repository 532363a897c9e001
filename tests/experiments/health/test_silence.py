"""Silences: the Poisson process by simulation, and the two clocks."""

import math
from dataclasses import replace

import numpy as np
import pytest

from experiments.health.base import Arrivals, Finding
from experiments.health.silence import check_silence
from tests.experiments.health.contexts import make_context


def check(*arrivals: Arrivals) -> Finding | None:
    return check_silence(replace(make_context(), arrivals=arrivals))


def arrivals(
    *,
    events: int = 100,
    days: float = 10.0,
    silent_days: float = 2.0,
    customers: int = 1000,
    since: int = 200,
    metric: str = "purchases",
) -> Arrivals:
    return Arrivals(metric, events, 0, days, silent_days, customers, since)


def test_a_long_silence_is_found() -> None:
    finding = check(arrivals())
    assert finding is not None
    assert (finding.code, finding.severity) == ("events_missing", "warning")
    # All of 100 events in the first 10 of 12 days, and among the first 1,000 of 1,200 customers.
    assert finding.evidence["silent"][0]["probability"] == pytest.approx((10 / 12) ** 100)
    assert finding.detail.startswith(
        "For 2.0 days there was no event of purchases, while 200 more customers came"
    )


def test_a_silence_of_hours_is_only_noted() -> None:
    finding = check(arrivals(events=5000, silent_days=0.5))
    assert finding is not None
    assert finding.severity == "note"
    assert finding.detail.startswith("For 12 hours")


@pytest.mark.parametrize(
    "fine",
    [
        arrivals(since=0),
        arrivals(silent_days=0.0),
        arrivals(events=5),
        arrivals(events=1, days=0.0, silent_days=5.0),
    ],
    ids=["nobody came since", "just now", "rare anyway", "at the very start"],
)
def test_a_silence_that_is_explained_is_none(fine: Arrivals) -> None:
    assert check(fine) is None


def test_a_mailing_a_minute_ago_is_no_silence() -> None:
    assert check(arrivals(silent_days=0.001, since=100_000)) is None


@pytest.mark.parametrize(
    ("days", "customers", "is_found"), [(1.0, 1000, True), (0.9, 5000, False), (5.0, 999, False)]
)
def test_events_that_never_came_are_missing_after_a_day(
    days: float, customers: int, is_found: bool
) -> None:
    finding = check(arrivals(events=0, days=days, silent_days=0.0, customers=customers, since=0))
    assert (finding is not None) == is_found
    if finding is not None:
        assert finding.severity == "warning"
        assert finding.detail.startswith("No event of purchases has ever come.")


def test_silent_and_absent_metrics_are_told_together() -> None:
    finding = check(arrivals(), arrivals(metric="returns", events=0, silent_days=0.0, since=0))
    assert finding is not None
    assert "no event of purchases" in finding.detail
    assert "No event of returns has ever come." in finding.detail


def test_chance_makes_such_a_silence_as_seldom_as_promised() -> None:
    """Poisson events and customers over twelve days, looked at once at the end; 20,000 runs."""
    rng = np.random.default_rng(6)
    runs, found = 20_000, 0
    for _ in range(runs):
        events = rng.poisson(30)
        if events == 0:
            continue
        last = float(rng.random(events).max())
        customers = rng.poisson(1000)
        before = int(rng.binomial(customers, last))
        found += (
            check(
                arrivals(
                    events=events,
                    days=12 * last,
                    silent_days=12 * (1 - last),
                    customers=before,
                    since=customers - before,
                )
            )
            is not None
        )
    assert found / runs <= 0.001 + 3 * math.sqrt(0.001 * 0.999 / runs)
