"""Decides for an assignment's customers, by the code that decides on the site, many at a time.

What the policy thinks of them is worked out for all of them together, on the device that workers
learn on; draws, limits and the log are those of one customer who asks. Decisions, where each
customer's stands and how far the assignment is are one transaction.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from django.utils import timezone
from psycopg import AsyncConnection

from audience.customers.finding import Name
from campaigns.assigning.planning import follow_plan
from campaigns.deciding.counters import move_counters
from campaigns.deciding.decide import Slate, Slot
from campaigns.deciding.desk import Batch, Visit
from campaigns.deciding.logbook import OVERTAKEN, write
from campaigns.deciding.recall import Held
from campaigns.deciding.snapshot import RunningCampaign
from campaigns.deciding.workbench import Workbench, alone
from campaigns.models import Assignment
from recommender.decisions import Logged, copy_decisions
from recommender.learning.sums import make_bandit
from recommender.models import Policy
from recommender.weighing.in_parts import Weigh, weigh_here, weigh_in_parts
from wire.pools import UNFIT

logger = logging.getLogger(__name__)

# So many customers share a transaction: it lasts about a second.
TOGETHER = 2_000
# While it lasts nobody else gives out what is limited.
TOGETHER_WHERE_LIMITED = 250
# So many are weighed at once: a cache full, or a gigabyte of a graphics card.
WEIGHED_AT_ONCE = {"cpu": 2_000, "cuda": 20_000}
NOT_RUNNING = "The campaign does not decide now; it goes on when it does."

CLAIM = """
    SELECT reached FROM campaigns_assignment
    WHERE id = %(assignment)s AND finished_at IS NULL FOR NO KEY UPDATE SKIP LOCKED
"""
NEXT = """
    SELECT customer.id, customer.external_key FROM campaigns_assigned AS assigned
    JOIN audience_customer AS customer ON customer.id = assigned.customer_id
    WHERE assigned.assignment_id = %(assignment)s AND assigned.customer_id > %(reached)s
    ORDER BY assigned.customer_id LIMIT %(limit)s
"""
NOTE = """
    UPDATE campaigns_assigned AS assigned
    SET decision_id = made.decision_id, arm = made.arm, offer = made.offer,
        propensity = made.propensity
    FROM unnest(%(customers)s::bigint[], %(decisions)s::uuid[], %(arms)s::text[],
                %(offers)s::text[], %(propensities)s::float[])
        AS made (customer_id, decision_id, arm, offer, propensity)
    WHERE assigned.assignment_id = %(assignment)s AND assigned.customer_id = made.customer_id
"""
MOVE = """
    UPDATE campaigns_assignment SET reached = %(reached)s, done = done + %(count)s, problem = ''
    WHERE id = %(assignment)s
"""
FINISH = "UPDATE campaigns_assignment SET finished_at = %(now)s WHERE id = %(assignment)s"


class Assigner(Workbench):
    """Decides for whole audiences, some customers at a time."""

    def __init__(
        self, *, device: str = "cpu", clock: Callable[[], datetime] = timezone.now
    ) -> None:
        """Weigh on a device; connect when somebody is first decided for."""
        super().__init__()
        self._device = device
        self._clock = clock

    def assign_some(self, assignment: Assignment) -> int | None:
        """Decide for the next customers of an assignment.

        Returns:
            For how many; None where nothing can be done now: it is finished, somebody else is at
            it, or the campaign does not decide.
        """
        self.refresh()
        campaign, now = self.find(assignment.campaign.key), self._clock()
        if campaign is None or not campaign.window.holds(now):
            Assignment.objects.filter(pk=assignment.pk).update(problem=NOT_RUNNING)
            return None
        campaign = follow_plan(assignment, campaign, now=now, zone=self.snapshot.zone)
        # What is planned needs no bandit.
        weigh = weigh_here if campaign.policy.plan else self._weigh(assignment)
        return self.runner.run(self._assign(assignment.pk, campaign, weigh))

    def _weigh(self, assignment: Assignment) -> Weigh:
        """Return what weighs the offers for many customers on the device."""
        policy: Policy = assignment.campaign.policy
        return partial(
            weigh_in_parts,
            weigh=make_bandit(policy, device=self._device).weights_many,
            at_once=WEIGHED_AT_ONCE["cpu" if self._device == "cpu" else "cuda"],
        )

    async def _assign(
        self, assignment_id: int, campaign: RunningCampaign, weigh: Weigh
    ) -> int | None:
        now = self._clock()
        connection = await self.connect(now=now)
        try:
            return await self._assign_in(connection, assignment_id, campaign, weigh, now)
        except OVERTAKEN:
            return await self._assign_in(connection, assignment_id, campaign, weigh, now)
        except UNFIT:
            await self.disconnect()
            raise

    async def _assign_in(
        self,
        connection: AsyncConnection[Any],
        assignment_id: int,
        campaign: RunningCampaign,
        weigh: Weigh,
        now: datetime,
    ) -> int | None:
        limit = TOGETHER_WHERE_LIMITED if campaign.counters else TOGETHER
        params: dict[str, Any] = {"assignment": assignment_id, "limit": limit, "now": now}
        async with connection.transaction():
            claimed = await (await connection.execute(CLAIM, params)).fetchone()
            if claimed is None:
                return None
            params["reached"] = claimed[0]
            customers = await (await connection.execute(NEXT, params)).fetchall()
            if not customers:
                await connection.execute(FINISH, params)
                return None
            visits = [Visit(Name(key), {campaign.placement: 1}, {}) for _, key in customers]
            batch = Batch(alone(self.snapshot, campaign), visits, now)
            await batch.recall(connection)
            batch.decide(weigh=weigh)
            await _log(connection, batch, campaign.placement)
            slates = [slates[campaign.placement] for slates in batch.slates]
            ids = [id_ for id_, _ in customers]
            await connection.execute(NOTE, params | _to_notes(ids, slates))
            await connection.execute(MOVE, params | {"reached": ids[-1], "count": len(ids)})
        return len(ids)


async def _log(connection: AsyncConnection[Any], batch: Batch, placement: str) -> None:
    """Log what was decided anew, in the transaction at hand."""
    decisions: list[tuple[int | None, Logged]] = []
    for customer, slates in zip(batch.known, batch.slates, strict=True):
        slate = slates[placement]
        if slate is not None:
            new = (slot.decision for slot in slate.slots if isinstance(slot, Slot))
            decisions += [(customer.id, decision) for decision in new]
    await copy_decisions(connection, decisions)
    await write(connection, replace(batch.unlogged(), decisions=()), batch.ids)
    await move_counters(connection, batch.tally.added)


def _to_notes(ids: Sequence[int], slates: Sequence[Slate | None]) -> dict[str, Any]:
    """Write where each customer stands; who falls into no arm stays without a decision."""
    made: dict[int, Logged | Held] = {}
    for id_, slate in zip(ids, slates, strict=True):
        if slate is not None and slate.slots:
            slot = slate.slots[0]
            made[id_] = slot.decision if isinstance(slot, Slot) else slot.held
    return {
        "customers": list(made),
        "decisions": [each.id for each in made.values()],
        "arms": [each.arm for each in made.values()],
        "offers": [each.offer or "" for each in made.values()],
        "propensities": [float(each.propensity) for each in made.values()],
    }
