"""Lines against the hold-out: what they need, and what holds at every look."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

from campaigns.results.worth import Line, to_groups, to_rows
from experiments.analysing.phases import Phase
from experiments.stats.moments import Moments

NOBODY = Moments(0, (0.0, 0.0), ((0.0, 0.0), (0.0, 0.0)))
NET = Line.of_money("net", "Net", "EUR", {0: 1.0, 1: -1.0}, confidence=0.95)
RNG = np.random.default_rng(11)
OUT = RNG.normal(20, 5, (400, 2))
RED, BLUE = RNG.normal(22, 5, (300, 2)), RNG.normal(24, 9, (300, 2))
ARMS = {"out": Moments.of(OUT), "red": Moments.of(RED), "blue": Moments.of(BLUE)}


def test_arms_with_offers_count_together_and_each_by_itself() -> None:
    groups = to_groups([Phase.of_all(ARMS)], silent=["out"], nobody=NOBODY)
    (row,) = to_rows([NET], groups, planned=1000)
    served = np.concatenate([RED, BLUE])
    welch = stats.ttest_ind(served[:, 0] - served[:, 1], OUT[:, 0] - OUT[:, 1], equal_var=False)
    low, high = welch.confidence_interval(0.95)
    ends = row["result"]["difference_interval"]
    assert (ends["low"], ends["high"]) == pytest.approx((low, high))
    assert row["total"]["high"] == pytest.approx(600 * high)
    assert row["arms"]["red"]["mean"] == pytest.approx((RED[:, 0] - RED[:, 1]).mean())
    assert set(row["arms"]) == {"red", "blue"}


def test_at_every_look_the_interval_is_that_of_the_mixture_martingale() -> None:
    groups = to_groups([Phase.of_all(ARMS)], silent=["out"], nobody=NOBODY)
    (row,) = to_rows([NET], groups, planned=1000)
    ends = row["result"]["difference_interval"]
    error = (ends["high"] - ends["low"]) / 2 / stats.norm.ppf(0.975)
    # The normal mixture that is sharpest at 1,000 customers; it leaves z where it reaches 1 / 0.05.
    rho = (-2 * math.log(0.05) + math.log(-2 * math.log(0.05) + 1)) / 1000
    m = 1000 * rho

    def log_martingale(z: float) -> float:
        return z * z * m / (2 * (m + 1)) - math.log(m + 1) / 2

    z = optimize.brentq(lambda z: log_martingale(z) - math.log(1 / 0.05), 0, 10)
    half = (row["lasting"]["high"] - row["lasting"]["low"]) / 2
    assert half == pytest.approx(z * error)


def test_without_a_hold_out_or_without_anybody_there_is_no_comparison() -> None:
    served = to_groups([Phase.of_all({"red": ARMS["red"]})], silent=[], nobody=NOBODY)
    (row,) = to_rows([NET], served, planned=1000)
    assert "Nobody was held out" in row["result"]["reason"]
    assert row["total"] is row["lasting"] is row["held_out"] is None
    nobody = to_groups([Phase.of_all({"out": ARMS["out"]})], silent=["out"], nobody=NOBODY)
    (row,) = to_rows([NET], nobody, planned=1000)
    assert "Nobody has met an arm that gives offers" in row["result"]["reason"]


def test_a_line_that_means_nothing_has_no_numbers() -> None:
    groups = to_groups([Phase.of_all(ARMS)], silent=["out"], nobody=NOBODY)
    (row,) = to_rows([NET.without("Two currencies.")], groups, planned=1000)
    assert row["served"] is None
    assert row["result"] == {"kind": "inconclusive", "reason": "Two currencies."}
