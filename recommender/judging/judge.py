"""Hold rankers against what customers did next, and against each other."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from recommender.arrays import FloatArray, IntArray
from recommender.interactions.item_facts import ItemFacts
from recommender.interactions.splits import Split
from recommender.judging import rank_metrics
from recommender.rankers.base import Ranker
from recommender.rankers.slates import Slates

CUT = 10
RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What a ranker showed, and what that was worth.

    Attributes:
        slates: Shape (n, k).
        each: Measures of every customer by name, each of shape (n,): those that are tested.
        overall: Measures of all slates together by name.
    """

    slates: Slates
    each: Mapping[str, FloatArray]
    overall: Mapping[str, float]

    @property
    def means(self) -> dict[str, float]:
        """All measures by name, those of every customer as their mean."""
        return {name: float(values.mean()) for name, values in self.each.items()} | dict(
            self.overall
        )


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean, and a bootstrap interval of it."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more one ranker earns than another with the same customers.

    Attributes:
        mean: Of the paired differences.
        low: Lower end of their bootstrap interval.
        high: Upper end.
        p_value: Two-sided, of the paired t-test; 1 where the two never differ.
    """

    mean: float
    low: float
    high: float
    p_value: float

    @property
    def is_better(self) -> bool:
        """Whether the first is better, beyond chance."""
        return self.low > 0 and self.p_value < 1 - CONFIDENCE


def judge(
    ranker: Ranker,
    split: Split,
    *,
    facts: ItemFacts | None = None,
    k: int = CUT,
    seen_too: bool = False,
) -> Judged:
    """Ask a ranker that has learned for everybody's k items, and measure them.

    Args:
        ranker: It has learned from `split.learned` and nothing else.
        split: Who is asked about, and what came next.
        facts: Of the items; without them diversity and calibration are not measured.
        k: How many items are shown.
        seen_too: Whether what was met may be shown again.
    """
    slates = ranker.recommend(split.asked, k=k, seen_too=seen_too)
    shown, relevant = slates.items, split.answers.lengths
    found = rank_metrics.hits(shown, split.answers)
    counts = split.learned.counts()
    each = {
        f"ndcg@{k}": rank_metrics.ndcg(found, relevant),
        f"recall@{k}": rank_metrics.recall(found, relevant),
        f"mrr@{k}": rank_metrics.reciprocal_rank(found),
        f"map@{k}": rank_metrics.average_precision(found, relevant),
        "novelty": rank_metrics.novelty(shown, counts),
    }
    if facts is not None:
        each["diversity"] = rank_metrics.diversity(shown, facts)
        each["miscalibration"] = rank_metrics.miscalibration(shown, split.asked, facts)
    overall = {
        "coverage": rank_metrics.coverage(shown, split.answers.n_items),
        "popularity lift": rank_metrics.popularity_lift(shown, split.asked, counts),
    }
    return Judged(slates=slates, each=each, overall=overall)


def interval(values: FloatArray, *, rng: np.random.Generator) -> Interval:
    """Bootstrap the mean over customers: the percentile interval.

    Args:
        values: One a customer, shape (n,), n above 0.
        rng: Draws the resamples.
    """
    means = _resample(values, rng=rng)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(values.mean()), float(low), float(high))


def compare(first: FloatArray, second: FloatArray, *, rng: np.random.Generator) -> Difference:
    """Compare two rankers' measures of the same customers, each of shape (n,), n above 1."""
    gaps = first - second
    around = interval(gaps, rng=rng)
    error = float(gaps.std(ddof=1)) / len(gaps) ** 0.5
    t = around.mean / error if error > 0 else 0.0
    p_value = float(2 * stdtr(len(gaps) - 1, -abs(t)))
    return Difference(around.mean, around.low, around.high, p_value)


def group_means(values: FloatArray, groups: Mapping[str, IntArray]) -> dict[str, float]:
    """Average over each group of customers, cold starts for instance, by the group's name."""
    return {name: float(values[customers].mean()) for name, customers in groups.items()}


def _resample(values: FloatArray, *, rng: np.random.Generator) -> FloatArray:
    """Draw means of n customers with replacement; equal values are drawn together."""
    distinct, counts = np.unique(values, return_counts=True)
    n = len(values)
    drawn = [rng.multinomial(n, counts / n) @ distinct / n for _ in range(RESAMPLES)]
    return np.array(drawn)
