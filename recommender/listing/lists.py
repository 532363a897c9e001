"""A customer's list of a ranking, and what a shop's rules make of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import numpy as np

from recommender.arrays import FloatArray, IntArray
from recommender.listing.business_rules import (
    Mixture,
    Ranked,
    Shelf,
    boost,
    cap_categories,
    diversify,
    leave_out,
    only_in_stock,
    within_prices,
)
from recommender.listing.products import Product

Attribute = Literal["category", "brand", "variant"]
ATTRIBUTES: tuple[Attribute, ...] = ("category", "brand", "variant")
MOST_BOOSTED = 100.0


class Boost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Products with this attribute have their score multiplied; by 0 they come last.

    Scores go from 1, of a list's last, to 2, of its best.
    """

    attribute: Attribute
    value: str
    factor: float


class Rules(msgspec.Struct, frozen=True):
    """What a shop wants of every list of a ranking.

    Attributes:
        boosts: Applied one after the other.
        price_from: The least price; with either bound, what has no known price is left out.
        price_to: The highest price.
        most_of_category: So many of each category at most; what has none is of one category.
        diversity: From 0, which looks at scores only, to 1, which looks at differences only.
        shows_sold_out: Whether what is not in stock is shown too.
        bought_days: What the customer bought in so many days is left out; 0 keeps it.
        met_days: So is whatever the customer did anything with; 0 keeps it.
    """

    boosts: tuple[Boost, ...] = ()
    price_from: float | None = None
    price_to: float | None = None
    most_of_category: int | None = None
    diversity: float = 0.0
    shows_sold_out: bool = False
    bought_days: int = 0
    met_days: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What a ranking lists for a customer, best first, and what its rules need to know.

    Attributes:
        ranking: Its key.
        version_id: The id of the version that made the list.
        version: Its number.
        items: Products' keys.
        scores: Theirs, in the ranker's own measure, shape (n,).
        products: What is said of products, by key; of some nothing is.
        hidden: Keys of what the customer bought or met, as far as the rules ask.
        rules: Of the ranking.
    """

    ranking: str
    version_id: int
    version: int
    items: tuple[str, ...]
    scores: tuple[float, ...]
    products: Mapping[str, Product] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    rules: Rules = field(default_factory=Rules)

    def product(self, key: str) -> Product:
        """Return what is said of a product; of one that nobody spoke of, its key."""
        return self.products.get(key) or Product(key)


class Sorted:
    """A list of which the rules have left out and boosted what they had to.

    Attributes:
        listed: As it was.
        ranked: What may be shown, by places in the list, best first.
    """

    def __init__(self, listed: Listed) -> None:
        """Apply all rules that look at one product at a time."""
        rules, self.listed = listed.rules, listed
        products = [listed.product(key) for key in listed.items]
        self._shelf = _shelf(products)
        self._vectors = _vectors(products) if rules.diversity else np.zeros((len(products), 0))
        scores = np.array(listed.scores, dtype=np.float64)
        # Rankers have measures of their own, some below 0; what they say is how far products are
        # apart. From 1 to 2, so that a boost by 2 brings the last one up to the best.
        spread = np.ptp(scores) if len(scores) else 0.0
        worth = 1 + (scores - scores.min(initial=np.inf)) / (spread or 1.0)
        ranked = Ranked(np.arange(len(products)), worth)
        if not rules.shows_sold_out:
            ranked = only_in_stock(ranked, self._shelf)
        ranked = leave_out(
            ranked, [n for n, key in enumerate(listed.items) if key in listed.hidden]
        )
        if rules.price_from is not None or rules.price_to is not None:
            low, high = rules.price_from or 0.0, rules.price_to
            ranked = within_prices(
                ranked, self._shelf, low=low, high=float("inf") if high is None else high
            )
        for one in rules.boosts:
            has_it = [getattr(product, one.attribute) == one.value for product in products]
            factors = dict.fromkeys(np.flatnonzero(has_it).tolist(), one.factor)
            ranked = boost(ranked, factors)
        self.ranked = ranked

    def best(self, k: int) -> list[str]:
        """Return the keys of the best k, mixed as the rules say, best first."""
        ranked, rules = self.ranked, self.listed.rules
        if rules.most_of_category is not None:
            ranked = cap_categories(ranked, self._shelf, most=rules.most_of_category)
        if rules.diversity:
            ranked = diversify(ranked, self._vectors, k=k, taste=1 - rules.diversity)
        return [self.listed.items[place] for place in ranked.items[:k].tolist()]

    def draws(self) -> "Draws":
        """Return what places of a slate are drawn from, one after the other."""
        return Draws(
            self, Mixture(self.ranked, self._vectors, taste=1 - self.listed.rules.diversity)
        )

    def categories(self) -> IntArray:
        """Return the category of each ranked product, shape (n,)."""
        return self._shelf.category[self.ranked.items]


class Draws:
    """Draw a slate place by place (Plackett–Luce): each by a softmax over what is left.

    To draw so is to take the k highest of the gains with Gumbel noise (Yellott 1977; Kool et al.
    2019), as long as gains do not change; where lists are mixed they do, and the probability of a
    slate is still the product of its places' own, each given the places above.
    """

    def __init__(self, of: Sorted, mixture: Mixture) -> None:
        """Begin with the first place."""
        self._of, self._mixture = of, mixture
        self._categories = of.categories()
        self._taken: list[int] = []

    def left(self) -> tuple[str, ...]:
        """Return the keys that the next place is drawn from, in the order of `weights`."""
        listed, places = self._of.listed, self._of.ranked.items[self._mixture.left]
        return tuple(listed.items[place] for place in places.tolist())

    def weights(self, temperature: float) -> FloatArray:
        """Return the probabilities of what is left for the next place.

        Args:
            temperature: Of two products that are as far apart as the list's best and last, the
                better one is e^(1 / temperature) times as likely.

        Raises:
            ValueError: The temperature is not above 0, or nothing is left.
        """
        if not 0 < temperature < float("inf"):
            raise ValueError(f"The temperature must be above 0 and finite, not {temperature}.")
        gains = self._mixture.gains[self._mixture.left]
        if not len(gains):
            raise ValueError("Nothing is left to draw from.")
        weights = np.exp((gains - gains.max()) / temperature)
        share: FloatArray = weights / weights.sum()
        return share

    def take(self, number: int) -> str:
        """Give the place to one of what is left, by its number there, and return its key."""
        place = int(np.flatnonzero(self._mixture.left)[number])
        category, most = int(self._categories[place]), self._of.listed.rules.most_of_category
        self._mixture.pick(place)
        self._taken.append(category)
        if most is not None and self._taken.count(category) >= most:
            self._mixture.left[self._categories == category] = False
        return self._of.listed.items[int(self._of.ranked.items[place])]


def read_boosts(said: object) -> tuple[Boost, ...]:
    """Read boosts from JSON.

    Raises:
        ValueError: It is none, in a user's words.
    """
    try:
        boosts = msgspec.convert(said, tuple[Boost, ...])
    except msgspec.ValidationError as error:
        raise ValueError(
            'Write a list such as [{"attribute": "brand", "value": "Acme", "factor": 2}]; '
            f"attributes are {', '.join(ATTRIBUTES)}. {error}"
        ) from error
    if not all(0 <= one.factor <= MOST_BOOSTED for one in boosts):
        raise ValueError(f"A factor must be in 0 … {MOST_BOOSTED:g}.")
    return boosts


def _shelf(products: list[Product]) -> Shelf:
    names = sorted({product.category for product in products})
    numbers = {name: number for number, name in enumerate(names)}
    return Shelf(
        in_stock=np.array([product.in_stock for product in products], dtype=bool),
        category=np.array([numbers[product.category] for product in products], dtype=np.int64),
        price=np.array([product.price for product in products], dtype=np.float64),
    )


def _vectors(products: list[Product]) -> FloatArray:
    """Return products' attributes as vectors of length 1, or 0 where nothing is known of one."""
    words = [
        [f"{name}={value}" for name in ATTRIBUTES if (value := getattr(product, name))]
        for product in products
    ]
    number = {word: n for n, word in enumerate(sorted({word for each in words for word in each}))}
    rows = np.zeros((len(products), len(number)))
    for row, each in zip(rows, words, strict=True):
        row[[number[word] for word in each]] = 1 / np.sqrt(max(len(each), 1))
    return rows
