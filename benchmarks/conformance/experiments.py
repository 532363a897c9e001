"""Twenty experiments of every make, and what `evaluate` says of customers in them."""

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone
from psycopg import AsyncConnection

from experiments.assigning.evaluation import Reason, evaluate
from experiments.assigning.running import Running, load_running
from experiments.lifecycle.drafting import ArmPlan, plan_experiment
from experiments.models import Arm, ExclusionGroup, Experiment, Outcome, Prerequisite, Status

EUROPE = {"country": {"$in": ["DE", "FR", "NL"]}}
ADULTS = {"age": {"$gte": 18}}
PAYING = {"$or": [{"plan": "pro"}, {"orders": {"$gt": 3}}]}
NESTED = {"$and": [EUROPE, {"$not": {"device.kind": "phone"}}]}


@dataclass(frozen=True, slots=True)
class Plan:
    """One experiment: its arms' payloads and shares in per cent, the first arm is the control."""

    values: Sequence[Any]
    shares: Sequence[int]
    audience: Mapping[str, Any] = field(default_factory=dict)
    traffic: int = 10_000
    group: tuple[int, int] | None = None
    fate: str = ""


PLANS = (
    Plan(["a", "b"], [50, 50]),
    Plan([False, True], [90, 10]),
    Plan([1, 2, 3], [34, 33, 33]),
    Plan([1.0, 2.5], [50, 50]),
    Plan([10, 10.5, 11], [20, 30, 50]),
    Plan([{"price": 10}, {"price": 8.0}], [50, 50], traffic=5000),
    Plan(["a", "b", "c", "d"], [25, 25, 25, 25], traffic=100),
    Plan(["a", "b"], [50, 50], EUROPE),
    Plan(["a", "b"], [50, 50], ADULTS, traffic=7777),
    Plan([True, False], [1, 99], PAYING),
    Plan(["a", "b"], [50, 50], NESTED),
    Plan(["a", "b"], [50, 50], group=(0, 4000)),
    Plan(["a", "b"], [50, 50], EUROPE, group=(4000, 10_000)),
    Plan(["a", "b"], [50, 50], fate="prerequisite"),
    Plan([0, 1], [50, 50], ADULTS, fate="prerequisite"),
    Plan(["a", "b"], [50, 50], fate="paused"),
    Plan(["a", "b", "c"], [40, 30, 30], fate="halted"),
    Plan(["a", "b"], [50, 50], fate="shipped"),
    Plan(["a", "b"], [50, 50], EUROPE, fate="shipped"),
    Plan(["out", "in"], [10, 90], fate="hold-out"),
)


def seed() -> None:
    """Make the experiments."""
    group = ExclusionGroup.objects.create(key="group", name="Group", seed="group:1")
    made = [_make(f"flag-{i}", plan, group) for i, plan in enumerate(PLANS)]
    open_arm = made[-1].arms.get(key="v1")
    for experiment, plan in zip(made, PLANS, strict=True):
        if plan.fate == "prerequisite" or (plan.fate == "shipped" and plan.audience):
            Prerequisite.objects.create(experiment=experiment, arm=open_arm)


def _make(key: str, plan: Plan, group: ExclusionGroup) -> Experiment:
    arms = [
        ArmPlan(f"v{i}", f"V{i}", share * 100, is_control=i == 0)
        for i, share in enumerate(plan.shares)
    ]
    grouped: dict[str, Any] = {}
    if plan.group is not None:
        grouped = {"group": group, "group_from": plan.group[0], "group_until": plan.group[1]}
    experiment = plan_experiment(
        key=key,
        name=key,
        arms=arms,
        seed=f"{key}:parity",
        audience=dict(plan.audience),
        traffic=plan.traffic,
        is_standalone=True,
        is_holdout=plan.fate == "hold-out",
        planned_customers=100,
        **grouped,
    )
    for i, value in enumerate(plan.values):
        experiment.arms.filter(key=f"v{i}").update(payload=value)
    now = timezone.now()
    row = Experiment.objects.filter(pk=experiment.pk)
    last: Arm = experiment.arms.get(key=f"v{len(plan.values) - 1}")
    row.update(status=Status.RUNNING, started_at=now)
    if plan.fate == "paused":
        row.update(status=Status.PAUSED)
    if plan.fate == "halted":
        Arm.objects.filter(pk=last.pk).update(halted_at=now)
    if plan.fate == "shipped":
        row.update(status=Status.STOPPED, stopped_at=now, outcome=Outcome.SHIPPED, served_arm=last)
    return experiment


def write_expected(path: str, *, prefix: str, customers: int) -> None:
    """Write a line for each customer and experiment: what to ask, and what `evaluate` says."""
    running = asyncio.run(_load())
    rng = random.Random(prefix)  # noqa: S311 - the same customers in every run
    with Path(path).open("w") as file:
        for number in range(customers):
            customer = f"{prefix}-{number}"
            attributes = {
                "country": rng.choice(["DE", "FR", "NL", "US", "JP"]),
                "age": rng.randint(10, 80),
                "plan": rng.choice(["free", "pro"]),
                "orders": rng.randint(0, 6),
                "device": {"kind": rng.choice(["phone", "desktop"])},
            }
            for key, experiment in running.items():
                made = evaluate(key, customer, attributes, running, {})
                own = made.arm_key if made.reason is Reason.ASSIGNED else None
                arm = made.arm_key or experiment.control.key
                payload = next(each.payload for each in experiment.arms if each.key == arm)
                line = {
                    "customer": customer,
                    "attributes": attributes,
                    "key": key,
                    "kind": _kind(experiment.control.payload, experiment.arms),
                    "expected": {"arm": own, "variant": arm, "value": payload},
                }
                file.write(json.dumps(line) + "\n")


def _kind(value: Any, arms: Sequence[Any]) -> str:
    if any(isinstance(arm.payload, float) for arm in arms):
        return "float"
    return {bool: "boolean", str: "string", int: "integer", dict: "object"}[type(value)]


async def _load() -> Running:
    async with await AsyncConnection.connect(settings.DATABASE_URL, autocommit=True) as connection:
        return await load_running(connection)
