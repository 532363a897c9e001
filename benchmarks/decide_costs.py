"""What a decision costs without HTTP: processor time by who takes it, and how long it takes.

    python -m benchmarks.decide_costs

The desk decides for strangers, 128 together and batch after batch, with the campaigns of
`benchmarks.decide`; no HTTP, and nobody waits. That is the cheapest that a decision gets: under
load batches are smaller. A bare answer's time is all that this machine's processors did while wrk
asked for it, over the answers. Whoever answers half as often as that has as much time again,
and the time that processors stood still; in it PostgreSQL and our Python have to fit both.

Then 32 customers at a time ask the desk, each at once after the answer, and last new ones come at
seven tenths of that rate: how long they wait is what is left of `benchmarks.decide`'s latency where
there is no server and no client beside it.
"""

import json
import os
from pathlib import Path

from benchmarks.decide import CONTEXT, SETUP
from benchmarks.serving import Shot, load, run_in_shell, services, serving

SECONDS = 10
DECIDE = """
import asyncio, gc, itertools, json, os, time
from pathlib import Path
import redis.asyncio, uvloop
from django.conf import settings
from audience.customers.finding import Name
from campaigns.deciding.desk import Desk, Visit
from campaigns.deciding.loading import SnapshotLoader
from campaigns.deciding.spool import Spool
from config.asgi import GARBAGE, make_pool
from wire.current import Current

TOGETHER, BATCHES = 128, 150
AT_ONCE, SECONDS = 32, 10

def ticks(pid):
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))

async def story():
    pool = make_pool(settings.DATABASE_URL, "deciding", size=1, patience=2, at_once=True)
    await pool.open(wait=True)
    notices = redis.asyncio.Redis.from_url(settings.REDIS_URL)
    campaigns = Current(pool, notices, SnapshotLoader(zone=settings.SITE_ZONE), what="campaigns")
    desk = Desk(pool, campaigns, Spool(settings.SPOOL_DIR))
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)

    numbers = itertools.count()

    async def ask(desk):
        name = Name(f"{time.time_ns():x}-{next(numbers)}")
        outcome = await desk.serve(Visit(name, {"home50": 1}, CONTEXT))
        assert outcome.is_logged and outcome.slates["home50"]

    async def decide(batches):
        for batch in range(batches):
            await asyncio.gather(*(ask(desk) for _ in range(TOGETHER)))

    async def ask_until(ends, desk):
        asked = 0
        while time.perf_counter() < ends:
            await ask(desk)
            asked += 1
        return asked

    async def ask_when(due, desk):
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await ask(desk)
        return time.perf_counter() - due

    await decide(20)
    async with pool.connection() as connection:
        pid = connection.info.backend_pid
    theirs, ours = ticks(pid), time.process_time()
    await decide(BATCHES)
    decided = TOGETHER * BATCHES
    print("COSTS=" + json.dumps({
        "ours": (time.process_time() - ours) / decided,
        "theirs": (ticks(pid) - theirs) / os.sysconf("SC_CLK_TCK") / decided,
    }))
    # As it is served: with a connection for whoever hangs.
    several = make_pool(settings.DATABASE_URL, "several", size=3, patience=2, at_once=True)
    await several.open(wait=True)
    served = Desk(several, campaigns, Spool(settings.SPOOL_DIR))
    await asyncio.gather(*(ask(served) for _ in range(500)))
    ends = time.perf_counter() + SECONDS
    asked = sum(await asyncio.gather(*(ask_until(ends, served) for _ in range(AT_ONCE))))
    rate = 0.7 * asked / SECONDS
    begun = time.perf_counter() + 0.5
    dues = (begun + number / rate for number in range(int(rate * SECONDS)))
    waited = sorted(await asyncio.gather(*(ask_when(due, served) for due in dues)))
    print("PACED=" + json.dumps({
        "rate": rate, "p50": waited[len(waited) // 2], "p99": waited[int(0.99 * len(waited))],
    }))
    await several.close()
    await notices.aclose()
    await pool.close()

uvloop.run(story())
"""


def main() -> None:
    """Measure both, and say what is left."""
    with services() as environment:
        run_in_shell(environment, SETUP)
        alone = {**environment, "OPENBLAS_NUM_THREADS": "1"}
        printed = run_in_shell(alone, f"CONTEXT = {CONTEXT}\n{DECIDE}")
        costs, paced = (read(printed, name) for name in ("COSTS", "PACED"))
        with serving(environment) as site:
            load(site, Shot("/healthz"), seconds=2)
            before = spent()
            rate = load(site, Shot("/healthz"), seconds=SECONDS).requests_per_second
            bare = (spent() - before) / (rate * SECONDS)
    left = 2 * (os.cpu_count() or 1) / rate - bare
    print(f"A bare answer: {rate:,.0f}/s, {bare * 1e6:.0f} µs of processor time, wrk's with it")
    print(f"A decision at best: PostgreSQL {costs['theirs'] * 1e6:.0f} µs", end=", ")
    print(f"our Python {costs['ours'] * 1e6:.0f} µs")
    print(f"At half the bare answers there are {left * 1e6:.0f} µs for both")
    print(f"Without HTTP, at 70% of what 32 at a time get, {paced['rate']:,.0f}/s:", end=" ")
    print(f"p50 {paced['p50'] * 1e3:.1f} ms, p99 {paced['p99'] * 1e3:.1f} ms")


def read(printed: str, name: str) -> dict[str, float]:
    """Read what was printed as JSON after a name."""
    line = next(line for line in printed.splitlines() if line.startswith(f"{name}="))
    found: dict[str, float] = json.loads(line.removeprefix(f"{name}="))
    return found


def spent() -> float:
    """Return for how many seconds this machine's processors have worked until now."""
    user, nice, system, _, _, interrupts, soft = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8]
    )
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
