"""What policies would have earned, in words."""

from typing import Any

import pytest

from campaigns.values import say_comparison, to_value_table, unit_of
from recommender.models import Policy, PolicyEvaluation, RewardKind

WITHHELD = {"withheld": "too few decisions"}


def value(estimate: float) -> dict[str, float]:
    return {"estimate": estimate, "low": estimate - 0.01, "high": estimate + 0.01}


def gain(low: float, high: float) -> dict[str, float]:
    return {"estimate": (low + high) / 2, "low": low, "high": high}


def row(policy: str, dr: Any, advantage: Any = None) -> dict[str, Any]:
    return {"policy": policy, "snips": value(0.1), "dr": dr, "advantage": advantage}


@pytest.mark.parametrize(
    ("advantage", "says"),
    [
        (gain(0.01, 0.03), "The learned policy beats the best simple one, “Red to all”: +2"),
        (gain(-0.03, -0.01), "The learned policy does worse than “Red to all”: −2"),
        (gain(-0.01, 0.03), "The learned policy is not shown to beat “Red to all”"),
    ],
)
def test_the_best_simple_policy_is_the_rival(advantage: dict[str, float], says: str) -> None:
    rows = [
        row("Learned policy", value(0.20)),
        row("Blue to all", value(0.10), gain(0.5, 0.6)),
        row("Red to all", value(0.18), advantage),
        row("No offer", WITHHELD, gain(-9, -8)),
    ]
    assert say_comparison(rows, unit="percent").startswith(says)


@pytest.mark.parametrize(
    "rows",
    [
        [row("Learned policy", WITHHELD), row("Red to all", value(0.1), gain(0.1, 0.2))],
        [row("Learned policy", value(0.1)), row("Red to all", WITHHELD, WITHHELD)],
        [row("Learned policy", value(0.1))],
    ],
    ids=["no estimate", "no rival's estimate", "no rival"],
)
def test_without_two_estimates_nothing_is_compared(rows: list[dict[str, Any]]) -> None:
    expected = "The learned policy cannot be judged yet."
    assert say_comparison(rows, unit="percent") == expected


def test_the_table_says_estimates_intervals_and_why_there_is_none() -> None:
    rows = [
        row("Learned policy", value(0.20)),
        row("Red to all", WITHHELD, WITHHELD),
        row("<b>Blue</b> to all", value(0.10), gain(0.05, 0.15)),
    ]
    table = to_value_table(PolicyEvaluation(rows=rows), unit="percent")
    learned, red, blue = table.rows
    assert learned.dr == "20.0% (19.0% to 21.0%)"
    assert learned.advantage == ""
    assert red.dr == red.advantage == "withheld: too few decisions"
    assert "(" in blue.advantage
    assert "Red to all" not in table.chart
    assert "<b>" not in table.chart


def test_nothing_but_withheld_estimates_draws_nothing() -> None:
    table = to_value_table(PolicyEvaluation(rows=[row("Learned policy", WITHHELD)]), unit="percent")
    assert table.chart == ""


def test_rewards_that_are_sums_are_said_as_numbers() -> None:
    assert unit_of(Policy(reward_kind=RewardKind.ANY)) == "percent"
    assert unit_of(Policy(reward_kind=RewardKind.SUM)) == "number"
    rows = [row("Learned policy", value(8.45)), row("Gift to all", value(6.5), gain(1.0, 3.0))]
    table = to_value_table(PolicyEvaluation(rows=rows), unit="number")
    assert "%" not in table.rows[0].dr
