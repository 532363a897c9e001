"""Log decisions, each with the reward that it is waiting for."""

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from recommender.decision_ids import DECISIONS

# One statement for any number of decisions: a pending reward is made with its decision or not
# at all.
LOG = f"""
    WITH item AS (
        SELECT * FROM jsonb_to_recordset(%(items)s) AS item (
            id uuid, decided_at timestamptz, customer_id bigint, campaign text, placement text,
            arm text, policy_id bigint, policy_version integer, offer text,
            propensity double precision, eligible text[], weights double precision[],
            features double precision[], reasons jsonb, held_back boolean, due_at timestamptz)
    ), logged AS (
        INSERT INTO {DECISIONS} (id, decided_at, customer_id, campaign, placement, arm, policy_id,
            policy_version, offer, propensity, eligible, weights, features, reasons, held_back)
        SELECT id, decided_at, customer_id, campaign, placement, arm, policy_id,
            policy_version, offer, propensity, eligible, weights, features, reasons, held_back
        FROM item
    )
    INSERT INTO recommender_reward (decision_id, policy_id, due_at)
    SELECT id, policy_id, due_at FROM item WHERE policy_id IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Logged:
    """A decision as it is written to the log; `weights` belong to `eligible`, place by place."""

    id: uuid.UUID
    decided_at: datetime
    customer_id: int
    campaign: str
    placement: str
    arm: str
    policy_id: int | None
    policy_version: int | None
    offer: str | None
    propensity: float
    due_at: datetime
    eligible: Sequence[str] = ()
    weights: Sequence[float] = ()
    features: Sequence[float] = ()
    reasons: Sequence[str] = field(default_factory=tuple)
    held_back: bool = False

    def to_row(self) -> dict[str, Any]:
        """Write the decision as JSON values."""
        row = asdict(self)
        row.update(
            id=str(self.id), decided_at=self.decided_at.isoformat(), due_at=self.due_at.isoformat()
        )
        return row


async def log_decisions(connection: AsyncConnection, decisions: Sequence[Logged]) -> None:
    """Log decisions in the transaction at hand."""
    await connection.execute(LOG, {"items": Jsonb([decision.to_row() for decision in decisions])})
