"""Collect what a person needs to judge rankers: customers' histories, and what each would show."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from recommender.listing.lists import Sorted
from recommender.models.rankings import RankerVersion, Ranking, TopPicks
from recommender.ranking.interactions import read_history, read_names
from recommender.ranking.looking import find_lists
from recommender.ranking.reasons import read_reasons
from recommender.ranking.wording import say_reasons

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
    """A customer by key, their newest events, and each version's list by its number.

    `shown` is what the served version's list comes to by the rules; None while nothing is served.
    `reasons` say why a version's first product comes first: its number, the product, and words.
    The empty key stands for newcomers.
    """

    customer: str
    history: list[Met]
    lists: list[tuple[int, list[str]]]
    shown: list[str] | None
    reasons: list[tuple[int, str, list[str]]]


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
    customers: dict[int | None, str] = dict(
        picks.order_by("customer").values_list("customer", "customer__external_key")[:CUSTOMERS]
    )
    customers[None] = ""
    of_these = Q(customer__in=[one for one in customers if one is not None])
    lists, reasons = {}, {}
    for found in TopPicks.objects.filter(of_these | Q(customer__isnull=True), version__in=versions):
        lists[found.version_id, found.customer_id] = found.items[:SHOWN]
        reasons[found.version_id, found.customer_id] = read_reasons(found.reasons)
    kept = find_lists([ranking.key], customers, now=now)
    shown: dict[int | None, list[str] | None] = {}
    for customer in customers:
        listed = kept.find(ranking.key, customer)
        shown[customer] = None if listed is None else Sorted(listed).best(SHOWN)
    items = {item for listed in (*lists.values(), *shown.values()) for item in listed or ()}
    items |= {each.name for some in reasons.values() for each in some if each.kind == "met"}
    names = read_names(ranking.event_weights, items, until=now)

    def named(found: Iterable[str]) -> list[str]:
        return [names.get(item, item) for item in found]

    return [
        Example(
            customer=key,
            history=_history(ranking, customer, now=now),
            lists=[
                (version.number, named(lists.get((version.pk, customer), ())))
                for version in versions
            ],
            shown=None if (by_rules := shown[customer]) is None else named(by_rules),
            reasons=[
                (
                    version.number,
                    names.get(lists[version.pk, customer][0], lists[version.pk, customer][0]),
                    say_reasons(some, names),
                )
                for version in versions
                if (some := reasons.get((version.pk, customer)))
            ],
        )
        for customer, key in customers.items()
    ]


def _history(ranking: Ranking, customer: int | None, *, now: datetime) -> list[Met]:
    if customer is None:
        return []
    events = read_history(customer, ranking.event_weights, until=now, most=EVENTS)
    return [Met(at, event, name or item) for at, event, item, name in events]
