"""CPU time of choosing among 50 offers by 32 columns, one thread, beside other people's bandits.

    .venv/bin/python -m benchmarks.choosing

bayesianbandits and MABWiser are installed unmodified in an environment of their own. Everybody has
learned from the same 20,000 rewards. They return choices: bayesianbandits by one draw of the
coefficients for all customers together, so that equal customers get equal offers and nobody is
tried out alone; MABWiser by a draw for each, which in effect is one for all arms, as the generators
of its arms are copies of one. Both are timed against the same of ours: one draw of all
coefficients, and the choices of our default by a draw for each customer, in single precision. What
we serve and log is the probability of every offer, which they do not give. Of each, the fastest of
some repetitions.
"""

import os

# Before numpy: everybody gets one thread.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.clients import ask
from recommender.arrays import FloatArray, IntArray
from recommender.bandits.randomised_ucb import RandomisedUCB
from recommender.weighing.features import FeatureSpec, NumberFeature
from recommender.weighing.odds import Odds
from recommender.weighing.spreads import pack_covariances, spreads

PACKAGES = ["mabwiser==2.7.4", "bayesianbandits==1.5.0"]
OFFERS, COLUMNS, LEARNED, CUSTOMERS = 50, 32, 20_000, 100_000
SINGLE = 2_000
CHUNK = 2_048
# Of bayesianbandits' time, MABWiser's, and microseconds with propensities: batch, one request.
FASTER, MUCH_FASTER, MOST_BATCH, MOST_SINGLE = 2.0, 20.0, 60.0, 600.0


def make_customers(rng: np.random.Generator, n: int) -> FloatArray:
    """Encode customers who have nothing in common but the intercept."""
    return np.column_stack([np.ones(n), rng.normal(size=(n, COLUMNS - 1))])


def microseconds(run: Callable[[], object], *, n: int, repetitions: int = 3) -> float:
    """Return the least CPU time of some repetitions, for one of n customers."""
    times = []
    for _ in range(repetitions):
        begun = time.process_time()
        run()
        times.append(time.process_time() - begun)
    return 1e6 * min(times) / n


def choose_by_one_draw(odds: Odds, x: FloatArray, rng: np.random.Generator) -> IntArray:
    """Draw all coefficients once, and take everybody's best offer."""
    noise = rng.standard_normal(odds.mean.shape)
    drawn = odds.mean + np.einsum("kde,ke->kd", odds.factor, noise)  # (K, d)
    chosen: IntArray = (x @ drawn.T).argmax(axis=1)
    return chosen


def choose_without(odds: Odds) -> Callable[[FloatArray, np.random.Generator], IntArray]:
    """Return how every customer's best offer is found where one draw raises all of them."""
    mean = odds.mean.T.astype(np.float32)  # (d, K)
    packed = pack_covariances(odds.factor).astype(np.float32)

    def choose(x: FloatArray, rng: np.random.Generator) -> IntArray:
        chosen = np.empty(len(x), dtype=np.int64)
        for first in range(0, len(x), CHUNK):
            rows = x[first : first + CHUNK].astype(np.float32)
            raised = spreads(rows, packed)
            raised *= abs(rng.standard_normal((len(rows), 1), dtype=np.float32))
            raised += rows @ mean
            chosen[first : first + CHUNK] = raised.argmax(axis=1)
        return chosen

    return choose


def main() -> None:
    """Measure, and say whether the promises are kept."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    x = make_customers(rng, LEARNED)
    shown = rng.integers(OFFERS, size=LEARNED)
    rate = 0.1 + (x @ rng.normal(0.0, 0.02, (COLUMNS, OFFERS)))[np.arange(LEARNED), shown]
    rewards = (rng.random(LEARNED) < rate).astype(float)
    customers = make_customers(rng, CUSTOMERS)
    bandit = RandomisedUCB()
    odds = bandit.publish(
        bandit.accumulate(shown, x, rewards, n_offers=OFFERS),
        offers=tuple(map(str, range(OFFERS))),
        features=FeatureSpec(tuple(NumberFeature(f"c{i}", 0.0, 1.0) for i in range(1, COLUMNS))),
        floor=1e-4,
        version=1,
    )
    choose = choose_without(odds)
    everybody = np.ones((CUSTOMERS, OFFERS), dtype=bool)
    with tempfile.TemporaryDirectory(prefix="offerlab-choosing-") as directory:
        path = Path(directory) / "log.npz"
        np.savez(path, x=x, shown=shown, rewards=rewards, customers=customers)
        theirs = ask(
            Path(__file__).with_name("peers_python.py"),
            {"log": str(path), "offers": OFFERS},
            python=PACKAGES,
            node={},
        )
    ours = {
        "bayesianbandits": microseconds(
            lambda: choose_by_one_draw(odds, customers, rng), n=CUSTOMERS
        ),
        "MABWiser LinTS": microseconds(lambda: choose(customers, rng), n=CUSTOMERS),
    }
    numpy_batch = microseconds(lambda: odds.weights_many(customers, everybody), n=CUSTOMERS)
    torch_batch = microseconds(lambda: bandit.weights_many(odds, customers, everybody), n=CUSTOMERS)
    single = microseconds(
        lambda: [odds.weights(row, everybody[0]) for row in customers[:SINGLE]], n=SINGLE
    )
    print(f"{CUSTOMERS:,} customers x {OFFERS} offers x {COLUMNS} columns, microseconds each:")
    for name, promised in (("bayesianbandits", FASTER), ("MABWiser LinTS", MUCH_FASTER)):
        ratio = theirs[name] / ours[name]
        print(
            f"  choices by {name:<19}{theirs[name]:>9.1f}   ours {ours[name]:.1f}: "
            f"{ratio:.1f} times as fast ({promised:g} promised)"
        )
    print(f"  all propensities, numpy       {numpy_batch:>9.1f}   ({MOST_BATCH:g} allowed)")
    print(f"  all propensities, torch       {torch_batch:>9.1f}   ({MOST_BATCH:g} allowed)")
    print(f"  one request with propensities {single:>9.1f}   ({MOST_SINGLE:g} allowed)")


if __name__ == "__main__":
    main()
