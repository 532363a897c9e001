"""Requests a second and latency of the decide API, against a bare endpoint of the same server.

    make bench

Starts its own throwaway PostgreSQL and Valkey and one server process, drafts a campaign with ten
offers and a policy of eight features, and loads both endpoints in turn, three rounds each, from a
second process's worth of keep-alive connections in this one. Decisions are for new customers, so
each is recalled, drawn, logged and committed.
"""

import asyncio
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

from config.embedded.services import EmbeddedServices

ROOT = Path(__file__).resolve().parent.parent
PORT = 8765
CONNECTIONS = 16
SECONDS = 4.0
ROUNDS = 3
SETUP = """
from audience.keys import create_source
from audience.models import Scope
from campaigns.drafting import CampaignPlan, add_offers, draft_campaign
from campaigns.lifecycle import start_campaign
from campaigns.models import Offer, Placement
from django.utils import timezone
from experiments.models import Metric
from recommender.features import CategoryFeature, FeatureSpec, NumberFeature

goal = Metric.objects.create(
    key="c", name="Conversion", kind="conversion", params={"event": "Order Completed"})
placement = Placement.objects.create(key="home", name="Home")
features = FeatureSpec((
    CategoryFeature("segment", ("a", "b", "c", "d")),
    CategoryFeature("device", ("phone", "desktop")),
    NumberFeature("age", 40.0, 12.0),
))
campaign = draft_campaign(CampaignPlan(
    key="bench", name="Bench", placement=placement, goal=goal, planned_customers=1000,
    features=features))
add_offers(campaign, [Offer.objects.create(key=f"o{i}", name=f"Offer {i}") for i in range(10)])
start_campaign(campaign, by=None, now=timezone.now())
print("KEY=" + create_source("bench", scopes=list(Scope))[1])
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What one endpoint did under load."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float


async def load(request: bytes) -> Load:
    """Send one request over and over on keep-alive connections."""
    times: list[float] = []
    until = time.perf_counter() + SECONDS
    await asyncio.gather(*(_send(request, until, times) for _ in range(CONNECTIONS)))
    times.sort()
    return Load(
        requests_per_second=len(times) / SECONDS,
        p50_ms=1000 * times[len(times) // 2],
        p99_ms=1000 * times[int(len(times) * 0.99)],
    )


async def _send(request: bytes, until: float, times: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    while (begun := time.perf_counter()) < until:
        # The same length every time, so that the Content-Length stays right.
        writer.write(request.replace(b"CUSTOMER", secrets.token_hex(4).encode()))
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"The server refused: {head.decode()}")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        times.append(time.perf_counter() - begun)
    writer.close()


def decide_request(key: str) -> bytes:
    """Write the bytes of a decide request for a customer named CUSTOMER."""
    body = json.dumps(
        {
            "customer": "CUSTOMER",
            "placements": ["home"],
            "context": {"segment": "b", "device": "phone", "age": 31},
        }
    ).encode()
    token = b64encode(f"{key}:".encode()).decode()
    head = (
        "POST /api/v1/decide HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Basic {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def measure(key: str) -> None:
    """Load both endpoints in turn and print what came out."""
    hello = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    rounds = []
    for number in range(1, ROUNDS + 1):
        bare = asyncio.run(load(hello))
        decide = asyncio.run(load(decide_request(key)))
        rounds.append((bare, decide))
        print(f"round {number}: bare {bare}\n         decide {decide}")
    for name, index in (("bare endpoint", 0), ("decide", 1)):
        rates = [pair[index].requests_per_second for pair in rounds]
        p50 = statistics.median(pair[index].p50_ms for pair in rounds)
        p99 = statistics.median(pair[index].p99_ms for pair in rounds)
        rate = statistics.median(rates)
        print(f"{name:<14} {rate:>8,.0f} requests/s   p50 {p50:6.2f} ms   p99 {p99:6.2f} ms")
    ratio = statistics.median(b.requests_per_second / d.requests_per_second for b, d in rounds)
    print(f"A decision costs {ratio:.1f} bare requests ({CONNECTIONS} connections, one server).")


def main() -> None:
    """Start everything, measure, stop everything."""
    with (
        tempfile.TemporaryDirectory(prefix="offerlab-bench-") as directory,
        EmbeddedServices(Path(directory), report=print) as services,
    ):
        environment = {
            **os.environ,
            "DATABASE_URL": services.database_url,
            "REDIS_URL": services.redis_url,
            "HTTPS": "no",
            "LOG_LEVEL": "WARNING",
        }
        manage = [sys.executable, "manage.py"]
        subprocess.run([*manage, "migrate", "-v", "0"], cwd=ROOT, env=environment, check=True)
        shell = subprocess.run(
            [*manage, "shell", "-v", "0", "-c", SETUP],
            cwd=ROOT, env=environment, check=True, capture_output=True, text=True,
        )  # fmt: skip
        key = shell.stdout.split("KEY=")[1].strip()
        options = ["--interface", "asgi", "--workers", "1", "--no-ws", "--port", str(PORT)]
        server = subprocess.Popen(
            [sys.executable, "-m", "granian", *options, "config.asgi:application"],
            cwd=ROOT, env=environment,
        )  # fmt: skip
        try:
            _wait_until_up()
            measure(key)
        finally:
            server.terminate()
            server.wait()


def _wait_until_up() -> None:
    for _ in range(150):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/healthz").close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise SystemExit("The server did not start.")


if __name__ == "__main__":
    main()
