"""An analysis says what the data say, and keeps the moments it was made from."""

import pytest

from experiments.analysing.analysis import analyse
from experiments.lifecycle.adjusting import change_weights
from experiments.lifecycle.drafting import ArmPlan
from experiments.models import Analysis, Experiment
from experiments.stats.estimate import Estimate, result_from_json
from experiments.stats.moments import Moments
from experiments.stats.proportions import compare_shares
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


def test_segments_and_strata_can_be_recomputed_too() -> None:
    spend = make_metric(kind="mean")
    experiment = make_experiment(others=[spend], segments=["plan"], strata="country")
    for country in ("de", "fr"):
        for arm, orders in (("control", 10), ("new", 30)):
            people = make_customers(60, attributes={"country": country, "plan": "free"})
            expose(experiment, people, arm, at=NOW)
            make_events([event_row(p, "Order Completed", at=NOW + HOUR) for p in people[:orders]])

    stored = analyse(experiment, now=LATER)

    goal = experiment.measured.get(role="goal").metric.key
    by_arm = stored.moments["segments"]["plan"]["free"][goal]
    control, new = (Moments.from_json(by_arm[arm]) for arm in ("control", "new"))
    assert (len(control.mean), control.n) == (1, 120)
    free = next(s for s in stored.report["segments"] if s["value"] == "free")
    again = compare_shares(control, new, confidence=0.95)
    assert result_from_json(free["results"][0]["result"]) == again
    strata = [Moments.from_json(stratum["new"]) for stratum in stored.moments["strata"]]
    all_new = Moments.from_json(stored.moments["arms"]["new"])
    assert (strata[0] + strata[1]).mean == pytest.approx(all_new.mean)


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


def test_an_early_verdict_stands_through_all_later_analyses() -> None:
    experiment = make_experiment(planned_customers=1000)
    fill(experiment, "control", customers=250, orders=25)
    fill(experiment, "new", customers=250, orders=120)
    first = analyse(experiment, now=LATER)
    later = []
    for days in (1, 2, 3, 4):
        fill(experiment, "control", customers=80, orders=80)
        fill(experiment, "new", customers=80, orders=0)
        later.append(analyse(experiment, now=LATER + days * DAY))

    assert (first.report["verdict"]["kind"], first.look, first.is_decision) == ("win", 0.5, True)
    assert [analysis.report["verdict"] for analysis in later] == [first.report["verdict"]] * 4
    assert {(analysis.look, analysis.is_decision) for analysis in later} == {(None, False)}


def test_harm_found_at_one_look_is_told_until_the_end() -> None:
    arms = [ArmPlan(key, key.upper(), 3000, is_control=key == "a") for key in "abc"]
    experiment = make_experiment(arms=arms, planned_customers=1500)
    for key, orders in (("a", 100), ("b", 20), ("c", 100)):
        fill(experiment, key, customers=200, orders=orders)
    found = analyse(experiment, now=LATER).report["verdict"]
    between = analyse(experiment, now=LATER + HOUR)
    for key, orders in (("a", 0), ("b", 80), ("c", 0)):
        fill(experiment, key, customers=100, orders=orders)
    after = analyse(experiment, now=LATER + DAY)

    assert found["harmful"] == ["B"]
    assert between.look is None
    assert after.look == 0.6
    for verdict in (between.report["verdict"], after.report["verdict"]):
        assert verdict["harmful"] == ["B"]
        assert "B did harm at an earlier look." in verdict["sentence"]
        assert verdict["next_step"] == "Stop B; let the others go on."


def test_an_arm_without_a_share_takes_none_of_the_error() -> None:
    arms = [
        ArmPlan("a", "A", 5000, is_control=True),
        ArmPlan("b", "B", 5000),
        ArmPlan("c", "C", 0),
    ]
    experiment = make_experiment(planned_customers=1000, arms=arms)
    fill(experiment, "a", customers=250, orders=100)
    fill(experiment, "b", customers=250, orders=10)
    report = analyse(experiment, now=LATER).report
    assert report["verdict"]["code"] == "stop: harm"
    assert list(report["metrics"][0]["results"]) == ["b"]


def test_guardrails_of_the_same_name_are_both_watched() -> None:
    guardrails = [make_metric(name) for name in ("Refund", "Complaint")]
    for metric in guardrails:
        metric.name, metric.higher_is_better = "Trouble", False
        metric.save()
    experiment = make_experiment(planned_customers=400, guardrails=dict.fromkeys(guardrails, None))
    fill(experiment, "control", customers=200, orders=100)
    fill(experiment, "new", customers=200, orders=100)
    for arm, refunds in (("control", 20), ("new", 120)):
        people = make_customers(200)
        expose(experiment, people, arm, at=NOW)
        make_events([event_row(person, "Refund", at=NOW + HOUR) for person in people[:refunds]])
        make_events([event_row(person, "Complaint", at=NOW + HOUR) for person in people[:20]])

    verdict = analyse(experiment, now=LATER).report["verdict"]

    assert verdict["code"] == "stop: harm"
    assert f"New harms trouble ({guardrails[0].key})." in verdict["sentence"]


def test_arms_of_the_same_name_are_told_apart() -> None:
    arms = [
        ArmPlan("a", "Banner", 4000, is_control=True),
        ArmPlan("b", "Banner", 3000),
        ArmPlan("c", "Blue", 3000),
    ]
    experiment = make_experiment(planned_customers=1000, arms=arms)
    for key, customers in (("a", 40), ("b", 30), ("c", 30)):
        fill(experiment, key, customers=customers, orders=10)
    report = analyse(experiment, now=LATER).report
    assert [arm["name"] for arm in report["arms"]] == ["Banner (a)", "Banner (b)", "Blue"]
    assert not [found for found in report["findings"] if found["severity"] == "blocking"]


def test_a_retention_goal_waits_until_enough_customers_are_known() -> None:
    goal = make_metric("Visit", kind="retention", from_day=7, to_day=14)
    experiment = make_experiment(goal=goal, planned_customers=400)
    for arm, back in (("control", 20), ("new", 24)):
        people = make_customers(200)
        expose(experiment, people[:100], arm, at=NOW)
        expose(experiment, people[100:], arm, at=NOW + 10 * DAY)
        make_events([event_row(p, "Visit", at=NOW + 9 * DAY) for p in people[:back]])
        make_events([event_row(p, "Visit", at=NOW + 18 * DAY) for p in people[100 : 100 + back]])

    half = analyse(experiment, now=NOW + 15 * DAY)
    whole = analyse(experiment, now=NOW + 25 * DAY)

    assert (half.look, half.report["verdict"]["kind"]) == (0.5, "early")
    assert "the goal is known of 200 of 400" in half.report["verdict"]["sentence"]
    assert (whole.look, whole.report["verdict"]["kind"]) == (1.0, "flat")
    assert whole.report["customers"] == half.report["customers"] == 400


def test_two_changes_of_weights_within_a_minute_leave_no_doubtful_phase() -> None:
    arms = [ArmPlan(key, key.upper(), 3000, is_control=key == "a") for key in "abc"]
    experiment = make_experiment(arms=arms, planned_customers=1000)
    for key in "abc":
        fill(experiment, key, customers=30, orders=3)
    at = NOW + DAY
    change_weights(experiment, {"c": 0}, by=None, now=at, reason="by mistake")
    change_weights(experiment, {"c": 3000}, by=None, now=at + 20 * SECOND, reason="taken back")
    for arm in "abc":
        expose(experiment, make_customers(30), arm, at=at + 40 * SECOND)
        expose(experiment, make_customers(30), arm, at=at + HOUR)
    findings = analyse(experiment, now=LATER).report["findings"]
    assert [found["code"] for found in findings if found["severity"] == "blocking"] == []


def test_a_verdict_does_not_stand_against_a_check_that_fails_later() -> None:
    experiment = make_experiment(planned_customers=120)
    fill(experiment, "control", customers=60, orders=10)
    fill(experiment, "new", customers=60, orders=30)
    analyse(experiment, now=LATER)
    fill(experiment, "control", customers=200, orders=50)

    assert analyse(experiment, now=LATER + DAY).report["verdict"]["kind"] == "unsound"
