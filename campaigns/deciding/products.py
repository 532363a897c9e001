"""Put a customer's own products into an offer that has a ranking."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from recommender.listing.lists import Listed, Sorted
from recommender.listing.products import to_plain_product
from recommender.ranking.reading import Lists

# Nobody looks at more of them in one offer.
MOST_PRODUCTS = 20

Said = Mapping[str, Any]
# What an offer says; None, where it stands for nothing.
Content = TypeVar("Content", Said, Said | None)


def choose_products(content: Said | None, lists: Lists, customer_id: int | None) -> Listed | None:
    """Return the customer's list of the ranking that an offer has; None without either."""
    ranking = None if content is None else content.get("ranking")
    return None if ranking is None else lists.find(ranking, customer_id)


def best_of(listed: Listed | None) -> Sequence[str]:
    """Return the keys of the products that an offer comes with, by the ranking's rules."""
    return () if listed is None else Sorted(listed).best(MOST_PRODUCTS)


def with_products(content: Content, keys: Sequence[str], lists: Lists) -> Content:
    """Return what an offer says with these products; without a ranking, as it is."""
    if content is None or "ranking" not in content:
        return content
    return {**content, "products": [to_plain_product(lists.product(key)) for key in keys]}
