"""ALS solves its equations; BPR climbs along true slopes."""

import numpy as np
import pytest

from recommender.arrays import ScoreArray
from recommender.interactions.histories import Histories
from recommender.rankers.als import Als
from recommender.rankers.bpr import Adagrad, Bpr
from tests.recommender.rankers.worlds import N_ITEMS, make_histories


@pytest.mark.parametrize("alpha", [1.0, 4.0])
def test_als_solves_the_normal_equations_of_who_asks(alpha: float) -> None:
    ranker = Als(factors=6, alpha=alpha, penalty=0.5).fit(make_histories(60))
    items = [3, 4, 25]
    scores = ranker.score(Histories.of([items], n_items=N_ITEMS))
    y = ranker.items.astype(float)
    confidence = np.ones(N_ITEMS)
    confidence[items] = alpha
    wanted = np.zeros(N_ITEMS)
    wanted[items] = 1.0
    left = y.T @ (confidence[:, None] * y) + 0.5 * np.eye(6)
    x = np.linalg.solve(left, y.T @ (confidence * wanted))
    np.testing.assert_allclose(scores[0], y @ x, atol=1e-4)


def loss_of(ranker: Bpr, met: list[int], good: int, bad: int) -> float:
    rest = [item for item in met if item != good]
    p = ranker.sources[rest].astype(float).mean(axis=0)
    ahead = p @ (ranker.targets[good] - ranker.targets[bad]).astype(float)
    ahead += float(ranker.bias[good, 0] - ranker.bias[bad, 0])
    return float(-np.log1p(np.exp(-ahead)))


@pytest.mark.parametrize(("name", "place"), [("sources", 1), ("targets", 3), ("bias", 7)])
def test_bpr_climbs_along_the_slope_of_its_likelihood(name: str, place: int) -> None:
    rng = np.random.default_rng(1)
    ranker = Bpr(factors=4, penalty=0.0)
    ranker.sources = rng.normal(size=(8, 4)).astype(np.float32)
    ranker.targets = rng.normal(size=(8, 4)).astype(np.float32)
    ranker.bias = rng.normal(size=(8, 1)).astype(np.float32)
    met = Histories.of([[1, 2, 3]], n_items=8).profiles()
    slopes = ranker._slopes(met, np.array([3]), np.array([7]))
    slope = dict(zip(("sources", "targets", "bias"), slopes, strict=True))[name][place, 0]
    values: ScoreArray = getattr(ranker, name)
    before, step = values[place, 0].copy(), 1e-2
    values[place, 0] = before + step
    above = loss_of(ranker, [1, 2, 3], 3, 7)
    values[place, 0] = before - step
    below = loss_of(ranker, [1, 2, 3], 3, 7)
    assert slope == pytest.approx((above - below) / (2 * step), rel=1e-2)


def test_adagrad_steps_shrink_with_the_slopes_met() -> None:
    values = np.zeros(1, dtype=np.float32)
    step = Adagrad(values, 1.0)
    step.take(np.array([3.0], dtype=np.float32))
    assert values[0] == pytest.approx(1.0, rel=1e-5)
    step.take(np.array([4.0], dtype=np.float32))
    assert values[0] == pytest.approx(1.0 + 4.0 / 5.0, rel=1e-5)
