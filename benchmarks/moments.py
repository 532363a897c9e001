"""Seconds that DuckDB takes for the moments of a large experiment: our statement against a hand's.

    python -m benchmarks.moments

Writes a million customers, one in twenty merged into another, with two arms and five million raw
events over four weeks, as Parquet files of a day like the lake's. Both statements ask for the sums
and sums of products of the same six columns, from the raw events; they take turns, each time in a
fresh DuckDB. The bar is 1.2 times the hand-written statement's time.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from experiments.engines.statement import parse_statement
from experiments.metrics.columns import Column, Events, Total, Window
from experiments.sql.columns import Scope
from experiments.sql.statements import moments_statement

CUSTOMERS = 1_000_000
EVENTS = 5_000_000
DAYS = 28
ROUNDS = 7
BAR = 1.2
START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(days=DAYS)
WEEKS = 14 * 86_400
HISTORY = 28 * 86_400

ORDERS, REFUNDS, VISITS = map(Events, ("Order Completed", "Order Refunded", "Site Visited"))
IN_WINDOW = Window(0, WEEKS)
COLUMNS: tuple[Column, ...] = (
    Total("any", ORDERS, window=IN_WINDOW),
    Total("sum", ORDERS, window=IN_WINDOW),
    Total("count", VISITS, window=IN_WINDOW),
    Total("sum", ORDERS, REFUNDS, IN_WINDOW, cap=200.0),
    Total("any", ORDERS).before(HISTORY),
    Total("sum", ORDERS).before(HISTORY),
)

# As somebody would write it who knows DuckDB and these six columns: one look-up of a customer's
# person and windows, each condition once, and plain sums.
BY_HAND = f"""
WITH person AS (
    SELECT coalesce(c.merged_into_id, c.id) AS p, min(x.arm_id) AS first_arm,
           max(x.arm_id) AS last_arm, min(x.exposed_at) AS t
    FROM experiments_exposure x JOIN audience_customer c ON c.id = x.customer_id
    WHERE x.experiment_id = 1 AND x.exposed_at <= TIMESTAMPTZ '{END}'
    GROUP BY 1
), owner AS (
    SELECT c.id, p, t, t + INTERVAL {WEEKS} SECONDS AS t1, t - INTERVAL {HISTORY} SECONDS AS t0
    FROM audience_customer c JOIN person ON p = coalesce(c.merged_into_id, c.id)
), event AS (
    SELECT p, value, name = 'Order Completed' AND occurred_at >= t AND occurred_at < t1 AS ordered,
           name = 'Order Refunded' AND occurred_at >= t AND occurred_at < t1 AS refunded,
           name = 'Site Visited' AND occurred_at >= t AND occurred_at < t1 AS visited,
           name = 'Order Completed' AND occurred_at >= t0 AND occurred_at < t AS before
    FROM audience_event e JOIN owner ON owner.id = e.customer_id
    WHERE name IN ('Order Completed', 'Order Refunded', 'Site Visited')
      AND occurred_at BETWEEN TIMESTAMPTZ '{START - timedelta(seconds=HISTORY)}'
                          AND TIMESTAMPTZ '{END}'
), total AS (
    SELECT p, count(*) FILTER (ordered) AS orders, count(*) FILTER (visited) AS visits,
           count(*) FILTER (before) AS orders_before, sum(value) FILTER (ordered) AS spent,
           sum(abs(value)) FILTER (refunded) AS taken_back,
           sum(value) FILTER (before) AS spent_before
    FROM event GROUP BY p
), c AS (
    SELECT CASE WHEN first_arm = last_arm THEN first_arm END AS arm,
           CASE WHEN orders > 0 THEN 1.0::DOUBLE ELSE 0 END AS c0, coalesce(spent, 0) AS c1,
           coalesce(visits, 0)::DOUBLE AS c2,
           least(coalesce(spent, 0) - coalesce(taken_back, 0), 200) AS c3,
           CASE WHEN orders_before > 0 THEN 1.0::DOUBLE ELSE 0 END AS c4,
           coalesce(spent_before, 0) AS c5
    FROM person LEFT JOIN total USING (p)
)
SELECT arm, count(*), {", ".join(f"sum(c{i})" for i in range(6))},
       {", ".join(f"sum(c{i} * c{j})" for i in range(6) for j in range(i + 1))},
       {", ".join(f"max(c{i})" for i in range(6))}
FROM c GROUP BY arm
"""


def write_world(directory: Path) -> None:
    """Write customers, exposures and events; hashes stand in for chance."""
    with duckdb.connect() as duck:
        duck.execute("SET TimeZone = 'UTC'")
        _write(
            duck,
            directory / "audience_customer.parquet",
            f"""SELECT i AS id, CASE WHEN i % 20 = 0 THEN i - 1 END AS merged_into_id,
                       MAP {{'plan': 'p' || i % 5}} AS attributes
                FROM range(1, {CUSTOMERS + 1}) AS t(i)""",
        )
        fortnight = 14 * 86_400 * 1_000_000
        _write(
            duck,
            directory / "experiments_exposure.parquet",
            f"""SELECT 1::BIGINT AS experiment_id, i AS customer_id,
                       (1 + hash(i) % 2)::BIGINT AS arm_id, TIMESTAMPTZ '{START}'
                       + to_microseconds((hash(i + 1) % {fortnight})::BIGINT) AS exposed_at
                FROM range(1, {CUSTOMERS + 1}) AS t(i)""",
        )
        (directory / "audience_event").mkdir()
        names = ["Site Visited", "Site Visited", "Cart Viewed", "Order Completed", "Order Refunded"]
        n = EVENTS // DAYS
        for day in range(DAYS):
            first = day * n
            _write(
                duck,
                directory / "audience_event" / f"{day:02}.parquet",
                f"""SELECT i AS id, (1 + hash(i, 1) % {CUSTOMERS})::BIGINT AS customer_id,
                           {names}[(1 + hash(i, 2) % 5)::INT] AS name,
                           TIMESTAMPTZ '{START + timedelta(days=day)}'
                           + to_microseconds((i - {first}) * 86400000000 // {n}) AS occurred_at,
                           (hash(i, 3) % 10000)::DOUBLE / 100 AS value,
                           MAP {{'category': 'c' || hash(i, 4) % 8}} AS properties
                    FROM range({first}, {first + n}) AS t(i) ORDER BY name, occurred_at""",
            )


def _write(duck: duckdb.DuckDBPyConnection, file: Path, query: str) -> None:
    duck.execute(f"COPY ({query}) TO '{file}' (FORMAT parquet, COMPRESSION zstd)")


def run(directory: Path, statement: str) -> tuple[float, list[tuple[Any, ...]]]:
    """Run a statement over the files in a fresh DuckDB; return the seconds and the rows."""
    with duckdb.connect() as duck:
        duck.execute("SET TimeZone = 'UTC'")
        for name in ("audience_customer", "experiments_exposure"):
            duck.execute(f"CREATE VIEW {name} AS FROM read_parquet('{directory / name}.parquet')")
        events = directory / "audience_event" / "*.parquet"
        duck.execute(f"CREATE VIEW audience_event AS FROM read_parquet('{events}')")
        began = time.perf_counter()
        rows = duck.execute(statement).fetchall()
        return time.perf_counter() - began, rows


Moments = dict[int | None, NDArray[np.float64]]


def to_moments(n: int, sums: Sequence[float], products: Sequence[float]) -> NDArray[np.float64]:
    """Turn sums, and sums of products, into customers, covariances (lower triangle) in one row."""
    total = np.array(sums)
    scatter = np.array(products) - np.outer(total, total)[np.tril_indices(len(sums))] / n
    return np.array([n, *scatter / (n - 1)])


def of_ours(rows: list[tuple[Any, ...]]) -> Moments:
    """Read the rows of our statement."""
    return {
        arm: np.array([n, *covariances, *means, *most]) for arm, n, means, covariances, most in rows
    }


def of_hand(rows: list[tuple[Any, ...]]) -> Moments:
    """Read the rows of the hand-written statement."""
    k = len(COLUMNS)
    return {
        arm: np.array([*to_moments(n, sums[:k], sums[k:-k]), *np.array(sums[:k]) / n, *sums[-k:]])
        for arm, n, *sums in rows
    }


def main() -> None:
    """Write the world, let both statements take turns, and compare times and answers."""
    scope = Scope(1, START, END)
    ours = parse_statement(moments_statement(scope, COLUMNS).text).to_dialect("duckdb")
    seconds: dict[str, list[float]] = {"ours": [], "by hand": []}
    with tempfile.TemporaryDirectory(prefix="offerlab-bench-") as directory:
        print(f"Writing {CUSTOMERS:,} customers and {EVENTS:,} events")
        write_world(Path(directory))
        for number in range(1, ROUNDS + 1):
            our_seconds, our_rows = run(Path(directory), ours)
            hand_seconds, hand_rows = run(Path(directory), BY_HAND)
            seconds["ours"].append(our_seconds)
            seconds["by hand"].append(hand_seconds)
            print(f"round {number}: ours {our_seconds:.3f} s, by hand {hand_seconds:.3f} s")
    our_moments, hand_moments = of_ours(our_rows), of_hand(hand_rows)
    if our_moments.keys() != hand_moments.keys():
        raise SystemExit("The statements do not know the same arms.")
    for arm, moments in our_moments.items():
        np.testing.assert_allclose(moments, hand_moments[arm], rtol=1e-6)
    for name, times in seconds.items():
        print(f"{name:<8} median {statistics.median(times):.3f} s, best {min(times):.3f} s")
    ratio = statistics.median(ours / hand for ours, hand in zip(*seconds.values(), strict=True))
    print(
        f"Our statement takes {ratio:.2f} times as long as the hand-written one; the bar is {BAR}."
    )
    if ratio > BAR:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
