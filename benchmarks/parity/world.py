"""Twenty experiments of every kind, and the customers before them."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from benchmarks.serving import run_in_shell
from experiments.assigning.evaluation import evaluate
from experiments.assigning.running import Running, load_running

SEED = 20_260_301

# Payloads name their arms, so that an arm can be told by what a client was given.
SETUP = """
from django.conf import settings
from django.utils import timezone

from audience.models import Scope
from audience.sources.keys import create_source
from experiments.lifecycle.adjusting import halt_arm, pause_experiment
from experiments.lifecycle.drafting import ArmPlan, plan_experiment
from experiments.lifecycle.shipping import ship_arm
from experiments.lifecycle.status import start_experiment
from experiments.models import Arm, ExclusionGroup, Metric, Prerequisite

settings.REVIEW_IS_REQUIRED = False
now = timezone.now()
goal = Metric.objects.create(
    key="c", name="Conversion", kind="conversion", params={"event": "Order Completed"})


def make(key, weights=(5000, 5000), requires=(), **fields):
    arms = [
        ArmPlan(f"arm-{i}", f"Arm {i}", weight, is_control=i == 0, payload={"arm": f"arm-{i}"})
        for i, weight in enumerate(weights)
    ]
    experiment = plan_experiment(
        key=key, name=key, arms=arms, goal=goal, planned_customers=1000, is_standalone=True,
        seed=f"{key}:parity", **fields)
    for required, arm in requires:
        Prerequisite.objects.create(
            experiment=experiment, arm=Arm.objects.get(experiment=required, key=arm))
    start_experiment(experiment, by=None, now=now)
    return experiment


holdout = make("holdout", (500, 9500), is_holdout=True)
season = make("season-holdout", (2000, 8000), is_holdout=True, traffic=9000)
held = [(holdout, "arm-1")]
make("plain")
make("uneven", (1, 9999))
make("thirds", (3333, 3333, 3334), traffic=6667)
make("five", (1111, 2222, 3333, 444, 2890), traffic=4321)
make("de", audience={"country": "DE"}, requires=held)
make("loyal", audience={"orders": {"$gte": 3}, "plan": {"$in": ["pro", "team"]}})
vip = {"tags": {"$elemMatch": {"$eq": "vip"}}}
make("either", audience={"$or": [{"country": {"$ne": "DE"}}, vip]})
newer = {"app.version": {"$vgte": "2.10.0"}}
make("versions", audience={**newer, "email": {"$regex": "@shop[.]example$"}})
make("unknown", audience={"nickname": {"$exists": False}, "$not": {"plan": "free"}}, traffic=2500)
group = ExclusionGroup.objects.create(key="page", name="Page", seed="page:parity")
make("group-a", group=group, group_from=0, group_until=2500)
make("group-b", group=group, group_from=2500, group_until=7777, requires=held)
make("group-c", (2500, 7500), group=group, group_from=7777, group_until=10000, traffic=5000)
first = make("first", audience={"country": {"$in": ["DE", "FR"]}}, requires=held)
second = make("second", requires=[(first, "arm-1"), (season, "arm-1")], traffic=8000)
make("third", requires=[(second, "arm-0")], audience={"orders": {"$lt": 8}})
halted = make("halted", (3000, 3000, 4000), requires=[*held, (season, "arm-1")])
halt_arm(halted, "arm-2", by=None, now=now, reason="harm")
paused = make("paused", traffic=100)
pause_experiment(paused, by=None, now=now, reason="look")
shipped = make("shipped", audience={"plan": "pro"}, requires=[*held, (season, "arm-1")])
ship_arm(shipped, "arm-1", by=None, now=now, reason="won")
print("KEY=" + create_source("parity", scopes=[Scope.FLAGS])[1])
"""


@dataclass(frozen=True, slots=True)
class Customer:
    """Whom a client asks for."""

    id: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a client gave: per customer, arms in the order of the experiments, and exposures."""

    arms: Sequence[Sequence[str | None]]
    exposures: Sequence[frozenset[tuple[str, str]]]


def set_up(environment: Mapping[str, str]) -> str:
    """Start the experiments; return a key that reads them."""
    return run_in_shell(environment, SETUP).split("KEY=")[1].strip()


def draw_customers(count: int) -> list[Customer]:
    """Draw customers, the same ones each time."""
    rng = random.Random(SEED)  # noqa: S311 - nobody has to guess it
    return [_draw_customer(rng, number) for number in range(count)]


def _draw_customer(rng: random.Random, number: int) -> Customer:
    id_ = rng.choice([f"u{number}", f"{rng.getrandbits(128):032x}", f"c{number}@mail.example"])
    attributes = {
        "country": rng.choice(["DE", "FR", "US"]),
        "plan": rng.choice(["free", "pro", "team"]),
        "orders": rng.randrange(10),
        "tags": rng.sample(["vip", "new", "b2b"], rng.randrange(3)),
        "app": {"version": rng.choice(["2.9.1", "2.10.0", "2.10.0-rc.1", "3.0.0"])},
        "email": rng.choice(["ada@shop.example", "bob@mail.example"]),
        "nickname": rng.choice(["x", None]),
    }
    # Some is not known of most people.
    return Customer(id_, {k: v for k, v in attributes.items() if rng.random() < 0.9})


def read_running(environment: Mapping[str, str]) -> Running:
    """Read the experiments as the server does."""

    async def read() -> Running:
        url = environment["DATABASE_URL"]
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            return await load_running(connection)

    return asyncio.run(read())


def evaluate_all(running: Running, customers: Sequence[Customer]) -> Answers:
    """Answer for every customer with our own evaluation."""
    names = {(e.id, arm.id): (e.key, arm.key) for e in running.values() for arm in e.arms}
    arms: list[list[str | None]] = []
    exposures: list[frozenset[tuple[str, str]]] = []
    for customer in customers:
        answers = [evaluate(k, customer.id, customer.attributes, running, {}) for k in running]
        arms.append([each.arm_key for each in answers])
        exposures.append(frozenset(names[pair] for each in answers for pair in each.exposures))
    return Answers(arms, exposures)
