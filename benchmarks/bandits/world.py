"""A campaign whose policy is known, the customers before it, and what they really do."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recommender.weighing.features import CategoryFeature, FeatureSpec, NumberFeature
from recommender.weighing.odds import Odds

SEED = 20_260_301
CAMPAIGN = "summer"
OFFERS = ("gift", "saving", "trial", "upgrade")
SPEC = FeatureSpec(
    (
        CategoryFeature("country", ("de", "fr", "us")),
        NumberFeature("visits", 5.0, 3.0),
        CategoryFeature("member", ("true",)),
    )
)
WINDOW_SECONDS = 2
# How far a customer's country and visits move the chance of an order, by offer.
LIKES = {"gift": ("de", -0.03), "saving": ("fr", 0.0), "trial": ("us", 0.01), "upgrade": ("", 0.03)}

# What the campaign is: run in Django's shell, where models can be used.
SETUP = """
from benchmarks.bandits.setting import set_up
print("KEYS=" + " ".join(set_up()))
"""


@dataclass(frozen=True, slots=True)
class Customer:
    """Somebody whom a client asks for, and what it knows of them."""

    id: str
    attributes: Mapping[str, Any]


def draw_customers(count: int, prefix: str) -> list[Customer]:
    """Draw customers, the same ones each time, of whom not everything is known."""
    rng = random.Random(f"{SEED}:{prefix}")  # noqa: S311 - nobody has to guess it
    customers: list[Customer] = []
    for number in range(count):
        attributes = {
            "country": rng.choice(["de", "fr", "us", "jp", ["de"], 7]),
            "visits": rng.choice([rng.randrange(15), rng.uniform(0, 15), "8", True]),
            "member": rng.choice([True, False, "true", 1, None]),
        }
        known = {k: v for k, v in attributes.items() if rng.random() < 0.9}
        customers.append(Customer(f"{prefix}{number}", known))
    return customers


def make_odds() -> Odds:
    """Make what a policy might have learned here: about right, and not sure of it."""
    d = SPEC.size
    mean = np.random.default_rng(SEED).normal(0.0, 0.01, (len(OFFERS), d))
    for place, offer in enumerate(OFFERS):
        country, slope = LIKES[offer]
        mean[place, 0] += 0.2
        mean[place, SPEC.names.index("visits")] += 3 * slope
        if country:
            mean[place, SPEC.names.index(f"country={country}")] += 0.15
    factor = np.tile(0.03 * np.eye(d), (len(OFFERS), 1, 1))
    return Odds(OFFERS, mean, factor, floor=0.02, features=SPEC, version=1)


def chance_of_order(attributes: Mapping[str, Any], offer: str | None) -> float:
    """Say how likely a customer orders who is shown an offer, or none."""
    if offer is None:
        return 0.1
    country, slope = LIKES[offer]
    visits = attributes.get("visits")
    is_number = isinstance(visits, int | float) and not isinstance(visits, bool)
    likes = 0.15 if country and attributes.get("country") == country else 0.0
    return 0.2 + likes + slope * ((visits if is_number else 5) - 5) / 3  # type: ignore[operator]


def target_policy(attributes: Mapping[str, Any]) -> Sequence[float]:
    """Say with which probabilities the policy that is to be judged would choose the offers."""
    favourite = {"de": 0, "fr": 1, "us": 2}.get(str(attributes.get("country")), 3)
    return [0.7 if place == favourite else 0.1 for place in range(len(OFFERS))]


def true_value(customers: Sequence[Customer]) -> float:
    """Work out what that policy earns from these customers on average."""
    values = [
        sum(
            share * chance_of_order(customer.attributes, offer)
            for offer, share in zip(OFFERS, target_policy(customer.attributes), strict=True)
        )
        for customer in customers
    ]
    return sum(values) / len(values)
