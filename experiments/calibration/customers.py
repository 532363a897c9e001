"""Simulates customers whose earlier behaviour foretells what they do, with truths that are known.

Some customers come more often than others, by how keen they are and by their country, and some
spend more at a time. Both show before the exposure and after it, so that covariates and strata have
something to explain. Everything that is known beforehand takes few values, and amounts are
lognormal, so that every true value has a formula.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from experiments.stats.roots import find_root

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

ORDER, VISIT, CART = "Order Completed", "Site Visited", "Product Added"
# How keen customers are, and how many of them; 1 on average.
_KEENNESS, _KEEN_SHARES = np.array([0.4, 1.0, 2.5]), np.array([0.5, 0.3, 0.2])
# The shares of four countries, how often their customers come (1 on average), what they spend.
_COUNTRY_SHARES = np.array([0.6, 0.25, 0.1, 0.05])
_OFTEN = np.array([0.7, 1.2, 1.6, 2.4])
_MUCH = np.array([1.0, 0.9, 1.2, 1.5])
# Of all orders, so many come from each country.
_ORDER_SHARES = _COUNTRY_SHARES * _OFTEN
_BASKET = 20.0
# Behaviour before the exposure goes back so far, and has so many orders and visits in 28 days.
HISTORY_DAYS = 112
_ORDERS_BEFORE, _VISITS_BEFORE = 0.5, 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """Events of one name.

    Attributes:
        customer: Each event's customer, by place, not decreasing, shape (e,).
        day: When, in days after the customer's exposure; negative before. Shape (e,).
        value: What it came to, shape (e,).
    """

    customer: IntArray
    day: FloatArray
    value: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """An experiment's customers in the order in which they were exposed, and all they ever did.

    Attributes:
        is_treated: Shape (n,).
        country: A stratum known beforehand, shape (n,).
        exposed_on: Days since the experiment began, increasing, shape (n,).
        logs: What happened, by the events' name.
    """

    is_treated: BoolArray
    country: IntArray
    exposed_on: FloatArray
    logs: Mapping[str, Log]


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """What customers are like: how often they come, where from, and how freely they spend.

    Attributes:
        rate: Compared with the average of 1, shape (n,).
        country: Shape (n,).
        generosity: Standard normal, shape (n,).
    """

    rate: FloatArray
    country: IntArray
    generosity: FloatArray


@dataclass(frozen=True, slots=True)
class Amounts:
    """What orders come to: lognormal, and the orders of one customer resemble each other.

    Attributes:
        between_sd: Standard deviation of the logarithm between customers.
        within_sd: The same between the orders of one customer.
    """

    between_sd: float = 0.3
    within_sd: float = 0.52

    @property
    def log_sd(self) -> float:
        """Of the logarithm of any order."""
        return math.hypot(self.between_sd, self.within_sd)

    def draw(self, rng: np.random.Generator, people: People, customer: IntArray) -> FloatArray:
        """Draw the amount of one order for every customer named, shape (e,)."""
        own = self.between_sd * people.generosity[customer]
        noise = self.within_sd * rng.standard_normal(len(customer))
        return _BASKET * _MUCH[people.country[customer]] * np.exp(own + noise)

    def mean(self, *, cap: float = math.inf) -> float:
        """Return the mean of min(amount, cap) over all orders."""
        s, total = self.log_sd, 0.0
        for share, median in zip(_ORDER_SHARES, _BASKET * _MUCH, strict=True):
            if math.isinf(cap):
                total += share * median * math.exp(s * s / 2)
                continue
            d = math.log(cap / median) / s
            total += share * (
                median * math.exp(s * s / 2) * float(ndtr(d - s)) + cap * float(ndtr(-d))
            )
        return float(total)

    def quantile(self, level: float) -> float:
        """Return a quantile over all orders."""
        medians = np.log(_BASKET * _MUCH)

        def excess(log_value: float) -> float:
            return float(_ORDER_SHARES @ ndtr((log_value - medians) / self.log_sd)) - level

        return math.exp(find_root(excess, -20.0, 30.0, xtol=1e-12))


class Behaviour(Protocol):
    """What customers do after their exposure."""

    def draw(
        self, rng: np.random.Generator, people: People, factor: FloatArray
    ) -> Mapping[str, Log]:
        """Draw every customer's events, the treatment's effect being a factor for each of them."""
        ...


@dataclass(frozen=True, slots=True)
class Orders:
    """Customers order once or several times.

    Attributes:
        mean: Orders per customer.
        how: At most one to a customer, or any number.
        moves: What the treatment multiplies, the chance of an order or its amount.
        amounts: What orders come to.
        within_days: They come at any time up to so many days after the exposure.
    """

    mean: float
    how: Literal["once", "often"] = "once"
    moves: Literal["chance", "amount"] = "chance"
    amounts: Amounts = Amounts()
    within_days: float = 0.0

    def draw(
        self, rng: np.random.Generator, people: People, factor: FloatArray
    ) -> Mapping[str, Log]:
        """Draw every customer's orders."""
        rate = self.mean * people.rate * (factor if self.moves == "chance" else 1.0)
        if self.how == "once":
            customer = np.flatnonzero(rng.random(len(rate)) < rate)
        else:
            customer = np.repeat(np.arange(len(rate)), rng.poisson(rate))
        value = self.amounts.draw(rng, people, customer)
        if self.moves == "amount":
            value = value * factor[customer]
        return {ORDER: Log(customer, self.within_days * rng.random(len(customer)), value)}


@dataclass(frozen=True, slots=True)
class Return:
    """Customers come back once, or not at all.

    Attributes:
        chance: That they do.
        from_day: When the days begin in which they may.
        to_day: When these end.
    """

    chance: float
    from_day: float
    to_day: float

    def draw(
        self, rng: np.random.Generator, people: People, factor: FloatArray
    ) -> Mapping[str, Log]:
        """Draw every customer's visit."""
        customer = np.flatnonzero(rng.random(len(factor)) < self.chance * people.rate * factor)
        day = rng.uniform(self.from_day, self.to_day, len(customer))
        return {VISIT: Log(customer, day, np.ones(len(customer)))}


@dataclass(frozen=True, slots=True)
class Steps:
    """Customers visit, put something in the cart, and order: half as many at each step.

    Attributes:
        chance: Of an order.
    """

    chance: float

    def draw(
        self, rng: np.random.Generator, people: People, factor: FloatArray
    ) -> Mapping[str, Log]:
        """Draw how far every customer goes."""
        luck = rng.random(len(factor)) / (people.rate * factor)
        reached = (np.flatnonzero(luck < k * self.chance) for k in (4.0, 2.0, 1.0))
        return {
            name: Log(customer, np.full(len(customer), hour / 24), np.ones(len(customer)))
            for hour, (name, customer) in enumerate(zip((VISIT, CART, ORDER), reached, strict=True))
        }


def draw_sample(
    rng: np.random.Generator,
    behaviour: Behaviour,
    *,
    customers: int,
    treated: float,
    days: float,
    lift: float,
) -> Sample:
    """Draw an experiment.

    Args:
        rng: Source of randomness.
        behaviour: What customers do after their exposure.
        customers: How many there are.
        treated: The chance of being in the treatment.
        days: How long customers come in.
        lift: What the treatment adds, as a share.
    """
    country = rng.choice(len(_COUNTRY_SHARES), customers, p=_COUNTRY_SHARES)
    keenness = rng.choice(_KEENNESS, customers, p=_KEEN_SHARES)
    people = People(keenness * _OFTEN[country], country, rng.standard_normal(customers))
    amounts = behaviour.amounts if isinstance(behaviour, Orders) else Amounts()
    before = {
        ORDER: _draw_history(rng, people, _ORDERS_BEFORE, amounts),
        VISIT: _draw_history(rng, people, _VISITS_BEFORE, amounts),
    }
    is_treated = rng.random(customers) < treated
    after = behaviour.draw(rng, people, np.where(is_treated, 1.0 + lift, 1.0))
    logs = {**before, **after} | {
        name: _merge(log, after[name]) for name, log in before.items() if name in after
    }
    exposed_on = days * (np.arange(customers) + 0.5) / customers
    return Sample(is_treated, country, exposed_on, logs)


def _draw_history(rng: np.random.Generator, people: People, rate: float, amounts: Amounts) -> Log:
    counts = rng.poisson(rate * HISTORY_DAYS / 28 * people.rate)
    customer = np.repeat(np.arange(len(counts)), counts)
    day = -HISTORY_DAYS * (1.0 - rng.random(len(customer)))
    return Log(customer, day, amounts.draw(rng, people, customer))


def _merge(one: Log, other: Log) -> Log:
    customer = np.concatenate([one.customer, other.customer])
    order = np.argsort(customer, kind="stable")
    day = np.concatenate([one.day, other.day])
    value = np.concatenate([one.value, other.value])
    return Log(customer[order], day[order], value[order])
