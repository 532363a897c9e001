"""Events a second through `POST /v1/batch`, against a bare psycopg loop with the same statement.

    python -m benchmarks.ingest

Starts its own throwaway PostgreSQL and Valkey, both durable, and one server process. Rounds take
turns: batches of a hundred events of known customers over keep-alive connections, each answered
once it is committed; then one connection that inserts as many rows by the intake's own INSERT,
commits, and goes on. The bar: our rate is at least 0.6 of the loop's, which neither reads JSON, nor
looks up customers, nor remembers message ids.
"""

import asyncio
import json
import secrets
import statistics
import time
from base64 import b64encode
from datetime import UTC, datetime

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from audience.intake.ingest import STORE_EVENTS
from benchmarks.serving import HOST, Site, run_in_shell, services, serving

BATCH = 100
CUSTOMERS = 1000
CONNECTIONS = 24
SECONDS = 5.0
ROUNDS = 5
BAR = 0.6
# Stands in the body wherever each request has its own number, of the same length.
NUMBER = "NNNNNNNN"
PROPERTIES = {
    "product_id": "507f1f77bcf86cd799439011",
    "sku": "G-32",
    "category": "Games",
    "name": "Monopoly: 3rd Edition",
    "brand": "Hasbro",
    "price": 18.99,
    "quantity": 1,
    "currency": "USD",
    "position": 3,
    "url": "https://www.example.com/product/path",
}


def batch_request(key: str, first: int) -> bytes:
    """Write a request with a batch of events of a hundred known customers."""
    at = datetime.now(UTC).isoformat()
    batch = [
        {
            "type": "track",
            "event": "Product Viewed",
            "messageId": f"bench-{NUMBER}-{i}",
            "userId": f"customer-{(first + i) % CUSTOMERS}",
            "timestamp": at,
            "properties": PROPERTIES,
            "context": {"library": {"name": "bench", "version": "1"}},
        }
        for i in range(BATCH)
    ]
    body = json.dumps({"batch": batch, "sentAt": at}).encode()
    token = b64encode(f"{key}:".encode()).decode()
    head = (
        "POST /v1/batch HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Basic {token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def send(site: Site, request: bytes, *, until: float) -> int:
    """Send batches one after the other on one connection, and count them."""
    reader, writer = await asyncio.open_connection(HOST, site.port)
    count = 0
    while time.perf_counter() < until:
        writer.write(request.replace(NUMBER.encode(), secrets.token_hex(4).encode()))
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"The server refused: {head.decode()}")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        count += 1
    writer.close()
    return count


async def measure_ours(site: Site, key: str) -> float:
    """Return the events a second of the server."""
    begun = time.perf_counter()
    requests = [batch_request(key, i * BATCH) for i in range(CONNECTIONS)]
    counts = await asyncio.gather(*(send(site, r, until=begun + SECONDS) for r in requests))
    return BATCH * sum(counts) / (time.perf_counter() - begun)


def measure_bare(database_url: str) -> float:
    """Return the events a second of one connection that does nothing but insert and commit."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        source, customers = connection.execute(
            "SELECT (SELECT min(id) FROM audience_source),"
            " ARRAY(SELECT id FROM audience_customer ORDER BY id)"
        ).fetchone() or (0, [])
        at = datetime.now(UTC)
        rows = [
            {
                "occurred_at": at,
                "customer_id": customers[i],
                "source_id": source,
                "message_id": "",
                "name": "Product Viewed",
                "value": None,
                "properties": PROPERTIES,
            }
            for i in range(BATCH)
        ]
        begun, count = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - begun) < SECONDS:
            number = secrets.token_hex(4)
            for i, row in enumerate(rows):
                row["message_id"] = f"bench-{number}-{i}"
            connection.execute(STORE_EVENTS, {"events": Jsonb(rows, dumps=msgspec.json.encode)})
            count += 1
    return BATCH * count / elapsed


def measure(site: Site, key: str) -> None:
    """Take turns, print each round, and say whether the bar is met."""
    database_url = site.environment["DATABASE_URL"]
    asyncio.run(measure_ours(site, key))
    ratios = []
    for number in range(1, ROUNDS + 1):
        ours, bare = asyncio.run(measure_ours(site, key)), measure_bare(database_url)
        ratios.append(ours / bare)
        print(f"round {number}: ours {ours:>7,.0f} events/s   bare {bare:>7,.0f} events/s")
    ratio = statistics.median(ratios)
    verdict = "meets" if ratio >= BAR else "misses"
    print(f"ingest / bare loop = {ratio:.2f}, which {verdict} the bar of {BAR}")


SETUP = """
from audience.models import Scope
from audience.sources.keys import create_source
print("KEY=" + create_source("bench", scopes=[Scope.EVENTS])[1])
"""


def main() -> None:
    """Start everything, measure, stop everything."""
    with services() as environment, serving(environment) as site:
        key = run_in_shell(environment, SETUP).split("KEY=")[1].strip()
        measure(site, key)


if __name__ == "__main__":
    main()
