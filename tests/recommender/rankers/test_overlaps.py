"""What items have in common is xᵀx, however it is multiplied."""

import itertools

import numpy as np
import pytest

from recommender.interactions.histories import Histories
from recommender.rankers import overlaps as module
from recommender.rankers.item_knn import ItemKnn
from recommender.rankers.overlaps import overlaps

N_ITEMS = 23
WAYS = {
    "as it pays": {},
    "dense": {"CELL_COST": -1e9, "NARROWEST": 4, "CELLS_AT_ONCE": 1},
    "sparse": {"CELL_COST": 1e9, "FULL": 2.0, "PAIRS_AT_ONCE": 50},
    "sparse, then dense": {"CELL_COST": 1e9, "FULL": 0.0, "PAIRS_AT_ONCE": 50},
}


@pytest.fixture(params=list(WAYS))
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in WAYS[request.param].items():
        monkeypatch.setattr(module, name, value)
    return str(request.param)


def make_weighted(customers: int = 40) -> Histories:
    """Draw histories with weights; nobody has the last two items."""
    rng = np.random.default_rng(8)
    lengths = rng.integers(0, 9, customers)
    count = int(lengths.sum())
    return Histories(
        starts=np.concatenate([[0], np.cumsum(lengths)]),
        items=(rng.random(count) ** 2 * (N_ITEMS - 2)).astype(np.int64),
        weights=rng.choice([0.5, 1.0, 3.0], count),
        times=np.zeros(count),
        n_items=N_ITEMS,
    )


def test_every_item_has_its_row_once(way: str) -> None:
    x = make_weighted().profiles()
    rows = np.full((N_ITEMS, N_ITEMS), np.nan)
    for items, shared in overlaps(x):
        assert np.isnan(rows[items]).all()
        assert isinstance(shared, np.ndarray) or way != "dense"
        rows[items] = shared if isinstance(shared, np.ndarray) else shared.toarray()
    dense = x.toarray().astype(float)
    np.testing.assert_allclose(rows, dense.T @ dense, rtol=1e-6)


@pytest.mark.usefixtures("way")
def test_item_knn_listens_to_the_nearest_by_weighted_profiles() -> None:
    histories = make_weighted()
    x = histories.profiles().toarray().astype(float)
    leads = ItemKnn(neighbours=5, shrinkage=2.0, power=0.3).fit(histories).leads.toarray()
    for listener in range(N_ITEMS):
        alike = {}
        for other in range(N_ITEMS):
            shared = float(x[:, listener] @ x[:, other])
            squares = float((x[:, listener] ** 2).sum() * (x[:, other] ** 2).sum())
            if other != listener and shared:
                alike[other] = shared / (squares**0.3 + 2.0)
        nearest = sorted(alike.values(), reverse=True)[:5]
        found = {other: value for other, value in enumerate(leads[:, listener]) if value}
        assert sorted(found.values(), reverse=True) == pytest.approx(nearest, rel=1e-5)
        for other, value in found.items():
            assert value == pytest.approx(alike[other], rel=1e-5)


@pytest.mark.usefixtures("way")
def test_of_neighbours_as_near_the_lower_numbers_are_heard() -> None:
    every = list(range(6))
    leads = ItemKnn(neighbours=2).fit(Histories.of([every, every], n_items=6)).leads.toarray()
    for listener in every:
        others = [other for other in every if other != listener]
        assert np.flatnonzero(leads[:, listener]).tolist() == others[:2]


@pytest.mark.usefixtures("way")
def test_items_of_nobody_lead_nowhere() -> None:
    leads = ItemKnn().fit(make_weighted()).leads.toarray()
    for item, other in itertools.product([N_ITEMS - 2, N_ITEMS - 1], range(N_ITEMS)):
        assert leads[item, other] == leads[other, item] == 0
    assert ItemKnn().fit(Histories.of([[], []], n_items=3)).leads.nnz == 0
