"""Regret where offers come and go, or are many, and something is known of each beforehand.

    .venv/bin/python -m benchmarks.regret.catalogues [--seeds 20] [--worlds catalogue,unrelated]

Everybody meets the same 20,000 customers in batches of 500 and learns between batches, as in
`benchmarks.regret`. Our default plays with and without the offers' facts, seed by seed; and with
ten times the prior's strength, to tell what facts win from what is won by expecting offers to
differ less. Beside it two forms of LinUCB that know facts too (Li et al. 2010), written down here
because no peer takes them: one ridge regression on all products of customers' columns and facts
(`shared`), and that with a regression of each offer's own besides (`hybrid`, their algorithm 2),
each with some widths. The promises: with facts that tell something at most .7 times the regret of
without where offers come and go, and .95 where they stay; where facts tell nothing, at most 1.03.
"""

import argparse
import os

# Before numpy: matrices this small gain nothing from threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.regret.worlds import BATCH, ROUNDS, draw_customers, draw_rewards
from recommender.arrays import BoolArray, FloatArray, IntArray
from recommender.bandits.base import DEFAULTS, Hyperparameters, Statistics
from recommender.bandits.randomised_ucb import RandomisedUCB
from recommender.weighing.features import FeatureSpec, NumberFeature
from recommender.weighing.offer_facts import Facts, encode_facts
from recommender.weighing.propensities import floor_after

COLUMNS = 8
LIFE = 12  # batches that an offer stays where offers come and go: 6,000 customers
TOLD = 0.7  # the share of the differences between offers that facts tell, where they do
KINDS = ("free shipping", "gift", "price off", "two for one")
WIDTHS = (0.1, 0.3, 1.0)
FLOOR = 0.01
NARROW = Hyperparameters(prior_strength=100.0)
SEED = 2026


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """Customers in the order in which they come, and offers that some of them may get.

    Attributes:
        x: Encoded customers, shape (n, d), the first column 1.
        mean: Mean rewards, shape (n, K).
        reward: Rewards that would come about, shape (n, K).
        available: Which offers there are for each customer, shape (n, K).
        facts: What is known of each offer.
    """

    x: FloatArray
    mean: FloatArray
    reward: FloatArray
    available: BoolArray
    facts: tuple[Facts, ...]

    def regret(self, chosen: IntArray) -> float:
        """Return the sum of mean rewards lost by choices among what there was, shape (n,)."""
        got = self.mean[np.arange(len(self.x)), chosen]
        return float((np.where(self.available, self.mean, -np.inf).max(axis=1) - got).sum())


def catalogue(rng: np.random.Generator) -> Catalogue:
    """Forty offers, some nine at a time, each for 6,000 customers; facts tell 70% of tastes."""
    return _make(rng, offers=40, told=TOLD, is_changing=True)


def unrelated(rng: np.random.Generator) -> Catalogue:
    """As `catalogue`, but facts have nothing to do with tastes."""
    return _make(rng, offers=40, told=0.0, is_changing=True)


def shelf(rng: np.random.Generator) -> Catalogue:
    """Twenty offers that stay; facts tell 70% of tastes."""
    return _make(rng, offers=20, told=TOLD, is_changing=False)


def unrelated_shelf(rng: np.random.Generator) -> Catalogue:
    """As `shelf`, but facts have nothing to do with tastes."""
    return _make(rng, offers=20, told=0.0, is_changing=False)


def unrelated_few(rng: np.random.Generator) -> Catalogue:
    """Five offers that stay; facts have nothing to do with tastes."""
    return _make(rng, offers=5, told=0.0, is_changing=False)


CATALOGUES: dict[str, Callable[[np.random.Generator], Catalogue]] = {
    "catalogue": catalogue,
    "shelf": shelf,
    "unrelated": unrelated,
    "unrelated_shelf": unrelated_shelf,
    "unrelated_few": unrelated_few,
}
# Of the regret without facts.
MOST = {"catalogue": 0.7, "shelf": 0.95}
MOST_UNRELATED = 1.03


def _make(rng: np.random.Generator, *, offers: int, told: float, is_changing: bool) -> Catalogue:
    """Rates of some per cent, logistic in eight columns; tastes are partly linear in facts."""
    x = draw_customers(rng, COLUMNS)
    discount, price = rng.integers(5, 50, size=offers), rng.gamma(4.0, 10.0, size=offers)
    kind = rng.integers(len(KINDS), size=offers)
    known = (
        _standard(discount[:, None].astype(np.float64)),
        _standard(price[:, None]),
        _standard(np.eye(4)[kind]),
    )
    z = np.hstack(known) / np.sqrt(len(known))
    tastes = 0.3 * (
        np.sqrt(told) * z @ rng.normal(size=(z.shape[1], COLUMNS))
        + np.sqrt(1.0 - told) * rng.normal(size=(offers, COLUMNS))
    )
    world = draw_rewards(rng, x, x @ tastes.T - 2.4)
    available = np.ones(world.mean.shape, dtype=bool)
    if is_changing:
        batches = ROUNDS // BATCH
        comes = rng.permutation(np.round(np.linspace(1 - LIFE, batches - 1, offers)))
        batch = np.arange(ROUNDS)[:, None] // BATCH
        available = (comes <= batch) & (batch < comes + LIFE)
    facts: list[Facts] = [
        {"discount": float(d), "price": float(p), "kind": KINDS[k]}
        for d, p, k in zip(discount, price, kind, strict=True)
    ]
    return Catalogue(x, world.mean, world.reward, available, tuple(facts))


def _standard(columns: FloatArray) -> FloatArray:
    centred = columns - columns.mean(axis=0)
    size = np.sqrt((centred**2).sum(axis=1).mean())
    # Of few offers all may be of one kind.
    standard: FloatArray = centred / (size or 1.0)
    return standard


def play_default(
    world: Catalogue,
    *,
    seed: int,
    knows_facts: bool = False,
    is_greedy: bool = False,
    settings: Hyperparameters = DEFAULTS,
) -> IntArray:
    """Choose and learn as a policy of ours does; return what was chosen, shape (n,)."""
    n, d = world.x.shape
    k = len(world.facts)
    features = FeatureSpec(tuple(NumberFeature(f"column {i}", 0.0, 1.0) for i in range(1, d)))
    bandit, rng = RandomisedUCB(settings), np.random.default_rng(seed)
    if knows_facts:
        bandit.read_facts(encode_facts(world.facts))
    statistics, chosen = [Statistics.zero(d)] * k, np.empty(n, dtype=np.int64)
    for first in range(0, n, BATCH):
        rows = slice(first, first + BATCH)
        odds = bandit.publish(
            statistics,
            offers=tuple(map(str, range(k))),
            features=features,
            floor=floor_after(FLOOR, learned=sum(each.n for each in statistics)),
            version=1,
        )
        if is_greedy:
            mean, _ = odds.predict(world.x[rows])
            # While nothing is known all means are equal, and nobody is the first.
            mean = np.where(world.available[rows], mean + 1e-9 * rng.random(mean.shape), -np.inf)
            chosen[rows] = mean.argmax(axis=1)
        else:
            weights = odds.weights_many(world.x[rows], world.available[rows])
            draws = rng.random((len(weights), 1))
            chosen[rows] = (draws > weights.cumsum(axis=1)[:, :-1]).sum(axis=1)
        earned = world.reward[np.arange(n)[rows], chosen[rows]]
        news = bandit.accumulate(chosen[rows], world.x[rows], earned, n_offers=k)
        statistics = [old + new for old, new in zip(statistics, news, strict=True)]
    return chosen


def play_lin_ucb(world: Catalogue, *, width: float, has_own: bool) -> IntArray:
    """Choose by an upper bound of one ridge regression on customers and facts together.

    With `has_own`, a regression of each offer's own joins it, as further columns of the same.
    """
    n, d = world.x.shape
    z = encode_facts(world.facts).z
    w = np.column_stack([np.ones(len(z)), z, np.eye(len(z))] if has_own else [np.ones(len(z)), z])
    size = w.shape[1] * d
    precision, score = np.eye(size), np.zeros(size)
    chosen = np.empty(n, dtype=np.int64)
    for first in range(0, n, BATCH):
        rows = slice(first, first + BATCH)
        x = world.x[rows]
        covariance = np.linalg.inv(precision)
        theta = (covariance @ score).reshape(-1, d)
        # (w ⊗ x)ᵀ C (w ⊗ x), an offer at a time.
        blocks = covariance.reshape(w.shape[1], d, w.shape[1], d)
        bound = np.full((len(x), len(z)), -np.inf)
        for k in np.flatnonzero(world.available[first]):
            own = np.einsum("idje,i,j->de", blocks, w[k], w[k], optimize=True)
            variance = ((x @ own) * x).sum(axis=1)
            bound[:, k] = x @ (w[k] @ theta) + width * np.sqrt(np.maximum(variance, 0.0))
        chosen[rows] = bound.argmax(axis=1)
        both = (w[chosen[rows]][:, :, None] * x[:, None, :]).reshape(len(x), size)
        precision += both.T @ both
        score += both.T @ world.reward[np.arange(n)[rows], chosen[rows]]
    return chosen


def play_all(world: Catalogue, *, seed: int) -> dict[str, float]:
    """Return everybody's regret in one world."""
    regret = {
        "default": world.regret(play_default(world, seed=seed)),
        "default, prior 100": world.regret(play_default(world, seed=seed, settings=NARROW)),
        "with facts": world.regret(play_default(world, seed=seed, knows_facts=True)),
        "greedy with facts": world.regret(
            play_default(world, seed=seed, knows_facts=True, is_greedy=True)
        ),
    }
    for width in WIDTHS:
        for name, has_own in (("shared", False), ("hybrid", True)):
            chosen = play_lin_ucb(world, width=width, has_own=has_own)
            regret[f"{name} LinUCB @ {width:g}"] = world.regret(chosen)
    some = world.available / world.available.sum(axis=1, keepdims=True)
    best = np.where(world.available, world.mean, -np.inf).max(axis=1)
    return regret | {"uniform": float((best - (some * world.mean).sum(axis=1)).sum())}


def main() -> None:
    """Play, print the table and say which promises are kept."""
    parser = argparse.ArgumentParser(description="Regret with and without offers' facts.")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--worlds", default=",".join(CATALOGUES))
    asked = parser.parse_args()
    print("Mean regret and its standard error:")
    for name in asked.worlds.split(","):
        runs = [
            play_all(CATALOGUES[name](np.random.default_rng((SEED, seed))), seed=seed)
            for seed in range(asked.seeds)
        ]
        print_world(name, {label: np.array([run[label] for run in runs]) for label in runs[0]})


def print_world(name: str, regret: Mapping[str, FloatArray]) -> None:
    """Print everybody's regret in one kind of world, and what was promised."""
    seeds = len(regret["default"])
    print(f"\n{name}, {seeds} seeds: {CATALOGUES[name].__doc__}")
    for label, values in sorted(regret.items(), key=lambda item: float(item[1].mean())):
        print(f"  {label:<24}{values.mean():>9.1f} ± {values.std(ddof=1) / seeds**0.5:.1f}")
    change = regret["with facts"] - regret["default"]
    ratio = regret["with facts"].mean() / regret["default"].mean()
    most = MOST.get(name, MOST_UNRELATED)
    print(
        f"  with facts {change.mean():+.1f} ± {change.std(ddof=1) / seeds**0.5:.1f}, "
        f"{ratio:.2f} times the regret of without ({most:g} allowed)",
        flush=True,
    )


if __name__ == "__main__":
    main()
