"""A million decisions of a learning policy: are they drawn as they are logged, and replayable?

    .venv/bin/python -m benchmarks.propensities [--decisions 1000000]

Policies of each of `KINDS` decide by hash for customers whose eligible offers differ, learn after
every batch, and log what `campaigns/deciding/draw.py` really gives. Then every decision is drawn
again from its log, and the log is put to `offpolicy/calibration.py`'s test, whose tenths are all to
lie inside their band. Last, the probabilities are held against ten million posterior draws for each
of some customers of an early batch, while there is much to be tried: within .001 for every offer
above the floor.
"""

import argparse
import uuid

import numpy as np

from campaigns.deciding.draw import draw_offer, draw_seed
from recommender.arrays import FloatArray, IntArray
from recommender.bandits import load_bandit
from recommender.bandits.base import Statistics
from recommender.offpolicy.calibration import PropensityCheck, check_propensities
from recommender.weighing.features import FeatureSpec, NumberFeature
from recommender.weighing.odds import Odds
from recommender.weighing.propensities import floor_after

KINDS = ("randomised_ucb", "linear_thompson")
OFFERS, COLUMNS, BATCHES = 8, 6, 100
EARLY = 2  # the batch
FLOOR, SEED = 0.01, 7
DRAWS, CUSTOMERS, NEAR = 10_000_000, 20, 1e-3


def decide(kind: str, n: int) -> tuple[PropensityCheck, int, Odds, FloatArray]:
    """Decide and learn; return the check, how many could not be replayed, and early odds.

    Besides, some customers of their batch, shape (CUSTOMERS, d).
    """
    rng = np.random.default_rng(SEED)
    features = FeatureSpec(tuple(NumberFeature(f"c{i}", 0.0, 1.0) for i in range(1, COLUMNS)))
    truth = rng.normal(0.0, 0.03, (COLUMNS, OFFERS)) + 0.1 * (np.arange(COLUMNS) == 0)[:, None]
    bandit, statistics = load_bandit(kind)(), [Statistics.zero(COLUMNS)] * OFFERS
    size = n // BATCHES
    weights, action = np.zeros((BATCHES * size, OFFERS)), np.zeros(BATCHES * size, dtype=np.int64)
    eligible = rng.random((BATCHES * size, OFFERS)) < 0.7
    eligible[np.arange(len(eligible)), rng.integers(OFFERS, size=len(eligible))] = True
    lost = 0
    for version in range(BATCHES):
        odds = bandit.publish(
            statistics,
            offers=tuple(map(str, range(OFFERS))),
            features=features,
            floor=floor_after(FLOOR, learned=sum(each.n for each in statistics)),
            version=version,
        )
        rows = slice(version * size, (version + 1) * size)
        x = np.column_stack([np.ones(size), rng.normal(size=(size, COLUMNS - 1))])
        weights[rows], action[rows], missed = draw(
            odds.weights_many(x, eligible[rows]), first=version * size, version=version
        )
        lost += missed
        if version == EARLY:
            early = odds, x[:CUSTOMERS]
        rate = (x @ truth)[np.arange(size), action[rows]]
        news = bandit.accumulate(
            action[rows], x, (rng.random(size) < rate).astype(float), n_offers=OFFERS
        )
        statistics = [old + new for old, new in zip(statistics, news, strict=True)]
    return check_propensities(weights, action, eligible), lost, *early


def draw(
    probabilities: FloatArray, *, first: int, version: int
) -> tuple[FloatArray, IntArray, int]:
    """Draw for each customer by hash, and again from the log alone.

    Returns:
        Logged weights, shape (r, K), drawn places, (r,), and how many were not the same again.
    """
    logged = np.empty_like(probabilities)
    places, missed = np.empty(len(probabilities), dtype=np.int64), 0
    for row, p in enumerate(probabilities):
        customer = f"customer-{first + row}"
        seed = draw_seed("simulated", version=version, decision_id=uuid.UUID(int=first + row))
        drawn = draw_offer(p, seed=seed, customer_key=customer)
        again = draw_offer(drawn.weights, seed=seed, customer_key=customer)
        missed += (again.index, again.propensity) != (drawn.index, drawn.propensity)
        logged[row], places[row] = drawn.weights, drawn.index
    return logged, places, missed


def furthest_from_draws(odds: Odds, x: FloatArray) -> float:
    """Return how far a weight lies from the share of posterior draws in which its offer is best."""
    rng, furthest = np.random.default_rng(SEED), 0.0
    for row in x:
        mean, sd = odds.predict(row)
        wins, step = np.zeros(OFFERS), 1_000_000
        for _ in range(DRAWS // step):
            if odds.is_optimistic:
                height = abs(rng.standard_normal((step, 1)))
            else:
                height = rng.standard_normal((step, OFFERS))
            best = (mean + sd * height).argmax(axis=1)
            wins += np.bincount(best, minlength=OFFERS)
        expected = (1.0 - OFFERS * odds.floor) * wins / DRAWS + odds.floor
        weights = odds.weights(row, np.ones(OFFERS, dtype=bool))
        above = weights > 1.01 * odds.floor
        furthest = max(furthest, float(abs(weights - expected)[above].max()))
    return furthest


def main() -> None:
    """Decide, replay, check, and say whether the promises are kept."""
    parser = argparse.ArgumentParser(description="Are decisions drawn as they are logged?")
    parser.add_argument("--decisions", type=int, default=1_000_000)
    decisions = parser.parse_args().decisions
    for kind in KINDS:
        print_kind(kind, decisions)


def print_kind(kind: str, decisions: int) -> None:
    """Say what came of one kind of policy."""
    check, lost, odds, x = decide(kind, decisions)
    worst = check.worst
    assert worst is not None, "there are enough decisions to test"
    print(f"{kind}: {len(check.deviations)} offers and tenths of offers were tested")
    print(f"  furthest from its propensities: z = {worst.z:+.2f} (±{check.bound:.2f} allowed)")
    print(f"  the log {'is broken' if check.is_broken else 'holds'}")
    print(f"  decisions that came out otherwise from their log: {lost} (0 allowed)")
    furthest = furthest_from_draws(odds, x)
    print(
        f"  furthest from {DRAWS:,} draws, {CUSTOMERS} customers: {furthest:.1e} ({NEAR:g} allowed)"
    )


if __name__ == "__main__":
    main()
