"""Simulate shoppers who are offered something day after day, and tire of it.

Whether shopper i orders on a day, given the offer a or nothing, has the log-odds

    base + taste[segment, a] + drift[segment, a](t) + u[i, a] - tiredness · F

where everything about an offer is 0 for nothing, u is a taste of the shopper's own that nobody
sees, tastes drift with the seasons as a sine of the day, and the fatigue F falls to a part of
itself every day and rises by 1 with each contact. So an offer always earns more at once than
waiting, and costs what tired shoppers do not buy later, with or without an offer. What an order is
worth depends on the offer's discount; it comes some days late, and some orders are taken back later
still.

The truth is known. Given who they are and what they were offered, each step's expected reward is
exact, so a policy's value is a mean over the draws of offers alone: `value_of` averages as many
rollouts as one likes, and a sequence of offers fixed beforehand needs a single one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from recommender.arrays import FloatArray, IntArray
from recommender.bandits.base import Steps
from recommender.weighing.contacts import (
    DAYS_SINCE,
    LAST_MONTH,
    LAST_OFFER,
    LAST_WEEK,
    PRESSURE,
    VALUE,
    WAS_ANSWERED,
    with_contacts,
)
from recommender.weighing.features import MAX_SCALES, CategoryFeature, FeatureSpec, NumberFeature

NOTHING = "nothing"
SEGMENT = "segment"
MONTH, WEEK = 30, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Season:
    """A shop with its shoppers' tastes; every number is one that a test may change.

    Attributes:
        seed: Decides tastes and what drifts when.
        segments: How many groups of shoppers there are; they are told apart by `segment`.
        offers: How many offers there are besides nothing.
        days: How many decisions are made for each shopper, one a day.
        base: Log-odds of an order without an offer and without fatigue.
        liked: What the offer that a segment likes best adds.
        other: What any other offer adds.
        own_sd: Standard deviation of the shoppers' own tastes u.
        drift: How far tastes go up and down with the days.
        period: After how many days they are what they were.
        tiredness: What a unit of fatigue takes from the log-odds.
        kept: The part of the fatigue that is left the day after.
        order_value: What an order is worth on average.
        order_sd: Standard deviation of the logarithm of that.
        discounts: The part of it that each offer costs, at most.
        late: The mean number of days after which an order comes, or is taken back after that.
        refunds: The part of orders that each offer has taken back, at most.
    """

    seed: int
    segments: int = 2
    offers: int = 3
    days: int = 20
    base: float = -3.0
    liked: float = 1.4
    other: float = 0.5
    own_sd: float = 0.3
    drift: float = 0.2
    period: float = 28.0
    tiredness: float = 0.4
    kept: float = 0.85
    order_value: float = 1.0
    order_sd: float = 0.3
    discounts: float = 0.1
    late: float = 1.0
    refunds: float = 0.1

    def __post_init__(self) -> None:
        if min(self.segments, self.offers, self.days) < 1 or not 0.0 <= self.kept < 1.0:
            raise ValueError("A season needs a segment, an offer, a day, and fatigue that passes.")

    @property
    def actions(self) -> tuple[str, ...]:
        """Keys of what can be done: the offers, and nothing last."""
        return (*(f"offer-{number}" for number in range(self.offers)), NOTHING)

    @property
    def features(self) -> FeatureSpec:
        """What a policy that decides over time looks at."""
        return with_contacts(self.own_features, self.actions[:-1])

    @property
    def own_features(self) -> FeatureSpec:
        """What one looks at that decides each time as if there were no other."""
        names = tuple(f"s{number}" for number in range(self.segments))
        return FeatureSpec((CategoryFeature(SEGMENT, names),))

    def tastes(self) -> FloatArray:
        """Return what offers add to log-odds, (segments, offers + 1)."""
        tastes = np.full((self.segments, self.offers + 1), self.other)
        for segment in range(self.segments):
            tastes[segment, segment % self.offers] = self.liked
        tastes[:, -1] = 0.0
        return tastes

    def phases(self) -> FloatArray:
        """Return where in its season each taste begins, (segments, offers + 1)."""
        rng = np.random.default_rng((self.seed, 1))
        return rng.uniform(0.0, 2.0 * np.pi, size=(self.segments, self.offers + 1))

    def worth(self) -> FloatArray:
        """Return what an order is worth after discounts and before refunds, (offers + 1,)."""
        rng = np.random.default_rng((self.seed, 2))
        share = self.discounts * rng.random(self.offers + 1)
        share[-1] = 0.0
        value: FloatArray = self.order_value * (1.0 - share)
        return value

    def taken_back(self) -> FloatArray:
        """Return the part of orders that is taken back, (offers + 1,)."""
        return self.refunds * np.random.default_rng((self.seed, 3)).random(self.offers + 1)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a policy sees of all shoppers on one day.

    Attributes:
        day: From 0 on.
        columns: Attributes by name, each (n,).
    """

    day: int
    columns: Mapping[str, FloatArray | IntArray]
    names: Mapping[str, Sequence[str]]

    def encode(self, spec: FeatureSpec) -> FloatArray:
        """Do as `FeatureSpec.encode_many` for all shoppers at once, (n, d)."""
        n = len(self.columns[SEGMENT])
        encoded = [np.ones((n, 1))]
        for feature in spec.features:
            column = self.columns[feature.attribute]
            if isinstance(feature, NumberFeature):
                scales = (column - feature.centre) / feature.scale
                encoded.append(np.clip(scales, -MAX_SCALES, MAX_SCALES)[:, None])
            else:
                known = self.names[feature.attribute]
                places = [known.index(value) for value in feature.values]
                encoded.append((column[:, None] == np.array(places)).astype(np.float64))
        return np.concatenate(encoded, axis=1)


class Chooses(Protocol):
    """A policy: the probabilities of all actions, (n, offers + 1), by what it sees."""

    def __call__(self, seen: Seen) -> FloatArray: ...


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """What happened to n shoppers on T days; A is the number of actions.

    Attributes:
        segment: Of each shopper, (n,).
        seen: What was seen each day, of length T.
        action: What was done, (n, T).
        chances: The probabilities that it was drawn by, (n, T, A).
        reward: What an order that was not taken back was worth, 0 without, (n, T).
        expected: What was to be expected of that, (n, T).
        order_value: What an order was worth, taken back or not, (n, T).
        ordered_after: Days from the decision to the order, infinite without, (n, T).
        refunded_after: Days from the decision to its being taken back, infinite without, (n, T).
    """

    segment: IntArray
    seen: Sequence[Seen]
    action: IntArray
    chances: FloatArray
    reward: FloatArray
    expected: FloatArray
    order_value: FloatArray
    ordered_after: FloatArray
    refunded_after: FloatArray

    @property
    def propensity(self) -> FloatArray:
        """The probability of what was done, (n, T)."""
        return np.take_along_axis(self.chances, self.action[..., None], axis=2)[..., 0]

    def encode(self, spec: FeatureSpec) -> FloatArray:
        """Return what was seen, encoded, (n, T, d)."""
        return np.stack([seen.encode(spec) for seen in self.seen], axis=1)

    def steps(self, spec: FeatureSpec) -> Steps:
        """Return every day that another one followed, as what a bandit learns from."""
        x = self.encode(spec)
        n, days, d = x.shape
        rows = n * (days - 1)
        everything = np.ones((rows, self.chances.shape[2]), dtype=bool)
        return Steps(
            offer_index=self.action[:, :-1].reshape(rows),
            x=x[:, :-1].reshape(rows, d),
            eligible=everything,
            reward=self.reward[:, :-1].reshape(rows),
            days=np.ones(rows),
            next_x=x[:, 1:].reshape(rows, d),
            next_eligible=everything,
            weight=np.ones(rows),
        )


def play(season: Season, choose: Chooses, *, shoppers: int, seed: int) -> Played:
    """Let shoppers live through a season under a policy."""
    rng = np.random.default_rng((season.seed, 4, seed))
    crowd = _Crowd(season, shoppers, rng)
    seen, steps = [], []
    for day in range(season.days):
        seen.append(crowd.look(day))
        chances = choose(seen[-1])  # (n, A)
        # Scaled by their sum, so that rounding cannot leave a number beyond the last.
        ends = np.cumsum(chances, axis=1)
        action = (rng.random((shoppers, 1)) * ends[:, -1:] >= ends).sum(axis=1)
        steps.append((action, chances, *crowd.live(day, action)))
    arrays = (np.stack(each, axis=1) for each in zip(*steps, strict=True))
    return Played(crowd.segment, seen, *arrays)


def value_of(
    season: Season, choose: Chooses, *, shoppers: int, seed: int, discount: float = 1.0
) -> tuple[float, float]:
    """Return what a shopper is worth under a policy, and the standard error of that.

    It is the mean of expected rewards, day t's times discount^t, so that nothing but who they are
    and what is drawn for them is left to chance.
    """
    played = play(season, choose, shoppers=shoppers, seed=seed)
    worth = played.expected @ discount ** np.arange(season.days)  # (n, T) @ (T,) -> (n,)
    return float(worth.mean()), float(worth.std(ddof=1) / np.sqrt(shoppers))


def always(season: Season, action: str) -> Chooses:
    """Do the same every day."""
    chances = (np.array(season.actions) == action).astype(np.float64)
    return lambda seen: np.tile(chances, (len(seen.columns[SEGMENT]), 1))


def evenly(season: Season) -> Chooses:
    """Do everything equally often."""
    n_actions = len(season.actions)
    return lambda seen: np.full((len(seen.columns[SEGMENT]), n_actions), 1.0 / n_actions)


def rested(season: Season, *, days: int) -> Chooses:
    """Give each segment what it likes, and nothing for so many days after."""
    liked = season.tastes().argmax(axis=1)  # (segments,)

    def choose(seen: Seen) -> FloatArray:
        chances = np.zeros((len(seen.columns[SEGMENT]), len(season.actions)))
        rests = seen.columns[DAYS_SINCE] <= days
        action = np.where(rests, season.offers, liked[seen.columns[SEGMENT]])
        chances[np.arange(len(action)), action] = 1.0
        return chances

    return choose


class _Crowd:
    """The shoppers of a season, and all that is to be remembered of them."""

    def __init__(self, season: Season, n: int, rng: np.random.Generator) -> None:
        self.season, self._rng = season, rng
        self.segment = rng.integers(season.segments, size=n)
        own = season.own_sd * rng.standard_normal((n, season.offers + 1))
        own[:, -1] = 0.0
        self._taste, self._phase = season.tastes()[self.segment] + own, season.phases()
        self._worth, self._taken_back = season.worth(), season.taken_back()
        self._fatigue = np.zeros(n)
        self._contacts = np.zeros((n, season.days), dtype=bool)
        self._last_day = np.full(n, -np.inf)
        self._last_offer = np.full(n, -1)
        # Of each day's decision: when its order came, was taken back, and what it was worth.
        self._ordered_at = np.full((n, season.days), np.inf)
        self._refunded_at = np.full((n, season.days), np.inf)
        self._value = np.zeros((n, season.days))

    def look(self, day: int) -> Seen:
        """Say what a policy sees on a day, from what has come by then alone."""
        since = np.minimum(day - self._last_day, MONTH)
        is_recent = since < MONTH
        has_come = self._ordered_at <= day
        is_kept = has_come & (self._refunded_at > day)
        came_at = np.where(has_come, self._ordered_at, -np.inf).max(axis=1)
        columns: dict[str, FloatArray | IntArray] = {
            SEGMENT: self.segment,
            DAYS_SINCE: since,
            PRESSURE: self._contacts[:, :day] @ self._fading(day),
            LAST_WEEK: self._contacts[:, max(day - WEEK + 1, 0) : day].sum(axis=1),
            LAST_MONTH: self._contacts[:, max(day - MONTH + 1, 0) : day].sum(axis=1),
            LAST_OFFER: np.where(is_recent, self._last_offer, -1),
            WAS_ANSWERED: (is_recent & (came_at >= self._last_day)).astype(np.float64),
            VALUE: np.log1p((self._value * is_kept).sum(axis=1)),
        }
        segments = [f"s{number}" for number in range(self.season.segments)]
        return Seen(day, columns, {SEGMENT: segments, LAST_OFFER: self.season.actions[:-1]})

    def _fading(self, day: int) -> FloatArray:
        """Return what contacts of all days before count for the pressure, (day,)."""
        ages = day - np.arange(day)
        return np.where(ages < MONTH, np.exp(-ages / WEEK), 0.0)

    def live(self, day: int, action: IntArray) -> tuple[FloatArray, ...]:
        """Live a day, and say what came of it in the order of `Played`'s last five arrays."""
        season, rng, each = self.season, self._rng, np.arange(len(action))
        is_contact = action < season.offers
        angle = 2.0 * np.pi * day / season.period + self._phase[self.segment, action]
        drift = season.drift * np.sin(angle) * is_contact
        odds = season.base + self._taste[each, action] + drift
        p = 1.0 / (1.0 + np.exp(season.tiredness * self._fatigue - odds))
        is_ordered = rng.random(len(action)) < p
        # Lognormal with mean 1.
        spread = np.exp(season.order_sd * rng.standard_normal(len(action)) - season.order_sd**2 / 2)
        value = self._worth[action] * spread
        is_taken_back = rng.random(len(action)) < self._taken_back[action]
        ordered = np.where(is_ordered, rng.exponential(season.late, len(action)), np.inf)
        refunded = np.where(
            is_taken_back, ordered + rng.exponential(season.late, len(action)), np.inf
        )
        self._ordered_at[:, day], self._refunded_at[:, day] = day + ordered, day + refunded
        earned = self._value[:, day] = np.where(is_ordered, value, 0.0)
        self._fatigue = season.kept * self._fatigue + is_contact
        self._contacts[:, day] = is_contact
        self._last_day = np.where(is_contact, day, self._last_day)
        self._last_offer = np.where(is_contact, action, self._last_offer)
        expected = p * self._worth[action] * (1.0 - self._taken_back[action])
        return np.where(is_taken_back, 0.0, earned), expected, earned, ordered, refunded
