"""A running campaign whose policy has leaves, for tests of what clients draw."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from campaigns.deciding.eligibility import Caps, OfferRules, Window
from campaigns.deciding.snapshot import (
    RunningArm,
    RunningCampaign,
    RunningOffer,
    RunningPolicy,
    Serves,
    Snapshot,
)
from experiments.growthbook.context import Context
from experiments.growthbook.evaluator import Evaluator
from experiments.growthbook.payload import Extras
from recommender.distilling.trees import distil
from recommender.weighing.features import CategoryFeature, FeatureSpec, NumberFeature
from recommender.weighing.leaves import Leaves
from recommender.weighing.odds import Odds

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SPEC = FeatureSpec((CategoryFeature("country", ("de", "fr")), NumberFeature("visits", 5.0, 2.0)))
OFFERS = ("gift", "saving", "trial")
VERSION = 12
ARMS = (
    RunningArm(1, "control", 2000, Serves.BASELINE),
    RunningArm(2, "personalised", 7000, Serves.POLICY),
    RunningArm(3, "hold-out", 1000, Serves.NOTHING),
)


def make_odds(offers: Sequence[str] = OFFERS, *, seed: int = 5) -> Odds:
    d = SPEC.size
    return Odds(
        offers=tuple(offers),
        mean=np.random.default_rng(seed).normal(0.0, 0.4, (len(offers), d)),
        factor=np.tile(0.2 * np.eye(d), (len(offers), 1, 1)),
        floor=0.02,
        features=SPEC,
        version=VERSION,
    )


def make_attributes(n: int, *, seed: int = 1) -> list[dict[str, Any]]:
    """Draw what is known of customers, of some more than of others."""
    rng = np.random.default_rng(seed)
    countries, visits = rng.choice(["de", "fr", "us"], n), rng.poisson(5, n)
    known = rng.random((n, 2)) < 0.8
    return [
        ({"country": str(country)} if has_country else {})
        | ({"visits": int(count)} if has_visits else {})
        for country, count, (has_country, has_visits) in zip(countries, visits, known, strict=True)
    ]


def make_leaves(offers: Sequence[str] = OFFERS) -> Leaves:
    return distil(make_odds(offers), SPEC.encode_many(make_attributes(800)), most=6)


LEAVES = make_leaves()


def make_offer(key: str, *, weight: int = 1, cost: int = 0, **values: Any) -> RunningOffer:
    caps = Caps(values.pop("total", None), values.pop("per_customer", None))
    is_active, priority = values.pop("is_active", True), values.pop("priority", 100)
    rules = OfferRules(key, is_active, Window(**values), caps, cost, priority)
    return RunningOffer(rules, weight, {"key": key, "headline": f"Take the {key}"})


def make_campaign(*offers: RunningOffer, **values: Any) -> RunningCampaign:
    """Make a campaign; what is not named is as usual."""
    policy = RunningPolicy(1, "summer", make_odds(), VERSION, 3600, 0.25, None, LEAVES)
    fields: Mapping[str, Any] = {
        "key": "summer",
        "placement": "home",
        "window": Window(),
        "hold_seconds": 1800,
        "experiment_id": 9,
        "seed": "summer:seed",
        "arms": ARMS,
        "offers": offers or tuple(make_offer(key, weight=n) for n, key in enumerate(OFFERS, 1)),
        "policy": replace(policy, **values.pop("policy", {})),
        **values,
    }
    return RunningCampaign(**fields)


def make_snapshot(*campaigns: RunningCampaign) -> Snapshot:
    return Snapshot(frozenset({"home"}), {"home": campaigns})


def evaluate(extras: Extras, key: str, **attributes: Any) -> Evaluator:
    """Ask for a feature, as a client that evaluates the payload itself does."""
    evaluator = Evaluator(
        Context(
            features=extras.features,
            contextual_bandits=extras.contextual_bandits,
            attributes=attributes,
        )
    )
    evaluator.feature(key)
    return evaluator


def value_of(extras: Extras, key: str = "summer", **attributes: Any) -> Any:
    context = Context(
        features=extras.features,
        contextual_bandits=extras.contextual_bandits,
        attributes=attributes,
    )
    return Evaluator(context).feature(key).value
