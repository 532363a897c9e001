"""Customers who do more than people can."""

from dataclasses import replace

import pytest

from experiments.health.base import Busy, HealthContext
from experiments.health.bots import check_bots
from tests.experiments.health.contexts import make_context


def busy(*arms: tuple[int, int, int]) -> HealthContext:
    return replace(
        make_context(), busy=tuple(Busy("AB"[i], *counts) for i, counts in enumerate(arms))
    )


def test_bots_are_counted_and_weighed() -> None:
    finding = check_bots(busy((2, 3000, 100_000), (1, 20_000, 100_000)))
    assert finding is not None
    assert finding.severity == "warning"
    assert finding.detail.startswith(
        "3 customers made more than 1,000 events in a day; in B they make 20% of all events."
    )


def test_a_single_bot_is_one_customer() -> None:
    finding = check_bots(busy((1, 3000, 100_000)))
    assert finding is not None
    assert finding.detail.startswith("1 customer made")


@pytest.mark.parametrize(
    "fine",
    [busy((0, 0, 0)), busy((1, 1000, 100_000)), busy((0, 0, 100), (0, 0, 100))],
    ids=["no events", "one in a hundred", "nobody"],
)
def test_few_events_of_bots_do_no_harm(fine: HealthContext) -> None:
    assert check_bots(fine) is None
