"""How much shorter adjustment makes intervals on real customers, in A/A splits of them.

    python -m benchmarks.adjustment online_retail.parquet --hillstrom hillstrom.csv.gz

Of a British shop's customers (Chen, Sain & Guo 2012; UCI Online Retail), the outcomes are spend and
orders in the days after a cut, and the covariates are those that a plan of these two metrics gets
(`experiments/measuring/layout.py`): both over 28 and over 112 days before, whether there was an
order, and totals capped at the 99th percentile. Spend is measured as it is, and capped at its own
99th percentile: two or three customers spend so much that hardly anything else counts.

Mean length of the interval of the difference, over random splits in two, as a share of its length

- without adjustment;
- with CUPED as peers ship it: the same metric over the 28 days before, uncapped, one slope;
- with the best single one of our covariates, known only in hindsight;

and how often each of them called an effect, of which there is none.

In Hillstrom's e-mail experiment, visits are adjusted by what was known of customers: hardly
anything there foretells them, so there is little to gain.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from experiments.measuring.layout import (
    COVARIATE_CAP,
    Measured,
    covariate_cuts,
    find_covariates,
    read_metric,
)
from experiments.metrics.columns import SECONDS_PER_DAY, Total
from experiments.plan import Adjustment, PlannedMetric
from experiments.stats.adjustment import apply_cuped
from experiments.stats.estimate import Estimate
from experiments.stats.lift import compare_means
from experiments.stats.moments import Moments

FloatArray = NDArray[np.float64]

# Days of a cut, and of what comes after it.
CUTS = (("2011-06-09", 28), ("2011-06-09", 90), ("2011-09-01", 28), ("2011-09-01", 100))
SPLITS = 400
EVENT = "Order Completed"
GOAL: dict[str, str] = {"event": EVENT, "of": "value"}
SECONDARY: dict[str, str] = {"event": EVENT, "of": "count"}
ORDERS = """
WITH invoice AS (
    SELECT CustomerID AS customer, InvoiceNo, min(InvoiceDate) AS ordered_at,
           sum(Quantity * UnitPrice) AS value
    FROM read_parquet($path)
    WHERE CustomerID IS NOT NULL AND Quantity > 0 AND UnitPrice > 0 AND InvoiceNo NOT LIKE 'C%'
    GROUP BY customer, InvoiceNo
), known AS (
    SELECT *, epoch(ordered_at - CAST($cut AS timestamp)) / 86400 AS day
    FROM invoice
    QUALIFY min(day) OVER (PARTITION BY customer) < 0
)
SELECT dense_rank() OVER (ORDER BY customer) - 1 AS place, day, value FROM known
"""
VISITS = """
SELECT visit, recency, history, mens, womens, newbie FROM read_csv($path)
WHERE segment = 'No E-Mail'
"""


@dataclass(frozen=True, slots=True, eq=False)
class Customers:
    """Outcomes of customers and what was known of them before.

    Attributes:
        name: What is measured.
        outcome: Shape (n,).
        peer: The covariate that peers would use, shape (n,).
        covariates: Ours, shape (n, k).
    """

    name: str
    outcome: FloatArray
    peer: FloatArray
    covariates: FloatArray


@dataclass(frozen=True, slots=True)
class Gain:
    """What adjustment is worth.

    Attributes:
        name: What is measured.
        customers: How many there are.
        splits: How many times they were split.
        to_none: Mean length of the interval as a share of that without adjustment.
        to_cuped: The same, of that with peers' CUPED.
        to_best: The same, of that with the best single covariate.
        called: In how many splits an effect was called, with our adjustment.
        called_plain: The same without adjustment.
        called_cuped: The same with CUPED.
    """

    name: str
    customers: int
    splits: int
    to_none: float
    to_cuped: float
    to_best: float
    called: int
    called_plain: int
    called_cuped: int


def read_shop(path: Path, *, cut: str, days: int) -> list[Customers]:
    """Read the shop's customers of before a cut, with their spend and orders in days after it."""
    found = duckdb.execute(ORDERS, {"path": str(path), "cut": cut}).fetchnumpy()
    place, day, value = found["place"], found["day"], found["value"]
    n = int(place.max()) + 1

    def total(how: str, opens: float, closes: float) -> FloatArray:
        counts = (day >= opens) & (day < closes)
        weights = value[counts] if how == "sum" else None
        counted = np.bincount(place[counts], weights, n).astype(np.float64)
        return (counted > 0).astype(np.float64) if how == "any" else counted

    metrics = [_measured("goal", GOAL), _measured("secondary", SECONDARY)]
    columns = find_covariates(metrics, Adjustment())
    capped = {cut.of for cut in covariate_cuts(columns)}
    covariates = []
    for column in columns:
        assert isinstance(column, Total)
        before = total(column.how, column.window.opens / SECONDS_PER_DAY, 0.0)
        if column in capped:
            before = np.minimum(before, np.quantile(before[before != 0], COVARIATE_CAP))
        covariates.append(before)
    spent = total("sum", 0.0, days)
    capped_spend = np.minimum(spent, np.quantile(spent[spent != 0], COVARIATE_CAP))
    outcomes = (
        ("spend", spent, "sum"),
        ("spend, capped", capped_spend, "sum"),
        ("orders", total("count", 0.0, days), "count"),
    )
    return [
        Customers(
            f"{name}: {days} days from {cut}",
            outcome,
            total(how, -28.0, 0.0),
            np.column_stack(covariates),
        )
        for name, outcome, how in outcomes
    ]


def read_hillstrom(path: Path) -> Customers:
    """Read who visited without any e-mail, and what was known of them."""
    found = duckdb.execute(VISITS, {"path": str(path)}).fetchnumpy()
    visit, *known = (np.asarray(values, dtype=np.float64) for values in found.values())
    covariates = np.column_stack(known)
    return Customers("visits without e-mail (Hillstrom)", visit, covariates[:, 1], covariates)


def measure_gain(customers: Customers, *, splits: int, seed: int) -> Gain:
    """Split customers at random many times, and compare the two halves in each way."""
    rng = np.random.default_rng(seed)
    rows = np.column_stack([customers.outcome, customers.peer, customers.covariates])
    ours = range(2, rows.shape[1])
    lengths = np.zeros((splits, 3 + len(ours)))
    called = np.zeros(3, dtype=int)
    for split in tqdm(range(splits), desc=customers.name, leave=False):
        is_treated = rng.random(len(rows)) < 0.5
        arms = Moments.of(rows[~is_treated]), Moments.of(rows[is_treated])
        compared = [
            _compare(arms, [0, *ours]),
            _compare(arms, [0]),
            _estimate(*apply_cuped(arms[0].select(0, 1), arms[1].select(0, 1))),
        ]
        called += [estimate.is_significant for estimate in compared]
        single = [_compare(arms, [0, column]) for column in ours]
        lengths[split] = [_length(estimate) for estimate in (*compared, *single)]
    adjusted, none, cuped, *alone = lengths.mean(axis=0)
    return Gain(
        customers.name,
        len(rows),
        splits,
        float(adjusted / none),
        float(adjusted / cuped),
        float(adjusted / min(alone)),
        *(int(count) for count in called),
    )


def _measured(role: Literal["goal", "secondary"], params: dict[str, str]) -> Measured:
    return read_metric(PlannedMetric(role, role, "mean", dict(params), True, role))


def _compare(arms: tuple[Moments, Moments], columns: Sequence[int]) -> Estimate:
    return _estimate(*(arm.select(*columns) for arm in arms))


def _estimate(control: Moments, treatment: Moments) -> Estimate:
    result = compare_means(control, treatment)
    assert isinstance(result, Estimate)
    return result


def _length(estimate: Estimate) -> float:
    return estimate.difference_interval.high - estimate.difference_interval.low


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("shop", type=Path, help="online_retail.parquet")
    parser.add_argument("--hillstrom", type=Path, help="hillstrom.csv.gz")
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    everything = [
        customers for cut, days in CUTS for customers in read_shop(options.shop, cut=cut, days=days)
    ]
    if options.hillstrom:
        everything.append(read_hillstrom(options.hillstrom))
    print(f"{'':37}{'customers':>10}{'to none':>9}{'to CUPED':>9}{'to best':>9}   A/A: called with")
    print(f"{'':74}   ours, none, CUPED")
    for customers in everything:
        gain = measure_gain(customers, splits=options.splits, seed=options.seed)
        shares = [
            f"{count / gain.splits:.1%}"
            for count in (gain.called, gain.called_plain, gain.called_cuped)
        ]
        print(
            f"{gain.name:37}{gain.customers:>10,}{gain.to_none:>9.3f}{gain.to_cuped:>9.3f}"
            f"{gain.to_best:>9.3f}   {', '.join(shares)}"
        )


if __name__ == "__main__":
    main()
