"""A stored analysis in words and pictures."""

from typing import Any

import pytest

from experiments.models import Analysis
from experiments.reports import MetricSection, to_page
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
        "together": {},
        "explained": {},
        "beliefs": {},
    }
    report = {
        "confidence": 0.95,
        "customers": customers * len(arms),
        "planned_customers": 1500,
        "days_left": 3,
        "moved": 0,
        "arms": arms,
        "metrics": [metric],
        "covariates": [],
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


def changed(**values: Any) -> MetricSection:
    """Show a metric of two treatments after changing what is stored of it."""
    stored = analysis(estimate(), estimate())
    stored.report["metrics"][0].update(values)
    return to_page(stored).metrics[0]


@pytest.mark.parametrize(
    ("removed", "says"),
    [
        ({"arm0": 0.114, "arm1": 0.136}, "11% for New and 14% for Newer."),
        ({"arm0": 0.114, "arm1": 0.000002}, "11% for New."),
        ({"arm0": -0.007, "arm1": 0.000002}, "next to none."),
    ],
)
def test_an_adjusted_metric_says_how_much_noise_that_takes_out(
    removed: dict[str, float], says: str
) -> None:
    raw = {arm: estimate(relative=0.3).to_json() for arm in removed}
    section = changed(raw=raw, variance_removed=removed)
    assert section.adjusted.endswith(f"takes out noise (variance): {says}")
    assert section.unadjusted == [f"{arm}: +30% (+10% to +30%)" for arm in ("New", "Newer")]


def test_what_was_not_adjusted_says_nothing_of_it() -> None:
    section = changed()
    assert (section.adjusted, section.unadjusted) == ("", [])


@pytest.mark.parametrize(
    ("higher_is_better", "says"),
    [
        (True, "must be shown to fall by less than 2.5%"),
        (False, "must be shown to rise by less than 2.5%"),
    ],
)
def test_a_margin_is_said_in_the_direction_that_does_harm(
    higher_is_better: bool, says: str
) -> None:
    assert changed(margin=0.025, higher_is_better=higher_is_better).margin == says


def belief(**values: float) -> dict[str, Any]:
    return {
        "lift": 0.155,
        "interval": {"low": 0.066, "high": 0.25},
        "chance_to_beat": 0.8995,
        "loss_of_shipping": 0.002,
        "loss_of_keeping": 0.059,
        "prior": "weak",
        "rule": 0.95,
        "rule_error": 0.0691,
        **values,
    }


def test_beliefs_are_said_with_the_error_of_acting_on_them() -> None:
    section = changed(beliefs={"arm1": belief()})
    assert section.beliefs == [
        "Newer: better with a chance of 90.0%; lift +16% (+6.6% to +25%); expected loss 0.20% if "
        "shipped, 5.9% if Control is kept. Calling it better or worse once 95% sure errs in 6.9% "
        "of experiments without an effect."
    ]
    assert section.prior == "weak"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"chance_to_beat": 0.99978}, "a chance of over 99.9%"),
        ({"chance_to_beat": 1e-9}, "a chance of under 0.1%"),
        ({"loss_of_shipping": 2e-6}, "expected loss under 0.01% if shipped"),
    ],
)
def test_no_belief_is_said_to_be_certain(values: dict[str, float], says: str) -> None:
    assert says in changed(beliefs={"arm0": belief(**values)}).beliefs[0]
