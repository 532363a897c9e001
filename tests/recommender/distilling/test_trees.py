"""Leaves of a learned policy: exact, bounded, repeatable, and worth nearly as much."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience.conditions import matches
from recommender.arrays import FloatArray
from recommender.distilling.axes import axes_of
from recommender.distilling.trees import Tree, distil, grow
from recommender.weighing.features import CategoryFeature, FeatureSpec, NumberFeature
from recommender.weighing.odds import Odds

SPEC = FeatureSpec(
    (
        CategoryFeature("country", ("de", "fr", "us")),
        NumberFeature("visits", 5.0, 2.0),
        CategoryFeature("member", ("true",)),
    )
)
ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        "country": st.sampled_from(["de", "fr", "us", "jp", "", None, 1, ["de"]]),
        "visits": st.one_of(st.integers(-3, 20), st.floats(-3, 20), st.sampled_from(["8", None])),
        "member": st.sampled_from([True, False, "true", 1, None]),
    },
)


def make_odds(
    seed: int = 0, *, spec: FeatureSpec = SPEC, n_offers: int = 3, sd: float = 0.2
) -> Odds:
    rng = np.random.default_rng(seed)
    d = spec.size
    return Odds(
        offers=tuple(f"offer-{k}" for k in range(n_offers)),
        mean=rng.normal(0.0, 0.5, (n_offers, d)),
        factor=np.tile(sd * np.eye(d), (n_offers, 1, 1)),
        floor=0.02,
        features=spec,
        version=7,
    )


def make_customers(n: int, seed: int = 1) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    countries = rng.choice(["de", "fr", "us", "jp"], n)
    visits = rng.poisson(5, n)
    known = rng.random(n) < 0.8
    customers: list[dict[str, Any]] = []
    for country, count, is_known in zip(countries, visits, known, strict=True):
        customers.append({"country": str(country), "visits": int(count)} if is_known else {})
    return customers


X = SPEC.encode_many(make_customers(1500))


def grown(odds: Odds, x: FloatArray, *, most: int = 32, least: int = 50) -> Tree:
    weights = odds.weights_many(x, np.ones((len(x), len(odds.offers)), dtype=bool))
    return grow(axes_of(odds.features, x), weights, x @ odds.mean.T, most=most, least=least)


LEAVES = [distil(make_odds(seed), X) for seed in range(3)]
TREES = [grown(make_odds(seed), X) for seed in range(3)]


@settings(max_examples=300)
@given(st.integers(0, 2), ATTRIBUTES)
def test_everybody_is_in_one_leaf_by_condition_and_the_same_by_arithmetic(
    which: int, attributes: dict[str, Any]
) -> None:
    met = [leaf.id for leaf in LEAVES[which].leaves if matches(leaf.condition, attributes)]
    assert met == TREES[which].place(SPEC.encode(attributes)[None, :]).tolist()


def test_a_leaf_weighs_as_the_policy_does_on_average() -> None:
    odds, leaves = make_odds(), LEAVES[0]
    weights = odds.weights_many(X, np.ones((len(X), 3), dtype=bool))
    places = TREES[0].place(X)
    for leaf in leaves.leaves:
        rows = places == leaf.id
        assert leaf.size == rows.sum()
        np.testing.assert_allclose(leaf.weights, weights[rows].mean(axis=0))
        np.testing.assert_allclose(leaf.centre, X[rows].mean(axis=0))
        assert min(leaf.weights) >= odds.floor - 1e-12
    np.testing.assert_allclose(leaves.pooled, weights.mean(axis=0))
    assert (leaves.version, leaves.offers) == (7, odds.offers)


def test_there_are_no_more_leaves_and_none_is_smaller_than_asked_for() -> None:
    for most, least in ((1, 1), (4, 100), (32, 50)):
        leaves = distil(make_odds(), X, most=most, least=least).leaves
        assert len(leaves) <= most
        assert min(leaf.size for leaf in leaves) >= least
    assert len(distil(make_odds(), X, most=4, least=1).leaves) == 4


def test_the_same_customers_give_the_same_leaves() -> None:
    assert distil(make_odds(), X) == LEAVES[0]


def test_leaves_keep_nearly_all_that_is_to_be_gained() -> None:
    for leaves in LEAVES:
        assert leaves.worth.pooled < leaves.worth.leaves <= leaves.worth.policy
        assert leaves.worth.kept > 0.9


def test_the_first_split_is_the_best_of_all() -> None:
    """An oracle that tries every set of countries and every number of visits."""
    odds = make_odds(4)
    weights = odds.weights_many(X, np.ones((len(X), 3), dtype=bool))
    mean = X @ odds.mean.T

    def worth(rows: Any) -> float:
        return float(weights[rows].sum(axis=0) @ mean[rows].sum(axis=0) / rows.sum())

    country = np.where(X[:, 1:4].any(axis=1), X[:, 1:4].argmax(axis=1), 3)
    sides = [np.isin(country, s) for n in (1, 2) for s in itertools.combinations(range(4), n)]
    sides += [X[:, 4] < cut for cut in np.unique(X[:, 4])[1:]]
    best = max(worth(s) + worth(~s) for s in sides if 50 <= s.sum() <= len(X) - 50)
    first = grown(odds, X, most=2).place(X) == 0
    assert worth(first) + worth(~first) == pytest.approx(best)


def test_a_policy_that_treats_all_alike_is_one_leaf() -> None:
    prior = Odds.prior(("a", "b"), features=SPEC, floor=0.01)
    (leaf,) = distil(prior, X).leaves
    assert leaf.condition == {}
    assert leaf.weights == pytest.approx((0.5, 0.5))
    (only,) = distil(make_odds(n_offers=1), X).leaves
    assert only.weights == (1.0,)


def test_a_split_into_two_leaves_needs_no_conjunction() -> None:
    first, second = (leaf.condition for leaf in distil(make_odds(), X, most=2).leaves)
    assert (
        {"$not": second} == first == {"$not": {"country": {"$type": "string", "$in": ["fr", "us"]}}}
    )


def test_customers_that_do_not_fit_are_refused() -> None:
    for x in (X[:0], X[:, 1:], X[0]):
        with pytest.raises(ValueError, match="Expected customers"):
            distil(make_odds(), x)
