"""Whether offers came as often as their propensities say."""

import numpy as np
import pytest
from scipy import stats

from recommender.arrays import BoolArray, FloatArray, IntArray
from recommender.offpolicy.calibration import check_propensities

K = 4


def make_log(seed: int, n: int = 20_000) -> tuple[FloatArray, IntArray, BoolArray]:
    """Weights over varying offers, and what they drew."""
    rng = np.random.default_rng(seed)
    eligible = rng.random((n, K)) < 0.8
    eligible[np.arange(n), rng.integers(K, size=n)] = True
    weights = np.where(eligible, rng.dirichlet(np.ones(K), size=n), 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    action = (rng.random((n, 1)) > weights.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return weights, action, eligible


def test_a_truthful_log_passes() -> None:
    check = check_propensities(*make_log(1))
    assert not check.is_broken
    assert len(check.deviations) == K * 11
    assert check.bound == pytest.approx(stats.norm.isf(0.001 / 2 / (K * 11)))


def test_deviations_follow_their_formula() -> None:
    weights, action, eligible = make_log(2)
    (first,) = [
        each
        for each in check_propensities(weights, action, eligible).deviations
        if each.offer == 1 and each.tenth is None
    ]
    p = weights[eligible[:, 1], 1]
    assert first.n == len(p)
    assert first.drawn == (action == 1).sum()
    assert first.expected == pytest.approx(p.sum())
    assert first.z == pytest.approx((first.drawn - p.sum()) / np.sqrt((p * (1 - p)).sum()))


def test_tenths_part_an_offers_decisions_by_propensity() -> None:
    check = check_propensities(*make_log(3))
    tenths = [each for each in check.deviations if each.offer == 2 and each.tenth is not None]
    (whole,) = [each for each in check.deviations if each.offer == 2 and each.tenth is None]
    means = [each.expected / each.n for each in tenths]
    assert means == sorted(means)
    assert sum(each.n for each in tenths) == whole.n
    assert sum(each.drawn for each in tenths) == whole.drawn


def test_overstated_weights_are_found_though_each_offers_total_is_right() -> None:
    weights, action, eligible = make_log(4)
    overstated = weights**2
    overstated /= overstated.sum(axis=1, keepdims=True)
    check = check_propensities(overstated, action, eligible)
    totals = [each.z for each in check.deviations if each.tenth is None]
    assert max(map(abs, totals)) < check.bound
    assert check.is_broken


def test_swapped_offers_are_found() -> None:
    weights, action, eligible = make_log(5)
    check = check_propensities(weights, np.roll(action, 1), eligible)
    assert check.is_broken


def test_what_could_not_be_drawn_and_was_breaks_a_log_however_short() -> None:
    weights = np.array([[0.0, 1.0]])
    check = check_propensities(weights, np.array([0]), np.ones((1, 2), dtype=bool))
    assert check.is_broken
    assert check.worst is not None
    assert check.worst.offer == 0


def test_too_few_decisions_are_not_judged() -> None:
    weights, action, eligible = make_log(6, n=40)
    check = check_propensities(weights, action, eligible)
    assert check.worst is None
    assert not check.is_broken


def test_arrays_that_do_not_fit_are_refused() -> None:
    weights, action, eligible = make_log(7, n=10)
    with pytest.raises(ValueError, match="Expected shapes"):
        check_propensities(weights, action[1:], eligible)
    with pytest.raises(ValueError, match="Expected shapes"):
        check_propensities(weights, action, eligible[:, 1:])
    with pytest.raises(ValueError, match="must lie in"):
        check_propensities(2.0 * weights, action, eligible)


@pytest.mark.slow
def test_a_truthful_log_is_accused_no_more_often_than_promised() -> None:
    runs, alpha = 1_000, 0.05
    accused = np.mean(
        [
            check_propensities(*make_log(seed, n=2_000), alpha=alpha).is_broken
            for seed in range(runs)
        ]
    )
    # Binomial tails are a little heavier than normal ones so far out: a tenth more is allowed for.
    assert accused < 1.1 * alpha + 3 * np.sqrt(alpha * (1 - alpha) / runs)
