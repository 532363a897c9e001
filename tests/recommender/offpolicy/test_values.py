"""Off-policy estimates: textbook formulas first, then simulated coverage."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from recommender.arrays import FloatArray
from recommender.offpolicy.robust import (
    ModelledLog,
    direct,
    doubly_robust,
    self_normalised,
    shrunk,
    switch,
)
from recommender.offpolicy.values import PolicyValue, ValueDifference, Withheld, difference
from recommender.offpolicy.weighting import ips, snips
from tests.recommender.offpolicy.logs import make_log, shown, true_values

Estimator = Callable[[ModelledLog], PolicyValue | Withheld]


def by_ips(log: ModelledLog) -> PolicyValue | Withheld:
    return ips(log.rewards, log.target, log.logged)


def by_snips(log: ModelledLog) -> PolicyValue | Withheld:
    return snips(log.rewards, log.target, log.logged)


WHOLE: dict[str, Estimator] = {
    "ips": by_ips,
    "snips": by_snips,
    "doubly_robust": doubly_robust,
    "self_normalised": self_normalised,
}
PARTIAL: dict[str, Estimator] = {
    "direct": direct,
    "switch": partial(switch, threshold=1.5),
    "shrunk": shrunk,
}
ESTIMATORS: dict[str, Estimator] = WHOLE | PARTIAL


def test_estimates_follow_their_definitions() -> None:
    log = make_log(1)
    w = log.target / log.logged
    weighted = sum(w[i] * log.rewards[i] for i in range(1_000))
    assert shown(by_ips(log)).estimate == pytest.approx(weighted / 1_000)
    assert shown(by_snips(log)).estimate == pytest.approx(weighted / sum(w))
    v, error = log.predicted_target, log.rewards - log.predicted_logged
    by_hand = {
        "doubly_robust": sum(v[i] + w[i] * error[i] for i in range(1_000)) / 1_000,
        "self_normalised": sum(v) / 1_000 + sum(w * error) / sum(w),
        "direct": sum(v) / 1_000,
        "switch": sum(v[i] + (w[i] <= 1.5) * w[i] * error[i] for i in range(1_000)) / 1_000,
    }
    for name, expected in by_hand.items():
        assert shown(ESTIMATORS[name](log)).estimate == pytest.approx(expected), name
    kept = [3.0 * w[i] / (w[i] ** 2 + 3.0) for i in range(1_000)]
    value = shown(shrunk(log, shrinkage=3.0))
    assert value.estimate == pytest.approx(np.mean(v + kept * error))
    assert value.bias == pytest.approx(-np.mean((w - kept) * error))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_value_says_its_method_and_its_support(name: str) -> None:
    log = make_log(2)
    w, value = log.target / log.logged, shown(ESTIMATORS[name](log))
    assert value.support.n == 1_000
    assert value.support.effective_sample_size == pytest.approx(w.sum() ** 2 / (w**2).sum())
    assert value.confidence == 0.95
    assert value.method == name


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_interval_is_normal_in_the_influence(name: str) -> None:
    value = shown(ESTIMATORS[name](make_log(3)))
    influence = value.scores.influence
    margin = 1.959963984540054 * influence.std(ddof=1) / np.sqrt(1_000)
    unbiased = value.estimate - value.bias
    assert influence.mean() == pytest.approx(0, abs=1e-12)
    assert value.high == pytest.approx(max(unbiased + margin, value.estimate))
    assert value.low == pytest.approx(min(unbiased - margin, value.estimate))
    assert (value.bias == pytest.approx(0, abs=1e-12)) == (name in WHOLE)


@pytest.mark.parametrize("name", PARTIAL)
def test_what_is_biased_has_the_interval_of_what_is_not(name: str) -> None:
    log = make_log(3)
    value, whole = shown(PARTIAL[name](log)), shown(doubly_robust(log))
    assert value.estimate - value.bias == pytest.approx(whole.estimate)
    assert value.low <= whole.low + 1e-12
    assert value.high >= whole.high - 1e-12


@pytest.mark.parametrize("estimator", [ips, snips])
def test_influence_is_what_leaving_a_row_out_changes(
    estimator: Callable[[FloatArray, FloatArray, FloatArray], PolicyValue | Withheld],
) -> None:
    log = make_log(4, n=600)
    value = shown(estimator(log.rewards, log.target, log.logged))
    jackknife = [
        599 * (value.estimate - shown(estimator(*rows)).estimate)
        for i in range(0, 600, 20)
        for rows in [tuple(np.delete(a, i) for a in (log.rewards, log.target, log.logged))]
    ]
    # Leaving out one of 600 rows moves a ratio's denominator by its share of the weights.
    np.testing.assert_allclose(jackknife, value.scores.influence[::20], rtol=0.02)


def test_the_logging_policy_itself_is_worth_the_mean_reward() -> None:
    log = make_log(5)
    for value in (
        shown(ips(log.rewards, log.logged, log.logged)),
        shown(snips(log.rewards, log.logged, log.logged)),
    ):
        assert value.estimate == pytest.approx(log.rewards.mean())
        assert value.support.effective_sample_size == pytest.approx(1_000)


def test_self_normalised_estimates_do_not_move_with_the_zero_of_reward() -> None:
    log = make_log(6)
    moved = shown(snips(log.rewards + 100.0, log.target, log.logged))
    assert moved.estimate == pytest.approx(shown(by_snips(log)).estimate + 100.0)
    assert moved.high - moved.low == pytest.approx(
        shown(by_snips(log)).high - shown(by_snips(log)).low
    )


def test_a_reward_model_narrows_the_interval() -> None:
    log = make_log(7)
    with_model, without = shown(doubly_robust(log)), shown(by_ips(log))
    assert with_model.high - with_model.low < without.high - without.low


def test_a_wrong_reward_model_does_not_bias() -> None:
    log = make_log(8, n=20_000)
    wrong = np.full(20_000, 0.7)
    value = shown(doubly_robust(ModelledLog(log.rewards, log.target, log.logged, wrong, wrong)))
    se = value.scores.influence.std() / np.sqrt(20_000)
    assert abs(value.estimate - true_values()[0]) < 3 * se


def test_higher_confidence_widens() -> None:
    log = make_log(9)
    narrow = shown(ips(log.rewards, log.target, log.logged, confidence=0.8))
    wide = shown(ips(log.rewards, log.target, log.logged, confidence=0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_a_difference_is_narrower_than_its_parts() -> None:
    log = make_log(10)
    a = shown(snips(log.rewards, log.target, log.logged))
    b = shown(snips(log.rewards, 0.9 * log.target + 0.1 * log.logged, log.logged))
    gain = difference(a, b)
    assert isinstance(gain, ValueDifference)
    assert gain.estimate == pytest.approx(a.estimate - b.estimate)
    assert gain.high - gain.low < 0.5 * (a.high - a.low)
    assert gain.n == 1_000


def test_a_policy_does_not_differ_from_itself() -> None:
    a = by_snips(make_log(11))
    gain = difference(a, a)
    assert isinstance(gain, ValueDifference)
    assert (gain.estimate, gain.low, gain.high) == (0.0, 0.0, 0.0)


def test_a_withheld_policy_has_no_difference() -> None:
    value, withheld = by_ips(make_log(12)), Withheld("no support")
    assert difference(value, withheld) is withheld
    assert difference(withheld, value) is withheld


def test_different_logs_are_not_compared() -> None:
    with pytest.raises(ValueError, match="1000 and 900 decisions"):
        difference(by_ips(make_log(13)), by_ips(make_log(13, n=900)))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_too_little_support_is_withheld(name: str) -> None:
    value = ESTIMATORS[name](make_log(14, n=110))
    assert isinstance(value, Withheld)
    assert "at least 100 are needed" in value.reason


def test_the_least_support_is_the_callers_choice() -> None:
    log = make_log(15, n=110)
    assert isinstance(snips(log.rewards, log.target, log.logged, least_effective=20.0), PolicyValue)


@pytest.mark.parametrize("estimator", [ips, snips])
@pytest.mark.parametrize("n", [0, 1, 500])
def test_a_policy_that_shares_no_offer_is_withheld(
    estimator: Callable[..., PolicyValue | Withheld], n: int
) -> None:
    value = estimator(np.ones(n), np.zeros(n), np.full(n, 0.5), least_effective=0.0)
    assert isinstance(value, Withheld)


def test_wrong_propensities_are_noticed() -> None:
    log = make_log(16, n=5_000)
    value = ips(log.rewards, log.target, np.minimum(1.0, 1.3 * log.logged))
    assert isinstance(value, Withheld)
    assert "instead of 1: this policy shows offers" in value.reason


@pytest.mark.parametrize(
    ("rewards", "target", "logged", "message"),
    [
        ([1.0], [0.5, 0.5], [0.5, 0.5], "one shape"),
        ([[1.0]], [[0.5]], [[0.5]], "one shape"),
        ([np.nan], [0.5], [0.5], "finite"),
        ([1.0], [np.inf], [0.5], "finite"),
        ([1.0], [0.5], [0.0], r"propensities must lie in \(0, 1\]"),
        ([1.0], [0.5], [1.1], r"propensities must lie in \(0, 1\]"),
        ([1.0], [-0.1], [0.5], r"target's probabilities must lie in \[0, 1\]"),
        ([1.0], [1.1], [0.5], r"target's probabilities must lie in \[0, 1\]"),
    ],
)
def test_impossible_logs_are_refused(
    rewards: list[float], target: list[float], logged: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ips(np.array(rewards), np.array(target), np.array(logged))


def test_predictions_are_checked_too() -> None:
    ones = np.ones(3)
    with pytest.raises(ValueError, match="finite"):
        doubly_robust(ModelledLog(ones, ones, ones, ones, np.full(3, np.nan)))


def test_impossible_confidence_is_refused() -> None:
    log = make_log(17)
    with pytest.raises(ValueError, match="Confidence must lie"):
        ips(log.rewards, log.target, log.logged, confidence=95.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTIAL)
def test_intervals_of_what_is_biased_cover_too(name: str) -> None:
    runs, (truth, _) = 600, true_values()
    results = [PARTIAL[name](make_log(30_000 + seed, n=2_000)) for seed in range(runs)]
    values = [value for value in results if isinstance(value, PolicyValue)]
    assert len(values) >= 0.99 * runs
    covered = np.mean([value.low <= truth <= value.high for value in values])
    assert covered > 0.95 - 3 * np.sqrt(0.95 * 0.05 / runs)


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
def test_intervals_cover_the_truth_as_often_as_they_claim(name: str) -> None:
    runs, (truth, _) = 600, true_values()
    results = [WHOLE[name](make_log(10_000 + seed)) for seed in range(runs)]
    values = [value for value in results if isinstance(value, PolicyValue)]
    covered = np.mean([value.low <= truth <= value.high for value in values])
    bias = np.mean([(value.estimate - truth) / (value.high - value.low) for value in values])
    assert abs(covered - 0.95) < 3 * np.sqrt(0.95 * 0.05 / runs)
    # An unbiased estimate over its interval's width has a standard deviation of 1 / 3.92.
    assert abs(bias) < 3 / 3.92 / np.sqrt(runs)
    # The alarm withholds one sound log in a thousand, and with long-tailed weights a few more.
    assert len(values) >= 0.99 * runs


@pytest.mark.slow
def test_difference_intervals_cover_the_true_difference() -> None:
    runs, (truth, even) = 600, true_values()
    logs = [make_log(20_000 + seed) for seed in range(runs)]
    even_choice = np.full(1_000, 1 / 3)
    gains = [difference(by_snips(log), snips(log.rewards, even_choice, log.logged)) for log in logs]
    covered = [
        gain.low <= truth - even <= gain.high for gain in gains if isinstance(gain, ValueDifference)
    ]
    assert abs(np.mean(covered) - 0.95) < 3 * np.sqrt(0.95 * 0.05 / runs)
    assert len(covered) >= 0.99 * runs
