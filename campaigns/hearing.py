"""Counts what is seen, clicked or led to, for limits in total, as the events come in.

An event is of the decision that it names (`decision_id`), or of the offer (`promotion_id` or
`offer`), as for limits per customer (`recall.py`).
"""

import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from audience.listening import Told
from campaigns.counters import lock_counters, move_counters
from campaigns.limits import Limit, Scope
from campaigns.snapshot import Snapshot
from recommender.decision_ids import DECISIONS
from wire.current import Current

GIVEN = f"SELECT id, offer, campaign, placement FROM {DECISIONS} WHERE id = ANY(%s)"


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
        told = [each for each in stored if each.message.name in names]
        if not told:
            return
        given = await _find_given(connection, told)
        added: Counter[str] = Counter()
        for each in told:
            id_ = _decision_of(each)
            decision = None if id_ is None else given.get(id_)
            for limit in snapshot.heard_limits:
                if each.message.name in limit.events and _is_of(limit, each, decision):
                    added[limit.counters(each.message.occurred_at, snapshot.zone)[0]] += 1
        await lock_counters(connection, added)
        await move_counters(connection, added)


async def _find_given(
    connection: AsyncConnection[Any], told: Collection[Told]
) -> Mapping[uuid.UUID, Given]:
    ids = {id_ for each in told if (id_ := _decision_of(each)) is not None}
    if not ids:
        return {}
    cursor = await connection.execute(GIVEN, [list(ids)])
    return {row[0]: Given(*row[1:]) for row in await cursor.fetchall()}


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
    named = (properties.get("promotion_id"), properties.get("offer"))
    if limit.scope is Scope.OFFER and limit.key in named:
        return True
    return decision is not None and limit.key == getattr(decision, limit.scope.value)
