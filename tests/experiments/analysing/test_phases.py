"""Arms are compared among customers who had the same chances to meet either of them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm

from experiments.analysing.analysis import analyse
from experiments.analysing.phases import Phase, pair
from experiments.analysing.recompute import recompute
from experiments.lifecycle.adjusting import change_weights, halt_arm, release_arm
from experiments.lifecycle.drafting import ArmPlan
from experiments.models import Experiment, Metric
from experiments.stats.estimate import Estimate
from experiments.stats.lift import compare_means_poststratified
from experiments.stats.moments import Moments
from experiments.stats.proportions import compare_shares_poststratified
from tests.makers import (
    DAY,
    HOUR,
    NOW,
    SECOND,
    event_row,
    expose,
    make_customers,
    make_events,
    make_experiment,
    make_metric,
)

UNEVEN = (ArmPlan("control", "Control", 9000, is_control=True), ArmPlan("new", "New", 1000))
THREE = tuple(ArmPlan(key, key.upper(), 3000, is_control=key == "a") for key in "abc")
RAMPED = NOW + 4 * DAY
LATER = NOW + 10 * DAY


def let_in(
    experiment: Experiment,
    sizes: Mapping[str, int],
    *,
    at: datetime,
    percent: int,
    days: int = 1,
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Let customers come, of whom the same share of every arm orders on each day."""
    for arm, size in sizes.items():
        people = make_customers(size, attributes=attributes)
        expose(experiment, people, arm, at=at)
        each = size * percent // 100
        make_events(
            [
                event_row(person, "Order Completed", at=at + HOUR + day * DAY, value=10.0)
                for day in range(days)
                for person in people[day * each : (day + 1) * each]
            ]
        )


def read(experiment: Experiment) -> dict[str, Any]:
    report: dict[str, Any] = analyse(experiment, now=LATER).report
    assert [each["code"] for each in report["findings"] if each["severity"] != "note"] == []
    return report


def goal_of(report: Mapping[str, Any], arm: str = "new") -> Mapping[str, Any]:
    result: Mapping[str, Any] = report["metrics"][0]["results"][arm]
    return result


def ramped(goal: Metric, **plan: Any) -> Experiment:
    """An arm that does nothing grows from a tenth to a half while the shop sells better."""
    experiment = make_experiment(goal=goal, arms=UNEVEN, planned_customers=4000, **plan)
    let_in(experiment, {"control": 1800, "new": 200}, at=NOW + HOUR, percent=10)
    change_weights(experiment, {"control": 5000, "new": 5000}, by=None, now=RAMPED, reason="")
    let_in(experiment, {"control": 1000, "new": 1000}, at=RAMPED + HOUR, percent=30)
    return experiment


@pytest.mark.django_db
@pytest.mark.parametrize(
    "params",
    [
        {"kind": "conversion", "window_days": 2},
        {"kind": "mean", "of": "value", "window_days": 2},
        {"kind": "mean", "of": "value", "window_days": 2, "cap": {"percentile": 99}},
    ],
)
def test_an_arm_that_grew_while_the_shop_sold_better_did_nothing(params: dict[str, Any]) -> None:
    report = read(ramped(make_metric(**params)))
    assert goal_of(report)["difference"] == pytest.approx(0, abs=1e-12)
    assert report["verdict"]["kind"] == "flat"
    assert "weights_changed" in [each["code"] for each in report["findings"]]


@pytest.mark.django_db
def test_who_came_earlier_had_more_time_to_order_whatever_the_arm() -> None:
    experiment = make_experiment(arms=UNEVEN, planned_customers=4000)
    let_in(experiment, {"control": 1800, "new": 200}, at=NOW + HOUR, percent=4, days=8)
    change_weights(experiment, {"control": 5000, "new": 5000}, by=None, now=RAMPED, reason="")
    let_in(experiment, {"control": 1000, "new": 1000}, at=RAMPED + HOUR, percent=4, days=4)
    report = read(experiment)
    assert goal_of(report)["difference"] == pytest.approx(0, abs=1e-12)
    assert report["verdict"]["kind"] == "flat"


@pytest.mark.django_db
def test_a_halted_arm_is_compared_with_the_control_of_its_time() -> None:
    goal = make_metric(window_days=2)
    experiment = make_experiment(goal=goal, arms=THREE, planned_customers=3000)
    let_in(experiment, dict.fromkeys("abc", 300), at=NOW + HOUR, percent=30)
    halt_arm(experiment, "c", by=None, now=RAMPED, reason="a bug")
    let_in(experiment, dict.fromkeys("ab", 900), at=RAMPED + HOUR, percent=10)
    release_arm(experiment, "c", by=None, now=RAMPED + DAY, reason="mended")
    let_in(experiment, dict.fromkeys("abc", 100), at=RAMPED + 2 * DAY, percent=50)
    report = read(experiment)
    b, c = goal_of(report, "b"), goal_of(report, "c")
    assert (b["n_control"], b["n_treatment"], b["difference"]) == (1300, 1300, 0.0)
    assert (c["n_control"], c["n_treatment"], c["control_mean"]) == (400, 400, 0.35)
    assert c["difference"] == 0.0


@pytest.mark.django_db
def test_a_minute_in_which_either_weights_were_served_takes_no_part() -> None:
    experiment = ramped(make_metric(window_days=2))
    let_in(experiment, {"control": 50, "new": 50}, at=RAMPED + 30 * SECOND, percent=90)
    result = goal_of(analyse(experiment, now=LATER).report)
    assert (result["n_control"], result["n_treatment"]) == (2800, 1200)


@pytest.mark.django_db
def test_what_was_known_before_may_drift_as_well() -> None:
    experiment = ramped(make_metric(window_days=2))
    (before,) = experiment.plans.all()[:1]
    assert before.number == 1
    people = make_customers(400)
    make_events([event_row(p, "Order Completed", at=RAMPED - HOUR, value=5.0) for p in people])
    expose(experiment, people[:200], "control", at=RAMPED + HOUR)
    expose(experiment, people[200:], "new", at=RAMPED + HOUR)
    codes = [each["code"] for each in analyse(experiment, now=LATER).report["findings"]]
    assert "unequal_before" not in codes


@pytest.mark.django_db
def test_segments_and_strata_are_of_customers_with_the_same_chances() -> None:
    middle = make_metric(kind="quantile", percentile=50, over="events")
    share = make_metric()
    ratio = make_metric()
    ratio.kind, ratio.params = (
        "ratio",
        {
            "numerator": {"event": "Order Completed", "of": "value"},
            "denominator": {"event": "Order Completed"},
        },
    )
    ratio.save()
    experiment = make_experiment(
        goal=make_metric(kind="mean", cap={"percentile": 95.0}),
        others=[middle, share, ratio],
        arms=UNEVEN,
        planned_customers=4000,
        strata="country",
        segments=["plan"],
    )
    for at, sizes, percent in (
        (NOW + HOUR, {"control": 900, "new": 100}, 10),
        (RAMPED + HOUR, {"control": 500, "new": 500}, 30),
    ):
        if at > RAMPED:
            weights = {"control": 5000, "new": 5000}
            change_weights(experiment, weights, by=None, now=RAMPED, reason="")
        for country in ("de", "fr"):
            own = {"country": country, "plan": country * 2}
            let_in(experiment, sizes, at=at, percent=percent, attributes=own)
    analysis = analyse(experiment, now=LATER)
    report, again = analysis.report, recompute(analysis.moments)
    for metric in report["metrics"]:
        found = again["metrics"][metric["key"]]["new"]
        assert found["result"] == metric["results"]["new"]
        assert found["explained"] == metric["explained"].get("new")
    assert [each["results"] for each in again["segments"]] == [
        each["results"] for each in report["segments"]
    ]
    for segment in report["segments"]:
        for each in segment["results"]:
            if each["result"]["kind"] == "estimate":
                assert each["result"]["difference"] == pytest.approx(0, abs=1e-9)
    assert goal_of(report)["difference"] == pytest.approx(0, abs=1e-9)


def test_it_is_a_regression_with_a_term_for_every_phase() -> None:
    rng = np.random.default_rng(7)
    phases, rows = [], []
    for number, (before, after, base) in enumerate([(900, 100, 2.0), (500, 500, 6.0)]):
        arms = {}
        for arm, n in (("control", before), ("new", after)):
            y = rng.exponential(base, n)
            arms[arm] = Moments.of(y[:, None])
            rows += [(value, arm == "new", number) for value in y]
        phases.append(Phase(({"control": before, "new": after},), arms))
    y, new, number = np.array(rows, dtype=float).T
    fitted = sm.OLS(y, np.column_stack([new, number == 0, number == 1])).fit(cov_type="HC2")
    paired = pair(phases, "control", "new")
    result = compare_means_poststratified(paired.whole, shares=paired.shares)
    assert isinstance(result, Estimate)
    assert result.difference == pytest.approx(fitted.params[0], rel=1e-9)
    error = result.difference_interval.standard_error(confidence=0.95)
    assert error == pytest.approx(fitted.bse[0], rel=0.03)
    mixed = [moments.mean[0] for moments in paired.mixed]
    assert mixed[1] - mixed[0] == pytest.approx(result.difference, rel=1e-12)


def test_phases_of_the_same_odds_are_one() -> None:
    arms = {key: Moments.of(np.arange(50.0)[:, None]) for key in ("control", "new", "other")}
    phases = [
        Phase(({"control": 3000, "new": 3000, "other": 4000},), arms),
        Phase(({"control": 3000, "new": 3000, "other": 0},), arms),
        Phase(({"control": 5000, "new": 5000, "other": 0},), arms),
    ]
    paired = pair(phases, "control", "new")
    assert (paired.shares, [arm.n for arm in paired.whole[0]]) == (None, [150, 150])
    assert [arm.n for arm in pair(phases, "control", "other").whole[0]] == [50, 50]


def test_arms_that_were_never_there_together_are_not_compared() -> None:
    arms = {key: Moments.of(np.arange(50.0)[:, None]) for key in ("control", "new")}
    phases = [
        Phase(({"control": 5000, "new": 0},), arms),
        Phase(({"control": 0, "new": 5000},), arms),
    ]
    assert [arm.n for arm in pair(phases, "control", "new").whole[0]] == [0, 0]


def test_an_arm_without_any_conversion_is_judged_by_its_most_telling_phase() -> None:
    def group(n: int, converted: int) -> Moments:
        return Moments.of((np.arange(n) < converted).astype(float)[:, None])

    strata = [(group(900, 90), group(100, 0)), (group(500, 150), group(500, 0))]
    result = compare_shares_poststratified(strata, shares=(0.265, 0.735))
    assert isinstance(result, Estimate)
    assert (result.control_mean, result.treatment_mean) == (0.3, 0.0)
    assert result.n_control == 500
