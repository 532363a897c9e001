"""A database that answers but takes nothing: after a failover, or in the midst of an upgrade."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection

from audience.models import Event, Scope
from campaigns.deciding.spool import REJECTED, SUFFIX
from recommender.models import Decision
from tests.asgi import Site, open_site
from tests.campaigns.offices import Office, open_office, start, visit
from tests.makers import make_offer, make_source
from tests.racing import end_sessions
from wire import pools
from wire.breaker import PAUSE_SECONDS
from wire.pools import Pool

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE_SECONDS = 20


def run_sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@contextmanager
def changed(there: str, back: str) -> Iterator[None]:
    """Change the tables until the block ends."""
    run_sql(there)
    try:
        yield
    finally:
        run_sql(back)


@contextmanager
def standby() -> Iterator[None]:
    """Let whoever connects find a server that takes nothing, and everybody connect anew."""
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    run_sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        end_sessions()
        yield
    finally:
        run_sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")


async def demote(pool: Pool) -> None:
    """Have a connection at hand, as every other one will be, to a server that is a standby now."""
    async with pool.connection() as held:
        await held.execute("SET default_transaction_read_only = on")


@pytest.mark.parametrize("values", [{}, {"cap_total": 100}], ids=["unlimited", "limited"])
def test_a_connection_to_a_former_primary_costs_one_batch_and_loses_nothing(
    tmp_path: Path, values: dict[str, Any]
) -> None:
    campaign = start(offers=[make_offer(**values)])
    with open_office(tmp_path) as office:
        office.runner.run(demote(office.pool))
        (first,) = office.serve(visit(campaign, "first"))
        assert first.is_logged
        assert not Decision.objects.exists()
        time.sleep(PAUSE_SECONDS)
        # By another connection, which comes to the new primary.
        (second,) = office.serve(visit(campaign, "second"))
        assert (second.is_logged, second.is_degraded) == (True, False)
        assert Decision.objects.get().customer.external_key == "second"
        assert office.drain() == 1
    assert Decision.objects.count() == 2


def test_while_tables_are_older_than_the_code_decisions_wait_on_disk(tmp_path: Path) -> None:
    campaign = start(offers=[make_offer()])
    older = "ALTER TABLE recommender_decision RENAME cost_cents TO cost"
    newer = "ALTER TABLE recommender_decision RENAME cost TO cost_cents"
    with open_office(tmp_path) as office:
        with changed(older, newer):
            outcomes = office.serve(*(visit(campaign, f"c{n}") for n in range(5)))
            assert all(outcome.is_logged for outcome in outcomes)
            with pytest.raises(psycopg.ProgrammingError):
                office.drain()
        assert office.drain() == 5
    assert Decision.objects.count() == 5


def test_what_newer_tables_refused_is_logged_by_the_next_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    campaign = start(offers=[make_offer()])
    newer = "ALTER TABLE recommender_decision ADD newer integer NOT NULL"
    older = "ALTER TABLE recommender_decision DROP newer"
    with open_office(tmp_path) as office:
        with changed(newer, older):
            outcomes = office.serve(*(visit(campaign, f"c{n}") for n in range(5)))
            assert all(outcome.is_logged and not outcome.is_degraded for outcome in outcomes)
            assert office.drain() == 0
        assert "is refused by the database" in caplog.text
        assert {path.suffix for path in tmp_path.iterdir()} == {REJECTED}
        assert office.drain() == 0
    with open_office(tmp_path) as office:
        office.runner.run(live(office, until=lambda: not list(tmp_path.iterdir())))
    assert Decision.objects.count() == 5


async def live(office: Office, *, until: Callable[[], bool]) -> None:
    """Begin as a process does, and go on until something is so."""
    async with office.spool.drained(office.pool), asyncio.timeout(PATIENCE_SECONDS):
        while not until():
            await asyncio.sleep(0.05)


def test_a_line_that_nobody_can_read_is_tried_once_by_each_process(tmp_path: Path) -> None:
    (tmp_path / f"old{SUFFIX}").write_bytes(b'{"damaged"}\n')
    with open_office(tmp_path) as office:
        office.drain()
        (rejected,) = tmp_path.iterdir()
        assert rejected.suffix == REJECTED
    with open_office(tmp_path) as office:
        office.runner.run(live(office, until=lambda: not rejected.exists()))
        office.drain()
    (again,) = tmp_path.iterdir()
    assert (again.suffix, again.read_bytes()) == (REJECTED, b'{"damaged"}\n')


@pytest.fixture
def site(transactional_db: None) -> Iterator[Site]:
    with open_site() as site:
        yield site


def test_a_standby_turns_events_away_and_nobody_who_asks_for_an_offer(site: Site) -> None:
    campaign = start(offers=[make_offer()])
    _, deciding = make_source(Scope.DECIDE)
    _, telling = make_source(Scope.EVENTS)
    asked = {"customer": "ada", "placements": [campaign.placement.key]}
    told = {"userId": "ada", "event": "Seen", "messageId": "m1"}
    assert site.post("/api/v1/decide", asked, key=deciding).status == 200
    with standby():
        # At first connections are broken; those after them take nothing.
        for name in ("bob", "cara"):
            answer = site.post("/api/v1/decide", {**asked, "customer": name}, key=deciding)
            assert (answer.status, answer.json()["logged"]) == (200, True)
            refused = site.post("/v1/track", told, key=telling)
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            time.sleep(PAUSE_SECONDS)
    # Whoever sends again soon finds connections that were made anew.
    time.sleep(pools.PAUSE_SECONDS)
    answers = [site.post("/v1/track", told, key=telling).status for _ in range(4)]
    assert answers[1:] == [200] * 3
    assert Event.objects.filter(name="Seen").count() == 1
