"""Prices rise and fall with what is spent, and come to those of the linear program over everybody.

The oracle is scipy's solver of linear programs.
"""

import numpy as np
import pytest
from scipy.optimize import linprog

from recommender.arrays import FloatArray
from recommender.scarcity.prices import LONGEST, RATE, Stretch, find_unit_worth, step_price


def stretch(
    used: float, *, before: float = 0.0, parts: tuple[float, float] = (0.0, 0.01)
) -> Stretch:
    return Stretch(1_000.0, before, used, *parts)


def test_who_spends_what_is_allowed_pays_the_same() -> None:
    assert step_price(2.0, stretch(10.0), unit_worth=3.0) == pytest.approx(2.0)
    # Of 600 in the last half, 12 in a hundredth of the whole time.
    later = stretch(412.0, before=400.0, parts=(0.5, 0.51))
    assert step_price(2.0, later, unit_worth=3.0) == pytest.approx(2.0)


def test_twice_of_it_raises_the_price_and_nothing_lowers_it_alike() -> None:
    step = RATE * 3.0 * 0.01
    assert step_price(2.0, stretch(20.0), unit_worth=3.0) == pytest.approx(2.0 + step)
    assert step_price(2.0, stretch(0.0), unit_worth=3.0) == pytest.approx(2.0 - step)
    assert step_price(step / 2, stretch(0.0), unit_worth=3.0) == 0.0


def test_what_is_all_gone_has_no_other_price() -> None:
    gone = stretch(1_000.0, before=1_000.0, parts=(0.5, 0.51))
    assert step_price(2.0, gone, unit_worth=3.0) == 2.0


def test_a_pause_counts_for_no_more_than_its_longest_part() -> None:
    paused = stretch(0.0, parts=(0.1, 0.9))
    assert step_price(9.0, paused, unit_worth=3.0) == pytest.approx(9.0 - RATE * 3.0 * LONGEST)


def test_a_unit_is_worth_what_the_keenest_would_earn_by_it() -> None:
    rng = np.random.default_rng(2)
    worth = rng.normal(size=(400, 4))
    use = np.array([3.0, 1.0, 1.0, 0.5])
    gains = []
    for row in worth:
        best = int(row.argmax())
        if best != 3:
            gains.append((row[best] - row[3]) / (use[best] - 0.5))
    assert find_unit_worth(worth, use) == pytest.approx(np.quantile(gains, 0.9))
    assert find_unit_worth(worth, np.ones(4)) == 0.0
    assert find_unit_worth(np.zeros((5, 2)), np.array([1.0, 0.0])) == 0.0


def hindsight(worth: FloatArray, use: FloatArray, total: float) -> tuple[float, float]:
    """Return the value of the linear program over everybody, and its price."""
    n, k = worth.shape
    each = np.zeros((n, n * k))
    for row in range(n):
        each[row, row * k : (row + 1) * k] = 1.0
    solved = linprog(
        -worth.ravel(), A_ub=[np.tile(use, n)], b_ub=[total], A_eq=each, b_eq=np.ones(n)
    )
    assert solved.fun is not None
    return -solved.fun, -solved.ineqlin.marginals[0]


@pytest.mark.parametrize("seed", range(3))
def test_the_price_comes_to_that_of_the_linear_program(seed: int) -> None:
    rng = np.random.default_rng(seed)
    use = np.array([3.0, 1.0, 0.0])
    worth = rng.normal([1.0, 0.5, 0.0], 1.0, (4_000, 3))
    total = 0.2 * use[worth.argmax(axis=1)].sum()
    # The program of a tenth of them: enough for an oracle, and quick.
    _, wanted = hindsight(worth[::10], use, total / 10)
    best = hindsight(worth[::10], use, total / 10)[0] * 10
    price, used, value, prices = 0.0, 0.0, 0.0, []
    unit_worth = find_unit_worth(worth[:500], use)
    for step in range(400):
        rows = worth[10 * step : 10 * step + 10]
        choice = (rows - price * use).argmax(axis=1)
        before = used
        for row, chosen in zip(rows, choice, strict=True):
            if used + use[chosen] <= total:
                used += use[chosen]
                value += row[chosen]
        seen = Stretch(total, before, used, step / 400, (step + 1) / 400)
        price = step_price(price, seen, unit_worth=unit_worth)
        prices.append(price)
    assert np.mean(prices[100:]) == pytest.approx(wanted, rel=0.1)
    assert value > 0.93 * best
    assert used <= total
