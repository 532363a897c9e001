"""Processor time of a decision at best, by who takes it, beside what the bar leaves for it.

    python -m benchmarks.decide_costs

The desk decides for strangers, 128 together and batch after batch, with the campaigns of
`benchmarks.decide`; no HTTP, and nobody waits. That is the cheapest that a decision gets: under
load batches are smaller. A bare answer's time is all that this machine's processors did while wrk
asked for it, over the answers. Whoever answers half as often as that has as much time again,
and the time that processors stood still; in it PostgreSQL and our Python have to fit both.
"""

import json
import os
from pathlib import Path

from benchmarks.decide import CONTEXT, SETUP
from benchmarks.serving import Shot, load, run_in_shell, services, serving

SECONDS = 10
DECIDE = """
import asyncio, gc, json, os, time
from pathlib import Path
import redis.asyncio, uvloop
from django.conf import settings
from audience.finding import Name
from campaigns.desk import Desk, Visit
from campaigns.loading import SnapshotLoader
from campaigns.spool import Spool
from config.asgi import GARBAGE, make_pool
from wire.current import Current

TOGETHER, BATCHES = 128, 150

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

    async def decide(batches):
        for batch in range(batches):
            names = (Name(f"{time.time_ns():x}-{number}") for number in range(TOGETHER))
            visits = [Visit(name, {"home50": 1}, CONTEXT) for name in names]
            outcomes = await asyncio.gather(*(desk.serve(visit) for visit in visits))
            assert all(outcome.is_logged and outcome.slates["home50"] for outcome in outcomes)

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
    await notices.aclose()
    await pool.close()

uvloop.run(story())
"""


def main() -> None:
    """Measure both, and say what is left."""
    with services() as environment:
        run_in_shell(environment, SETUP)
        alone = {**environment, "OPENBLAS_NUM_THREADS": "1"}
        costs = json.loads(run_in_shell(alone, f"CONTEXT = {CONTEXT}\n{DECIDE}").split("COSTS=")[1])
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


def spent() -> float:
    """Return for how many seconds this machine's processors have worked until now."""
    user, nice, system, _, _, interrupts, soft = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8]
    )
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
