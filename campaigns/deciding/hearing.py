"""Counts what is seen, clicked or led to, for limits in total, as the events come in.

An event is of the decision that it names (`decision_id`), or of the offer (`promotion_id` or
`offer`), as for limits per customer (`recall.py`). What turns out to have come under two names, and
was counted twice, is taken back.
"""

import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from typing import Any

from psycopg import AsyncConnection

from audience.commerce import REPEATED
from audience.intake.listening import Told
from campaigns.deciding.counters import lock_counters, move_counters
from campaigns.deciding.limits import Limit, Scope
from campaigns.deciding.snapshot import Snapshot
from recommender.decision_ids import DECISIONS
from wire.current import Current

GIVEN = f"SELECT id, offer, campaign, placement FROM {DECISIONS} WHERE id = ANY(%s)"
# One of these tells what an event is of: the offer itself, or its decision.
OFFER = ("promotion_id", "offer")
NAMING = ("decision_id", *OFFER)
# What events were called that stand under another name because they had counted twice.
MEANT = {repeated: name for name, repeated in REPEATED.items()}
# By then every process has heard of a new limit.
KNOWN_AFTER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Given:
    """What a decision gave out, of which campaign and where."""

    offer: str | None
    campaign: str
    placement: str


class HeardLimits:
    """Listens for the events that limits in total count."""

    def __init__(self, campaigns: Current[Snapshot]) -> None:
        """Know the limits by `campaigns`."""
        self._campaigns = campaigns

    async def __call__(self, connection: AsyncConnection[Any], stored: Sequence[Told], /) -> None:
        """Move counters in the transaction at hand, which is about to be committed.

        Whoever decides reads them without a lock, so nobody waits for anybody in a circle.
        """
        snapshot = await self._campaigns.get()
        if not snapshot.heard_limits:
            return
        names = {name for limit in snapshot.heard_limits for name in limit.events}
        told = [
            each
            for each in stored
            if each.message.name in names or MEANT.get(each.message.name or "") in names
        ]
        if not told:
            return
        given: Mapping[uuid.UUID, Given] = {}
        if ids := find_named(told):
            cursor = await connection.execute(GIVEN, [ids])
            given = to_given(await cursor.fetchall())
        moved = count_heard(told, snapshot.heard_limits, given=given, zone=snapshot.zone)
        await lock_counters(connection, moved)
        await move_counters(connection, moved)


def count_heard(
    told: Collection[Told],
    limits: Collection[Limit],
    *,
    given: Mapping[uuid.UUID, Given],
    zone: tzinfo,
) -> Mapping[str, int]:
    """Count by how much counters move; what had counted twice moves them back.

    Args:
        told: The events.
        limits: In total, of what is heard of.
        given: What the decisions gave out that the events name, as far as there are such.
        zone: Of the site's clock.
    """
    moved: Counter[str] = Counter()
    for each in told:
        id_ = _decision_of(each)
        decision = None if id_ is None else given.get(id_)
        name = each.message.name or ""
        for limit in limits:
            step = (name in limit.events) - (MEANT.get(name) in limit.events)
            if step and _is_of(limit, each, decision) and (step > 0 or _was_counted(limit, each)):
                moved[limit.counters(each.message.occurred_at, zone)[0]] += step
    return {counter: by for counter, by in moved.items() if by}


def _was_counted(limit: Limit, told: Told) -> bool:
    """Tell whether an event was surely heard of by a limit: in doubt it stays counted.

    A limit that goes back by what it never counted would give out more than it may.
    """
    if limit.made_at is None or told.received_at is None:
        return False
    return min(told.received_at, told.message.occurred_at) > limit.made_at + KNOWN_AFTER


def find_named(told: Collection[Told]) -> list[uuid.UUID]:
    """Return the ids of the decisions that events name."""
    return list({id_ for each in told if (id_ := _decision_of(each)) is not None})


def to_given(rows: Collection[Sequence[Any]]) -> Mapping[uuid.UUID, Given]:
    """Read the rows of `GIVEN`."""
    return {row[0]: Given(*row[1:]) for row in rows}


def _decision_of(told: Told) -> uuid.UUID | None:
    """Return the decision that an event names, if it is one at all."""
    named = told.message.properties.get("decision_id")
    try:
        return uuid.UUID(named) if isinstance(named, str) else None
    except ValueError:
        return None


def _is_of(limit: Limit, told: Told, decision: Given | None) -> bool:
    """Tell whether an event, of this decision or none, is of what is limited."""
    properties = told.message.properties
    if limit.scope is Scope.OFFER and limit.key in map(properties.get, OFFER):
        return True
    return decision is not None and limit.key == getattr(decision, limit.scope.value)
