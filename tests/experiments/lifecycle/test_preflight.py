"""A draft is looked over before customers meet it."""

from datetime import timedelta

import pytest

from experiments.assigning.assignment import BUCKETS
from experiments.lifecycle.drafting import ArmPlan
from experiments.lifecycle.preflight import RECENT, find_issues
from experiments.models import Arm, ExclusionGroup, Experiment, Prerequisite
from tests.makers import (
    DAY,
    HOUR,
    NOW,
    TWO_ARMS,
    make_customer,
    make_customers,
    make_event,
    make_experiment,
    make_metric,
)

pytestmark = pytest.mark.django_db

BANNER = (
    ArmPlan("control", "Control", 5000, is_control=True, payload={"banner": False}),
    ArmPlan("new", "New", 5000, payload={"banner": True}),
)


@pytest.fixture(autouse=True)
def _events(db: None) -> None:
    make_event(make_customer(), "Order Completed", at=NOW - HOUR)


def draft(**values: object) -> Experiment:
    plan: dict[str, object] = {
        "arms": BANNER, "guardrails": {make_metric(): None}, "is_standalone": True,
        "started_at": None,
    }  # fmt: skip
    return make_experiment(**(plan | values))  # type: ignore[arg-type]


def codes(experiment: Experiment) -> dict[str, bool]:
    return {issue.code: issue.is_blocking for issue in find_issues(experiment, now=NOW)}


def test_a_sound_draft_has_no_issue() -> None:
    assert codes(draft()) == {}


def test_arms_that_cannot_be_compared_block() -> None:
    one = draft(arms=(ArmPlan("a", "A", 4000), ArmPlan("b", "B", 0)))
    found = codes(one)
    assert {"arms": True, "control": True, "weights": True}.items() <= found.items()
    assert codes(draft(arms=TWO_ARMS)) == {"same_payloads": False}


def test_missing_parts_and_metrics_that_measure_nothing_block() -> None:
    assert codes(draft(guardrails={})) == {"guardrail": True}
    assert codes(draft(goal=make_metric("Order Placed"))) == {"no_events": True}
    old = make_metric("Order Shipped")
    make_event(make_customer(), "Order Shipped", at=NOW - RECENT - HOUR)
    assert codes(draft(goal=old)) == {"no_events": True}
    assert codes(draft(goal=make_metric(kind="mean", of="nothing"))) == {"metric": True}
    draft_without_goal = draft()
    draft_without_goal.measured.filter(role="goal").delete()
    assert codes(draft_without_goal) == {"goal": True}


def test_the_events_of_refunds_count_as_well() -> None:
    goal = make_metric(kind="mean", less="Order Refunded")
    issues = find_issues(draft(goal=goal), now=NOW)
    assert [issue.code for issue in issues] == ["no_events"]
    assert "“Order Refunded”" in issues[0].sentence


def test_an_empty_audience_blocks_and_a_small_one_is_told() -> None:
    make_customers(3, attributes={"country": "de"})
    assert codes(draft(audience={"country": "fr"})) == {"audience": True}
    assert codes(draft(audience={"country": "de"})) == {"audience_size": False}
    assert codes(draft(audience={"country": "de"}, planned_customers=3)) == {}
    half = draft(audience={"country": "de"}, planned_customers=3, traffic=5000)
    assert codes(half) == {"audience_size": False}


def test_two_experiments_that_set_the_same_value_block_each_other() -> None:
    make_experiment(arms=BANNER, is_standalone=True)
    assert codes(draft()) == {"overlap": True}


def test_experiments_of_one_group_share_no_customers_and_so_no_value() -> None:
    group = ExclusionGroup.objects.create(key="g", name="G", seed="s")
    make_experiment(
        arms=BANNER, is_standalone=True, group=group, group_from=0, group_until=BUCKETS // 2
    )
    apart = draft(group=group, group_from=BUCKETS // 2, group_until=BUCKETS)
    assert codes(apart) == {}
    assert codes(draft(group=group, group_from=0, group_until=BUCKETS)) == {"group": True}


def test_the_same_goal_is_told() -> None:
    goal = make_metric()
    make_experiment(goal=goal, is_standalone=True)
    assert codes(draft(goal=goal)) == {"same_goal": False}


def test_what_is_required_has_to_give_somebody_an_arm() -> None:
    other = make_experiment(is_standalone=True, started_at=None)
    needy = draft()
    Prerequisite.objects.create(experiment=needy, arm=Arm.objects.get(experiment=other, key="new"))
    assert codes(needy) == {"prerequisite": True}


def test_a_hold_out_that_is_left_aside_is_told() -> None:
    holdout = make_experiment(is_standalone=True, is_holdout=True)
    assert codes(draft()) == {"holdout": False}
    kept = draft()
    Prerequisite.objects.create(experiment=kept, arm=Arm.objects.get(experiment=holdout, key="new"))
    assert codes(kept) == {}


def test_a_hold_out_with_customers_on_neither_side_says_what_becomes_of_them() -> None:
    assert codes(draft(is_holdout=True)) == {}
    assert codes(draft(is_holdout=True, traffic=9999)) == {"sides": False}
    make_customer(attributes={"vip": True})
    part = draft(is_holdout=True, audience={"vip": True})
    assert codes(part) == {"sides": False, "audience_size": False}
    assert codes(draft(traffic=5000)) == {}


def test_an_end_before_the_minimum_duration_blocks() -> None:
    early = draft(minimum_days=14, planned_end=(NOW + 7 * DAY).date())
    assert codes(early) == {"end": True}
    assert codes(draft(minimum_days=14, planned_end=(NOW + timedelta(days=14)).date())) == {}


def test_what_blocks_comes_first() -> None:
    make_experiment(is_standalone=True, is_holdout=True)
    issues = find_issues(draft(guardrails={}), now=NOW)
    assert [issue.is_blocking for issue in issues] == [True, False]


def test_flags_of_plain_values_set_nothing_by_name_and_contradict_nobody() -> None:
    def give(experiment: Experiment) -> Experiment:
        for arm, value in zip(experiment.arms.all(), (True, "old"), strict=True):
            Arm.objects.filter(pk=arm.pk).update(payload=value)
        return experiment

    give(make_experiment(arms=BANNER, is_standalone=True))
    assert codes(give(draft())) == {}
