"""Effects that change: planted in simulated customers, and named for what they do."""

import math
from dataclasses import replace

import numpy as np
import pytest

from experiments.health.base import Finding, HealthContext, Trend
from experiments.health.trend import check_trend
from experiments.stats.moments import Moments
from tests.experiments.health.contexts import make_context, make_moments


def change(rng: np.random.Generator, early: float, late: float, *, n: int = 2000) -> Moments:
    """Moments of later minus early, for customers with a habit, a season and effects."""
    habit = rng.gamma(2.0, 2.0, n)
    first = habit + early + rng.normal(0, 1, n)
    second = habit - 0.5 + late + rng.normal(0, 1, n)
    return Moments.of((second - first)[:, None])


def make_trend(early: float, late: float, *, seed: int = 1, higher_is_better: bool = True) -> Trend:
    rng = np.random.default_rng(seed)
    return Trend("B", change(rng, 0.0, 0.0), change(rng, early, late), higher_is_better)


def check(*trends: Trend) -> Finding | None:
    return check_trend(replace(make_context(), trends=trends))


def test_an_effect_that_was_only_new_fades() -> None:
    finding = check(make_trend(0.5, 0.0))
    assert finding is not None
    assert (finding.code, finding.severity) == ("effect_fades", "warning")
    assert finding.detail.startswith("What B does for a customer is worse in the later days")


def test_an_effect_that_must_be_learned_grows() -> None:
    finding = check(make_trend(0.0, 0.5))
    assert finding is not None
    assert finding.code == "effect_grows"
    (found,) = finding.evidence["found"]
    assert found["change"] == pytest.approx(0.5, abs=3 * math.sqrt(2 * 2 / 2000))


def test_where_less_is_better_a_rise_fades() -> None:
    finding = check(make_trend(0.0, 0.5, higher_is_better=False))
    assert finding is not None
    assert finding.code == "effect_fades"


def test_a_season_and_a_lasting_effect_are_no_trend() -> None:
    assert check(make_trend(0.5, 0.5)) is None


def test_the_clearest_arm_comes_first() -> None:
    weak = replace(make_trend(0.0, 0.25), arm="B")
    strong = replace(make_trend(0.6, 0.0), arm="C")
    finding = check(weak, strong)
    assert finding is not None
    assert finding.code == "effect_fades"
    assert [found["arm"] for found in finding.evidence["found"]] == ["C", "B"]


def test_arms_share_the_error() -> None:
    # z = 2.7, p = .007: a warning alone, nothing among two.
    still = make_moments(1000, 0.0, 1.0)
    trend = Trend("B", still, make_moments(1000, 2.7 * 0.0447, 1.0))
    assert check(trend) is not None
    assert check(trend, Trend("C", still, still)) is None


@pytest.mark.parametrize(
    "unjudged",
    [
        make_context(),
        replace(make_context(), trends=(Trend("B", make_moments(1, 0, 0), make_moments(1, 0, 0)),)),
    ],
    ids=["nothing measured", "one customer each"],
)
def test_without_customers_there_is_no_trend(unjudged: HealthContext) -> None:
    assert check_trend(unjudged) is None


def test_without_a_trend_warnings_are_as_rare_as_promised() -> None:
    runs = 500
    found = sum(check(make_trend(0.3, 0.3, seed=seed)) is not None for seed in range(runs))
    assert found / runs <= 0.01 + 3 * math.sqrt(0.01 * 0.99 / runs)
