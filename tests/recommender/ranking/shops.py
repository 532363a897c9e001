"""A shop whose customers go from one product to the next, as events in the database."""

from datetime import timedelta

import numpy as np

from audience.importing.copying import EventRow
from audience.models import Customer
from recommender.models.rankings import RankerVersion, Ranking, Status
from recommender.ranking.catalogue import update_products
from recommender.ranking.learning import train_next
from recommender.ranking.lifecycle import request_version, serve_version
from tests.makers import DAY, NOW, event_row, make_customers, make_events, unique

PRODUCTS = 24
FIRST = NOW - 60 * DAY


def make_ranking(**changes: object) -> Ranking:
    """Make a ranking of short lists."""
    return Ranking.objects.create(
        key=unique("ranking"), name="Top picks", **({"shown": 5} | changes)
    )


def serve_markov(ranking: Ranking) -> RankerVersion:
    """Train the Markov model, serve it, and take in what events say of products."""
    request_version(ranking, kind="markov", hyperparameters={}, by=None, now=NOW)
    version = train_next(now=NOW)
    assert version is not None
    if version.status != Status.SERVED:
        serve_version(version, now=NOW)
    update_products(now=NOW)
    return version


def viewed(customer: Customer, product: int, *, day: float) -> EventRow:
    """Write a look at a product, which says its name, category and price."""
    return event_row(
        customer,
        "Product Viewed",
        at=FIRST + timedelta(days=day),
        properties={
            "product_id": f"p{product:02}",
            "name": f"Product {product}",
            "category": f"shelf {product // 8}",
            "price": 10 + product,
            "url": f"https://shop.example/p{product:02}",
            "image_url": f"https://shop.example/p{product:02}.jpg",
        },
    )


def make_shop(customers: int = 240, *, visits: int = 6, seed: int = 1) -> list[Customer]:
    """Let customers walk along the products, mostly from one to the next, at times of their own."""
    rng = np.random.default_rng(seed)
    people = make_customers(customers)
    rows = []
    for customer in people:
        product, day = int(rng.integers(PRODUCTS)), float(rng.uniform(0, 5))
        for _ in range(visits):
            rows.append(viewed(customer, product, day=day))
            product = (product + (1 if rng.random() < 0.85 else int(rng.integers(2, 9)))) % PRODUCTS
            day += float(rng.uniform(7, 10))
    make_events(rows)
    return people
