"""Joint means: numpy on full matrices, Satterthwaite's formula, and numerical gradients."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from experiments.stats.joint import JointMeans, Pair

FloatArray = NDArray[np.float64]
few = settings(max_examples=25)
seeds = st.integers(0, 2**32 - 1)


def draw_covariances(rng: np.random.Generator, parts: int, size: int) -> FloatArray:
    roots = rng.normal(size=(parts, size, size))
    return roots @ roots.transpose(0, 2, 1)


def draw_joint(seed: int, outcomes: int) -> JointMeans:
    rng = np.random.default_rng(seed)
    parts = draw_covariances(rng, 3, 2 * outcomes).reshape(3, 2, outcomes, 2, outcomes)
    means = rng.uniform(1, 5, size=(2, outcomes))
    return JointMeans(means, parts, rng.uniform(2, 50, 3), np.array([30.0, 40.0]))


@few
@given(seeds, st.floats(-3, 3), st.floats(-3, 3))
def test_a_combinations_error_is_the_quadratic_form(seed: int, c: float, t: float) -> None:
    pair = draw_joint(seed, 1).read_mean()
    weights = np.array([c, t])
    each = np.array([weights @ part @ weights for part in pair.parts])
    total, df = pair.combine(c, t)
    assert total == pytest.approx(each.sum())
    if each.sum() > 1e-12:
        assert df == pytest.approx(each.sum() ** 2 / (each**2 / pair.df).sum())


def test_what_is_certain_has_no_error_and_infinite_degrees_of_freedom() -> None:
    total, df = draw_joint(1, 1).read_mean().combine(0.0, 0.0)
    assert (float(total), float(df)) == (0.0, math.inf)


@few
@given(seeds)
def test_each_numbers_own_error_is_a_combination_with_the_other_left_out(seed: int) -> None:
    pair = draw_joint(seed, 1).read_mean()
    own, df = pair.own
    for arm, weights in enumerate([(1.0, 0.0), (0.0, 1.0)]):
        expected = pair.combine(*weights)
        assert [own[arm], df[arm]] == pytest.approx([float(each) for each in expected])
    difference, _ = pair.combine(-1.0, 1.0)
    assert difference == pytest.approx(own.sum() - 2 * pair.covariance)


@few
@given(seeds)
def test_arrays_of_pairs_are_combined_one_by_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, errors = rng.normal(size=(2, 4)), rng.uniform(1, 2, size=(2, 4))
    df, n = rng.uniform(2, 9, size=(2, 4)), np.full((2, 4), 9.0)
    together = Pair.of_independent(values, errors, df=df, n=n)
    weights = rng.normal(size=(2, 4))
    total, found = together.combine(*weights)
    for i in range(4):
        alone = Pair.of_independent(values[:, i], errors[:, i], df=df[:, i], n=n[:, i])
        expected = [float(each) for each in alone.combine(*weights[:, i])]
        assert [total[i], found[i]] == pytest.approx(expected)


@few
@given(seeds, st.integers(1, 4))
def test_a_number_is_read_with_the_covariance_of_its_gradients(seed: int, outcomes: int) -> None:
    joint = draw_joint(seed, outcomes)
    gradients = np.random.default_rng(seed).normal(size=(2, outcomes))
    pair = joint.read(np.zeros(2), gradients)
    jacobian = np.zeros((2, 2 * outcomes))
    jacobian[0, :outcomes], jacobian[1, outcomes:] = gradients
    full = joint.parts.reshape(3, 2 * outcomes, 2 * outcomes)
    np.testing.assert_allclose(pair.parts, jacobian @ full @ jacobian.T, rtol=1e-9, atol=1e-9)
