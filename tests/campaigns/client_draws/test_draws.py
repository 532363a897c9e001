"""What clients draw by: whole buckets, to the bucket, however their SDK adds up."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from campaigns.client_draws.draws import (
    ClientDraw,
    DrawName,
    draw_by_baseline,
    draw_by_leaves,
    eligible_in,
)
from campaigns.deciding.eligibility import Budget
from experiments.assigning.assignment import BUCKETS, assign
from experiments.growthbook.buckets import bucket_ranges, choose_variation
from recommender.weighing.leaves import Leaf, Leaves, Worth
from tests.campaigns.client_draws.leaved import LEAVES, NOW, OFFERS, make_campaign, make_offer

CUTS = st.lists(st.integers(0, BUCKETS), min_size=0, max_size=12).map(sorted)


def draw_of(cuts: list[int]) -> ClientDraw:
    buckets = tuple(end - start for start, end in itertools.pairwise([0, *cuts, BUCKETS]))
    return ClientDraw(tuple(f"o{n}" for n in range(len(buckets))), buckets)


# Here the difference of the ends would add up to more than the second end.
@example([7, 17])
@given(CUTS)
def test_sdks_get_exactly_these_buckets(cuts: list[int]) -> None:
    draw = draw_of(cuts)
    laid = bucket_ranges(len(draw.offers), 1.0, draw.weights)
    start = 0
    for number, (count, end) in enumerate(zip(draw.buckets, draw.ends, strict=True)):
        for place in {start, end - 1} if count else ():
            assert choose_variation(place / BUCKETS, laid) == number
        start = end


def test_decimal_weights_would_give_a_bucket_to_the_wrong_offer() -> None:
    # 0.1 + 0.2 > 0.3 in binary: the reason for all this.
    laid = bucket_ranges(3, 1.0, [0.1, 0.2, 0.7])
    assert choose_variation(0.3, laid) == 1
    assert choose_variation(0.3, bucket_ranges(3, 1.0, draw_of([1000, 3000]).weights)) == 2


@given(CUTS, st.text(max_size=8), st.text(max_size=8))
def test_a_draw_is_the_one_assignment_of_all(cuts: list[int], seed: str, key: str) -> None:
    draw = draw_of(cuts)
    place = assign(seed, key, draw.buckets)
    assert place is not None
    assert draw.draw(seed=seed, customer_key=key) == draw.offers[place]


@pytest.mark.parametrize(
    ("name", "key", "seed"),
    [
        (DrawName("summer", 12), "summer:12", "summer:12"),
        (DrawName("summer", 12, is_pooled=True), "summer:12:pooled", "summer:12"),
        (DrawName("summer"), "summer:baseline", "summer:baseline"),
    ],
)
def test_a_draw_is_named_and_known_by_its_name(name: DrawName, key: str, seed: str) -> None:
    assert (name.key, name.seed) == (key, seed)
    assert DrawName.parse(key) == name


@pytest.mark.parametrize("key", ["summer", "summer:", "summer:serves", "a:b:1", "summer:12:x", ""])
def test_other_experiments_are_no_draws(key: str) -> None:
    assert DrawName.parse(key) is None


def test_a_leaf_draws_by_its_weights_to_the_nearest_bucket() -> None:
    for leaf in LEAVES.leaves:
        draw = draw_by_leaves(LEAVES, leaf.id, [True] * 3)
        assert sum(draw.buckets) == BUCKETS
        assert [n / BUCKETS for n in draw.buckets] == pytest.approx(leaf.weights, abs=1 / BUCKETS)
    pooled = draw_by_leaves(LEAVES, None, [True] * 3)
    assert pooled.weights == pytest.approx(LEAVES.pooled, abs=1 / BUCKETS)


def test_an_offer_keeps_the_floor_where_leaves_are_drawn_by() -> None:
    floor = Leaves(
        version=1,
        offers=("a", "b"),
        leaves=(Leaf(0, {}, (0.0001, 0.9999), (1.0,), 9),),
        pooled=(0.0001, 0.9999),
        worth=Worth(0.0, 0.0, 0.0),
    )
    assert draw_by_leaves(floor, 0, [True, True]).buckets == (1, 9999)


def test_there_is_no_other_leaf() -> None:
    for number in (-1, len(LEAVES.leaves)):
        with pytest.raises(ValueError, match="no leaf"):
            draw_by_leaves(LEAVES, number, [True] * 3)


def test_what_may_not_be_shown_is_not_drawn() -> None:
    draw = draw_by_leaves(LEAVES, 0, [True, False, True])
    assert list(draw.shares) == ["gift", "trial"]
    ratio = LEAVES.leaves[0].weights[0] / LEAVES.leaves[0].weights[2]
    assert draw.buckets[0] / draw.buckets[2] == pytest.approx(ratio, rel=0.01)
    assert not draw_by_leaves(LEAVES, 0, [False] * 3).is_possible


def test_the_baseline_draws_by_the_shares_of_what_may_be_shown() -> None:
    assert draw_by_baseline(make_campaign(), now=NOW).buckets == (1667, 3333, 5000)
    some = [
        make_offer("gift"),
        make_offer("saving", weight=0),
        make_offer("trial", is_active=False),
    ]
    draw = draw_by_baseline(make_campaign(*some), now=NOW)
    assert draw == ClientDraw(OFFERS, (BUCKETS, 0, 0))


def test_what_has_to_be_counted_is_not_for_clients() -> None:
    dear = make_offer("gift", cost=100)
    assert eligible_in(LEAVES, make_campaign(dear), now=NOW) == [True, False, False]
    budget = Budget("summer", 10_000)
    assert eligible_in(LEAVES, make_campaign(dear, budget=budget), now=NOW) == [False] * 3
    limited = [make_offer("gift", total=5), make_offer("saving", per_customer=1)]
    free = make_offer("trial")
    campaign = make_campaign(*limited, free, budget=budget)
    assert eligible_in(LEAVES, campaign, now=NOW) == [False, False, True]


def test_a_client_draws_from_the_offers_that_go_first() -> None:
    first, later = make_offer("gift", priority=1), make_offer("saving", priority=2)
    assert eligible_in(LEAVES, make_campaign(first, later), now=NOW) == [True, False, False]
    # What goes first and is for the server alone leaves nothing to clients.
    counted = make_offer("gift", priority=1, total=5)
    assert eligible_in(LEAVES, make_campaign(counted, later), now=NOW) == [False] * 3
    off = make_offer("gift", priority=1, is_active=False)
    assert eligible_in(LEAVES, make_campaign(off, later), now=NOW) == [False, True, False]
