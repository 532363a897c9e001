"""CPU time of comparisons from moments: ours, many at once, and statsmodels' one by one.

    .venv/bin/python -m benchmarks.statistics

A report of two arms, ten metrics and five covariates each is to take 5 ms at most, from moments in
memory; comparing every metric in every segment is to be 50 times faster than calls of statsmodels
for the same numbers: a test and the intervals of difference and lift. One process, one thread; of
each, the fastest of some repetitions.
"""

import os

# Before numpy: matrices this small gain nothing from threads, which would count twice.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from experiments.stats.lift import compare_means
from experiments.stats.many import compare_means_many, compare_shares_many
from experiments.stats.moments import Moments

METRICS, COVARIATES, CUSTOMERS = 10, 5, 2000
COMPARISONS = 10_000
# statsmodels is timed on so many of them.
SAMPLED = 300
MOST_MS, LEAST_RATIO = 5.0, 50.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Sizes, means and variances of many pairs of arms, and how many converted; each (2, m)."""

    n: NDArray[np.int64]
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    converted: NDArray[np.int64]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Sample":
        """Draw arms of some thousand customers."""
        n = rng.integers(1000, 5000, size=(2, COMPARISONS))
        shares = rng.uniform(0.02, 0.3, size=COMPARISONS)
        return cls(
            n=n,
            mean=rng.uniform(1.0, 3.0, size=(2, COMPARISONS)),
            variance=rng.uniform(1.0, 50.0, size=(2, COMPARISONS)),
            converted=rng.binomial(n, shares),
        )


def draw_arms(rng: np.random.Generator) -> list[tuple[Moments, Moments]]:
    """Draw the moments of two arms on every metric, with what was known of customers before."""

    def draw() -> Moments:
        past = rng.gamma(2.0, size=(CUSTOMERS, COVARIATES))
        outcome = past.sum(axis=1) + rng.normal(size=CUSTOMERS)
        return Moments.of(np.column_stack([outcome, past]))

    return [(draw(), draw()) for _ in range(METRICS)]


def fastest(run: Callable[[], object], *, repetitions: int) -> float:
    """Return the least CPU time of some repetitions, in milliseconds."""
    times = []
    for _ in range(repetitions):
        begun = time.process_time()
        run()
        times.append(time.process_time() - begun)
    return 1000 * min(times)


def compare_shares_one_by_one(sample: Sample) -> None:
    """Call statsmodels' z-test, Newcombe's interval and the log-ratio interval."""
    for i in range(SAMPLED):
        (n_c, n_t), (x_c, x_t) = sample.n[:, i], sample.converted[:, i]
        proportions_ztest([x_t, x_c], [n_t, n_c])
        confint_proportions_2indep(x_t, n_t, x_c, n_c, method="newcomb", compare="diff")
        confint_proportions_2indep(x_t, n_t, x_c, n_c, method="log", compare="ratio")


def compare_means_one_by_one(sample: Sample) -> None:
    """Call statsmodels' Welch test and interval, on two weighted values with the same moments."""
    for i in range(SAMPLED):
        arms = []
        for n, mean, variance in zip(
            sample.n[:, i], sample.mean[:, i], sample.variance[:, i], strict=True
        ):
            deviation = np.sqrt(variance * (n - 1) / n)
            values = np.array([mean - deviation, mean + deviation])
            arms.append(DescrStatsW(values, weights=np.full(2, n / 2)))
        compared = CompareMeans(arms[1], arms[0])
        compared.ttest_ind(usevar="unequal")
        compared.tconfint_diff(usevar="unequal")


def main() -> None:
    """Measure, and say whether the promises are kept."""
    rng = np.random.default_rng(1)
    arms, sample = draw_arms(rng), Sample.draw(rng)
    report = fastest(lambda: [compare_means(*pair) for pair in arms], repetitions=50)
    print(
        f"2 arms x {METRICS} metrics with {COVARIATES} covariates: {report:.2f} ms CPU "
        f"({report / MOST_MS:.2f} of the {MOST_MS:g} ms allowed)"
    )
    _measure(
        "shares",
        lambda: compare_shares_many(sample.n, sample.converted),
        lambda: compare_shares_one_by_one(sample),
    )
    _measure(
        "means",
        lambda: compare_means_many(sample.n, sample.mean, sample.variance),
        lambda: compare_means_one_by_one(sample),
    )


def _measure(what: str, many: Callable[[], object], one_by_one: Callable[[], object]) -> None:
    ours = fastest(many, repetitions=20)
    theirs = fastest(one_by_one, repetitions=3) * COMPARISONS / SAMPLED
    print(
        f"{COMPARISONS:,} {what}: {ours:.1f} ms CPU, statsmodels one by one {theirs:,.0f} ms "
        f"({theirs / ours:.0f} times as long; {LEAST_RATIO:g} were promised)"
    )


if __name__ == "__main__":
    main()
