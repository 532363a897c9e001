"""What policies would have earned, in words."""

from typing import Any

import pytest

from campaigns.results.values import (
    say_comparison,
    say_integrity,
    say_learning_cost,
    to_value_table,
    unit_of,
)
from recommender.models import Policy, PolicyEvaluation, RewardKind

WITHHELD = {"withheld": "too few decisions"}


def value(estimate: float) -> dict[str, float]:
    return {"estimate": estimate, "low": estimate - 0.01, "high": estimate + 0.01}


def gain(low: float, high: float) -> dict[str, float]:
    return {"estimate": (low + high) / 2, "low": low, "high": high}


def row(policy: str, dr: Any, advantage: Any = None) -> dict[str, Any]:
    return {
        "policy": policy,
        "snips": value(0.1),
        "dr": dr,
        "shrunk": value(0.1),
        "advantage": advantage,
    }


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


def test_what_learning_has_cost_is_said_for_a_decision_and_in_total() -> None:
    cost = {"n": 5_000, "estimate": 0.02, "low": 0.01, "high": 0.03}
    assert say_learning_cost(cost, unit="percent").startswith(
        "Learning has cost 2.00 points a decision so far (+1.00 to +3.00 points), 100 in 5,000 "
        "decisions: "
    )
    assert say_learning_cost({**cost, "low": -0.01}, unit="percent").startswith(
        "Learning is not shown to have cost anything so far: 2.00 points a decision"
    )
    assert say_learning_cost({}, unit="percent") == ""


FOUND = {
    "n": 900,
    "groups": 33,
    "bound": 4.2,
    "is_broken": False,
    "share_at_floor": 0.125,
    "worst": {"offer": "red", "n": 300, "expected": 150.25, "drawn": 170, "z": 2.5},
}


def test_a_log_that_holds_is_said_to_hold() -> None:
    said = say_integrity(FOUND)
    assert "in all of 33 groups" in said
    assert "in 300 decisions offer “red” came 170 times" in said
    assert "+2.5 standard deviations, of 4.2" in said
    assert "12.5% of decisions" in said


def test_a_broken_log_is_said_to_be_broken() -> None:
    worst = FOUND["worst"] | {"offer": "", "z": None}  # type: ignore[operator]
    said = say_integrity(FOUND | {"is_broken": True, "worst": worst})
    assert said.startswith("The log is broken: in 300 decisions no offer came 170 times")


def test_nothing_is_said_of_a_log_that_nobody_checked() -> None:
    table = to_value_table(PolicyEvaluation(rows=[row("A", value(0.1))]), unit="percent")
    assert (table.integrity, table.is_broken) == ("", False)
    assert say_integrity(FOUND | {"worst": None}) == ""


def test_a_policy_that_never_explores_is_no_rival() -> None:
    greedy = row("Learned policy, never exploring", value(0.3), gain(-0.2, -0.1))
    rows = [
        row("Learned policy", value(0.2)),
        greedy | {"is_rival": False},
        row("Red to all", value(0.1), gain(0.05, 0.15)),
    ]
    assert say_comparison(rows, unit="percent").startswith("The learned policy beats")


def test_nothing_but_withheld_estimates_draws_nothing() -> None:
    table = to_value_table(PolicyEvaluation(rows=[row("Learned policy", WITHHELD)]), unit="percent")
    assert table.chart == ""


def test_rewards_that_are_sums_are_said_as_numbers() -> None:
    assert unit_of(Policy(reward_kind=RewardKind.ANY)) == "percent"
    assert unit_of(Policy(reward_kind=RewardKind.SUM)) == "number"
    rows = [row("Learned policy", value(8.45)), row("Gift to all", value(6.5), gain(1.0, 3.0))]
    table = to_value_table(PolicyEvaluation(rows=rows), unit="number")
    assert "%" not in table.rows[0].dr
