"""Judgements say how sure they are, and are right as often as they say."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from recommender.interactions.splits import by_amount, leave_one_out
from recommender.judging.judge import compare, group_means, interval, judge
from recommender.rankers.markov import Markov
from recommender.rankers.popularity import Popularity
from tests.recommender.rankers.worlds import make_facts, make_histories


def test_a_judgement_measures_everything() -> None:
    split = leave_one_out(make_histories())
    judged = judge(Markov().fit(split.learned), split, facts=make_facts(), k=5)
    assert set(judged.means) == {
        "ndcg@5", "recall@5", "mrr@5", "map@5", "novelty", "diversity", "miscalibration",
        "coverage", "popularity lift",
    }  # fmt: skip
    # One answer each: both are one over the place of the hit.
    np.testing.assert_allclose(judged.each["map@5"], judged.each["mrr@5"])
    assert judged.each["recall@5"].mean() >= judged.each["ndcg@5"].mean()


def test_without_facts_there_is_no_diversity() -> None:
    split = leave_one_out(make_histories(50))
    assert "diversity" not in judge(Popularity().fit(split.learned), split).means


def test_a_better_ranker_is_better_beyond_chance() -> None:
    split = leave_one_out(make_histories())
    markov = judge(Markov().fit(split.learned), split).each["ndcg@10"]
    popular = judge(Popularity().fit(split.learned), split).each["ndcg@10"]
    rng = np.random.default_rng(0)
    assert compare(markov, popular, rng=rng).is_better
    assert not compare(popular, markov, rng=rng).is_better


def test_a_comparison_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.random(200), rng.random(200)
    found = compare(first, second, rng=rng)
    assert found.p_value == pytest.approx(ttest_rel(first, second).pvalue, rel=1e-9)
    assert found.low < found.mean < found.high


def test_rankers_that_never_differ_are_alike() -> None:
    same = np.ones(10)
    found = compare(same, same, rng=np.random.default_rng(2))
    assert (found.mean, found.p_value, found.is_better) == (0.0, 1.0, False)


def test_intervals_cover_as_often_as_they_say() -> None:
    rng, runs, covered = np.random.default_rng(3), 100, 0
    for _ in range(runs):
        found = interval(rng.integers(0, 4, size=120) / 3, rng=rng)
        covered += found.low <= 0.5 <= found.high
    # Three standard errors of 95% in so many runs.
    assert covered / runs == pytest.approx(0.95, abs=3 * (0.95 * 0.05 / runs) ** 0.5)


def test_cold_starts_are_reported_apart() -> None:
    groups = by_amount(leave_one_out(make_histories(8)).asked)
    assert group_means(np.arange(8.0), groups) == {"3 to 9": 3.5}
