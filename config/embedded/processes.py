"""Keep a site's programs running: restart what crashes, stop everything in order."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TextIO

from config.embedded.launch import kill_group, launch, stop
from config.embedded.waiting import Report

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
# A program that ran this long was healthy: its next crash starts the back-off anew.
HEALTHY_SECONDS = 60.0
GRACE_SECONDS = 10.0

_COLOURS = (36, 33, 35, 32, 34)  # ANSI: cyan, yellow, magenta, green, blue.


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The environment variables (all of them) and the working directory of programs."""

    environment: Mapping[str, str]
    directory: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run, and how.

    Attributes:
        name: Written before each line of its output.
        argv: The program and its arguments.
        surroundings: Where it runs.
        is_kept_running: Whether to start it again when it ends.
        is_prefixed: False hands it our terminal, as a progress bar needs.
    """

    name: str
    argv: Sequence[str]
    surroundings: Surroundings
    is_kept_running: bool = True
    is_prefixed: bool = True


class ManagedProcess:
    """One program with its present process, if any, and its crashes so far."""

    def __init__(self, program: Program, *, output: TextIO, colour: int) -> None:
        """Describe it; nothing starts yet."""
        self.program = program
        self._output = output
        self._prefix = _prefix(program.name, output=output, colour=colour)
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._began = 0.0
        self._crashes = 0
        self._restart_at = 0.0

    @property
    def pid(self) -> int | None:
        """Its process number while it has one."""
        return None if self._process is None else self._process.pid

    def start(self, *, now: float) -> None:
        """Start a process; it gets SIGTERM when we die."""
        self._began = now
        self._process = launch(
            self.program.argv,
            death_signal=signal.SIGTERM,
            output=subprocess.PIPE if self.program.is_prefixed else None,
            environment=self.program.surroundings.environment,
            directory=self.program.surroundings.directory,
        )
        if self._process.stdout is not None:
            self._reader = threading.Thread(
                target=self._copy_lines, args=(self._process.stdout,), daemon=True
            )
            self._reader.start()

    def poll(self, *, now: float, report: Report) -> None:
        """Notice an end, and start again when the back-off is over."""
        if self._process is None:
            if self.program.is_kept_running and now >= self._restart_at:
                report(f"Starting {self.program.name} again")
                self.start(now=now)
        elif (status := self._process.poll()) is not None:
            kill_group(self._process)
            self._forget_process()
            self._note_end(status, now=now, report=report)

    def stop(self) -> None:
        """Stop the process and whatever it started."""
        if self._process is not None:
            stop(self._process, ladder=[(signal.SIGTERM, GRACE_SECONDS)])
            self._forget_process()

    def _note_end(self, status: int, *, now: float, report: Report) -> None:
        if not self.program.is_kept_running:
            report(f"{self.program.name} has ended ({_describe(status)})")
            return
        self._crashes = 1 if now - self._began >= HEALTHY_SECONDS else self._crashes + 1
        pause = min(FIRST_PAUSE_SECONDS * 2 ** (self._crashes - 1), LONGEST_PAUSE_SECONDS)
        self._restart_at = now + pause
        report(f"{self.program.name} ended unexpectedly ({_describe(status)}); pause {pause:.0f} s")

    def _forget_process(self) -> None:
        if self._reader is not None:
            # Everything that holds the pipe is dead, so the last lines are already in it.
            self._reader.join(timeout=GRACE_SECONDS)
        self._process = None
        self._reader = None

    def _copy_lines(self, pipe: IO[bytes]) -> None:
        with pipe:
            for line in pipe:
                # One write a line keeps the lines of several programs whole.
                text = line.decode(errors="replace").rstrip("\r\n")
                self._output.write(f"{self._prefix}{text}\n")
                self._output.flush()


class Supervisor:
    """The programs of a site, in the order in which they were started."""

    def __init__(self, *, output: TextIO, report: Report) -> None:
        """Begin with no programs.

        Args:
            output: Where the programs' lines go.
            report: Told what happens to them, in words for the user.
        """
        self._output = output
        self._report = report
        self._running: list[ManagedProcess] = []

    @property
    def pids(self) -> dict[str, int]:
        """The process number of each program that has one."""
        return {each.program.name: each.pid for each in self._running if each.pid is not None}

    def start(self, program: Program) -> None:
        """Start a program and keep it in mind."""
        colour = _COLOURS[len(self._running) % len(_COLOURS)]
        process = ManagedProcess(program, output=self._output, colour=colour)
        self._running.append(process)
        process.start(now=time.monotonic())

    def poll(self, *, now: float) -> None:
        """Look after every program once; call this a few times a second.

        Args:
            now: A reading of the monotonic clock.
        """
        for process in self._running:
            process.poll(now=now, report=self._report)

    def stop(self) -> None:
        """Stop the programs, the last one first."""
        while self._running:
            process = self._running[-1]
            if process.pid is not None:
                self._report(f"Stopping {process.program.name}")
                process.stop()
            self._running.pop()


def _prefix(name: str, *, output: TextIO, colour: int) -> str:
    label = f"{name:<7}|"
    if output.isatty() and not os.environ.get("NO_COLOR"):
        # A progress bar may stand in this line: it makes room, and is drawn again below.
        return f"\r\x1b[K\x1b[{colour}m{label}\x1b[0m "
    return f"{label} "


def _describe(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"status {status}"
