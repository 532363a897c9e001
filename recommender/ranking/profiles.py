"""Describe what a ranker met lately, so that it can be told later whether that has changed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import msgspec
import numpy as np

from recommender.arrays import FloatArray, IntArray
from recommender.interactions.histories import Histories
from recommender.rankers.base import Ranker
from recommender.ranking.drift import Drift, Sketch, compare_counts, compare_numbers
from recommender.ranking.interactions import SiteData

# What is compared: a stretch before the training, and one before the check.
RECENT = timedelta(days=7)
# So many customers' best scores are compared.
SCORED = 1000
MOST_KINDS = 100


class Profile(msgspec.Struct, frozen=True):
    """What happened lately, and how sure the ranker was.

    Attributes:
        events: How many events of each weight there were.
        categories: How many were about products of each category.
        prices: Of the products that they were about.
        lengths: How many each customer had.
        scores: Of the best product that each of some customers had not met.
    """

    events: dict[str, int]
    categories: dict[str, int]
    prices: Sketch
    lengths: Sketch
    scores: Sketch


class Recent:
    """What happened lately, as numbers and names."""

    def __init__(self, data: SiteData, *, until: datetime) -> None:
        """Look at the last days before a time."""
        histories = data.histories
        recent = histories.where(histories.times >= (until - RECENT).timestamp())
        self.items: IntArray = recent.items
        self.events = Counter(f"{weight:g}" for weight in recent.weights.tolist())
        counted = Counter(data.categories[item] for item in recent.items.tolist())
        self.categories = dict(counted.most_common(MOST_KINDS))
        self.prices: FloatArray = data.facts.prices[recent.items]
        self.lengths: FloatArray = recent.lengths[recent.lengths > 0].astype(np.float64)
        self.customers: IntArray = np.flatnonzero(recent.lengths)[:SCORED]


def describe(data: SiteData, ranker: Ranker, *, until: datetime) -> Profile:
    """Describe the last days before a training."""
    recent = Recent(data, until=until)
    return Profile(
        events=dict(recent.events),
        categories=recent.categories,
        prices=Sketch.of(recent.prices),
        lengths=Sketch.of(recent.lengths),
        scores=Sketch.of(best_scores(ranker, data.histories.of_customers(recent.customers))),
    )


def best_scores(ranker: Ranker, histories: Histories) -> FloatArray:
    """Return the score of the best product that each customer has not met."""
    slates = ranker.recommend(histories, k=1)
    return slates.scores[slates.items >= 0].astype(np.float64)


def compare(
    before: Profile, recent: Recent, scores: FloatArray
) -> Iterator[tuple[str, Drift | None]]:
    """Yield how far each measure moved, by its name; None where nothing can be told."""
    yield "kinds of events", compare_counts(before.events, recent.events)
    # What was rare then and is rare now is not followed up.
    yield "categories", compare_counts(before.categories, recent.categories)
    yield "prices", compare_numbers(before.prices, recent.prices)
    yield "events per customer", compare_numbers(before.lengths, recent.lengths)
    yield "scores", compare_numbers(before.scores, scores)


def renumber(data: SiteData, keys: Sequence[str]) -> Histories:
    """Return a site's histories by a version's numbers of products; others are left out."""
    number = {key: place for place, key in enumerate(keys)}
    places = np.array([number.get(item, -1) for item in data.items], dtype=np.int64)
    items = places[data.histories.items]
    known = data.histories.where(items >= 0)
    return Histories(
        starts=known.starts,
        items=items[items >= 0],
        weights=known.weights,
        times=known.times,
        n_items=len(keys),
    )
