"""Intervals that do not trust in normality."""

import numpy as np
import pytest

from recommender.offpolicy.intervals import bernstein_interval, bootstrap_interval
from recommender.offpolicy.robust import ModelledLog, direct, doubly_robust
from recommender.offpolicy.values import PolicyValue
from recommender.offpolicy.weighting import ips, snips
from tests.recommender.offpolicy.logs import make_log, shown, true_values


def test_the_bootstrap_is_near_normal_where_rewards_are() -> None:
    log = make_log(1, n=4_000)
    for value in (
        shown(ips(log.rewards, log.target, log.logged)),
        shown(snips(log.rewards, log.target, log.logged)),
        shown(doubly_robust(log)),
    ):
        interval = bootstrap_interval(value, seed=1, resamples=400)
        half = (value.high - value.low) / 2
        # A quantile of 400 draws is uncertain by a fifth of the half width.
        assert interval.low == pytest.approx(value.low, abs=0.25 * half)
        assert interval.high == pytest.approx(value.high, abs=0.25 * half)


def test_the_bootstrap_repeats_itself_with_its_seed() -> None:
    value = shown(doubly_robust(make_log(2)))
    first, again, other = (bootstrap_interval(value, seed=s, resamples=50) for s in (1, 1, 2))
    assert first == again != other


def test_the_bootstrap_of_rare_rewards_stays_above_zero() -> None:
    rewards = np.zeros(1_000)
    rewards[:2] = 1.0
    even = np.full(1_000, 0.5)
    value = shown(ips(rewards, even, even))
    assert value.low < 0.0 <= bootstrap_interval(value, seed=1, resamples=200).low


def test_every_interval_holds_the_estimate_and_the_unbiased_one() -> None:
    log = make_log(3)
    wrong = np.full(1_000, 0.9)
    value = shown(direct(ModelledLog(log.rewards, log.target, log.logged, wrong, wrong)))
    for interval in (
        bootstrap_interval(value, seed=1, resamples=200),
        bernstein_interval(value, span=9.0),
    ):
        assert interval.high >= value.estimate == pytest.approx(0.9)
        assert interval.low < value.estimate - value.bias < interval.high


def test_bernstein_follows_its_formula() -> None:
    log = make_log(4)
    value = shown(ips(log.rewards, log.target, log.logged))
    rows = log.rewards * log.target / log.logged
    log_term = np.log(4 / 0.05)
    margin = np.sqrt(2 * rows.var(ddof=1) * log_term / 1_000) + 7 * 40 * log_term / (3 * 999)
    interval = bernstein_interval(value, span=40.0)
    assert interval.low == pytest.approx(value.estimate - margin)
    assert interval.high == pytest.approx(value.estimate + margin)
    assert interval.low < value.low < value.high < interval.high


def test_bernstein_refuses_what_it_does_not_hold_for() -> None:
    log = make_log(5)
    with pytest.raises(ValueError, match="is no mean"):
        bernstein_interval(shown(snips(log.rewards, log.target, log.logged)), span=40.0)
    with pytest.raises(ValueError, match="spread over"):
        bernstein_interval(shown(ips(log.rewards, log.target, log.logged)), span=0.1)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_impossible_confidence_is_refused(confidence: float) -> None:
    value = shown(doubly_robust(make_log(6)))
    with pytest.raises(ValueError, match="Confidence must lie"):
        bootstrap_interval(value, seed=1, confidence=confidence)
    with pytest.raises(ValueError, match="Confidence must lie"):
        bernstein_interval(value, span=40.0, confidence=confidence)


@pytest.mark.slow
def test_bootstrapped_intervals_cover_the_truth() -> None:
    runs, (truth, _) = 400, true_values()
    values = [doubly_robust(make_log(50_000 + seed)) for seed in range(runs)]
    intervals = [
        bootstrap_interval(value, seed=1, resamples=400)
        for value in values
        if isinstance(value, PolicyValue)
    ]
    assert len(intervals) >= 0.99 * runs
    covered = np.mean([each.low <= truth <= each.high for each in intervals])
    # Percentiles of 400 draws cost up to half a point of coverage.
    assert covered > 0.945 - 3 * np.sqrt(0.95 * 0.05 / runs)
