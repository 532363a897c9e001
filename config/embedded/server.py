"""Start one server, wait until it answers, and stop it."""

import os
import signal
import stat
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from config.embedded.failure import ServerError
from config.embedded.launch import Ladder, launch, stop
from config.embedded.waiting import Report, wait_until

LOG_LINES_SHOWN = 12


class Server:
    """A running server process whose messages go to a log file of its own."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log: Path,
        death_signal: signal.Signals,
        environment: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        """Start it.

        Args:
            name: What users call it.
            argv: The program and its arguments.
            log: Where its messages go; the previous run's are kept beside it.
            death_signal: What it gets when we die.
            environment: All variables; None means ours.
            prefix: A program that changes who we are first.
        """
        self.name = name
        self._log = log
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if log.exists():
            log.replace(log.with_suffix(".previous.log"))
        with log.open("wb") as output:
            self._process = launch(
                argv,
                death_signal=death_signal,
                output=output,
                environment=environment,
                prefix=prefix,
            )

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def wait_until(
        self, is_ready: Callable[[], bool], *, timeout_seconds: float, report: Report
    ) -> float:
        """Wait until it answers, and return the seconds that it took.

        Raises:
            ServerError: It ended or the time is up; the message quotes its log.
        """

        def is_ready_or_dead() -> bool:
            if not self.is_running:
                raise ServerError(f"{self.name} ended with status {self._process.returncode}.")
            return is_ready()

        try:
            return wait_until(
                is_ready_or_dead,
                what=f"{self.name} is starting",
                timeout_seconds=timeout_seconds,
                report=report,
            )
        except ServerError as error:
            raise ServerError(f"{error}\n{self.read_log_end()}") from error

    def stop(self, *, ladder: Ladder) -> int:
        """Stop it and return its exit status."""
        return stop(self._process, ladder=ladder)

    def read_log_end(self) -> str:
        """Return the last lines of its log, for an error message."""
        lines = self._log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        return "\n".join([f"The end of {self._log}:", *(f"  {line}" for line in lines)])


def run_to_end(
    argv: Sequence[str],
    *,
    what: str,
    timeout_seconds: float,
    report: Report,
    environment: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
) -> str:
    """Run a short program of a server's, which dies with us, and return what it said.

    Raises:
        ServerError: It failed or took too long; the message quotes what it said.
    """
    with tempfile.TemporaryFile() as output:
        process = launch(
            argv,
            death_signal=signal.SIGKILL,
            output=output,
            environment=environment,
            prefix=prefix,
        )
        try:
            wait_until(
                lambda: process.poll() is not None,
                what=what,
                timeout_seconds=timeout_seconds,
                report=report,
            )
        finally:
            stop(process, ladder=[(signal.SIGTERM, 5.0)])
        output.seek(0)
        said = output.read().decode(errors="replace").strip()
    if process.returncode != 0:
        raise ServerError(f"{what}, but failed with status {process.returncode}:\n{said}")
    return said


def prepare_socket_directory(directory: Path) -> None:
    """Make a directory that only we can enter, so that whoever reaches a socket is us.

    Raises:
        ServerError: Somebody else made it first.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = directory.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid():
        raise ServerError(
            f"{directory} belongs to another user. Run OfferLab as that user, or set "
            "OFFERLAB_DATA_DIR to a directory of your own."
        )
    if stat.S_IMODE(state.st_mode) != 0o700:
        directory.chmod(0o700)
