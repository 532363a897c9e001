"""Regret is measured fairly: settings do what they say, and ratios have honest intervals."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from benchmarks.regret import tuning
from benchmarks.regret.ours import Player, make_player, play
from benchmarks.regret.worlds import World
from recommender.bandits.base import Hyperparameters


def turning_world(rng: np.random.Generator) -> World:
    """Two offers, of which the first is the better one in the first half and never again."""
    n = 6_000
    first = np.arange(n) < n // 2
    mean = np.column_stack([np.where(first, 0.9, 0.1), np.full(n, 0.5)])
    return World(np.ones((n, 1)), mean, (rng.random((n, 2)) < mean).astype(np.float64))


def test_a_label_tells_kind_settings_and_floor() -> None:
    label = "linear_thompson exploration=0.3 memory_days=20 floor=0.001"
    settings = Hyperparameters(exploration=0.3, memory_days=20.0)
    assert make_player(label) == Player("linear_thompson", settings, floor=0.001)
    assert make_player("square_cb") == Player("square_cb")
    with pytest.raises(TypeError, match="width"):
        make_player("square_cb width=3")


@pytest.mark.parametrize("label", tuning.OURS)
def test_all_settings_that_are_tried_are_some(label: str) -> None:
    make_player(label)


@pytest.mark.parametrize("kind", ["randomised_ucb", "logistic_thompson"])
def test_a_short_memory_notices_that_tastes_have_turned(kind: str) -> None:
    world = turning_world(np.random.default_rng(3))
    keeping = world.regret(play(make_player(kind), world, seed=1))
    fading = world.regret(play(make_player(f"{kind} memory_days=1"), world, seed=1))
    assert fading < 0.7 * keeping


def test_who_is_far_behind_is_given_up_and_each_package_has_one_best() -> None:
    ours, other, theirs, exact = tuning.OURS[0], tuning.OURS[1], "MABWiser LinUCB", "VW squarecb"
    runs = [
        {ours: 20.0, other: 24.0, theirs: 9.0, "MABWiser LinTS": 10.6, exact: 12.0},
        {ours: 22.0, other: 23.0, theirs: 10.0, "MABWiser LinTS": 10.2, exact: 10.0},
    ]
    # Ours may be far behind theirs, but theirs not behind one another.
    assert tuning.not_far_behind(runs) == [theirs, "MABWiser LinTS", ours]
    assert tuning.best_of_each(runs) == {"MABWiser": theirs, "VW": exact, tuning.US: ours}
    # Who did not play to the end has no mean.
    assert tuning.means([*runs, {ours: 24.0, theirs: 11.0}]) == {theirs: 10.0, ours: 22.0}


def test_a_ratio_and_its_interval_are_those_of_scipys_paired_bootstrap() -> None:
    rng = np.random.default_rng(8)
    worlds = rng.gamma(9.0, 60.0, 40)
    ours, theirs = worlds + rng.normal(0.0, 40.0, 40), worlds + rng.normal(20.0, 40.0, 40)
    ratio, low, high = tuning.ratio_with_interval(ours, theirs, rng=np.random.default_rng(1))
    oracle = bootstrap(
        (ours, theirs),
        lambda a, b, axis: a.mean(axis=axis) / b.mean(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=10_000,
        method="percentile",
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert ratio == pytest.approx(ours.mean() / theirs.mean(), rel=1e-12)
    # Two sets of 10,000 draws: a fortieth of the interval's width apart at most.
    apart = 0.04 * (oracle.high - oracle.low)
    assert low == pytest.approx(oracle.low, abs=apart)
    assert high == pytest.approx(oracle.high, abs=apart)
