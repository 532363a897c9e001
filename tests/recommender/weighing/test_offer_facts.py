"""What is known of offers becomes columns: the same for everybody who says the same."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.weighing.offer_facts import (
    FURTHEST,
    MOST_COLUMNS,
    MOST_FACTS,
    Facts,
    check_facts,
    encode_facts,
)

SHOES: list[Facts] = [
    {"discount": 10.0, "kind": "gift"},
    {"discount": 20.0, "kind": "gift"},
    {"discount": 30.0, "kind": "price off"},
    {"discount": 40.0, "kind": "price off"},
    {"discount": 25.0, "kind": "riddle"},
]

said = st.dictionaries(
    st.sampled_from(["discount", "kind", "brand"]),
    st.one_of(
        st.floats(-1e6, 1e6).map(lambda x: round(x, 3)), st.sampled_from(["red", "blue", "Red"])
    ),
)


def test_numbers_are_standard_scores_and_words_are_held_against_the_average() -> None:
    found = encode_facts(SHOES)
    discount = np.array([10.0, 20.0, 30.0, 40.0, 25.0])
    scores = (discount - 25.0) / discount.std()
    np.testing.assert_allclose(found.z[:, 0], scores / np.sqrt(2))
    # Only one offer says riddle, which tells nothing of others: it stands where the average does.
    np.testing.assert_array_equal(found.z[4, 1:], 0.0)
    np.testing.assert_allclose(found.z[0, 1:], -found.z[3, 1:])
    assert [(each.fact, each.says) for each in found.contrasts] == [
        ("discount", "10 → 40"),
        ("kind", "gift"),
        ("kind", "price off"),
    ]
    lowest_to_highest = found.contrasts[0].along
    np.testing.assert_allclose(lowest_to_highest[0], found.z[3, 0] - found.z[0, 0])
    np.testing.assert_allclose(found.contrasts[1].along[1:], found.z[0, 1:])


@given(st.lists(said, min_size=1, max_size=12))
def test_offers_differ_by_one_on_average_whatever_is_said(facts: list[Facts]) -> None:
    z = encode_facts(facts).z
    telling = np.array([bool(each) for each in facts])
    assert z.shape[0] == len(facts)
    assert z.shape[1] <= MOST_COLUMNS
    if z.shape[1]:
        np.testing.assert_allclose((z**2).sum(axis=1)[telling].mean(), 1.0)
        np.testing.assert_array_equal(z[~telling], 0.0)


@settings(max_examples=50, deadline=None)
@given(st.lists(said, min_size=2, max_size=10), st.randoms(use_true_random=False))
def test_the_order_of_offers_changes_nothing(facts: list[Facts], random: Any) -> None:
    order = list(range(len(facts)))
    random.shuffle(order)
    found, shuffled = encode_facts(facts), encode_facts([facts[i] for i in order])
    np.testing.assert_allclose(shuffled.z, found.z[order], atol=1e-12)
    for one, other in zip(found.contrasts, shuffled.contrasts, strict=True):
        assert (one.fact, one.says) == (other.fact, other.says)
        np.testing.assert_allclose(one.along, other.along, atol=1e-12)


def test_names_and_words_are_the_same_in_capitals() -> None:
    shouted: list[Facts] = [
        {
            name.upper(): fact.upper() if isinstance(fact, str) else fact
            for name, fact in each.items()
        }
        for each in SHOES
    ]
    np.testing.assert_array_equal(encode_facts(shouted).z, encode_facts(SHOES).z)


@pytest.mark.parametrize(
    "facts",
    [
        SHOES[:3],  # too few
        [{"discount": 20.0}] * 9,  # all alike
        [{"kind": f"kind {i}"} for i in range(9)],  # nothing in common
        [{}] * 9,
    ],
)
def test_what_tells_nothing_has_no_columns(facts: list[Facts]) -> None:
    assert encode_facts(facts).z.shape == (len(facts), 0)


def test_one_absurd_number_does_not_say_all() -> None:
    facts: list[Facts] = [{"price": float(price)} for price in (*range(99), 1e9)]
    z = encode_facts(facts).z[:, 0]
    scores = z / z.max() * FURTHEST
    assert scores.max() == FURTHEST
    assert (z[:99] < 0).all()


def test_not_saying_a_number_is_the_average_and_not_saying_a_word_is_another_word() -> None:
    facts: list[Facts] = [
        {"price": 1.0, "free": "yes"},
        {"price": 3.0, "free": "yes"},
        {"price": 2.0},
        {"brand": "x"},
    ]
    z = encode_facts(facts).z
    columns = {tuple(np.sign(np.round(column, 12))) for column in z.T}
    assert columns == {(1.0, 1.0, -1.0, -1.0), (-1.0, 1.0, 0.0, 0.0)}


def test_a_fact_that_is_a_word_somewhere_is_words_everywhere() -> None:
    facts: list[Facts] = [{"size": 1.0}, {"size": 1.0}, {"size": "large"}, {"size": "large"}]
    assert [each.says for each in encode_facts(facts).contrasts] == ["1", "large"]


def test_of_many_words_those_of_most_offers_are_kept() -> None:
    facts: list[Facts] = [
        {"brand": f"brand {i:02d}"} for i in range(40) for _ in range(2 + (i % 7 == 0))
    ]
    found = encode_facts(facts)
    assert found.z.shape[1] == MOST_COLUMNS
    words = {each.says for each in found.contrasts}
    assert {f"brand {i:02d}" for i in range(0, 40, 7)} < words


def test_a_fact_for_which_there_is_no_room_is_left_out() -> None:
    facts: list[Facts] = [
        {"brand": f"brand {i % 40}"} | ({"size": float(i)} if i else {}) for i in range(80)
    ]
    found = encode_facts(facts)
    assert found.z.shape[1] == MOST_COLUMNS
    assert all(each.says.startswith("brand") for each in found.contrasts)


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ([1], "names with a number"),
        ({"": 1}, "name of 1 to"),
        ({"a": 1, "A": 2}, "“a” is said twice"),
        ({"a": float("nan")}, "a number or some words"),
        ({"a": True}, "a number or some words"),
        ({"a": None}, "a number or some words"),
        ({"a": " "}, "words of 1 to"),
        ({"a": "x" * 61}, "words of 1 to"),
        ({str(i): i for i in range(MOST_FACTS + 1)}, "12 facts at most, not 13"),
    ],
)
def test_what_are_no_facts_is_refused(facts: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_facts(facts)


def test_facts_are_numbers_and_trimmed_words() -> None:
    assert check_facts({"discount": 20, "kind": " gift "}) == {"discount": 20.0, "kind": "gift"}
