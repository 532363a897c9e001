"""Leaves as values: sound, read back as written, and shared out in proportion."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.weighing.leaves import Leaf, Leaves, Worth, share_among

YOUNG = {"age": {"$type": "number", "$lt": 30.0}}


def leaf(number: int, condition: dict[str, Any], *weights: float) -> Leaf:
    return Leaf(id=number, condition=condition, weights=weights, centre=(1.0, 0.5), size=60)


def leaves(*found: Leaf) -> Leaves:
    return Leaves(
        version=3,
        offers=("gift", "saving"),
        leaves=found or (leaf(0, YOUNG, 0.25, 0.75), leaf(1, {"$not": YOUNG}, 0.9, 0.1)),
        pooled=(0.5, 0.5),
        worth=Worth(policy=1.0, leaves=0.9, pooled=0.5),
    )


def test_a_customer_falls_into_the_leaf_whose_condition_is_met() -> None:
    assert [leaves().find(each).id for each in ({"age": 20}, {"age": 40}, {})] == [0, 1, 1]


def test_a_table_that_does_not_hold_everybody_says_so() -> None:
    with pytest.raises(ValueError, match="No leaf"):
        leaves(leaf(0, YOUNG, 0.5, 0.5)).find({})


def test_what_is_written_is_read_back() -> None:
    assert Leaves.from_json(leaves().to_json()) == leaves()


@pytest.mark.parametrize(
    "found",
    [
        pytest.param((leaf(1, {}, 0.5, 0.5),), id="not at its place"),
        pytest.param((leaf(0, {}, 1.0),), id="an offer too few"),
        pytest.param((leaf(0, {}, 1.0, 0.0),), id="an offer without a chance"),
        pytest.param((leaf(0, {}, 0.5, 0.4),), id="less than 1"),
    ],
)
def test_an_unsound_table_is_refused(found: tuple[Leaf, ...]) -> None:
    with pytest.raises(ValueError, match=r"Leaves must be|Each offer needs"):
        leaves(*found)


def test_a_table_without_leaves_is_refused() -> None:
    with pytest.raises(ValueError, match="damaged"):
        Leaves.from_json({**leaves().to_json(), "leaves": []})


def test_a_table_keeps_a_share_of_what_there_is_to_gain() -> None:
    assert leaves().worth.kept == pytest.approx(0.8)
    assert Worth(policy=0.5, leaves=0.5, pooled=0.5).kept == 1.0


@given(st.lists(st.tuples(st.floats(0.01, 1.0), st.booleans()), min_size=1, max_size=8))
def test_what_may_not_be_shown_is_shared_in_proportion(pairs: list[tuple[float, bool]]) -> None:
    weights, eligible = [w for w, _ in pairs], [may_be for _, may_be in pairs]
    shares = share_among(weights, eligible)
    assert sum(shares) == pytest.approx(1.0 if any(eligible) else 0.0)
    shown = [(w, share) for (w, may_be), share in zip(pairs, shares, strict=True) if may_be]
    for weight, share in shown:
        assert share * shown[0][0] == pytest.approx(weight * shown[0][1])
    assert all(share == 0 for (_, may_be), share in zip(pairs, shares, strict=True) if not may_be)
