"""Collect what a person needs to judge rankers: customers' histories, and what each would show."""

from dataclasses import dataclass
from datetime import datetime

from recommender.ranking.interactions import read_history, read_names
from recommender.ranking.models import RankerVersion, Ranking, TopPicks

CUSTOMERS = 6
# So many versions stand beside each other, the newest first.
VERSIONS = 3
EVENTS = 8
SHOWN = 8


@dataclass(frozen=True, slots=True)
class Met:
    """An event of a history."""

    at: datetime
    event: str
    product: str


@dataclass(frozen=True, slots=True)
class Example:
    """A customer by key, their newest events, and each version's list by its number."""

    customer: str
    history: list[Met]
    lists: list[tuple[int, list[str]]]


def find_examples(ranking: Ranking, *, now: datetime) -> list[Example]:
    """Return some customers of whom the newest versions have lists, always the same ones."""
    versions = list(
        RankerVersion.objects.filter(ranking=ranking, picks__isnull=False)
        .distinct()
        .defer("state", "followers")[:VERSIONS]
    )
    if not versions:
        return []
    picks = TopPicks.objects.filter(version=versions[0], customer__isnull=False)
    customers = dict(
        picks.order_by("customer").values_list("customer", "customer__external_key")[:CUSTOMERS]
    )
    lists: dict[tuple[int, int], list[str]] = {}
    for found in TopPicks.objects.filter(version__in=versions, customer__in=customers):
        assert found.customer_id is not None, "they were asked for by their customers"
        lists[found.version_id, found.customer_id] = found.items[:SHOWN]
    shown = {item for items in lists.values() for item in items}
    names = read_names(ranking.event_weights, shown, until=now)
    return [
        Example(
            customer=key,
            history=[
                Met(at, event, name or item)
                for at, event, item, name in read_history(
                    customer, ranking.event_weights, until=now, most=EVENTS
                )
            ],
            lists=[
                (
                    version.number,
                    [names.get(item, item) for item in lists.get((version.pk, customer), [])],
                )
                for version in versions
            ],
        )
        for customer, key in customers.items()
    ]
