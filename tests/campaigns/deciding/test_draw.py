"""Drawing an offer by hash."""

import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from campaigns.deciding.draw import draw_offer, draw_seed, is_held_back
from experiments.assigning.assignment import assign, quantise

DECISION = uuid.UUID("01a2131d-755b-7ab8-8643-6f99c05917d2")
shares = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8).filter(lambda s: sum(s) > 0.01)


@given(shares)
def test_drawing_again_from_the_logged_weights_gives_the_same_place(raw: list[float]) -> None:
    p = np.array(raw) / sum(raw)
    seed = draw_seed("spring", version=3, decision_id=DECISION)
    first = draw_offer(p, seed=seed, customer_key="ada")
    assert draw_offer(first.weights, seed=seed, customer_key="ada") == first


@given(shares)
def test_what_is_drawn_had_a_chance_and_all_chances_add_up(raw: list[float]) -> None:
    p = np.array(raw) / sum(raw)
    draw = draw_offer(p, seed="s", customer_key="ada")
    assert draw.propensity > 0
    assert p[draw.index] > 0
    assert sum(draw.weights) == pytest.approx(1.0, abs=1e-12)


@given(shares, st.integers(0, 10**6))
def test_an_offer_is_drawn_by_the_same_function_as_an_arm(raw: list[float], n: int) -> None:
    p = np.array(raw) / sum(raw)
    draw = draw_offer(p, seed="s", customer_key=f"c{n}")
    assert draw.index == assign("s", f"c{n}", quantise(p).tolist())


def test_places_are_drawn_as_often_as_their_propensities_say() -> None:
    p = np.array([0.6, 0.3, 0.09, 0.01])
    n = 20_000
    counts = np.zeros(4)
    for customer in range(n):
        seed = draw_seed("spring", version=1, decision_id=uuid.UUID(int=customer))
        counts[draw_offer(p, seed=seed, customer_key=f"c{customer}").index] += 1
    # The seeds are fixed: this fails only if the hash or the ranges change.
    assert stats.chisquare(counts, n * p).pvalue > 0.001


def test_the_next_decision_is_drawn_afresh() -> None:
    places = {
        draw_offer(
            [0.5, 0.5],
            seed=draw_seed("spring", version=1, decision_id=uuid.UUID(int=number)),
            customer_key="ada",
        ).index
        for number in range(20)
    }
    assert places == {0, 1}


def test_the_share_held_back_is_the_share_asked_for() -> None:
    n = 20_000
    held = sum(is_held_back("p", customer_key=f"c{i}", share=0.2) for i in range(n))
    assert abs(held / n - 0.2) < 3 * (0.2 * 0.8 / n) ** 0.5
    assert not any(is_held_back("p", customer_key=f"c{i}", share=0.0) for i in range(100))
