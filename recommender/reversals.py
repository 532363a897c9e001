"""Hears of orders that are taken back, and notes whose rewards are to be looked at again."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from audience.commerce import ORDERED, REPEATED, REVERSALS
from audience.listening import Told

# A row for each policy that learns from orders, which slates do not. It is a new one, and never one
# that is there: a worker that takes it may have read the events before, and waiting for it would
# stop the intake.
NOTE = """
    INSERT INTO recommender_reversal (policy_id, customer_id)
    SELECT policy.id, customer_id
    FROM recommender_policy AS policy, unnest(%(customers)s::bigint[]) AS customer_id
    WHERE policy.reward_event = %(ordered)s AND policy.ranking_id IS NULL
"""

TAKING_BACK = frozenset([*REVERSALS, *REPEATED.values()])


async def note_reversals(connection: AsyncConnection[Any], stored: Sequence[Told]) -> None:
    """Note the customers whose orders are taken back, in the transaction at hand.

    So is an order that turns out to have come under another name of the person as well.
    """
    customers = {told.customer_id for told in stored if told.message.name in TAKING_BACK}
    if customers:
        await connection.execute(NOTE, {"customers": sorted(customers), "ordered": ORDERED})
