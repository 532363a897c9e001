"""A stored analysis in words and pictures."""

from typing import Any

import pytest

from experiments.models import Analysis
from experiments.reports import to_page
from experiments.stats.estimate import Estimate, Inconclusive, Interval, Result
from experiments.wording import say_difference
from tests.makers import DAY, NOW


def estimate(**changes: Any) -> Estimate:
    values: dict[str, Any] = {
        "control_mean": 0.10,
        "treatment_mean": 0.12,
        "n_control": 500,
        "n_treatment": 500,
        "control_interval": Interval(0.08, 0.12),
        "treatment_interval": Interval(0.10, 0.14),
        "difference": 0.02,
        "difference_interval": Interval(0.01, 0.03),
        "relative": 0.2,
        "relative_interval": Interval(0.1, 0.3),
        "p_value": 0.001,
        "ln_p_value": -6.9,
        "confidence": 0.95,
        "method": "made up",
        **changes,
    }
    return Estimate(**values)


def analysis(
    *results: Result,
    names: tuple[str, ...] = ("New", "Newer"),
    higher_is_better: bool = True,
    unit: str = "percent",
    customers: int = 500,
) -> Analysis:
    """Store what came out for a control and as many arms as there are results."""
    arms = [{"key": "control", "name": "Control", "is_control": True}]
    arms += [{"key": f"arm{i}", "name": names[i], "is_control": False} for i in range(len(results))]
    for arm in arms:
        arm.update(weight=3000, customers=customers)
    metric = {
        "key": "orders",
        "name": "Orders",
        "role": "goal",
        "unit": unit,
        "describes": "share of customers",
        "higher_is_better": higher_is_better,
        "means": {arm["key"]: 0.1 if customers else None for arm in arms},
        "results": {f"arm{i}": result.to_json() for i, result in enumerate(results)},
        "margin": None,
        "raw": {},
        "variance_removed": {},
        "ln_p_adjusted": {},
    }
    report = {
        "confidence": 0.95,
        "customers": customers * len(arms),
        "planned_customers": 1500,
        "days_left": 3,
        "moved": 0,
        "arms": arms,
        "metrics": [metric],
        "segments": [],
        "findings": [],
        "verdict": {
            "kind": "win",
            "sentence": "",
            "next_step": "",
            "basis": "",
            "decided_at": NOW.isoformat(),
        },
    }
    return Analysis(report=report, moments={}, computed_at=NOW)


def test_a_row_says_what_came_out() -> None:
    control, new = to_page(analysis(estimate())).metrics[0].rows
    assert (control.arm, control.note) == ("Control", "control")
    assert (new.arm, new.customers, new.mean) == ("New", 500, "10.0%")
    assert (new.lift, new.lift_interval) == ("+20%", "+10% to +30%")
    assert new.tone == "good"
    assert new.note == ""


@pytest.mark.parametrize(
    ("difference", "ln_p_value", "higher_is_better", "tone"),
    [
        (0.02, -6.9, True, "good"),
        (0.02, -6.9, False, "bad"),
        (-0.02, -6.9, True, "bad"),
        (-0.02, -6.9, False, "good"),
        (0.02, -1.0, True, "plain"),
    ],
)
def test_the_tone_follows_the_metrics_good_direction(
    difference: float, ln_p_value: float, higher_is_better: bool, tone: str
) -> None:
    result = estimate(difference=difference, ln_p_value=ln_p_value)
    page = to_page(analysis(result, higher_is_better=higher_is_better))
    assert page.metrics[0].rows[1].tone == tone


def test_no_estimate_is_a_note_and_no_picture() -> None:
    section = to_page(analysis(Inconclusive("Nobody came."))).metrics[0]
    assert section.rows[1].note == "Nobody came."
    assert (section.forest, section.rates) == ("", "")


def test_an_arm_without_customers_has_no_mean() -> None:
    page = to_page(analysis(Inconclusive("Nobody came."), customers=0))
    assert page.metrics[0].rows[1].mean == "–"
    assert page.arms[0]["share"] == "0%"


def test_without_a_lift_in_every_arm_differences_are_drawn() -> None:
    no_lift = estimate(relative=None, relative_interval=None)
    section = to_page(analysis(estimate(), no_lift, unit="number")).metrics[0]
    assert section.rows[2].lift == "–"
    assert section.rows[2].lift_interval == ""
    assert f"{say_difference(0.02, unit='number')}, between" in section.forest


def test_lifts_are_drawn_where_all_have_one() -> None:
    section = to_page(analysis(estimate())).metrics[0]
    assert "+20%, between +10% and +30%" in section.forest
    assert "Control" in section.rates


def test_two_arms_of_one_name_are_both_drawn() -> None:
    other = estimate(relative=0.5, relative_interval=Interval(0.4, 0.6))
    section = to_page(analysis(estimate(), other, names=("New", "New"))).metrics[0]
    assert "+20%, between" in section.forest
    assert "+50%, between" in section.forest


def test_a_hostile_name_is_escaped_in_the_pictures() -> None:
    section = to_page(analysis(estimate(), names=("<script>alert(1)</script>", "b"))).metrics[0]
    assert "<script>" not in section.forest + section.rates


def test_progress_never_exceeds_the_plan() -> None:
    assert to_page(analysis(estimate(), customers=100)).progress_percent == 13
    assert to_page(analysis(estimate(), customers=9999)).progress_percent == 100


def test_a_verdict_of_an_earlier_day_says_when_it_was_given() -> None:
    today = analysis(estimate())
    assert to_page(today).decided_at is None
    today.computed_at = NOW + DAY
    assert to_page(today).decided_at == NOW
