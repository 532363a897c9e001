"""Simulate a shop in which each customer group has one offer that works best."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

SEGMENTS = ("bargain_hunter", "gift_giver", "regular", "enthusiast", "newcomer", "browser")
OFFERS = ("ten_percent_off", "free_gift_wrap", "double_points", "free_shipping", "bundle")
DEVICES = ("phone", "desktop", "tablet")
DEVICE_SHARES = (0.6, 0.3, 0.1)
VISITED = 0.9  # of all shoppers come to the shop, whatever they are offered
CLICKED = 0.3  # of visitors who do not order look at a product
MEDIAN_ORDER_CENTS = 4_500
ORDER_LOG_SD = 0.5


@dataclass(frozen=True, slots=True)
class Rates:
    """The planted order probabilities: without an offer, with a wrong one, with the best one."""

    none: float = 0.08
    wrong: float = 0.09
    best: float = 0.20

    def __post_init__(self) -> None:
        for rate in (self.none, self.wrong, self.best):
            if not 0.0 <= rate <= VISITED:
                raise ValueError(f"Order probabilities must lie in [0, {VISITED}], not {rate}.")


NO_EFFECT = Rates(none=0.08, wrong=0.08, best=0.08)


@dataclass(frozen=True, slots=True)
class Shopper:
    """One customer, as a client application would describe them."""

    key: str
    attributes: dict[str, str | float]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a shopper did; an order implies a click, and a click a visit."""

    visited: bool
    clicked: bool
    ordered: bool
    order_value_cents: int


@dataclass(frozen=True, slots=True)
class Shop:
    """Shoppers in equally large groups, told apart by their `segment` and nothing else.

    Group g's best offer is offer g, so with more offers than groups some are never best. Age and
    device are noise.

    Attributes:
        seed: Decides every shopper's attributes.
        n_groups: Customer groups, at most six.
        n_offers: Offers, at least as many as groups and at most five.
        rates: The planted order probabilities; `NO_EFFECT` makes a shop where nothing works.
    """

    seed: int
    n_groups: int = 3
    n_offers: int = 4
    rates: Rates = Rates()

    def __post_init__(self) -> None:
        if not 1 <= self.n_groups <= min(self.n_offers, len(SEGMENTS)):
            raise ValueError("A shop needs at least one group, and an offer for each.")
        if self.n_offers > len(OFFERS):
            raise ValueError(f"A shop has at most {len(OFFERS)} offers, not {self.n_offers}.")

    @property
    def segments(self) -> tuple[str, ...]:
        """Names of the groups, as shoppers' `segment` attribute."""
        return SEGMENTS[: self.n_groups]

    @property
    def offers(self) -> tuple[str, ...]:
        """Names of the offers."""
        return OFFERS[: self.n_offers]

    def shopper(self, number: int) -> Shopper:
        """Meet the shopper with this number, who is always the same."""
        rng = np.random.default_rng((self.seed, number))
        return Shopper(
            key=f"shopper-{number}",
            attributes={
                "segment": str(rng.choice(self.segments)),
                "age": round(float(rng.normal(40.0, 12.0)), 1),
                "device": str(rng.choice(DEVICES, p=DEVICE_SHARES)),
            },
        )

    def shoppers(self, n: int, *, first: int = 0) -> Iterator[Shopper]:
        """Meet n shoppers, from the number `first` on."""
        return map(self.shopper, range(first, first + n))

    def best_offer(self, shopper: Shopper) -> str:
        """Name the offer that was planted for the shopper's group."""
        return self.offers[self.segments.index(str(shopper.attributes["segment"]))]

    def order_probability(self, shopper: Shopper, offer: str | None) -> float:
        """Tell the truth: how likely the shopper orders, given this offer or none.

        Raises:
            ValueError: The shop has no such offer.
        """
        if offer is None:
            return self.rates.none
        if offer not in self.offers:
            raise ValueError(f"The shop has no offer {offer!r}.")
        return self.rates.best if offer == self.best_offer(shopper) else self.rates.wrong

    def behave(self, shopper: Shopper, offer: str | None, *, rng: np.random.Generator) -> Behaviour:
        """Let the shopper react to one offer, or to none.

        One uniform number decides all: its lowest part orders, the next only clicks, the next only
        visits. With equal generators a better offer thus never loses an order.
        """
        p = self.order_probability(shopper, offer)
        u = rng.random()
        value = MEDIAN_ORDER_CENTS * np.exp(ORDER_LOG_SD * rng.standard_normal())
        return Behaviour(
            visited=u < VISITED,
            clicked=u < p + CLICKED * (VISITED - p),
            ordered=u < p,
            order_value_cents=round(float(value)) if u < p else 0,
        )

    @property
    def conversion_without_offer(self) -> float:
        """Expected orders a shopper when nobody gets an offer."""
        return self.rates.none

    @property
    def conversion_uniform(self) -> float:
        """Expected orders a shopper when offers are drawn evenly."""
        return (self.rates.best + (self.n_offers - 1) * self.rates.wrong) / self.n_offers

    @property
    def conversion_best(self) -> float:
        """Expected orders a shopper when everybody gets the best offer for their group."""
        return self.rates.best

    @property
    def lift_best_over_uniform(self) -> float:
        """Planted relative lift of perfect personalisation over an even split."""
        return self.conversion_best / self.conversion_uniform - 1.0

    @property
    def lift_uniform_over_none(self) -> float:
        """Planted relative lift of evenly drawn offers over no offer."""
        return self.conversion_uniform / self.conversion_without_offer - 1.0
