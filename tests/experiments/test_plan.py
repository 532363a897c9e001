"""A plan is the same document with the same digest wherever it is read."""

import msgspec
import pytest

from experiments.plan import Monitoring, Plan, PlannedArm, PlannedMetric, plan_from_json

ARMS = (PlannedArm("control", "Control", 5000, True), PlannedArm("new", "New", 5000, False))
GOAL = PlannedMetric("orders", "Orders", "conversion", {"event": "Order"}, True, "goal")
PLAN = Plan(ARMS, (GOAL,), planned_customers=1000)


def test_a_plan_comes_back_from_json() -> None:
    assert plan_from_json(PLAN.to_json()) == PLAN


def test_the_digest_does_not_hang_on_the_order_of_keys() -> None:
    shuffled = dict(reversed(PLAN.to_json().items()))
    assert plan_from_json(shuffled).digest == PLAN.digest
    assert len(PLAN.digest) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"planned_customers": 1001},
        {"confidence": 0.9},
        {"monitoring": Monitoring("fixed")},
        {"segments": ("country",)},
        {"arms": (ARMS[0], msgspec.structs.replace(ARMS[1], weight=4999))},
        {"metrics": (msgspec.structs.replace(GOAL, params={"event": "Visit"}),)},
    ],
)
def test_any_change_is_another_digest(change: dict[str, object]) -> None:
    assert msgspec.structs.replace(PLAN, **change).digest != PLAN.digest


def test_the_arms_and_the_goal_are_found() -> None:
    assert PLAN.control == ARMS[0]
    assert PLAN.treatments == (ARMS[1],)
    assert PLAN.goal == GOAL


@pytest.mark.parametrize(
    "broken",
    [
        {**PLAN.to_json(), "confidence": 1.0},
        {**PLAN.to_json(), "surprise": 1},
        {**PLAN.to_json(), "metrics": [{**msgspec.to_builtins(GOAL), "margin": 1.5}]},
    ],
)
def test_what_is_no_plan_is_refused(broken: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        plan_from_json(broken)
