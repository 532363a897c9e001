"""What happened to a person, newest first and a page at a time: one function for each kind.

A kind is a function that returns its newest entries after a place in the order, so another kind
is one more function. Entries are ordered by time, then by kind, then by id, so that no page
boundary loses or repeats one, however many happened at the same instant.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from django.db.models import Q, QuerySet

from audience.models import ConsentChange, Event
from campaigns.customers.explaining import name_offer, say_share
from campaigns.models import Campaign, Delivery, Offer
from experiments.models import Exposure
from recommender.models import Decision

PAGE = 50
SHOWN_PROPERTIES = 8


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened, in words."""

    at: datetime
    kind: str
    id: str
    title: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the order: right after the entry of this time, kind and id."""

    at: datetime
    kind: str
    id: str

    @property
    def text(self) -> str:
        """The place, for an address."""
        return f"{self.at.isoformat()}~{self.kind}~{self.id}"

    @staticmethod
    def read(text: str) -> "Place":
        """Return the place that an address names.

        Raises:
            ValueError: It names none.
            ValidationError: The id is none of the kind's.
        """
        at, kind, id_ = text.split("~")
        moment = datetime.fromisoformat(at)
        if kind not in KINDS or moment.tzinfo is None:
            raise ValueError("There is no such place in a timeline.")
        # What is no id of this kind is refused here, not by the database.
        KINDS[kind].model._meta.get_field("id").clean(id_, None)
        return Place(moment, kind, id_)


@dataclass(frozen=True, slots=True)
class Timeline:
    """A page of entries, and where the next one begins; None where there is none."""

    entries: Sequence[Entry]
    next_place: Place | None


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of entries: whose rows they are, when, and how they are said."""

    model: Any
    time: str
    say: Callable[[Sequence[Any]], list[tuple[str, tuple[str, ...]]]]
    related: tuple[str, ...] = ()

    def find(self, customer_ids: Sequence[int], after: Q) -> "QuerySet[Any]":
        """Return a person's rows, the newest first."""
        rows: QuerySet[Any] = (
            self.model.objects.filter(after, customer_id__in=customer_ids)
            .select_related(*self.related)
            .order_by(f"-{self.time}", "-id")
        )
        return rows


def read_timeline(
    customer_ids: Sequence[int], *, after: Place | None = None, page: int = PAGE
) -> Timeline:
    """Return what happened to the person of these names, one query (or two) a kind."""
    found: list[tuple[datetime, int, Any, str, Any]] = []
    for rank, (name, kind) in enumerate(KINDS.items()):
        rows = kind.find(customer_ids, _after(kind, name, after))[: page + 1]
        found += [(getattr(row, kind.time), -rank, row.id, name, row) for row in rows]
    found.sort(key=lambda one: one[:3], reverse=True)
    shown = list(islice(found, page))
    said = _say(shown)
    entries = [Entry(at, name, str(id_), *said[name, id_]) for at, _rank, id_, name, _row in shown]
    last = entries[-1] if len(found) > page else None
    return Timeline(entries, None if last is None else Place(last.at, last.kind, last.id))


def _after(kind: Kind, name: str, after: Place | None) -> Q:
    """Return the condition of rows that come after a place in the order of all kinds."""
    if after is None:
        return Q()
    ranks = list(KINDS)
    if ranks.index(name) > ranks.index(after.kind):
        return Q(**{f"{kind.time}__lte": after.at})
    earlier = Q(**{f"{kind.time}__lt": after.at})
    if name != after.kind:
        return earlier
    # The first condition by itself lets the database leave out whole months.
    same_time = Q(**{kind.time: after.at, "id__lt": after.id})
    return Q(**{f"{kind.time}__lte": after.at}) & (earlier | same_time)


def _say(shown: Sequence[Any]) -> dict[tuple[str, Any], tuple[str, tuple[str, ...]]]:
    """Say the entries of each kind together, so that names are looked up once."""
    said: dict[tuple[str, Any], tuple[str, tuple[str, ...]]] = {}
    for name, kind in KINDS.items():
        rows = [row for *_, other, row in shown if other == name]
        words = kind.say(rows) if rows else []
        said |= {(name, row.id): one for row, one in zip(rows, words, strict=True)}
    return said


def _say_events(events: Sequence[Event]) -> list[tuple[str, tuple[str, ...]]]:
    return [
        (
            event.name if event.value is None else f"{event.name}: {event.value:g}",
            tuple(
                f"{name}: {str(value)[:200]}"
                for name, value in islice(event.properties.items(), SHOWN_PROPERTIES)
            )
            if isinstance(event.properties, dict)
            else (),
        )
        for event in events
    ]


def _say_decisions(decisions: Sequence[Decision]) -> list[tuple[str, tuple[str, ...]]]:
    offers = dict(
        Offer.objects.filter(key__in={d.offer for d in decisions}).values_list("key", "name")
    )
    campaigns = dict(
        Campaign.objects.filter(key__in={d.campaign for d in decisions}).values_list("key", "name")
    )
    return [
        (
            f"{campaigns.get(d.campaign, d.campaign)}: "
            + ("no offer" if d.offer is None else name_offer(d.offer, offers)),
            (
                f"in {d.placement}, arm {d.arm}, by a chance of {say_share(d.propensity)}",
                *map(str, d.reasons if isinstance(d.reasons, list) else ()),
            ),
        )
        for d in decisions
    ]


def _say_exposures(exposures: Sequence[Exposure]) -> list[tuple[str, tuple[str, ...]]]:
    return [(f"Met {one.experiment.name}, arm {one.arm.name}", ()) for one in exposures]


def _say_consents(changes: Sequence[ConsentChange]) -> list[tuple[str, tuple[str, ...]]]:
    return [
        (
            f"{one.get_state_display()}: {one.purpose} by {one.get_channel_display().lower()}",
            (f"known by {one.source}",),
        )
        for one in changes
    ]


def _say_deliveries(deliveries: Sequence[Delivery]) -> list[tuple[str, tuple[str, ...]]]:
    return [
        (
            f"{one.campaign.name}, {one.step.name}: {one.get_state_display().lower()}",
            (one.reason,) if one.reason else (),
        )
        for one in deliveries
    ]


KINDS = {
    "event": Kind(Event, "occurred_at", _say_events),
    "decision": Kind(Decision, "decided_at", _say_decisions),
    "exposure": Kind(Exposure, "exposed_at", _say_exposures, ("experiment", "arm")),
    "delivery": Kind(Delivery, "created_at", _say_deliveries, ("step", "campaign")),
    "consent": Kind(ConsentChange, "changed_at", _say_consents),
}
