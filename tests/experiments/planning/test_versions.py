"""What was promised at the start stays, and every change is a version beside it."""

import pytest
from django.core.exceptions import ValidationError

from experiments.analysing.analysis import analyse
from experiments.lifecycle.adjusting import change_weights
from experiments.models import Experiment
from experiments.plan import Adjustment, Monitoring
from experiments.planning.versions import draft_plan, read_plan
from tests.makers import DAY, NOW, expose, make_customers, make_experiment, make_metric, make_user

pytestmark = pytest.mark.django_db


def plans(experiment: Experiment) -> list[dict[str, int]]:
    return [
        {arm.key: arm.weight for arm in read_plan(version).arms}
        for version in experiment.plans.all()
    ]


def test_the_plan_is_everything_that_was_settled() -> None:
    guardrail, other = make_metric(), make_metric(kind="mean")
    experiment = make_experiment(
        others=[other],
        guardrails={guardrail: 0.02},
        planned_customers=500,
        started_at=None,
        minimum_days=14,
        monitoring="confidence_sequence",
        history_days=7,
        prediction="spend",
        strata="country",
        segments=["country", "device"],
    )
    plan = draft_plan(experiment)
    assert (plan.planned_customers, plan.minimum_days) == (500, 14)
    assert plan.monitoring == Monitoring("confidence_sequence")
    assert plan.adjustment == Adjustment(7, "spend", "country")
    assert plan.segments == ("country", "device")
    assert [(m.role, m.margin) for m in plan.metrics] == [
        ("goal", None),
        ("guardrail", 0.02),
        ("secondary", None),
    ]


def test_starting_fixes_the_plan() -> None:
    goal = make_metric()
    experiment = make_experiment(goal=goal)
    (version,) = experiment.plans.all()
    assert (version.number, version.valid_from) == (1, NOW)
    assert version.digest == read_plan(version).digest == draft_plan(experiment).digest
    goal.params = {"event": "Something Else"}
    goal.save()
    assert read_plan(version).goal.params == {"event": "Order Completed"}
    analysis = analyse(experiment, now=NOW + DAY)
    assert analysis.plan_version == version
    assert "“Order Completed”" in analysis.report["metrics"][0]["describes"]


def test_other_weights_are_another_version() -> None:
    experiment, user = make_experiment(), make_user()
    change_weights(
        experiment, {"control": 2000, "new": 8000}, by=user, now=NOW + DAY, reason="it does well"
    )
    assert plans(experiment) == [{"control": 5000, "new": 5000}, {"control": 2000, "new": 8000}]
    change = experiment.changes.first()
    assert change is not None
    assert change.action == "weights changed to control 2000, new 8000 (plan 2)"
    assert (change.by, change.reason) == (user, "it does well")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"newer": 5000}, "has no arm newer"),
        ({"new": 0}, "at least two arms"),
        ({"new": 9000}, "more than all customers"),
        ({"new": 20_000}, "arm_weight_within_buckets|violated"),
    ],
)
def test_weights_that_make_no_comparison_are_refused(weights: dict[str, int], message: str) -> None:
    experiment = make_experiment()
    with pytest.raises(ValidationError, match=message):
        change_weights(experiment, weights, by=None, now=NOW, reason="")
    assert plans(experiment) == [{"control": 5000, "new": 5000}]


def test_a_draft_is_not_given_other_weights_by_the_back_door() -> None:
    with pytest.raises(ValidationError, match="Only a running experiment"):
        change_weights(make_experiment(started_at=None), {"new": 4000}, by=None, now=NOW, reason="")


def test_customers_are_counted_against_the_weights_of_their_time() -> None:
    experiment = make_experiment()
    for arm, before, after in (("control", 200, 100), ("new", 200, 400)):
        expose(experiment, make_customers(before), arm, at=NOW)
        expose(experiment, make_customers(after), arm, at=NOW + 2 * DAY)
    # In one second of settling, customers may fall anywhere.
    expose(experiment, make_customers(30), "control", at=NOW + DAY)
    change_weights(experiment, {"control": 2000, "new": 8000}, by=None, now=NOW + DAY, reason="")
    report = analyse(experiment, now=NOW + 3 * DAY).report
    assert "sample_ratio_mismatch" not in {finding["code"] for finding in report["findings"]}
