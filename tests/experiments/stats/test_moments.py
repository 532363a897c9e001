"""Moments: numpy on raw rows as the oracle, and the algebra of pooling."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from experiments.stats.moments import Moments

values = st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda value: round(value, 6))
rows_of_two = st.integers(0, 30).flatmap(lambda n: arrays(float, (n, 2), elements=values))


def assert_close(left: Moments, right: Moments) -> None:
    assert left.n == right.n
    # Rounding grows with the size of the values (up to 1e6), not with that of the result.
    np.testing.assert_allclose(left.mean, right.mean, rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(left.covariance, right.covariance, rtol=1e-9, atol=1e-2)


@given(rows_of_two)
def test_moments_agree_with_numpy(rows: NDArray[np.float64]) -> None:
    moments = Moments.of(rows)
    assert moments.n == len(rows)
    if len(rows) > 1:
        np.testing.assert_allclose(moments.mean, rows.mean(axis=0), rtol=1e-12, atol=1e-9)
        np.testing.assert_allclose(
            moments.covariance, np.cov(rows, rowvar=False), rtol=1e-9, atol=1e-9
        )


@given(rows_of_two, rows_of_two)
def test_pooling_is_as_if_all_rows_were_seen_at_once(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> None:
    assert_close(Moments.of(first) + Moments.of(second), Moments.of(np.vstack([first, second])))


@given(rows_of_two, rows_of_two, rows_of_two)
def test_pooling_does_not_depend_on_order(
    first: NDArray[np.float64], second: NDArray[np.float64], third: NDArray[np.float64]
) -> None:
    a, b, c = Moments.of(first), Moments.of(second), Moments.of(third)
    assert_close((a + b) + c, a + (b + c))
    assert_close(a + b, b + a)


@given(rows_of_two)
def test_nobody_adds_nothing(rows: NDArray[np.float64]) -> None:
    nobody, moments = Moments.of(np.empty((0, 2))), Moments.of(rows)
    assert moments + nobody == moments
    assert nobody + moments == moments


def test_pooling_keeps_a_small_spread_around_a_large_mean() -> None:
    # Sums of squares would lose every digit here; that is why deviations are merged.
    rows = 1e9 + np.array([[0.0], [1.0], [2.0], [3.0]])
    pooled = Moments.of(rows[:1]) + Moments.of(rows[1:])
    assert pooled.covariance[0][0] == pytest.approx(np.var(rows, ddof=1), rel=1e-12)


@given(rows_of_two)
def test_json_brings_back_every_bit(rows: NDArray[np.float64]) -> None:
    moments = Moments.of(rows)
    assert Moments.from_json(json.loads(json.dumps(moments.to_json()))) == moments


def test_selected_columns_are_the_moments_of_those_columns() -> None:
    rows = np.random.default_rng(7).normal(size=(20, 3))
    assert_close(Moments.of(rows).select(2, 0), Moments.of(rows[:, [2, 0]]))


def test_rows_must_form_a_table() -> None:
    with pytest.raises(ValueError, match=r"shape \(n, k\)"):
        Moments.of(np.zeros(3))


def test_columns_must_match_to_pool() -> None:
    with pytest.raises(ValueError, match="cannot pool 1 columns with 2"):
        Moments.of(np.ones((2, 1))) + Moments.of(np.ones((2, 2)))


@pytest.mark.parametrize(
    ("n", "mean", "covariance", "message"),
    [
        (-1, (0.0,), ((0.0,),), "at least 0"),
        (2, (), (), "k at least 1"),
        (2, (0.0,), (), "1 by 1"),
        (2, (0.0, 0.0), ((1.0, 0.0), (0.0,)), "2 by 2"),
        (2, (float("nan"),), ((1.0,),), "finite"),
        (2, (0.0,), ((float("inf"),),), "finite"),
        (0, (1.0,), ((0.0,),), "must be 0"),
        (1, (1.0,), ((1.0,),), "must be 0"),
        (2, (0.0,), ((-1.0,),), "negative"),
        (2, (0.0, 0.0), ((1.0, 0.5), (0.4, 1.0)), "symmetric"),
        (2, (0.0, 0.0), ((1.0, 1.1), (1.1, 1.0)), "semidefinite"),
        (2, (0.0, 0.0), ((0.0, 0.1), (0.1, 1.0)), "semidefinite"),
    ],
)
def test_impossible_moments_are_refused(n: int, mean: Any, covariance: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Moments(n, mean, covariance)


def test_columns_of_very_different_size_are_judged_alike() -> None:
    # A share and a spend in cents: correlation .9, which absolute tolerances would misjudge.
    Moments(9, (0.1, 5e4), ((1e-8, 0.9), (0.9, 1e8)))
    with pytest.raises(ValueError, match="semidefinite"):
        Moments(9, (0.1, 5e4), ((1e-8, 1.001), (1.001, 1e8)))
