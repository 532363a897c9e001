"""A whole site on this machine, whose server and database are killed at any moment."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
import redis

from benchmarks.serving import ROOT, free_port, wait_until_up
from config.embedded.services import EmbeddedServices
from config.embedded.waiting import Report
from wire.current import CHANGES_KEY

# How long the server lets an old process go on beside the new one.
RESPAWN_SECONDS = 15
MAKE_SOURCE = """
from audience.models import Scope
from audience.sources.keys import create_source
print("KEY=" + create_source({name!r}, scopes=[Scope.EVENTS])[1])
"""


class FragileSite:
    """Runs PostgreSQL, Valkey and one server, and kills what it started by its process number."""

    def __init__(self, directory: Path, *, report: Report, root: Path = ROOT) -> None:
        """Describe the site, whose code is in `root`; nothing starts yet."""
        # Apart from each other, so that the database's process number is known.
        self._postgres = EmbeddedServices(directory / "postgres", with_valkey=False, report=report)
        self._valkey = EmbeddedServices(directory / "valkey", with_postgres=False, report=report)
        self._spool = directory / "spool"
        self._report = report
        self._root = root
        self._exits = ExitStack()
        self._server: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.database_url = self._postgres.database_url

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            starting.enter_context(self._postgres)
            starting.enter_context(self._valkey)
            self.manage("migrate", "-v", "0")
            starting.callback(self._kill_server)
            self.start_server()
            self._exits = starting.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exits.close()

    def make_source(self, name: str) -> str:
        """Make a source, and return its key."""
        output = self.manage("shell", "-v", "0", "-c", MAKE_SOURCE.format(name=name))
        return output.split("KEY=")[1].strip()

    def kill_server(self) -> None:
        """Kill the server with all its processes, and start another a moment later."""
        self._report("kill -9 of the server")
        self._kill_server()
        time.sleep(1)
        self.start_server()

    def kill_postgres(self, *, for_seconds: float = 1.0) -> None:
        """Kill PostgreSQL, and start it again some time later; it recovers by its log."""
        self._report(f"kill -9 of PostgreSQL, for {for_seconds:g} s")
        self._kill(self._postgres, for_seconds)

    def kill_valkey(self, *, for_seconds: float = 1.0) -> None:
        """Kill Valkey, and start it again some time later."""
        self._report(f"kill -9 of Valkey, for {for_seconds:g} s")
        self._kill(self._valkey, for_seconds)

    def demote_postgres(self, *, for_seconds: float) -> None:
        """Let PostgreSQL take nothing for some time, as one that became a standby; it answers."""
        self._report(f"PostgreSQL is read-only for {for_seconds:g} s")
        self._tell_postgres("ALTER SYSTEM SET default_transaction_read_only = on")
        time.sleep(for_seconds)
        self._tell_postgres("ALTER SYSTEM RESET default_transaction_read_only")

    def _tell_postgres(self, statement: str) -> None:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(statement)
            connection.execute("SELECT pg_reload_conf()")

    def reload_server(self) -> None:
        """Have the server begin anew in another process, and end the old one when that is up."""
        assert self._server is not None, "it runs"
        self._server.send_signal(signal.SIGHUP)

    def _kill(self, services: EmbeddedServices, for_seconds: float) -> None:
        (pid,) = services.pids
        os.kill(pid, signal.SIGKILL)
        time.sleep(for_seconds)
        services.revive()

    def limit(self, requests_per_second: int | None) -> None:
        """Take only so many requests a second from each source, or any number."""
        said = "no limit" if requests_per_second is None else f"{requests_per_second} requests/s"
        self._report(f"{said} for each key from now on")
        with psycopg.connect(self.database_url) as connection:
            connection.execute(
                "UPDATE audience_source SET requests_per_second = %s", [requests_per_second]
            )
        self.announce()

    def announce(self) -> None:
        """Give notice of a change."""
        with redis.Redis.from_url(self._valkey.redis_url) as client:
            client.incr(CHANGES_KEY)

    def count_received(self) -> int:
        """Count the messages that were stored so far."""
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute("SELECT count(*) FROM audience_receivedmessage").fetchone()
        return 0 if row is None else int(row[0])

    def stored_ids(self) -> list[str]:
        """Return the message id of every stored event."""
        with psycopg.connect(self.database_url) as connection:
            rows = connection.execute("SELECT message_id FROM audience_event").fetchall()
        return [message_id for (message_id,) in rows]

    def start_server(self) -> None:
        """Start the server, and wait until it answers."""
        options = ["--interface", "asgi", "--workers", "1", "--no-ws", "--port", str(self.port)]
        options += ["--respawn-interval", str(RESPAWN_SECONDS)]
        self._server = subprocess.Popen(
            [sys.executable, "-m", "granian", *options, "config.asgi:application"],
            cwd=self._root,
            env=self._environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until_up(self.port)

    def _kill_server(self) -> None:
        if self._server is not None:
            # Its session is its own, so nothing but its workers is in the group.
            os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
            self._server = None

    def manage(self, *arguments: str) -> str:
        """Run a management command; return what it printed."""
        command = [sys.executable, "manage.py", *arguments]
        ran = subprocess.run(
            command,
            cwd=self._root,
            env=self._environment(),
            check=True,
            capture_output=True,
            text=True,
        )
        return ran.stdout

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self._valkey.redis_url,
            "OFFERLAB_SPOOL_DIR": str(self._spool),
            "HTTPS": "no",
            "LOG_LEVEL": "ERROR",
        }
