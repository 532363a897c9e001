"""Read what the last checks found of served rankers, for Prometheus."""

from collections.abc import Sequence
from typing import Any, LiteralString

import msgspec
from prometheus_client.core import GaugeMetricFamily, Metric
from psycopg import AsyncConnection

SERVED: LiteralString = """
    SELECT ranking.key, extract(epoch FROM now() - version.requested_at)::float8,
           extract(epoch FROM now() - newest.checked_at)::float8, newest.findings::text
    FROM recommender_rankerversion AS version
    JOIN recommender_ranking AS ranking ON ranking.id = version.ranking_id
    LEFT JOIN LATERAL (
        SELECT checked_at, findings FROM recommender_rankercheck
        WHERE version_id = version.id ORDER BY checked_at DESC LIMIT 1) AS newest ON true
    WHERE version.status = 'served' ORDER BY ranking.key
"""


async def read_gauges(connection: AsyncConnection[Any]) -> Sequence[Metric]:
    """Return how old each served version is, and what was found of it last."""
    rows = await (await connection.execute(SERVED)).fetchall()
    age = GaugeMetricFamily(
        "offerlab_ranking_age_seconds",
        "How long ago the events end that the served version learned from.",
        labels=["ranking"],
    )
    checked = GaugeMetricFamily(
        "offerlab_ranking_checked_seconds",
        "How long ago the served version was checked.",
        labels=["ranking"],
    )
    found = GaugeMetricFamily(
        "offerlab_ranking_finding",
        "What was found of the served version: drift as PSI, shares of one.",
        labels=["ranking", "what"],
    )
    alarms = GaugeMetricFamily(
        "offerlab_ranking_alarm",
        "Whether somebody should look at what was found of the served version.",
        labels=["ranking", "what"],
    )
    for ranking, seconds, checked_seconds, findings in rows:
        age.add_metric([ranking], seconds)
        if findings is None:
            continue
        checked.add_metric([ranking], checked_seconds)
        for finding in msgspec.json.decode(findings):
            alarms.add_metric([ranking, finding["name"]], float(finding["is_alarm"]))
            if finding["value"] is not None:
                found.add_metric([ranking, finding["name"]], finding["value"])
    return [age, checked, found, alarms]
