"""What campaigns gave customers lately and how that was answered, for policies that look at it.

It is a column of the statement that recalls customers, so that it costs no round trip, and nothing
where no policy asks. Everything is as of the moment of the question.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

from audience.commerce import ORDERED, REVERSALS
from recommender.decision_ids import first_id_at
from recommender.weighing.contacts import MONTH, MOST_CONTACTS, VALUED_FOR, Contact, Contacts

# For each campaign: its newest contacts, when its reward last happened, and what it has brought.
# One customer at a time is what the indexes hold, as for `LAST_DECISIONS`. Of a slate the first
# place stands for all of it.
CONTACTS: LiteralString = """,
    (SELECT COALESCE(jsonb_object_agg(watched.campaign, jsonb_build_array(
                given.offers, answer.last_at, answer.value)), '{}')
     FROM unnest(%(watched)s::text[], %(watched_events)s::text[]) AS watched (campaign, event)
     CROSS JOIN LATERAL (
         SELECT COALESCE(jsonb_agg(jsonb_build_array(newest.at, newest.offer)
                                   ORDER BY newest.at DESC), '[]') AS offers
         FROM (
             SELECT each.at, each.offer
             FROM unnest(person.ids) AS same (id)
             CROSS JOIN LATERAL (
                 SELECT decision.decided_at AS at, decision.offer
                 FROM recommender_decision AS decision
                 WHERE decision.customer_id = same.id AND decision.campaign = watched.campaign
                   AND decision.id >= %(contacts_since)s AND decision.decided_at <= %(moment)s
                   AND decision.position = 0 AND decision.offer <> ALL(%(silent)s::text[])
                 ORDER BY decision.decided_at DESC LIMIT %(most_contacts)s) AS each
             ORDER BY each.at DESC LIMIT %(most_contacts)s) AS newest) AS given
     CROSS JOIN LATERAL (
         SELECT max(event.occurred_at) FILTER (WHERE event.name = watched.event) AS last_at,
                COALESCE(sum(CASE WHEN event.name = watched.event THEN COALESCE(event.value, 1)
                                  ELSE -abs(COALESCE(event.value, 0)) END), 0) AS value
         FROM audience_event AS event
         WHERE event.customer_id = ANY(person.ids)
           AND event.name = ANY(CASE WHEN watched.event = %(ordered)s
                                     THEN %(ordered_names)s::text[] ELSE ARRAY[watched.event] END)
           AND event.occurred_at >= %(valued_since)s
           AND event.occurred_at <= %(moment)s) AS answer)
"""


@dataclass(frozen=True, slots=True)
class Watched:
    """Whose contacts have to be known.

    Attributes:
        events: The event that is rewarded, by the campaign's key.
        silent: Keys of the offers that stand for nothing, which is no contact.
    """

    events: Mapping[str, str]
    silent: frozenset[str] = frozenset()


def bind_contacts(watched: Watched, *, now: datetime) -> dict[str, Any]:
    """Write the parameters of `CONTACTS`, but for the moment."""
    return {
        "watched": list(watched.events),
        "watched_events": list(watched.events.values()),
        "silent": sorted(watched.silent),
        "contacts_since": first_id_at(now - MONTH),
        "valued_since": now - VALUED_FOR,
        "most_contacts": MOST_CONTACTS,
        "ordered": ORDERED,
        "ordered_names": [ORDERED, *REVERSALS],
    }


def to_contacts(column: Mapping[str, Sequence[Any]]) -> dict[str, Contacts]:
    """Read what `CONTACTS` found, by the campaign's key."""
    return {
        campaign: Contacts(
            given=tuple(Contact(datetime.fromisoformat(at), offer) for at, offer in offers),
            answered_at=None if last_at is None else datetime.fromisoformat(last_at),
            value=float(value),
        )
        for campaign, (offers, last_at, value) in column.items()
    }
