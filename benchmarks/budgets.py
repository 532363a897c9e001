"""What prices earn of a budget, beside whoever comes first, an even spread and hindsight.

    .venv/bin/python -m benchmarks.budgets [--seeds 10] [--customers 20000] [--rates] [--audience]

In each world so many customers come in four weeks, by day more than by night. Six offers cost
something and earn something that hangs on the customer; the seventh is nothing. The budget is a
part of what would be spent if there were enough for everybody. What a way of spending earns is told
as a part of what the linear program of all customers earns, which knows beforehand who will come.

Those who know what offers earn show what spending alone is worth; those who learn have our default
bandit, which hears of a reward two hundredths of the time after its decision. The prices are those
of `recommender/scarcity/prices.py`, charged by `Odds.charge`, and the budget is never overspent.

`--rates` tries other steps of the price. `--audience` divides a budget among customers who are all
known (`recommender/scarcity/allocating.py`), beside scipy's solver on the whole program, and for
1,000,000.
"""

import argparse
import os

# Before numpy: matrices this small gain nothing from threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import linprog
from tqdm import tqdm

import recommender.scarcity.prices
from recommender.arrays import FloatArray, IntArray
from recommender.bandits import load_bandit
from recommender.bandits.base import Bandit, Statistics
from recommender.scarcity.allocating import divide
from recommender.scarcity.prices import STEPS, Stretch, find_unit_worth, step_price
from recommender.weighing.features import FeatureSpec, NumberFeature
from recommender.weighing.odds import Odds
from recommender.weighing.propensities import floor_after

DAYS, OFFERS, COLUMNS = 28, 7, 6
FLOOR = 0.01
DELAY = STEPS // 50  # steps until a reward is known
PUBLISHED_EVERY = STEPS // 100
SAMPLE = 1_000
FEATURES = FeatureSpec(tuple(NumberFeature(f"column {i}", 0.0, 1.0) for i in range(1, COLUMNS)))
KEYS = tuple(map(str, range(OFFERS)))
# How much keener those are who come last than those who come first.
ORDERS = {"as they come": 0.0, "the keen come last": 1.5, "the keen come first": -1.5}
WAYS = ("first come", "evenly", "prices")


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Customers in the order of their coming, what offers earn with them, and the budget."""

    at: FloatArray  # (n,), as parts of the time
    x: FloatArray  # (n, d)
    theta: FloatArray  # (K, d)
    cost: FloatArray  # (K,)
    budget: float

    @property
    def worth(self) -> FloatArray:
        """What each offer earns on average, shape (n, K)."""
        return self.x @ self.theta.T


def make_world(seed: int, *, n: int, scarcity: float, keener: float) -> World:
    """Make a world whose budget is a part of what would be spent without one."""
    rng = np.random.default_rng((2026, seed))
    at = np.sort(rng.random(4 * n))
    by_day = rng.random(4 * n) < (1.0 + 0.9 * np.sin(2 * np.pi * DAYS * at)) / 1.9
    at = np.sort(rng.permutation(at[by_day])[:n])
    x = np.column_stack([np.ones(n), rng.normal(size=(n, COLUMNS - 1))])
    x[:, 1] += keener * (at - 0.5)
    theta = rng.normal(0.0, 0.5, (OFFERS, COLUMNS))
    theta[:, 0] = rng.normal(1.0, 0.5, OFFERS)
    theta[:, 1] = np.abs(theta[:, 1])
    theta[-1] = 0.0
    cost = np.append(rng.uniform(0.5, 3.0, OFFERS - 1), 0.0)
    demand = cost[(x @ theta.T).argmax(axis=1)].sum()
    return World(at, x, theta, cost, scarcity * float(demand))


def spend(world: World, way: str, *, learns: bool, seed: int) -> float:
    """Spend the budget in one way; return what that earns on average."""
    rng = np.random.default_rng((7, seed))
    worth, n = world.worth, len(world.at)
    noisy = worth + rng.normal(size=worth.shape)
    step_of = np.minimum((world.at * STEPS).astype(np.int64), STEPS - 1)
    starts = np.searchsorted(step_of, np.arange(STEPS + 1))
    free = _known(world)
    bandit = load_bandit("randomised_ucb")() if learns else None
    statistics = [Statistics.zero(COLUMNS)] * OFFERS
    chosen = np.full(n, OFFERS - 1)
    spent, earned, price, known = 0.0, 0.0, 0.0, 0
    for step in range(STEPS):
        rows = np.arange(starts[step], starts[step + 1])
        if bandit is not None and step % PUBLISHED_EVERY == 0:
            known_before, known = known, int(starts[max(step - DELAY, 0)])
            statistics = _learn(bandit, statistics, world, noisy, chosen, known_before, known)
            free = _publish(bandit, statistics)
        odds = free.charge(dict(zip(KEYS, price * world.cost, strict=True)), version=1)
        before = spent
        # Who learns has no price before anything is learned, and spends evenly until then.
        is_even = way == "evenly" or (way == "prices" and learns and known == 0)
        for row, ranked in zip(rows, _draw(odds, world.x[rows], rng), strict=True):
            offer = _first_affordable(world, ranked, spent, at=world.at[row], is_even=is_even)
            chosen[row], spent, earned = (
                offer,
                spent + world.cost[offer],
                earned + worth[row, offer],
            )
        if way == "prices" and not (learns and known == 0):
            seen = world.x[max(starts[step + 1] - SAMPLE, 0) : starts[step + 1]]
            stretch = Stretch(world.budget, before, spent, step / STEPS, (step + 1) / STEPS)
            unit_worth = find_unit_worth(free.expect(seen), world.cost) if len(seen) else 0.0
            price = step_price(price, stretch, unit_worth=unit_worth)
    return earned


def _known(world: World) -> Odds:
    """Return odds that know what offers earn."""
    factor = np.tile(1e-6 * np.eye(COLUMNS), (OFFERS, 1, 1))
    return Odds(KEYS, world.theta, factor, floor=1e-4, features=FEATURES, version=1)


def _learn(
    bandit: Bandit,
    statistics: list[Statistics],
    world: World,
    reward: FloatArray,
    chosen: IntArray,
    first: int,
    end: int,
) -> list[Statistics]:
    rows = np.arange(first, end)
    news = bandit.accumulate(
        chosen[rows], world.x[rows], reward[rows, chosen[rows]], n_offers=OFFERS
    )
    return [old + new for old, new in zip(statistics, news, strict=True)]


def _publish(bandit: Bandit, statistics: list[Statistics]) -> Odds:
    floor = floor_after(FLOOR, learned=sum(each.n for each in statistics))
    return bandit.publish(statistics, offers=KEYS, features=FEATURES, floor=floor, version=1)


def _draw(odds: Odds, x: FloatArray, rng: np.random.Generator) -> IntArray:
    """Rank offers for customers, (n, K), as if each were drawn from what those before left."""
    if not len(x):
        return np.empty((0, OFFERS), dtype=np.int64)
    weights = odds.weights_many(x, np.ones((len(x), OFFERS), dtype=bool))
    # The order of E / w with E exponential is that of draws without replacement.
    order: IntArray = (rng.exponential(size=weights.shape) / weights).argsort(axis=1)
    return order


def _first_affordable(
    world: World, ranked: IntArray, spent: float, *, at: float, is_even: bool
) -> int:
    is_closed = is_even and spent > world.budget * at
    for offer in ranked:
        cost = world.cost[offer]
        if cost == 0.0 or (not is_closed and cost <= world.budget - spent):
            return int(offer)
    raise AssertionError("nothing costs nothing")


def find_hindsight(world: World) -> float:
    """Return what the linear program over all customers earns.

    Of one budget its dual is a line search: the price at which what is wanted is what there is, and
    of the customers who do not mind so many as the budget has room for.
    """
    worth, cost = world.worth, world.cost
    each = np.arange(len(worth))

    def at_price(price: float) -> tuple[float, float]:
        offer = (worth - price * cost).argmax(axis=1)
        return float(cost[offer].sum()), float(worth[each, offer].sum())

    low, high = 0.0, float(worth.max() / cost[cost > 0].min())
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if at_price(middle)[0] > world.budget else (low, middle)
    (more, earns_more), (less, earns_less) = at_price(low), at_price(high)
    part = (world.budget - less) / (more - less) if more > less else 0.0
    return earns_less + part * (earns_more - earns_less)


def compare(seeds: int, customers: int) -> None:
    """Print what each way earns, as a part of hindsight, in each kind of world."""
    print("What is earned, as a part of what hindsight earns; mean and standard error of worlds:")
    print(f"  {'budget':<8}{'customers':<22}{'':<9}{'  '.join(f'{way:>14}' for way in WAYS)}")
    for scarcity in (0.05, 0.2, 0.6):
        for order, keener in ORDERS.items():
            found: dict[tuple[bool, str], list[float]] = {}
            for seed in tqdm(range(seeds), desc=f"{scarcity:.0%}, {order}", leave=False):
                world = make_world(seed, n=customers, scarcity=scarcity, keener=keener)
                best = find_hindsight(world)
                for learns in (False, True):
                    for way in WAYS:
                        part = spend(world, way, learns=learns, seed=seed) / best
                        found.setdefault((learns, way), []).append(part)
            for learns in (False, True):
                said = [_say(found[learns, way]) for way in WAYS]
                who = "learning" if learns else "knowing"
                print(f"  {scarcity:<8.0%}{order:<22}{who:<9}{'  '.join(said)}", flush=True)


def try_rates(seeds: int, customers: int) -> None:
    """Print what other steps of the price earn."""
    print("\nSteps of the price, a budget of 20%, knowing what offers earn:")
    usual = recommender.scarcity.prices.RATE
    for rate in (1.0, 3.0, 10.0, 30.0, 100.0):
        recommender.scarcity.prices.RATE = rate
        parts = []
        for order, keener in ORDERS.items():
            for seed in tqdm(range(seeds), desc=f"{rate:g}, {order}", leave=False):
                world = make_world(seed, n=customers, scarcity=0.2, keener=keener)
                parts.append(
                    spend(world, "prices", learns=False, seed=seed) / find_hindsight(world)
                )
        print(f"  RATE {rate:<5g}{_say(parts)}", flush=True)
    recommender.scarcity.prices.RATE = usual


def divide_audiences() -> None:
    """Print what dividing earns and takes beside scipy's solver, and for a million customers."""
    print("\nAn audience that is known, three scarce things:")
    for n, k in ((1_000, 10), (5_000, 10), (20_000, 10)):
        worth, uses, left = _make_audience(n, k)
        began = time.perf_counter()
        found = divide(worth, uses, left, floor=0.0)
        ours = time.perf_counter() - began
        best, theirs = _solve(worth, uses, left)
        # Of what it matters who gets what.
        at_stake = n * float(np.mean(worth.max(axis=1) - worth.mean(axis=1)))
        print(
            f"  {n:,} customers, {k} offers: {(best - found.earned) / at_stake:.1e} of what is at "
            f"stake is lost; {theirs / ours:.0f} times as fast as HiGHS ({theirs:.1f} s); given "
            f"out at most {np.max(found.given / left):.7f} of what there is",
            flush=True,
        )
    worth, uses, left = _make_audience(1_000_000, 10)
    began = time.perf_counter()
    found = divide(worth, uses, left, floor=0.0)
    print(
        f"  1,000,000 customers, 10 offers: {time.perf_counter() - began:.1f} s on one core; given "
        f"out at most {np.max(found.given / left):.7f} of what there is"
    )


def _make_audience(n: int, k: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    rng = np.random.default_rng((3, n))
    worth = rng.normal(size=(n, k)) * rng.uniform(0.3, 1.5, k) + rng.normal(size=k)
    cost = np.append(rng.uniform(0.5, 3.0, k - 1), 0.0)
    favourite = worth.argmax(axis=1)
    # Of what costs nothing there is enough for everybody.
    first, second = np.argsort(np.bincount(favourite, minlength=k)[:-1])[::-1][:2]
    uses = np.vstack([cost, np.eye(k)[first], np.eye(k)[second]])
    scarce = [0.5 * float((favourite == offer).sum()) for offer in (first, second)]
    return worth, uses, np.array([0.3 * cost[favourite].sum(), *scarce])


def _solve(worth: FloatArray, uses: FloatArray, left: FloatArray) -> tuple[float, float]:
    """Return what the whole program earns by HiGHS, and how long that takes."""
    n, k = worth.shape
    # scipy takes sparse matrices, and its types know only dense ones.
    each: Any = sparse.kron(sparse.eye(n), np.ones((1, k)), format="csr")
    all_uses: Any = sparse.csr_matrix(np.tile(uses, n))
    began = time.perf_counter()
    solved = linprog(-worth.ravel(), A_ub=all_uses, b_ub=left, A_eq=each, b_eq=np.ones(n))
    assert solved.fun is not None
    return -solved.fun, time.perf_counter() - began


def _say(parts: list[float]) -> str:
    error = np.std(parts, ddof=min(1, len(parts) - 1)) / len(parts) ** 0.5
    return f"{np.mean(parts):>6.3f} ± {error:.3f}"


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description="What prices earn of a budget.")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--rates", action="store_true")
    parser.add_argument("--audience", action="store_true")
    asked = parser.parse_args()
    if asked.audience:
        divide_audiences()
    elif asked.rates:
        try_rates(asked.seeds, asked.customers)
    else:
        compare(asked.seeds, asked.customers)


if __name__ == "__main__":
    main()
