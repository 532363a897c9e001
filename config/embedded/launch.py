"""Start a program that does not outlive this process, and stop it again."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from config.embedded import bind_to_parent

logger = logging.getLogger(__name__)

# Signals to send in turn, each with the seconds to wait before the next, ruder one.
Ladder = Sequence[tuple[signal.Signals, float]]


def launch(
    argv: Sequence[str],
    *,
    death_signal: signal.Signals,
    output: int | IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    prefix: Sequence[str] = (),
) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own, so that Ctrl-C reaches only us.

    Args:
        argv: The program and its arguments.
        death_signal: What Linux sends the program when we die. Elsewhere nothing does, and
            the next start cleans up.
        output: Where standard output and error go; None means to ours.
        environment: All variables; None means ours.
        directory: The working directory; None means ours.
        prefix: A program that changes who we are and then becomes the rest of its arguments.

    Raises:
        RuntimeError: Called outside the main thread: Linux takes the end of the starting
            *thread* for the parent's death.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("Launch programs from the main thread only.")
    if sys.platform == "linux":
        shim = [sys.executable, "-I", "-S", bind_to_parent.__file__]
        # Innermost, because a change of user takes the death signal away.
        argv = [*shim, str(int(death_signal)), str(os.getpid()), *argv]
    return subprocess.Popen(  # noqa: S603 - callers name the programs
        [*prefix, *argv],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        env=None if environment is None else dict(environment),
        cwd=directory,
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes], *, ladder: Ladder) -> int:
    """Signal a program until it ends, end what is left of its group, return its exit status."""
    for number, patience_seconds in ladder:
        if process.poll() is not None:
            break
        process.send_signal(number)
        try:
            process.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            logger.warning("Process %s ignores %s.", process.pid, number.name)
    process.kill()
    status = process.wait()
    kill_group(process)
    return status


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """End what a finished program left behind in its process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
