"""A list is changed as its ranking's rules say, and slates are drawn by known probabilities."""

import itertools
from collections import Counter
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from recommender.listing.lists import Boost, Listed, Rules, Sorted, read_boosts
from recommender.listing.products import Product

PRODUCTS = {
    "a": Product("a", price=10, category="mugs", brand="Acme"),
    "b": Product("b", price=20, category="mugs", brand="Bolt"),
    "c": Product("c", price=30, category="mugs", brand="Acme", in_stock=False),
    "d": Product("d", category="pots", brand="Bolt"),
    "e": Product("e", price=50, category="pots", brand="Cup"),
}
LISTED = Listed(
    ranking="top",
    version_id=9,
    version=2,
    items=tuple("abcdef"),
    scores=(5.0, 4.0, 3.0, 2.0, 1.0, -5.0),
    products=PRODUCTS,
)


def best(k: int = 9, *, hidden: str = "", **rules: Any) -> str:
    listed = replace(LISTED, hidden=frozenset(hidden), rules=Rules(**rules))
    return "".join(Sorted(listed).best(k))


def boost(attribute: Any, value: str, factor: float) -> Boost:
    return Boost(attribute=attribute, value=value, factor=factor)


def test_what_is_sold_out_is_shown_only_where_the_shop_wants_it() -> None:
    assert best() == "abdef"
    assert best(shows_sold_out=True) == "abcdef"


def test_what_was_bought_or_met_is_hidden() -> None:
    assert best(hidden="bx") == "adef"


def test_prices_are_bounded_on_either_side() -> None:
    assert best(price_from=15) == "be"
    assert best(price_to=20) == "ab"
    assert best(price_from=15, price_to=20) == "b"


def test_boosts_multiply_scores_from_one_to_two() -> None:
    # e stands at 1.6 of 1 … 2, and a at 2.
    assert best(3, boosts=(boost("brand", "Cup", 1.3),)) == "eab"
    assert best(3, boosts=(boost("brand", "Cup", 1.2),)) == "aeb"
    assert best(boosts=(boost("category", "mugs", 0.0),)) == "defab"
    twice = (boost("brand", "Cup", 2.0), boost("category", "pots", 0.1))
    assert best(boosts=twice) == "abfed"


def test_categories_are_capped_and_lists_mixed() -> None:
    assert best(most_of_category=1) == "adf"
    assert best(3, diversity=0.7) != best(3)
    assert best(2, diversity=1.0)[0] in "af"


def test_an_empty_list_stays_empty() -> None:
    nothing = replace(LISTED, items=(), scores=(), rules=Rules(diversity=0.5, most_of_category=1))
    assert Sorted(nothing).best(3) == []


def test_of_what_nobody_spoke_there_is_the_key() -> None:
    assert LISTED.product("f") == Product("f")


def draw_all(listed: Listed, *, k: int, temperature: float) -> dict[tuple[str, ...], float]:
    """Return the probability of each slate, by trying every number at every place."""
    slates: dict[tuple[str, ...], float] = {}
    for numbers in itertools.product(range(len(listed.items)), repeat=k):
        draws, probability, slate = Sorted(listed).draws(), 1.0, []
        for number in numbers:
            left = draws.left()
            if number >= len(left):
                break
            probability *= float(draws.weights(temperature)[number])
            slate.append(draws.take(number))
        else:
            slates[tuple(slate)] = slates.get(tuple(slate), 0.0) + probability
    return slates


def test_slates_are_drawn_as_plackett_and_luce_say() -> None:
    listed = replace(LISTED, items=tuple("abde"), scores=(1.0, 0.5, 0.25, 0.0))
    slates = draw_all(listed, k=3, temperature=0.4)
    assert len(slates) == 24
    assert sum(slates.values()) == pytest.approx(1)
    strength = dict(zip("abde", np.exp(np.array([1.0, 0.5, 0.25, 0.0]) / 0.4), strict=True))
    for slate, probability in slates.items():
        expected, left = 1.0, dict(strength)
        for key in slate:
            expected *= left[key] / sum(left.values())
            del left[key]
        assert probability == pytest.approx(expected)


def test_drawing_so_is_to_take_the_highest_with_gumbel_noise() -> None:
    listed = replace(LISTED, items=tuple("abde"), scores=(1.0, 0.5, 0.25, 0.0))
    slates = draw_all(listed, k=2, temperature=0.5)
    rng, n = np.random.default_rng(3), 40_000
    noisy = np.array(listed.scores) / 0.5 + rng.gumbel(size=(n, 4))
    order = np.argsort(-noisy, axis=1)[:, :2]
    drawn = Counter("".join(listed.items[i] for i in row) for row in order.tolist())
    for slate, probability in slates.items():
        error = np.sqrt(probability * (1 - probability) / n)
        assert abs(drawn["".join(slate)] / n - probability) < 4.5 * error


def test_places_of_a_slate_keep_the_rules() -> None:
    capped = replace(LISTED, rules=Rules(most_of_category=1))
    assert all(
        len({capped.product(key).category for key in slate}) == 2
        for slate in draw_all(capped, k=2, temperature=1.0)
    )
    mixed = replace(LISTED, rules=Rules(diversity=0.8))
    draws = Sorted(mixed).draws()
    before = dict(zip(draws.left(), draws.weights(0.2), strict=True))
    assert draws.take(0) == "a"
    after = dict(zip(draws.left(), draws.weights(0.2), strict=True))
    # Of the same category as the first, it lost against what is like nothing yet.
    assert after["b"] / after["f"] < before["b"] / before["f"]


def test_a_draw_needs_some_warmth_and_something_to_draw() -> None:
    draws = Sorted(replace(LISTED, items=("a",), scores=(1.0,))).draws()
    for temperature in (0.0, -1.0, float("inf")):
        with pytest.raises(ValueError, match="must be above 0"):
            draws.weights(temperature)
    assert draws.take(0) == "a"
    with pytest.raises(ValueError, match="Nothing is left"):
        draws.weights(1.0)


def test_boosts_are_read_or_refused_in_a_user_s_words() -> None:
    said: list[dict[str, Any]] = [{"attribute": "brand", "value": "Acme", "factor": 2}]
    assert read_boosts(said) == (boost("brand", "Acme", 2.0),)
    wrongs: tuple[object, ...] = ({}, [{**said[0], "attribute": "colour"}], [{"factor": 2}])
    for wrong in wrongs:
        with pytest.raises(ValueError, match="Write a list such as"):
            read_boosts(wrong)
    for factor in (-1, 101):
        with pytest.raises(ValueError, match="must be in 0"):
            read_boosts([{**said[0], "factor": factor}])


def test_rules_are_read_from_a_row_with_more_in_it() -> None:
    said = {"attribute": "brand", "value": "A", "factor": 3}
    row = msgspec.json.encode({"key": "top", "boosts": [said], "diversity": 0.5})
    rules = msgspec.json.decode(row, type=Rules)
    assert rules == Rules(boosts=(boost("brand", "A", 3.0),), diversity=0.5)
