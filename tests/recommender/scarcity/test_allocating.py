"""A division by prices earns what the linear program of all customers does, and gives out no more.

The oracle is scipy's solver, HiGHS, on the whole primal program.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import linprog

from recommender.arrays import FloatArray
from recommender.scarcity.allocating import PlannedOdds, divide
from recommender.weighing.features import FeatureSpec, NumberFeature
from recommender.weighing.odds import Odds


def best_division(
    worth: FloatArray, uses: FloatArray, left: FloatArray, *, floor: float
) -> tuple[float, FloatArray]:
    """Return what the program earns, and its shares, (N, K), none of them below the floor."""
    n, k = worth.shape
    solved = linprog(
        -worth.ravel(),
        A_ub=np.tile(uses, n),
        b_ub=left,
        A_eq=np.kron(np.eye(n), np.ones((1, k))),
        b_eq=np.ones(n),
        bounds=(floor, None),
    )
    assert solved.fun is not None
    assert solved.x is not None
    return -solved.fun, solved.x.reshape(n, k)


def market(
    seed: int, *, n: int, k: int, kinds: int = 0
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Make customers, of a few kinds or all different, and offers of which a budget has a third.

    Of the first offer there is less than is wanted as well; of the second there is plenty. The last
    one uses nothing.
    """
    rng = np.random.default_rng(seed)
    worth = rng.normal(size=(kinds or n, k)) * rng.uniform(0.3, 1.5, k) + rng.normal(size=k)
    if kinds:
        worth = worth[rng.integers(kinds, size=n)]
    cost = rng.uniform(0.5, 3.0, k)
    cost[-1] = 0.0
    uses = np.vstack([cost, np.eye(k)[0], np.eye(k)[1]])
    favourite = worth.argmax(axis=1)
    scarce = max(0.5 * float((favourite == 0).sum()), 3.0)
    return worth, uses, np.array([0.3 * cost[favourite].sum(), scarce, 10.0 * n])


@pytest.mark.parametrize("kinds", [0, 5])
@pytest.mark.parametrize("floor", [0.0, 0.005])
@pytest.mark.parametrize("seed", range(4))
def test_it_earns_what_the_linear_program_does(seed: int, floor: float, kinds: int) -> None:
    worth, uses, left = market(seed, n=500, k=5, kinds=kinds)
    best, shares = best_division(worth, uses, left, floor=floor)
    found = divide(worth, uses, left, floor=floor)
    # Of all that the choice of an offer is worth.
    at_stake = 500 * float(np.mean(worth.max(axis=1) - worth.mean(axis=1)))
    assert -1e-6 < (best - found.earned) / at_stake < 2e-3
    assert (found.given <= left * (1 + 1e-5)).all()
    binding = np.isclose(uses @ shares.sum(axis=0), left)
    assert found.given[binding] == pytest.approx(left[binding], rel=1e-5)
    assert (found.prices[~binding] <= 1e-4 * np.abs(worth).max()).all()


def test_a_large_audience_is_divided_from_the_prices_of_a_part_of_it() -> None:
    worth, uses, left = market(1, n=50_000, k=6)
    found = divide(worth, uses, left, floor=1e-4)
    assert (found.given <= left * (1 + 1e-5)).all()
    assert found.given[0] == pytest.approx(left[0], rel=1e-5)


def test_what_the_floor_gives_out_already_is_asked_so_much_for_that_nobody_wants_more() -> None:
    worth, uses, left = market(2, n=400, k=5)
    found = divide(worth, uses, 0.001 * left, floor=0.05)
    by_floor = 0.05 * 400 * uses.sum(axis=1)
    assert found.given[:2] == pytest.approx(by_floor[:2], rel=0.05)


def test_of_what_everybody_uses_nobody_can_be_asked_more() -> None:
    worth, uses, left = market(1, n=400, k=5)
    free = divide(worth, uses, left, floor=0.0)
    everyones = np.vstack([uses, np.ones(5)])
    found = divide(worth, everyones, np.append(left, 300.0), floor=0.0)
    assert found.prices[-1] == 0.0
    assert found.given[-1] == pytest.approx(400.0)
    assert found.earned == pytest.approx(free.earned)


def test_where_there_is_too_little_of_all_offers_prices_stay_finite() -> None:
    worth, _, _ = market(1, n=400, k=2)
    found = divide(worth, np.eye(2), np.array([50.0, 100.0]), floor=0.0)
    assert np.isfinite(found.prices).all()
    assert found.given.sum() == pytest.approx(400.0)


FEATURES = FeatureSpec((NumberFeature("age", 40.0, 10.0),))


def make_odds() -> Odds:
    rng = np.random.default_rng(3)
    return Odds(
        offers=("mug", "cap", "pen"),
        mean=rng.normal(size=(3, 2)),
        factor=rng.normal(size=(3, 2, 2)),
        floor=0.01,
        features=FEATURES,
        version=7,
    )


def test_planned_odds_give_out_what_the_division_says() -> None:
    odds, rng = make_odds(), np.random.default_rng(4)
    x = np.column_stack([np.ones(2_000), rng.normal(size=2_000)])
    uses = np.array([[1.0, 0.5, 0.0]])
    wanted = odds.expect(x).argmax(axis=1)
    left = np.array([0.3 * uses[0][wanted].sum()])
    found = divide(odds.expect(x), uses, left, floor=odds.floor)
    asked = dict(zip(odds.offers, (found.prices @ uses).tolist(), strict=True))
    # What the version charges by itself makes no difference.
    for each in (odds, odds.charge({"mug": 3.0}, version=7)):
        planned = PlannedOdds.of(each, asked, temperature=found.temperature)
        weights = planned.weights_many(x, np.ones((2_000, 3), dtype=bool))
        assert weights.min() == pytest.approx(odds.floor)
        assert weights.sum(axis=1) == pytest.approx(1.0)
        assert uses @ weights.sum(axis=0) == pytest.approx(left, rel=1e-5)
        assert (weights * odds.expect(x)).sum() == pytest.approx(found.earned)


def test_planned_odds_weigh_one_customer_as_they_weigh_many() -> None:
    planned = PlannedOdds.of(make_odds(), {"cap": 0.4}, temperature=0.1)
    x = np.array([[1.0, 0.3], [1.0, -2.0]])
    eligible = np.array([[True, False, True], [True, True, True]])
    many = planned.weights_many(x, eligible)
    assert many[0, 1] == 0.0
    for row in range(2):
        np.testing.assert_allclose(planned.weights(x[row], eligible[row]), many[row])
    higher = planned.weights(x[0], eligible[0], floor=0.2)
    assert higher.min(where=eligible[0], initial=1.0) >= 0.2
    with pytest.raises(ValueError, match="At least one offer"):
        planned.weights(x[0], np.zeros(3, dtype=bool))


def test_log_odds_are_divided_by_the_rates_that_they_stand_for() -> None:
    odds = replace(make_odds(), is_log_odds=True)
    planned = PlannedOdds.of(odds, {"cap": 0.4}, temperature=0.1)
    x = np.array([1.0, 0.3])
    gain = (odds.expect(x) - [0.0, 0.4, 0.0]) / 0.1
    chances = np.exp(gain) / np.exp(gain).sum()
    np.testing.assert_allclose(planned.weights(x, np.ones(3, dtype=bool)), 0.97 * chances + 0.01)
