"""A session's last events move what follows them up, at once."""

import subprocess
import sys
import time

import numpy as np
import pytest
from scipy import sparse

from recommender.listing.reranking import DECAY, FOLLOWERS, Followers
from recommender.rankers import NETWORKS, RANKERS
from recommender.rankers.markov import Markov
from tests.recommender.rankers.worlds import N_ITEMS, make_histories

KEYS = [f"item-{number}" for number in range(N_ITEMS)]
LEADS = Markov().fit(make_histories()).leads


TABLE = Followers.of(LEADS, KEYS)


def test_scores_and_what_leads_to_a_candidate_add_up() -> None:
    candidates = np.array([12, 3, 30, 4, 5])
    scores = np.array([1.0, 0.8, 0.5, 0.2, 0.1])
    dense = LEADS.toarray()
    lead = dense[3] + DECAY * dense[2]
    total = TABLE.rescore(candidates, scores, [2, 3], strength=2.0)
    np.testing.assert_allclose(total, scores / 1.0 + 2.0 * lead[candidates], rtol=1e-6)
    assert np.diff(total).max() > 0


def test_without_a_session_the_list_stays() -> None:
    candidates, scores = np.array([7, 1, 9]), np.array([3.0, 2.0, 1.0])
    total = TABLE.rescore(candidates, scores, [], strength=5.0)
    np.testing.assert_allclose(total, scores / 3.0)


def test_nothing_can_be_ranked() -> None:
    nothing = np.array([], dtype=np.int64)
    assert len(TABLE.rescore(nothing, nothing.astype(float), [], strength=1.0)) == 0


def test_the_table_is_the_same_after_it_was_stored() -> None:
    read = Followers.from_bytes(TABLE.to_bytes())
    assert read.keys == tuple(KEYS)
    np.testing.assert_array_equal(read.starts, TABLE.starts)
    np.testing.assert_array_equal(read.items, TABLE.items)
    np.testing.assert_array_equal(read.weights, TABLE.weights)


def test_what_follows_a_session_is_named_once() -> None:
    dense = LEADS.toarray()
    expected = np.flatnonzero((dense[3] > 0) | (dense[2] > 0))
    np.testing.assert_array_equal(TABLE.follow([2, 3]), expected)
    assert len(TABLE.follow([])) == 0


def test_a_table_without_an_array_is_refused() -> None:
    blob = TABLE.to_bytes().replace(b'"weights":{"dtype"', b'"weighty":{"dtype"')
    with pytest.raises(ValueError, match="lacks the array 'weights'"):
        Followers.from_bytes(blob)


def test_five_hundred_candidates_take_less_than_a_millisecond() -> None:
    rng = np.random.default_rng(5)
    n_items = 20_000
    rows = np.repeat(np.arange(n_items), 80)
    cells = (rng.random(len(rows), dtype=np.float32), (rows, rng.integers(n_items, size=len(rows))))
    leads = sparse.csr_array(cells, shape=(n_items, n_items))
    table = Followers.of(leads, [str(number) for number in range(n_items)])
    assert np.diff(table.starts).mean() > 0.9 * FOLLOWERS
    candidates = rng.permutation(n_items)[:500]
    scores, session = rng.random(500), rng.integers(n_items, size=10).tolist()
    times = []
    for _ in range(50):
        begun = time.process_time()
        table.rescore(candidates, scores, session, strength=1.0)
        times.append(time.process_time() - begun)
    assert sorted(times)[25] < 1e-3


def loads_torch(modules: str) -> bool:
    """Tell whether a fresh process that imports these modules loads torch."""
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip() == "True"


def test_the_web_reranks_without_torch() -> None:
    assert not loads_torch("recommender.listing.reranking, recommender.listing.lists")


def test_the_web_knows_which_rankers_load_torch() -> None:
    # One process in which torch cannot be loaded, for loading it takes seconds each time.
    code = f"""
import sys
sys.modules["torch"] = None
from importlib import import_module
for name, path in {RANKERS}.items():
    try:
        import_module(path.rpartition(".")[0])
    except ModuleNotFoundError as error:
        assert error.name == "torch", error
        print(name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == NETWORKS
