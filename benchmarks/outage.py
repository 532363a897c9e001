"""Decides through outages: kills PostgreSQL, Valkey and the server, and counts what was lost.

    python -m benchmarks.outage

A real site decides for new customers at a steady rate while PostgreSQL is killed (-9) twice and
once takes nothing, as after a failover, Valkey is killed, and the server while what it decided lies
on disk. Then every decision that a client was told of must be in the database once, and nobody may
have been answered a server error. Besides: what
`POST /v1/track` says meanwhile, and how soon a pause takes effect.
"""

import json
import statistics
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.delivery.fragile import FragileSite

RATE = 100.0
PAUSES = 20
SETUP = """
from audience.models import Scope
from audience.sources.keys import create_source
from campaigns.lifecycle.drafting import CampaignPlan, add_offers, draft_campaign
from campaigns.lifecycle.status import start_campaign
from campaigns.models import Offer, Placement
from django.utils import timezone
from experiments.models import Metric

goal = Metric.objects.create(
    key="c", name="Conversion", kind="conversion", params={"event": "Order Completed"})
placement = Placement.objects.create(key="home", name="Home")
campaign = draft_campaign(CampaignPlan(
    key="bench", name="Bench", placement=placement, goal=goal, planned_customers=1000))
add_offers(campaign, [Offer.objects.create(key=f"o{i}", name=f"Offer {i}") for i in range(5)])
start_campaign(campaign, by=None, now=timezone.now())
print("KEY=" + create_source("outage", scopes=[Scope.DECIDE, Scope.EVENTS])[1])
"""


@dataclass
class Told:
    """What clients were told."""

    ids: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    degraded: int = 0
    unlogged: int = 0
    unanswered: int = 0
    seconds: list[float] = field(default_factory=list)


def post(url: str, key: str, body: Any) -> tuple[int, Any, Any]:
    """Send one request; return status, headers and document."""
    token = b64encode(f"{key}:".encode()).decode()
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Authorization": f"Basic {token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.headers, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, error.headers, json.load(error)


def keep_deciding(url: str, key: str, told: Told, is_over: threading.Event) -> None:
    """Ask for new customers at a steady rate until it is over."""

    def ask(number: int) -> None:
        begun = time.perf_counter()
        body = {"customer": f"customer-{number}", "placements": ["home"]}
        try:
            status, _, document = post(f"{url}/api/v1/decide", key, body)
        except OSError:
            told.unanswered += 1
            return
        told.statuses[status] += 1
        told.seconds.append(time.perf_counter() - begun)
        if status == 200:
            told.ids += [made["decision_id"] for made in document["decisions"]]
            told.degraded += document["degraded"]
            told.unlogged += not document["logged"]

    with ThreadPoolExecutor(64) as threads:
        number = 0
        begun = time.perf_counter()
        while not is_over.is_set():
            threads.submit(ask, number)
            number += 1
            time.sleep(max(0.0, begun + number / RATE - time.perf_counter()))


@contextmanager
def tracking(site: FragileSite, key: str) -> Iterator[Counter[str]]:
    """Send an event now and then; yield what was answered."""
    said: Counter[str] = Counter()
    is_over = threading.Event()

    def track() -> None:
        while not is_over.wait(0.5):
            status, headers, _ = post(f"{site.url}/v1/track", key, {"event": "X", "userId": "1"})
            retry = headers.get("retry-after")
            said[f"{status}, Retry-After: {retry}" if retry else str(status)] += 1

    thread = threading.Thread(target=track)
    thread.start()
    try:
        yield said
    finally:
        is_over.set()
        thread.join()


def query(site: FragileSite, statement: str) -> list[Any]:
    """Ask the database."""
    with psycopg.connect(site.database_url) as connection:
        return [row[0] for row in connection.execute(statement).fetchall()]


def wait_for(site: FragileSite, ids: set[str]) -> list[str]:
    """Wait until all decisions are logged, or half a minute; return what is logged."""
    logged: list[str] = []
    for _ in range(60):
        logged = query(site, "SELECT id::text FROM recommender_decision")
        if ids <= set(logged):
            break
        time.sleep(0.5)
    return logged


def measure_pauses(site: FragileSite, key: str) -> list[float]:
    """Pause and start the campaign over and over; return how long each pause took to be seen."""
    seconds: list[float] = []
    for number in range(PAUSES):
        for status in ("paused", "running"):
            with psycopg.connect(site.database_url) as connection:
                connection.execute("UPDATE campaigns_campaign SET status = %s", [status])
            site.announce()
            begun = time.perf_counter()
            while True:
                body = {"customer": f"pause-{number}", "placements": ["home"]}
                _, _, document = post(f"{site.url}/api/v1/decide", key, body)
                if (document["decisions"][0]["campaign"] is None) == (status == "paused"):
                    break
                time.sleep(0.01)
            seconds.append(time.perf_counter() - begun)
    return seconds


def main() -> int:
    """Break everything in turn, and count."""
    with (
        tempfile.TemporaryDirectory(prefix="offerlab-outage-") as directory,
        FragileSite(Path(directory), report=print) as site,
    ):
        key = site.manage("shell", "-v", "0", "-c", SETUP).split("KEY=")[1].strip()
        told, is_over = Told(), threading.Event()
        deciding = threading.Thread(target=keep_deciding, args=(site.url, key, told, is_over))
        deciding.start()
        time.sleep(5)
        with tracking(site, key) as said:
            site.kill_postgres(for_seconds=8)
        time.sleep(5)
        with tracking(site, key) as said_by_standby:
            site.demote_postgres(for_seconds=8)
        time.sleep(5)
        site.kill_valkey(for_seconds=5)
        time.sleep(3)
        before = told.unanswered
        # While PostgreSQL is away and everything that is decided lies on disk.
        dying = threading.Timer(6, site.kill_server)
        dying.start()
        site.kill_postgres(for_seconds=8)
        dying.join()
        time.sleep(5)
        without_server = told.unanswered - before
        is_over.set()
        deciding.join()
        logged = wait_for(site, set(told.ids))
        pauses = measure_pauses(site, key)
    lost, doubled = set(told.ids) - set(logged), len(logged) - len(set(logged))
    errors = {status: n for status, n in told.statuses.items() if status >= 500}
    print(f"answered: {dict(told.statuses)}, {without_server} while there was no server")
    print(f"decided without the database: {told.degraded}; not logged: {told.unlogged}")
    print(f"told {len(told.ids)}, logged {len(logged)}, lost {len(lost)}, doubled {doubled}")
    times = sorted(told.seconds)
    print(f"slowest 1%: {times[int(0.99 * len(times))]:.2f} s, slowest: {times[-1]:.2f} s")
    print(f"POST /v1/track while PostgreSQL was away: {dict(said)}")
    print(f"while it was read-only: {dict(said_by_standby)}")
    p95 = statistics.quantiles(pauses, n=20)[-1]
    print(f"a pause or a start took effect after {p95:.2f} s (95% of {len(pauses)})")
    return 1 if lost or doubled or errors or p95 > 2 else 0


if __name__ == "__main__":
    sys.exit(main())
