"""Hears of orders that are taken back, and notes whose rewards are to be looked at again."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from django.db import connection as django_connection
from psycopg import AsyncConnection

from audience.commerce import ORDERED, REPEATED, REVERSALS
from audience.intake.listening import Brought, Changed, Told

# A row for each policy that is rewarded for orders. It is a new one, and never one that is there: a
# worker that takes it may have read the events before, and waiting for it would stop the intake.
NOTE = """
    INSERT INTO recommender_reversal (policy_id, customer_id)
    SELECT policy.id, customer_id
    FROM recommender_policy AS policy, unnest(%(customers)s::bigint[]) AS customer_id
    WHERE policy.reward_event = %(ordered)s
"""

# Each is told to one worker.
TAKE_REVERSALS = """
    DELETE FROM recommender_reversal WHERE id IN (
        SELECT id FROM recommender_reversal WHERE policy_id = %(policy)s
        ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
    RETURNING customer_id
"""
# All that persons' decisions of the last months earned: an order that is taken back is one of it.
SETTLED = """
    SELECT reward.* FROM recommender_reward AS reward
    WHERE reward.policy_id = %(policy)s AND reward.settled_at IS NOT NULL
      AND reward.decision_id = ANY(ARRAY(
          SELECT decision.id
          FROM audience_customer AS told
          CROSS JOIN LATERAL (
              SELECT COALESCE(told.merged_into_id, told.id) AS id) AS person
          JOIN audience_customer AS same
            ON same.id = person.id OR same.merged_into_id = person.id
          JOIN recommender_decision AS decision ON decision.customer_id = same.id
          WHERE told.id = ANY(%(customers)s) AND decision.policy_id = %(policy)s
            AND decision.id >= %(since)s))
    ORDER BY reward.decision_id
    FOR UPDATE
"""
TAKING_BACK = frozenset([*REVERSALS, *REPEATED.values()])


async def note_reversals(connection: AsyncConnection[Any], stored: Sequence[Told]) -> None:
    """Note the customers whose orders are taken back, in the transaction at hand.

    So is an order that turns out to have come under another name of the person as well.
    """
    customers = {told.customer_id for told in stored if told.message.name in TAKING_BACK}
    if customers:
        await connection.execute(NOTE, {"customers": sorted(customers), "ordered": ORDERED})


def note_imported(brought: Brought) -> Callable[[Changed], None]:
    """Note the customers whose orders an import takes back, in the transaction at hand."""
    _note(brought.find_customers(TAKING_BACK))

    def finish(changed: Changed) -> None:
        """Note those too whose reversals had waited for orders of the import."""
        _note({told.customer_id for told in changed.come if told.message.name in TAKING_BACK})

    return finish


def _note(customers: Collection[int]) -> None:
    if customers:
        with django_connection.cursor() as cursor:
            cursor.execute(NOTE, {"customers": list(customers), "ordered": ORDERED})
