"""An analysis says what the data say, and keeps the moments it was made from."""

import pytest

from experiments.analysis import analyse
from experiments.lifecycle import ArmPlan
from experiments.models import Analysis, Experiment
from experiments.stats.estimate import Estimate, result_from_json
from experiments.stats.moments import Moments
from experiments.stats.proportions import compare_shares
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
    merge,
)

pytestmark = pytest.mark.django_db

LATER = NOW + 30 * DAY


def fill(experiment: Experiment, arm: str, *, customers: int, orders: int) -> None:
    people = make_customers(customers)
    expose(experiment, people, arm, at=NOW)
    make_events(
        [
            event_row(person, "Order Completed", at=NOW + HOUR, value=10.0)
            for person in people[:orders]
        ]
    )


def test_the_report_compares_every_arm_with_the_control_on_every_metric() -> None:
    goal, spend = make_metric(), make_metric(kind="mean")
    experiment = make_experiment(goal=goal, others=[spend], planned_customers=120)
    fill(experiment, "control", customers=60, orders=10)
    fill(experiment, "new", customers=60, orders=30)

    report = analyse(experiment, now=LATER).report

    assert (report["customers"], report["planned_customers"], report["moved"]) == (120, 120, 0)
    assert [arm["customers"] for arm in report["arms"]] == [60, 60]
    shares, takings = report["metrics"]
    assert (shares["role"], takings["role"]) == ("goal", "secondary")
    assert takings["means"] == pytest.approx({"control": 100 / 60, "new": 300 / 60})
    result = result_from_json(shares["results"]["new"])
    assert isinstance(result, Estimate)
    assert (result.control_mean, result.treatment_mean) == pytest.approx((10 / 60, 0.5))
    assert report["verdict"]["kind"] == "win"


def test_every_number_can_be_recomputed_from_the_stored_moments() -> None:
    experiment = make_experiment(others=[make_metric(kind="mean")])
    fill(experiment, "control", customers=60, orders=10)
    fill(experiment, "new", customers=60, orders=30)

    analyse(experiment, now=LATER)
    stored = Analysis.objects.get(experiment=experiment)

    control, new = (
        Moments.from_json(stored.moments["arms"][arm]).select(0) for arm in ("control", "new")
    )
    again = compare_shares(control, new, confidence=0.95)
    assert result_from_json(stored.report["metrics"][0]["results"]["new"]) == again


def test_an_experiment_that_nobody_met_says_so() -> None:
    report = analyse(make_experiment(), now=LATER).report
    assert report["verdict"]["kind"] == "empty"
    assert report["customers"] == 0


def test_too_few_customers_give_no_verdict() -> None:
    experiment = make_experiment(planned_customers=1000)
    fill(experiment, "control", customers=30, orders=3)
    fill(experiment, "new", customers=30, orders=20)
    report = analyse(experiment, now=LATER).report
    assert report["verdict"]["kind"] == "early"


def test_a_lopsided_split_makes_the_numbers_unsound() -> None:
    experiment = make_experiment(planned_customers=100)
    fill(experiment, "control", customers=90, orders=10)
    fill(experiment, "new", customers=20, orders=10)
    report = analyse(experiment, now=LATER).report
    assert report["verdict"]["kind"] == "unsound"
    assert report["findings"][0]["severity"] == "blocking"


def test_moved_people_are_reported_and_left_out() -> None:
    experiment = make_experiment(planned_customers=20)
    fill(experiment, "control", customers=10, orders=1)
    fill(experiment, "new", customers=10, orders=1)
    visitor, customer = make_customers(2)
    expose(experiment, visitor, "new", at=NOW)
    expose(experiment, customer, "control", at=NOW)
    merge(visitor, into=customer)
    report = analyse(experiment, now=LATER).report
    assert (report["customers"], report["moved"]) == (20, 1)
    assert report["findings"][0]["code"] == "customers_moved"


def test_an_arm_that_nobody_met_has_no_moments() -> None:
    arms = [*(ArmPlan(k, k.upper(), 3000, is_control=k == "a") for k in "abc")]
    experiment = make_experiment(arms=arms)
    fill(experiment, "a", customers=5, orders=1)
    fill(experiment, "b", customers=5, orders=1)
    analysis = analyse(experiment, now=LATER)
    assert sorted(analysis.moments["arms"]) == ["a", "b"]
    assert analysis.report["metrics"][0]["means"]["c"] is None
    assert analysis.report["metrics"][0]["results"]["c"]["kind"] == "inconclusive"


def test_a_draft_without_a_control_is_inconclusive() -> None:
    arms = [ArmPlan("a", "A", 5000), ArmPlan("b", "B", 5000)]
    report = analyse(make_experiment(arms=arms, started_at=None), now=LATER).report
    results = report["metrics"][0]["results"]
    assert {result["reason"] for result in results.values()} == {"The experiment has no control."}


def test_a_goal_where_less_is_better_wins_by_falling() -> None:
    goal = make_metric()
    goal.higher_is_better = False
    goal.save()
    experiment = make_experiment(goal=goal, planned_customers=120)
    fill(experiment, "control", customers=60, orders=40)
    fill(experiment, "new", customers=60, orders=10)
    assert analyse(experiment, now=LATER).report["verdict"]["kind"] == "win"


def test_a_verdict_stands_however_often_one_looks_again() -> None:
    experiment = make_experiment(planned_customers=120)
    fill(experiment, "control", customers=60, orders=10)
    fill(experiment, "new", customers=60, orders=30)
    first = analyse(experiment, now=LATER).report["verdict"]
    fill(experiment, "control", customers=60, orders=60)
    fill(experiment, "new", customers=60, orders=0)

    second = analyse(experiment, now=LATER + DAY).report

    assert first["kind"] == "win"
    assert second["verdict"] == first
    assert second["customers"] == 240


def test_a_verdict_does_not_stand_against_a_check_that_fails_later() -> None:
    experiment = make_experiment(planned_customers=120)
    fill(experiment, "control", customers=60, orders=10)
    fill(experiment, "new", customers=60, orders=30)
    analyse(experiment, now=LATER)
    fill(experiment, "control", customers=200, orders=50)

    assert analyse(experiment, now=LATER + DAY).report["verdict"]["kind"] == "unsound"
