"""The season: its truth is what its formula says, and nobody sees what has not happened yet."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from recommender.simulators.fatigue import (
    NOTHING,
    SEGMENT,
    Season,
    Seen,
    always,
    evenly,
    play,
    rested,
    value_of,
)
from recommender.weighing.contacts import DAYS_SINCE, Contact, Contacts
from tests.makers import DAY, NOW

SEASON = Season(seed=3, days=12, tiredness=0.4)
ALIKE = replace(SEASON, own_sd=0.0)


def by_hand(season: Season, segment: int, actions: list[int]) -> float:
    """Add up what one shopper's days are expected to bring, from the formula alone."""
    total, fatigue = 0.0, 0.0
    for day, action in enumerate(actions):
        contact = action < season.offers
        odds = season.base - season.tiredness * fatigue
        if contact:
            odds += season.tastes()[segment, action]
            phase = season.phases()[segment, action]
            odds += season.drift * np.sin(2 * np.pi * day / season.period + phase)
        worth = season.worth()[action] * (1 - season.taken_back()[action])
        total += worth / (1 + np.exp(-odds))
        fatigue = season.kept * fatigue + contact
    return total


@pytest.mark.parametrize("action", ["offer-0", "offer-2", NOTHING])
def test_a_fixed_sequence_is_worth_what_the_formula_says(action: str) -> None:
    played = play(ALIKE, always(ALIKE, action), shoppers=50, seed=1)
    number = ALIKE.actions.index(action)
    for shopper in range(5):
        expected = by_hand(ALIKE, int(played.segment[shopper]), [number] * ALIKE.days)
        assert played.expected[shopper].sum() == pytest.approx(expected, rel=1e-12)


def test_any_drawn_sequence_is_worth_what_the_formula_says() -> None:
    played = play(ALIKE, evenly(ALIKE), shoppers=20, seed=2)
    for shopper in range(20):
        expected = by_hand(ALIKE, int(played.segment[shopper]), played.action[shopper].tolist())
        assert played.expected[shopper].sum() == pytest.approx(expected, rel=1e-12)


def test_rewards_are_what_is_expected_on_average() -> None:
    played = play(SEASON, evenly(SEASON), shoppers=20_000, seed=4)
    error = (played.reward - played.expected).sum(axis=1)
    assert abs(error.mean()) < 4 * error.std() / np.sqrt(len(error))


def test_actions_are_drawn_by_their_chances() -> None:
    chances = np.array([0.1, 0.2, 0.3, 0.4])
    played = play(
        SEASON,
        lambda seen: np.tile(chances, (len(seen.columns[SEGMENT]), 1)),
        shoppers=5000,
        seed=1,
    )
    shares = np.bincount(played.action.ravel()) / played.action.size
    np.testing.assert_allclose(shares, chances, atol=4 * np.sqrt(0.25 / played.action.size))
    np.testing.assert_allclose(played.propensity, chances[played.action])


def test_the_same_seed_lives_the_same_life() -> None:
    first, again, other = (play(SEASON, evenly(SEASON), shoppers=30, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.reward, again.reward)
    np.testing.assert_array_equal(first.action, again.action)
    assert (first.action != other.action).any()


def test_to_rest_earns_more_than_to_contact_every_day() -> None:
    season = Season(seed=3)
    resting, se = value_of(season, rested(season, days=2), shoppers=4000, seed=1)
    for other in (rested(season, days=0), evenly(season), always(season, NOTHING)):
        value, error = value_of(season, other, shoppers=4000, seed=1)
        assert resting - value > 4 * np.hypot(se, error)


def test_an_offer_earns_more_at_once_than_to_wait() -> None:
    day = replace(SEASON, days=1)
    waiting, _ = value_of(day, always(day, NOTHING), shoppers=2000, seed=1)
    for offer in day.actions[:-1]:
        value, error = value_of(day, always(day, offer), shoppers=2000, seed=1)
        assert value - waiting > 4 * error


def test_late_rewards_count_less() -> None:
    plain, _ = value_of(ALIKE, always(ALIKE, NOTHING), shoppers=10, seed=1)
    faded, _ = value_of(ALIKE, always(ALIKE, NOTHING), shoppers=10, seed=1, discount=0.5)
    each = plain / ALIKE.days
    assert faded == pytest.approx(each * (1 - 0.5**ALIKE.days) / 0.5)


def test_what_is_seen_is_what_the_log_says_up_to_then() -> None:
    """The columns of the simulator are those of `contacts.py`, from what has happened by then."""
    season = replace(SEASON, days=40, base=-1.0, late=3.0, refunds=0.8)
    played = play(season, evenly(season), shoppers=8, seed=5)
    x = played.encode(season.features)
    for shopper in range(8):
        for day in range(0, season.days, 3):
            said = _contacts(season, played.action[shopper], played, shopper, day)
            said[SEGMENT] = f"s{played.segment[shopper]}"
            np.testing.assert_allclose(
                x[shopper, day], season.features.encode(said), rtol=0, atol=1e-9
            )


def _contacts(
    season: Season, actions: np.ndarray, played: object, shopper: int, day: int
) -> dict[str, object]:
    now = NOW + day * DAY
    given = [
        Contact(NOW + past * DAY, season.actions[actions[past]])
        for past in reversed(range(day))
        if actions[past] < season.offers
    ]
    ordered = np.arange(season.days) + played.ordered_after[shopper]  # type: ignore[attr-defined]
    refunded = np.arange(season.days) + played.refunded_after[shopper]  # type: ignore[attr-defined]
    came = ordered <= day
    came[day:] = False
    values = played.order_value[shopper]  # type: ignore[attr-defined]
    kept = came & (refunded > day)
    last = None if not came.any() else NOW + timedelta(days=float(ordered[came].max()))
    lately = [contact for contact in given if now - contact.at < 30 * DAY]
    return Contacts(lately, last, float(values[kept].sum())).attributes(now=now)


def test_a_season_without_anything_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a segment"):
        Season(seed=1, days=0)


def test_a_policy_is_told_the_days_since_the_last_contact() -> None:
    days: list[float] = []

    def choose(seen: Seen) -> np.ndarray:
        days.append(float(seen.columns[DAYS_SINCE][0]))
        return always(SEASON, NOTHING if seen.day else "offer-1")(seen)

    play(SEASON, choose, shoppers=1, seed=1)
    assert days[:4] == [30.0, 1.0, 2.0, 3.0]
