"""Reads which policies publish nothing, and whose sums are wrong, for Prometheus."""

from collections.abc import Sequence
from typing import Any, LiteralString

from prometheus_client.core import GaugeMetricFamily, Metric
from psycopg import AsyncConnection

FOUND: LiteralString = """
    SELECT policy.key, policy.sums_are_wrong, EXISTS (
        SELECT FROM recommender_publishinghold AS hold
        WHERE hold.policy_id = policy.id AND hold.released_at IS NULL)
    FROM recommender_policy AS policy ORDER BY policy.key
"""


async def read_policy_gauges(connection: AsyncConnection[Any]) -> Sequence[Metric]:
    """Return what somebody should look at of each policy."""
    held = GaugeMetricFamily(
        "offerlab_policy_publishing_held",
        "Whether a check has failed, and the policy publishes nothing until somebody releases it.",
        labels=["policy"],
    )
    wrong = GaugeMetricFamily(
        "offerlab_policy_sums_wrong",
        "Whether what the policy has stored is not what its log comes to.",
        labels=["policy"],
    )
    for policy, sums_are_wrong, is_held in await (await connection.execute(FOUND)).fetchall():
        held.add_metric([policy], float(is_held))
        wrong.add_metric([policy], float(sums_are_wrong))
    return [held, wrong]
