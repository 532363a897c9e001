"""Small regressions are solved as one by one in double precision."""

import numpy as np
import pytest
from scipy import sparse

from recommender.arrays import FloatArray, ScoreArray, SparseArray
from recommender.rankers import regressions
from recommender.rankers.regressions import Common, Regressions

N, M, F = 25, 40, 6
PENALTY = 0.7


def draw_confidence(rng: np.random.Generator, *, high: float) -> SparseArray:
    """Draw rows of all lengths, from none to all columns, weighed between 0.2 and a number."""
    present = rng.random((N, M)) < np.linspace(0, 1, N)[:, None]
    return sparse.csr_array((present * rng.uniform(0.2, high, (N, M))).astype(np.float32))


def solve_one_by_one(confidence: SparseArray, y: ScoreArray) -> FloatArray:
    """Write out each row's normal equations over all columns."""
    c, wide = confidence.toarray().astype(float), y.astype(float)
    found = []
    for row in c:
        weights, wanted = np.where(row > 0, row, 1.0), (row > 0).astype(float)
        left = wide.T @ (weights[:, None] * wide) + PENALTY * np.eye(F)
        found.append(np.linalg.solve(left, wide.T @ (weights * wanted)))
    return np.array(found)


@pytest.mark.parametrize("high", [1.0, 10.0, 1000.0])
@pytest.mark.parametrize(("at_once", "long"), [(8192, 65_536), (7, 65_536), (50, 9), (50, 0)])
def test_all_steps_come_to_the_normal_equations(
    high: float, at_once: int, long: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regressions, "ENTRIES_AT_ONCE", at_once)
    monkeypatch.setattr(regressions, "LONG", max(long, 1))
    rng = np.random.default_rng(5)
    confidence, y = draw_confidence(rng, high=high), rng.normal(size=(M, F)).astype(np.float32)
    begun = np.zeros((N, F), np.float32)
    x = Regressions.of(confidence).solve(y, begun, Common.of(y, penalty=PENALTY), steps=15)
    np.testing.assert_allclose(x, solve_one_by_one(confidence, y), rtol=2e-3, atol=2e-4)
    assert not x[0].any()  # who has no entries


def test_each_step_comes_nearer() -> None:
    rng = np.random.default_rng(6)
    confidence, y = draw_confidence(rng, high=20.0), rng.normal(size=(M, F)).astype(np.float32)
    exact = solve_one_by_one(confidence, y)
    every = Regressions.of(confidence)
    begun = rng.normal(size=(N, F)).astype(np.float32)
    away = [
        np.abs(every.solve(y, begun, Common.of(y, penalty=PENALTY), steps=steps) - exact).max()
        for steps in range(5)
    ]
    assert away[1] < away[0] / 2
    assert away[4] < away[2] / 2 < away[1] / 4


def test_sure_events_alone_are_solved_at_once() -> None:
    rng = np.random.default_rng(7)
    confidence = draw_confidence(rng, high=3.0)
    confidence.data[:] = 1.0
    y = rng.normal(size=(M, F)).astype(np.float32)
    begun = np.zeros((N, F), np.float32)
    x = Regressions.of(confidence).solve(y, begun, Common.of(y, penalty=PENALTY), steps=0)
    np.testing.assert_allclose(x, solve_one_by_one(confidence, y), atol=1e-5)


def test_factors_of_nothing_do_no_harm() -> None:
    confidence = draw_confidence(np.random.default_rng(8), high=4.0)
    nothing = np.zeros((M, F), np.float32)
    begun, common = np.ones((N, F), np.float32), Common.of(nothing, penalty=0.0)
    x = Regressions.of(confidence).solve(nothing, begun, common, steps=3)
    assert np.isfinite(x).all()
