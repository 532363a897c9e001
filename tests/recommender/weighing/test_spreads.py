"""Standard deviations of predictions, against the quadratic forms themselves."""

import numpy as np
import pytest

from recommender.weighing.spreads import CACHE_BYTES, pack_covariances, spreads


@pytest.mark.parametrize(("n", "k", "d"), [(5, 3, 1), (700, 4, 20), (40, 2, 90), (0, 3, 2)])
def test_spreads_are_roots_of_quadratic_forms(n: int, k: int, d: int) -> None:
    rng = np.random.default_rng(d)
    x, factor = rng.normal(size=(n, d)), rng.normal(size=(k, d, d))
    expected = np.linalg.norm(np.einsum("nd,kde->nke", x, factor), axis=-1)
    packed = pack_covariances(factor)
    np.testing.assert_allclose(spreads(x, packed), expected, rtol=1e-10)
    single = spreads(x.astype(np.float32), packed.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=1e-3)


def test_customers_beyond_the_cache_are_taken_in_parts() -> None:
    rows = CACHE_BYTES // (3 * 8) + 7
    x = np.random.default_rng(1).normal(size=(rows, 2))
    found = spreads(x, pack_covariances(np.eye(2)[None]))
    np.testing.assert_allclose(found[:, 0], np.hypot(x[:, 0], x[:, 1]), rtol=1e-12)


def test_what_is_certain_has_no_spread() -> None:
    factor = np.array([[[1.0, 0.0], [-1.0, 0.0]]])  # only the difference of two columns is known
    x = np.array([[0.1, 0.1], [0.3, 0.3], [1e8, 1e8]])
    np.testing.assert_array_equal(spreads(x, pack_covariances(factor)), np.zeros((3, 1)))
