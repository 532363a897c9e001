"""No process takes clicks along when it ends, and nobody records one twice."""

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from audience.intake.ingest import Ingest
from audience.models import Event
from campaigns.deciding.spool import begin_file
from campaigns.models import Delivery
from campaigns.tracking import kept
from campaigns.tracking.hits import Hits
from campaigns.tracking.kept import KeptHits, Line
from campaigns.tracking.machines import Hit, Kind
from tests.asgi import database_url
from tests.campaigns.offices import NOWHERE
from tests.campaigns.tracking.test_tracking import sent

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0"
# A process of its own, which writes hits down and is killed.
KILLED = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from campaigns.tracking.kept import KeptHits, Line
from campaigns.tracking.machines import Hit, Kind
kept = KeptHits(Path(sys.argv[1]))
for link in range(2):
    hit = Hit(datetime.fromisoformat(sys.argv[3]), Kind.CLICK, link, agent=sys.argv[4])
    kept.keep(Line(int(sys.argv[2]), hit, "https://shop.example/"))
os.kill(os.getpid(), signal.SIGKILL)
"""


def hit(at: datetime, link: int = 0) -> Hit:
    return Hit(at, Kind.CLICK, link, agent=AGENT, address="203.0.113.7")


async def live(
    directory: Path, *told: tuple[Delivery, Hit], database: str | None = None, seconds: float = 0.0
) -> None:
    """Let a process be told of hits, and live for a while."""
    pool: AsyncConnectionPool[AsyncConnection] = AsyncConnectionPool(
        database or database_url(),
        min_size=0,
        max_size=4,
        timeout=0.2,
        kwargs={"autocommit": True},
        open=False,
    )
    async with pool:
        hits = Hits(pool, Ingest(pool), directory=directory)
        async with hits.recorded():
            for delivery, each in told:
                hits.note(delivery.pk, each, "https://shop.example/")
            await asyncio.sleep(seconds)


def clicks() -> Sequence[int]:
    found = Event.objects.filter(name="Message Clicked").order_by("occurred_at")
    return [event.properties["link"] for event in found]


@pytest.mark.usefixtures("transactional_db")
def test_what_a_killed_process_was_told_is_recorded_by_another(tmp_path: Path) -> None:
    _, delivery = sent()
    at = timezone.now() - timedelta(seconds=20)
    arguments = [str(tmp_path), str(delivery.pk), at.isoformat(), AGENT]
    ended = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    asyncio.run(live(tmp_path, seconds=0.3))
    assert sorted(clicks()) == [0, 1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("transactional_db")
def test_without_the_database_hits_outlive_the_process_and_are_recorded_once(
    tmp_path: Path,
) -> None:
    _, delivery = sent()
    at = timezone.now() - timedelta(seconds=20)
    asyncio.run(live(tmp_path, (delivery, hit(at)), database=NOWHERE, seconds=0.3))
    assert clicks() == []
    (file,) = tmp_path.iterdir()
    again = file.read_bytes()
    asyncio.run(live(tmp_path, (delivery, hit(timezone.now(), 1)), seconds=0.3))
    assert (clicks(), list(tmp_path.iterdir())) == ([0, 1], [])
    # As if a process had been killed between recording it and removing the file.
    file.write_bytes(again + b'{"delivery_id":')
    asyncio.run(live(tmp_path, seconds=0.3))
    assert (clicks(), list(tmp_path.iterdir())) == ([0, 1], [])


@pytest.mark.usefixtures("transactional_db")
def test_where_nothing_can_be_written_hits_are_recorded_all_the_same(tmp_path: Path) -> None:
    _, delivery = sent()
    taken = tmp_path / "taken"
    taken.write_text("a file")
    at = timezone.now() - timedelta(seconds=20)
    asyncio.run(live(taken, (delivery, hit(at)), seconds=0.3))
    assert clicks() == [0]


def test_a_file_goes_when_the_last_of_its_hits_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "LARGEST", 2)
    now = timezone.now()
    held = KeptHits(tmp_path)
    parts = [held.keep(Line(1, hit(now, link), "")) for link in range(3)]
    first, second, third = (part for part in parts if part is not None)
    assert first is second is not third
    assert held.take_over(now) == KeptHits(tmp_path).take_over(now) == []
    for part in (first, second):
        assert part.path.exists()
        held.release(part)
    assert not first.path.exists()
    held.release(third)
    assert third.path.exists()
    held.rest(now)
    assert third.path.exists()
    held.rest(now + timedelta(minutes=1))
    assert list(tmp_path.iterdir()) == []


def test_what_lies_there_is_taken_by_one(tmp_path: Path) -> None:
    now = timezone.now()
    held = KeptHits(tmp_path)
    held.keep(Line(1, hit(now), "https://shop.example/"))
    held.close()
    one, other = KeptHits(tmp_path), KeptHits(tmp_path)
    ((line, part),) = one.take_over(now)
    assert line == Line(1, hit(now), "https://shop.example/")
    assert other.take_over(now) == []
    one.release(part)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_begun_is_there_whoever_looks_for_those_that_nobody_holds(
    tmp_path: Path,
) -> None:
    ends = threading.Event()

    def sweep() -> None:
        while not ends.is_set():
            KeptHits(tmp_path).take_over(timezone.now())

    with ThreadPoolExecutor(1) as pool:
        sweeping = pool.submit(sweep)
        begun = [begin_file(tmp_path) for _ in range(500)]
        ends.set()
        sweeping.result()
    for path, file in begun:
        file.close()
        assert path.exists()
