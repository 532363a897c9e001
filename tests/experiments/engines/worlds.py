"""Random worlds of customers, exposures and events, partly in a lake, and rows to compare."""

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import connection
from django.utils import timezone
from psycopg.types.json import Jsonb

from audience.importing.copying import copy_rows
from audience.keeping.lake import extend_lake
from audience.keeping.partitions import event_partition, make_partitions, month_of
from audience.models import Source
from experiments.models import Experiment
from tests.makers import DAY, HOUR, NOW, expose, make_customers, make_experiment, merge

NAMES = ("Order Completed", "Site Visited", "Коли́чество 'ü' \\ 😀\n", "")
TEXTS = ("red", "a\\b", "it's", "é😀\n", "", "12", "1.50", "1e3", "12\n", "٣", " 7", "null")
KEYS = ("price", "a.b", "it's", "$x y/z:1", "é", "0")
FIRST, LAST = NOW - 40 * DAY, NOW + 20 * DAY
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class World:
    """An experiment, and another one with some of its people."""

    experiment: Experiment
    other: Experiment

    def ask(self, statement: str) -> str:
        """Fill in what a statement leaves open: `EXPERIMENT` and `OTHER`."""
        return statement.replace("EXPERIMENT", str(self.experiment.pk)).replace(
            "OTHER", str(self.other.pk)
        )


def make_world(seed: int, lake: Path, *, people: int = 40, events: int = 400) -> World:
    """Make a world; half of the events are in the lake, in several files, and half are not."""
    rng = random.Random(seed)  # noqa: S311
    world = World(make_experiment(), make_experiment())
    customers = make_customers(people)
    for visitor, customer in zip(customers[::3], customers[1::3], strict=False):
        merge(visitor, into=customer)
    for experiment, among in (
        (world.experiment, customers[: -people // 8]),
        (world.other, customers),
    ):
        for customer in among:
            if rng.random() < 0.8:
                expose(experiment, customer, rng.choice(["control", "new"]), at=_moment(rng))
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE audience_customer SET attributes = %s WHERE id = %s",
            [(json.dumps(_json(rng)), customer.pk) for customer in customers],
        )
        cursor.executemany(
            "INSERT INTO experiments_prediction (customer_id, name, value, predicted_at)"
            " VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [
                (c.pk, rng.choice(["spend", "visits"]), rng.random(), _moment(rng))
                for c in customers * 2
            ],
        )
    rows = [
        (_moment(rng), rng.choice(customers).pk, rng.choice(NAMES), _value(rng), _json(rng))
        for _ in range(events)
    ]
    # Late and early, as senders' clocks have it.
    half = NOW + 3 * HOUR
    receive([(*row, NOW + rng.random() * 3 * HOUR) for row in rows[::2]])
    for hour in (1, 2, 3):
        extend_lake(lake, lag=timezone.now() - NOW - hour * HOUR)
    receive([(*row, half + rng.random() * DAY) for row in rows[1::2]])
    return world


def receive(rows: Sequence[tuple[Any, ...]]) -> None:
    """Store events: when they occurred, customer, name, value, properties, when they came."""
    source, _ = Source.objects.get_or_create(name="tests")
    make_partitions([event_partition(month) for month in {month_of(row[0]) for row in rows}])
    columns = ["occurred_at", "customer_id", "name", "value", "properties", "received_at"]
    copy_rows(
        "audience_event",
        [*columns, "source_id", "message_id"],
        [(*row[:4], Jsonb(row[4]), row[5], source.pk, "") for row in rows],
    )


def _moment(rng: random.Random) -> datetime:
    """Draw a time; whole days are common, so that the ends of windows are met."""
    if rng.random() < 0.2:
        return FIRST + rng.randrange(60) * DAY
    return FIRST + rng.randrange((LAST - FIRST) // MICROSECOND) * MICROSECOND


def _value(rng: random.Random) -> float | None:
    return rng.choice([None, 0.0, -3.5, 1e-9, rng.uniform(-50, 200), round(rng.gauss(10, 30), 2)])


def _json(rng: random.Random) -> dict[str, Any]:
    values = [None, True, False, 3, -0.5, 1e30, 10**20, [1, "a"], {"b": None}, *TEXTS]
    drawn = {key: rng.choice(values) for key in KEYS if rng.random() < 0.7}
    size = rng.choice([None, 1, 2.50, -3, "7", "x", 0.1, "4\n"])
    currency = rng.choice([None, "EUR", "eur", "USD", "USD", "EUR\n", "EURO", "ÉUR", 978])
    return {**drawn, "size": size, "currency": currency}


def assert_same_rows(
    actual: Sequence[tuple[Any, ...]], expected: Sequence[tuple[Any, ...]]
) -> None:
    """Check that rows are the same in any order: types too, and floats to a relative 1e-9."""
    assert len(actual) == len(expected)
    for one, other in zip(sorted(actual, key=_order), sorted(expected, key=_order), strict=True):
        assert _is_same(list(one), list(other)), (one, other)


def _order(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return ("list", [_order(item) for item in value])
    # Floats that differ by rounding must not change the order of rows.
    return (type(value).__name__, f"{value:.6g}" if isinstance(value, float) else str(value))


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, datetime) and isinstance(other, datetime):
        return one.tzinfo is not None and one == other
    if type(one) is float and type(other) is float:
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return type(one) is type(other) and bool(one == other)
