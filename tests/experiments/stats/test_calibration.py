"""Error rates by simulation: each lies within three standard errors of what is promised."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.stats.estimate import Estimate, Result
from experiments.stats.lift import compare_means
from experiments.stats.moments import Moments
from experiments.stats.proportions import compare_proportions

pytestmark = pytest.mark.slow

RUNS = 4000
ALPHA = 0.05
TOLERANCE = 3 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)

Simulation = Callable[[np.random.Generator, float], Result]


def simulate_shares(rng: np.random.Generator, lift: float) -> Result:
    n, p = 4000, 0.1
    x_c, x_t = rng.binomial(n, p), rng.binomial(n, p * (1 + lift))
    return compare_proportions(x_c=int(x_c), n_c=n, x_t=int(x_t), n_t=n)


def simulate_spend(rng: np.random.Generator, lift: float) -> Result:
    """One customer in five buys, for a lognormal amount; the arms differ in size."""

    def spend(n: int) -> NDArray[np.float64]:
        return np.asarray(rng.lognormal(3, 0.6, n) * rng.binomial(1, 0.2, n)).reshape(-1, 1)

    return compare_means(Moments.of(spend(3000)), Moments.of(spend(2000) * (1 + lift)))


SIMULATIONS = pytest.mark.parametrize("simulate", [simulate_shares, simulate_spend])


def estimates(simulate: Simulation, lift: float) -> Iterator[Estimate]:
    rng = np.random.default_rng(20260701)
    for _ in range(RUNS):
        result = simulate(rng, lift)
        assert isinstance(result, Estimate)
        yield result


@SIMULATIONS
def test_an_aa_test_is_significant_as_often_as_promised(simulate: Simulation) -> None:
    rate = np.mean([estimate.is_significant for estimate in estimates(simulate, 0.0)])
    assert rate == pytest.approx(ALPHA, abs=TOLERANCE)


@SIMULATIONS
def test_the_interval_of_the_difference_covers(simulate: Simulation) -> None:
    base = 0.1 if simulate is simulate_shares else 0.2 * math.exp(3 + 0.6**2 / 2)
    covered = np.mean([0.2 * base in e.difference_interval for e in estimates(simulate, 0.2)])
    assert covered == pytest.approx(1 - ALPHA, abs=TOLERANCE)


@SIMULATIONS
def test_the_interval_of_the_lift_covers(simulate: Simulation) -> None:
    covered = np.mean(
        [
            e.relative_interval is not None and 0.2 in e.relative_interval
            for e in estimates(simulate, 0.2)
        ]
    )
    assert covered == pytest.approx(1 - ALPHA, abs=TOLERANCE)
