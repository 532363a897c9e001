"""Events that come late."""

from dataclasses import replace

import pytest

from experiments.health.base import Arrivals
from experiments.health.late import check_late_events
from tests.experiments.health.contexts import make_context


def arrivals(events: int, late: int, metric: str = "purchases") -> Arrivals:
    return Arrivals(metric, events, late, 10.0, 0.0, 1000, 0)


@pytest.mark.parametrize(
    ("events", "late", "is_found"),
    [(1000, 50, False), (1000, 51, True), (99, 99, False), (100, 6, True), (0, 0, False)],
)
def test_more_than_a_twentieth_is_late(events: int, late: int, is_found: bool) -> None:
    context = replace(make_context(), arrivals=(arrivals(events, late),))
    assert (check_late_events(context) is not None) == is_found


def test_the_latest_metric_is_named() -> None:
    context = replace(
        make_context(), arrivals=(arrivals(1000, 100), arrivals(1000, 300, "returns"))
    )
    finding = check_late_events(context)
    assert finding is not None
    assert finding.severity == "warning"
    assert finding.detail.startswith("30% of the events of returns came more than a day")
    assert [found["metric"] for found in finding.evidence["found"]] == ["purchases", "returns"]
