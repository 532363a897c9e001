"""Find servers that a killed supervisor left running on our files, and stop them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from config.embedded.failure import ServerError
from config.embedded.launch import Ladder
from config.embedded.waiting import Report, wait_until


def stop_orphans(
    program: str, *, files: Path, mentions: Path, ladder: Ladder, report: Report
) -> None:
    """Stop every `program` that works in `files`.

    They are stopped and not adopted: an adopted server is not our child, so we could neither
    tell how it ended nor make it die with us, and it may run with other options than ours.

    Args:
        program: The executable's name.
        files: The server's data directory, which is its working directory too.
        mentions: A path on the server's command line, for systems without /proc.
        ladder: Signals to try in turn; the last one should be SIGKILL.
        report: Told what is stopped.

    Raises:
        ServerError: They do not go, or they are not ours to stop.
    """
    for number, patience_seconds in ladder:
        orphans = find_orphans(program, files=files, mentions=mentions)
        if not orphans:
            return
        listed = ", ".join(map(str, orphans))
        report(f"Stopping {program} left over from an earlier run (process {listed})")
        _signal_all(orphans, number)
        try:
            wait_until(
                lambda: not find_orphans(program, files=files, mentions=mentions),
                what=f"A leftover {program} is stopping",
                timeout_seconds=patience_seconds,
                report=report,
                pause_seconds=0.1,
            )
        except ServerError:
            continue
        return
    raise ServerError(f"{program} is still running on {files} and does not stop.")


def find_orphans(program: str, *, files: Path, mentions: Path) -> list[int]:
    """Return the ids of the processes of `program` that work in `files`.

    A server's working directory tells it apart from an unrelated process that was given the
    number in a stale pid file, and also finds children that have lost their parent.
    """
    if sys.platform == "linux":
        return _find_by_directory(program, files)
    return _find_by_command(program, mentions)


def is_alive(pid: int) -> bool:
    """Say whether a process of this number exists, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _signal_all(pids: list[int], number: signal.Signals) -> None:
    # A server's children follow it; without it they have to be told themselves.
    heads = [pid for pid in pids if _find_parent(pid) not in pids]
    for pid in pids if number is signal.SIGKILL else heads:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
        except PermissionError as error:
            raise ServerError(
                f"Process {pid} still runs on our data and belongs to another user. Stop it first."
            ) from error


def _find_parent(pid: int) -> int | None:
    try:
        # The name, in brackets, may hold spaces; the parent is the second field after it.
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def _find_by_directory(program: str, files: Path) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The kernel keeps 15 bytes of the name.
            is_program = (entry / "comm").read_text().strip() == program[:15]
            if is_program and (entry / "cwd").samefile(files):
                found.append(int(entry.name))
        except OSError:
            continue  # It ended meanwhile, or is not ours to look at.
    return sorted(found)


def _find_by_command(program: str, mentions: Path) -> list[int]:
    listing = subprocess.run(
        ["ps", "-axo", "pid=,command="],  # noqa: S607 - wherever the system keeps it
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    found = []
    for line in listing.splitlines():
        pid, _, command = line.strip().partition(" ")
        if Path(command.split(" ")[0]).name == program and str(mentions) in command:
            found.append(int(pid))
    return sorted(found)
