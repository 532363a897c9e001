"""How much of a reward has arrived by which age, by hand and where the truth is known."""

import numpy as np
import pytest

from recommender.delays import (
    DAY,
    HOUR,
    LEAST_EARNED,
    Arrival,
    DelayCurve,
    choose_landmarks,
    fit_delays,
)

WINDOW = 10 * DAY


def fit(arrivals: list[Arrival], *, kind: str = "sum") -> DelayCurve:
    curve = fit_delays(arrivals, kind=kind, window=WINDOW, landmarks=[HOUR, DAY])
    assert curve is not None
    return curve


def repeated(*each: tuple[str, float, float, bool]) -> list[Arrival]:
    """Let the same happen to many decisions: order, age, amount, whether it is taken back."""
    return [
        Arrival(decision, f"{decision} {order}", age, amount, is_reversal)
        for decision in range(LEAST_EARNED)
        for order, age, amount, is_reversal in each
    ]


def test_a_curve_weighs_what_came_by_its_value() -> None:
    curve = fit(repeated(("a", HOUR / 2, 30.0, False), ("b", 2 * DAY, 10.0, False)))
    assert (curve.at(HOUR), curve.at(DAY), curve.at(WINDOW)) == (0.75, 0.75, 1.0)
    assert curve.at(0) == 0.0
    assert curve.earned == LEAST_EARNED


def test_what_happens_at_a_landmark_itself_comes_after_it() -> None:
    assert fit(repeated(("a", HOUR, 1.0, False))).at(HOUR) == 0.0


@pytest.mark.parametrize(("kind", "share"), [("sum", 0.75), ("count", 0.5), ("any", 1.0)])
def test_kinds_count_what_they_reward(kind: str, share: float) -> None:
    orders = repeated(("a", HOUR / 2, 30.0, False), ("b", 2 * DAY, 10.0, False))
    assert fit(orders, kind=kind).at(DAY) == share


@pytest.mark.parametrize(("kind", "share"), [("sum", 4.0), ("count", 2.0), ("any", 1.0)])
def test_what_is_taken_back_later_had_arrived_too_much(kind: str, share: float) -> None:
    orders = repeated(
        ("a", HOUR / 2, 30.0, False),
        ("b", HOUR / 2, 10.0, False),
        ("a", 3 * DAY, 12.0, True),
        ("a", 20 * DAY, 18.0, True),
    )
    assert fit(orders, kind=kind).at(DAY) == pytest.approx(share)


def test_an_order_taken_back_for_the_second_time_is_gone_once() -> None:
    orders = repeated(
        ("a", HOUR / 2, 30.0, False),
        ("b", HOUR / 2, 10.0, False),
        ("a", 3 * DAY, 30.0, True),
        ("a", 4 * DAY, 0.0, True),
    )
    assert fit(orders, kind="count").at(DAY) == 2.0


def test_a_few_decisions_that_earned_say_nothing() -> None:
    few = [Arrival(i, i, HOUR, 1.0) for i in range(LEAST_EARNED - 1)]
    assert fit_delays(few, kind="sum", window=WINDOW, landmarks=[]) is None
    nothing_left = repeated(("a", HOUR, 5.0, False), ("a", DAY, 5.0, True))
    assert fit_delays(nothing_left, kind="sum", window=WINDOW, landmarks=[]) is None


def test_landmarks_at_which_too_little_has_arrived_are_left_out() -> None:
    curve = DelayCurve(ages=[HOUR, DAY, WINDOW], arrived=[0.04, 0.3, 1.0], earned=50)
    assert curve.landmarks([HOUR, DAY]) == [(2, DAY, 0.3)]


def test_landmarks_end_before_the_window() -> None:
    assert choose_landmarks([], window=DAY) == [HOUR]
    assert choose_landmarks([], window=30 * DAY) == [HOUR, DAY, 7 * DAY]
    assert choose_landmarks([DAY, HOUR, DAY], window=WINDOW) == [HOUR, DAY]
    assert choose_landmarks([WINDOW], window=WINDOW) == []


def test_json_keeps_a_curve() -> None:
    curve = fit(repeated(("a", HOUR / 2, 1.0, False)))
    assert DelayCurve.from_json(curve.to_json()) == curve


def test_an_exponential_delay_is_found() -> None:
    rng = np.random.default_rng(7)
    ages = np.minimum(rng.exponential(2 * DAY, 4_000), WINDOW - 1)
    curve = fit([Arrival(i, i, float(age), 1.0) for i, age in enumerate(ages)], kind="any")
    for age in (HOUR, DAY, 3 * DAY):
        assert curve.at(age) == pytest.approx(1 - np.exp(-age / (2 * DAY)), abs=0.025)
