"""An audience's members leave piece by piece, and nothing stays open behind a client who leaves."""

import asyncio
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.test import Client

from audience.models import Membership
from tests.asgi import Site, database_url
from tests.audience.audiences.test_saving import make_list
from tests.makers import make_customers, make_user
from wire.downloads import LINES_TOGETHER

pytestmark = pytest.mark.django_db(transaction=True)

MEMBERS = 5 * LINES_TOGETHER
PATIENCE_SECONDS = 20
SESSIONS = """
    SELECT pid, state FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type LIKE 'client%'
"""


def sessions() -> dict[int, str]:
    """Return the state of every session of the test's database but this one, by its number."""
    with psycopg.connect(database_url()) as own:
        return dict(own.execute(SESSIONS).fetchall())


class Taker:
    """Takes a file as a browser does, and leaves when it has seen enough."""

    def __init__(self, site: Site, path: str) -> None:
        self.site, self.path = site, path
        self.headers: dict[bytes, bytes] = {}
        self.lines = 0
        self.open_meanwhile = 0
        client = Client()
        client.force_login(make_user(is_superuser=True))
        self.cookie = client.cookies[settings.SESSION_COOKIE_NAME].value

    def take(self, *, leave_at: str = "") -> None:
        """Take all of it; or leave when a message of this type comes."""
        self.site.run(self._take(leave_at))

    async def _take(self, leave_at: str) -> None:
        left, incoming = asyncio.Event(), [{"type": "http.request", "body": b""}]

        async def receive() -> dict[str, Any]:
            if incoming:
                return incoming.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            self.headers |= dict(message.get("headers", ()))
            self.lines += message.get("body", b"").count(b"\r\n")
            if message["type"] == leave_at:
                states = await asyncio.to_thread(sessions)
                self.open_meanwhile = sum("transaction" in state for state in states.values())
                left.set()
                if message["type"] == "http.response.body":
                    # Nobody takes it.
                    await asyncio.Event().wait()

        headers = {"host": "localhost", "x-forwarded-proto": "https"}
        headers["cookie"] = f"{settings.SESSION_COOKIE_NAME}={self.cookie}"
        scope = {
            "type": "http",
            "method": "GET",
            "path": self.path,
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.site.client.application(scope, receive, send)


@pytest.fixture
def taker(site: Site) -> Taker:
    audience = make_list()
    Membership.objects.bulk_create(
        Membership(audience=audience, customer=customer) for customer in make_customers(MEMBERS)
    )
    return Taker(site, f"/audiences/of/{audience.key}/members.csv")


def test_all_members_leave_and_then_the_session(taker: Taker) -> None:
    before = sessions()
    taker.take()
    assert taker.lines == 1 + MEMBERS
    assert taker.headers[b"Content-Disposition"].startswith(b'attachment; filename="list-')
    assert sessions().keys() == before.keys()


def test_a_client_who_leaves_in_the_middle_leaves_nothing_open(taker: Taker) -> None:
    before = sessions()
    taker.take(leave_at="http.response.body")
    assert taker.lines == LINES_TOGETHER
    assert taker.open_meanwhile == 1
    after = sessions()
    assert after.keys() == before.keys()
    assert not any("transaction" in state for state in after.values())


def test_a_client_who_leaves_while_a_piece_is_made_leaves_nothing_open(taker: Taker) -> None:
    before = sessions()
    taker.take(leave_at="http.response.start")
    after = sessions()
    assert after.keys() == before.keys()
    assert not any("transaction" in state for state in after.values())
