"""How much rankers add to bare linear algebra, and what reranking costs the web.

    python -m benchmarks.rank_speed

A million ratings of 6,040 customers on 3,706 items are drawn, as many as MovieLens-1M has. Lists of
100 for everybody are to take at most 1.5 times the bare product of factors and its top 100; EASE at
most 1.5 times the bare inverse of its matrix. Reranking 500 candidates by ten events is to take a
millisecond at most, in a process that never loads torch. CPU time of one thread; of each, the
fastest of some repetitions.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
import time
from collections.abc import Callable

import numpy as np

from recommender.arrays import ScoreArray
from recommender.interactions.histories import Histories
from recommender.listing.reranking import Followers
from recommender.rankers.als import Als
from recommender.rankers.base import CUSTOMERS_AT_ONCE
from recommender.rankers.ease import Ease
from recommender.rankers.item_knn import ItemKnn
from recommender.rankers.markov import Markov

CUSTOMERS, ITEMS, SHOWN = 6040, 3706, 100
MOST_RATIO, MOST_MS = 1.5, 1.0
CANDIDATES, EVENTS = 500, 10


def draw_histories(rng: np.random.Generator) -> Histories:
    """Draw histories of the usual lengths, popular items more often."""
    popularity = 1 / np.arange(1, ITEMS + 1) ** 0.8
    lengths = np.minimum(rng.lognormal(4.6, 0.8, CUSTOMERS).astype(int) + 20, 1500)
    lists = [
        rng.choice(ITEMS, size=n, replace=False, p=popularity / popularity.sum()).tolist()
        for n in lengths
    ]
    return Histories.of(lists, n_items=ITEMS)


def fastest(run: Callable[[], object], *, repetitions: int) -> float:
    """Return the least CPU time of some repetitions, in seconds."""
    times = []
    for _ in range(repetitions):
        begun = time.process_time()
        run()
        times.append(time.process_time() - begun)
    return min(times)


def find_top(customers: ScoreArray, items: ScoreArray) -> None:
    """Multiply factors and sort the best of each row, and nothing else."""
    for first in range(0, len(customers), CUSTOMERS_AT_ONCE):
        scores = customers[first : first + CUSTOMERS_AT_ONCE] @ items.T
        top = np.argpartition(-scores, SHOWN - 1, axis=1)[:, :SHOWN]
        np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1)


def main() -> int:
    """Print all numbers; return 1 if a bar is missed."""
    rng = np.random.default_rng(0)
    histories = draw_histories(rng)
    print(f"{len(histories.items):,} ratings of {CUSTOMERS:,} customers on {ITEMS:,} items")
    als = Als(factors=64)
    print(f"ALS, 64 factors, 15 turns: {fastest(lambda: als.fit(histories), repetitions=1):.2f} s")
    print(f"item-kNN: {fastest(lambda: ItemKnn().fit(histories), repetitions=1):.2f} s")
    customers = rng.normal(size=(CUSTOMERS, 64)).astype(np.float32)
    bare = fastest(lambda: find_top(customers, als.items), repetitions=5)
    ours = fastest(lambda: als.recommend(histories, k=SHOWN), repetitions=5)
    lists = ours / bare
    print(f"lists of {SHOWN}: {ours:.3f} s, bare {bare:.3f} s, ratio {lists:.2f}")
    x = histories.profiles()
    gram = (x.T @ x).toarray() + 100 * np.eye(ITEMS, dtype=np.float32)
    bare = fastest(lambda: np.linalg.inv(gram), repetitions=2)
    ours = fastest(lambda: Ease().fit(histories), repetitions=2)
    learned = ours / bare
    print(f"EASE: {ours:.2f} s, bare inverse {bare:.2f} s, ratio {learned:.2f}")
    keys = [str(item) for item in range(ITEMS)]
    followers = Followers.of(Markov().fit(histories).leads, keys)
    candidates, scores = rng.permutation(ITEMS)[:CANDIDATES], rng.random(CANDIDATES)
    session = rng.integers(ITEMS, size=EVENTS).tolist()
    took = 1000 * fastest(
        lambda: followers.rescore(candidates, scores, session, strength=1.0), repetitions=200
    )
    print(f"reranking {CANDIDATES} candidates by {EVENTS} events: {took:.3f} ms")
    loaded = "torch" in sys.modules
    print(f"torch was {'loaded' if loaded else 'never loaded'}")
    return int(max(lists, learned) > MOST_RATIO or took > MOST_MS or loaded)


if __name__ == "__main__":
    sys.exit(main())
