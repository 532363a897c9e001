"""Random splits of the past: a sound test stays in its band, a wrong one does not."""

import math
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from scipy import stats

from experiments.measuring.layout import Layout, Placed, lay_out, read_metric
from experiments.metrics.base import MetricType, Strata
from experiments.plan import PlannedMetric
from experiments.replays.splitting import (
    ALPHA,
    BINS,
    FloatArray,
    Replayed,
    chance_band,
    run,
    split_at_random,
    sum_up,
)
from experiments.stats.estimate import Result
from experiments.stats.moments import Moments

SPLITS = 400


def layout_of(kind: str = "mean", **params: Any) -> Layout:
    """Lay out one metric of one event, with nothing known from before."""
    planned = PlannedMetric("m", "M", kind, {"event": "Order", **params}, True, "goal")
    return lay_out([read_metric(planned)], [], [])


class EveryCustomerTwice:
    """A wrong test, such as one of visits split by visitor: it takes each customer for two."""

    def __init__(self, right: MetricType[Any]) -> None:
        self.right = right

    def __getattr__(self, name: str) -> Any:
        return getattr(self.right, name)

    def compare(self, params: Any, strata: Strata, **settings: Any) -> Result:
        doubled = [
            tuple(Moments(2 * arm.n, arm.mean, arm.covariance) for arm in pair) for pair in strata
        ]
        return self.right.compare(params, cast(Strata, doubled), **settings)


def wrong(layout: Layout) -> Layout:
    (placed,) = layout.metrics
    measured = replace(
        placed.measured, type=cast(MetricType[Any], EveryCustomerTwice(placed.measured.type))
    )
    return replace(layout, metrics=(Placed(measured, placed.thresholds, placed.own),))


def column(values: FloatArray) -> FloatArray:
    return values.reshape(-1, 1)


def replay(layout: Layout, values: FloatArray, *, seed: int = 1) -> Replayed:
    (replayed,) = run(layout, values, splits=SPLITS, seed=seed, progress=lambda _: None)
    return replayed


@pytest.fixture
def spent() -> FloatArray:
    return column(np.random.default_rng(3).gamma(2.0, 10.0, 1000))


def test_a_right_test_finds_an_effect_as_often_as_chance_alone(spent: FloatArray) -> None:
    replayed = replay(layout_of(), spent)
    assert replayed.is_sound
    assert replayed.p_value > 0.01
    assert (replayed.known, replayed.without) == (SPLITS, 0)


def test_a_test_that_takes_each_customer_for_two_is_caught(spent: FloatArray) -> None:
    replayed = replay(wrong(layout_of()), spent)
    assert not replayed.is_sound
    assert replayed.found is not None
    assert replayed.found > replayed.high
    # Its z is too large by the root of two.
    expected = 2 * stats.norm.sf(1.96 / math.sqrt(2))
    error = math.sqrt(expected * (1 - expected) / SPLITS)
    assert replayed.found == pytest.approx(expected, abs=3 * error)
    assert replayed.p_value < 0.001


def test_one_customer_who_outweighs_all_others_is_noticed(spent: FloatArray) -> None:
    spent[0] = 1e6
    replayed = replay(layout_of(), spent)
    # Wherever that one goes, t is about 1: nothing would ever be found.
    assert replayed.found == 0.0
    assert not replayed.is_sound
    assert replayed.p_value < 0.001


def test_heavy_tails_are_borne_with_many_customers() -> None:
    values = column(np.random.default_rng(8).lognormal(3.0, 1.5, 3000))
    assert replay(layout_of(), values).is_sound


def test_p_values_are_those_of_welchs_test_on_the_same_halves(spent: FloatArray) -> None:
    spent = spent[:201]
    for split, (p_value,) in enumerate(split_at_random(layout_of(), spent, splits=5, seed=7)):
        order = np.random.default_rng([7, split]).permutation(201)
        treated, control = spent[order[:100], 0], spent[order[100:], 0]
        assert p_value == pytest.approx(stats.ttest_ind(treated, control, equal_var=False).pvalue)


def test_the_same_seed_splits_alike_and_another_does_not(spent: FloatArray) -> None:
    first, again, other = (
        list(split_at_random(layout_of(), spent, splits=3, seed=seed)) for seed in (4, 4, 5)
    )
    assert first == again
    assert first != other


def test_progress_counts_every_split(spent: FloatArray) -> None:
    heard: list[int] = []
    run(layout_of(), spent, splits=5, seed=1, progress=heard.append)
    assert heard == [1, 2, 3, 4, 5]


def test_what_does_not_vary_has_no_estimate() -> None:
    replayed = replay(layout_of("conversion"), column(np.zeros(200)))
    assert replayed.found is None
    assert (replayed.known, replayed.without) == (0, SPLITS)
    assert not replayed.is_sound
    assert (replayed.low, replayed.high) == (0.0, 1.0)
    assert (replayed.distance, replayed.p_value) == (0.0, 1.0)


@pytest.mark.parametrize("n", [1, 100, 1000, 10_000])
def test_the_band_is_the_binomials(n: int) -> None:
    expected = [stats.binom.ppf(level, n, ALPHA) / n for level in (0.005, 0.995)]
    assert chance_band(n) == pytest.approx(tuple(expected))


def test_the_distance_is_kolmogorovs_and_smirnovs() -> None:
    p_values = np.random.default_rng(2).beta(1.0, 1.2, 500)
    summed = sum_up(p_values)
    oracle = stats.kstest(p_values, "uniform")
    assert summed.distance == pytest.approx(oracle.statistic)
    # The corrected asymptotic law is good to a few per cent.
    assert summed.p_value == pytest.approx(oracle.pvalue, rel=0.05)


def test_a_summary_counts_what_is_known_and_what_is_not() -> None:
    summed = sum_up(np.array([0.01, 0.049, 0.05, 0.5, 1.0, math.nan]))
    assert summed.found == pytest.approx(2 / 5)
    assert (summed.known, summed.without) == (5, 1)
    expected = [0] * BINS
    expected[0], expected[1], expected[10], expected[19] = 2, 1, 1, 1
    assert summed.histogram == tuple(expected)


def test_a_summary_is_written_with_its_judgement() -> None:
    written = sum_up(np.linspace(0.0, 1.0, 201)).to_json()
    assert written["is_sound"] is True
    assert written["found"] == pytest.approx(10 / 201)
    assert sum(written["histogram"]) == 201
