"""What a sample of customers tells about how to look at them."""

import numpy as np
import pytest

from recommender.weighing.features import CategoryFeature, FeatureSpec, NumberFeature
from recommender.weighing.profiling import MOST_VALUES, fit_features, name_attributes

SAMPLE: list[dict[str, object]] = [
    {"name": f"Ada {i}", "age": 20 + i, "plan": "pro" if i % 3 else "basic", "vip": i % 2 == 0}
    for i in range(30)
]


def test_numbers_are_centred_and_scaled() -> None:
    ages = [20 + i for i in range(30)]
    (feature,) = fit_features(SAMPLE, ["age"]).features
    assert isinstance(feature, NumberFeature)
    assert (feature.centre, feature.scale) == pytest.approx((np.mean(ages), np.std(ages)))


def test_words_become_their_common_values_in_order() -> None:
    assert fit_features(SAMPLE, ["plan"]).features == (CategoryFeature("plan", ("basic", "pro")),)


def test_yes_and_no_are_words() -> None:
    (feature,) = fit_features(SAMPLE, ["vip"]).features
    assert feature == CategoryFeature("vip", ("false", "true"))
    assert feature.encode(True) == [0.0, 1.0]


def test_no_attributes_treat_everybody_alike() -> None:
    assert fit_features(SAMPLE, []) == FeatureSpec(())


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{"other": 1}],
        [{"it": 5}, {"it": 5}],
        [{"it": "a"}, {"it": "a"}],
        [{"it": "a"}, {"it": "b"}],
        [{"it": ""}, {"it": ""}],
        [{"it": None}, {"it": [1]}, {"it": {}}],
    ],
    ids=["nobody", "missing", "one number", "one word", "all different", "empty", "no words"],
)
def test_an_attribute_that_tells_nothing_is_refused(rows: list[dict[str, object]]) -> None:
    with pytest.raises(ValueError, match="do not tell how to use 'it'"):
        fit_features(rows, ["it"])


def test_only_the_commonest_values_get_a_column() -> None:
    rows: list[dict[str, object]] = [
        {"city": f"city {i:02d}"} for i in range(30) for _ in range(31 - i)
    ]
    (feature,) = fit_features(rows, ["city"]).features
    assert isinstance(feature, CategoryFeature)
    assert feature.values == tuple(f"city {i:02d}" for i in range(MOST_VALUES))


def test_mixed_values_are_what_most_of_them_are() -> None:
    rows: list[dict[str, object]] = [{"it": 1}, {"it": 2}, {"it": 3}, {"it": "x"}, {"it": "x"}]
    assert isinstance(fit_features(rows, ["it"]).features[0], NumberFeature)
    rows = [{"it": 1}, {"it": "y"}, {"it": "y"}, {"it": "x"}, {"it": "x"}]
    assert fit_features(rows, ["it"]).features == (CategoryFeature("it", ("x", "y")),)


def test_usable_attributes_are_listed_the_commonest_first() -> None:
    rows: list[dict[str, object]] = [*SAMPLE, {"age": 30}, {"age": 31, "vip": True}]
    assert name_attributes(rows) == ["age", "vip", "plan"]


@pytest.mark.parametrize("absurd", [1e300, 10**400])
def test_an_absurd_number_does_not_keep_others_from_being_looked_at(absurd: float) -> None:
    rows: list[dict[str, object]] = [{"it": absurd, "age": 1}, {"it": 1, "age": 2}, {"it": -absurd}]
    assert name_attributes(rows) == ["age"]
