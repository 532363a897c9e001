"""Says whether the process lives, whether it can serve, and how it does."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import redis.asyncio
from django.conf import settings
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from audience.models import Scope
from audience.sources.keyring import Keyring, key_of
from campaigns.deciding.desk import Outcome
from campaigns.deciding.spool import Spool
from config.worked import read_task_gauges
from recommender.gauges import read_policy_gauges
from recommender.ranking.gauges import read_gauges
from wire.current import Current
from wire.messages import Request, Response, answer
from wire.pools import UNFIT
from wire.routes import Handler

logger = logging.getLogger(__name__)

# From a hundred microseconds to the patience of whoever waits for a lock.
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class Health:
    """The handlers for whoever runs the site, and the counting of what the others answer.

    Counters are this process's own. With `PROMETHEUS_MULTIPROC_DIR` set, an empty directory, the
    processes of one machine add theirs up.
    """

    def __init__(
        self,
        keyring: Keyring,
        *,
        held: Mapping[str, Current[object]],
        spool: Spool,
        pool: AsyncConnectionPool[AsyncConnection],
        notices: "redis.asyncio.Redis",
    ) -> None:
        """Look at what is held in memory, by name, and at what is spooled.

        What checks found of rankings is read through `pool`, and how tasks do from `notices`.
        """
        self._keyring = keyring
        self._pool = pool
        self._notices = notices
        self._held = held
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "offerlab_requests",
            "Requests answered.",
            ["route", "method", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "offerlab_request_seconds",
            "Time from a request to its answer.",
            ["route"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self._visits = Counter(
            "offerlab_visits",
            "Customers decided for, by how.",
            ["logged", "degraded"],
            registry=self._registry,
        )
        # To find the row of a table takes longer than to count in it.
        self._counter_of = cache(self._requests.labels)
        self._times_of = cache(self._seconds.labels)
        self._visits_of = cache(self._visits.labels)
        self._own = Own(held, spool)

    def routes(self) -> Mapping[tuple[str, str], Handler]:
        """Return the paths with their handlers."""
        return {
            ("GET", "/healthz"): self.healthz,
            ("GET", "/readyz"): self.readyz,
            ("GET", "/metrics"): self.metrics,
        }

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answer; whatever somebody makes up as a method is one row together."""
        known = method if method in METHODS else "other"
        self._counter_of(route, known, status).inc()
        self._times_of(route).observe(seconds)

    def observe_visit(self, outcome: Outcome) -> None:
        """Count a visit, by how it was served."""
        row = str(outcome.is_logged).lower(), str(outcome.is_degraded).lower()
        self._visits_of(*row).inc()

    async def healthz(self, request: Request) -> Response:
        """Say that the process lives; nothing else is asked."""
        return Response(200, b"ok", content_type="text/plain")

    async def readyz(self, request: Request) -> Response:
        """Say whether requests may come.

        They may once everything was read into memory. If the database goes away after that,
        deciding goes on, and turning everybody away would help nobody.
        """
        checks = {
            name: {
                "ready": current.is_loaded,
                "database_answers": not current.is_failing,
                "age_seconds": round(current.age_seconds, 1) if current.is_loaded else None,
            }
            for name, current in self._held.items()
        }
        is_ready = all(check["ready"] for check in checks.values())
        return answer({"ready": is_ready, "checks": checks}, status=200 if is_ready else 503)

    async def metrics(self, request: Request) -> Response:
        """Write the counters as Prometheus reads them."""
        await self._keyring.find(key_of(request), scope=Scope.METRICS)
        registry = self._registry
        if settings.METRICS_ADD_UP:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        own = CollectorRegistry()
        own.register(self._own)
        findings, tasks = await self._read_findings(), await read_task_gauges(self._notices)
        own.register(Read([*findings, *tasks]))
        body = generate_latest(registry) + generate_latest(own)
        return Response(200, body, content_type=CONTENT_TYPE_LATEST)

    async def _read_findings(self) -> Sequence[Metric]:
        """Read what was found of rankings and policies; nothing while nobody answers."""
        try:
            async with self._pool.connection() as connection:
                policies = await read_policy_gauges(connection)
                return [*await read_gauges(connection), *policies]
        except UNFIT as error:
            logger.warning("What was found of rankings and policies cannot be read: %s", error)
            return []


class Read(Collector):
    """What was read already."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        """Hold it."""
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Return it."""
        return self._metrics


class Own(Collector):
    """What this process holds and this machine spools, read when it is asked for."""

    def __init__(self, held: Mapping[str, Current[object]], spool: Spool) -> None:
        """Look at these."""
        self._held = held
        self._spool = spool

    def collect(self) -> Iterable[Metric]:
        """Yield the values of now."""
        age = GaugeMetricFamily(
            "offerlab_memory_age_seconds",
            "How long ago what is held in memory was read.",
            labels=["what"],
        )
        for name, current in self._held.items():
            if current.is_loaded:
                age.add_metric([name], current.age_seconds)
        yield age
        yield GaugeMetricFamily(
            "offerlab_spooled_bytes",
            "Decisions on this machine's disk that wait for the database.",
            value=self._spool.waiting_bytes,
        )
        yield GaugeMetricFamily(
            "offerlab_rejected_bytes",
            "Decisions on this machine's disk that the database refused.",
            value=self._spool.rejected_bytes,
        )
