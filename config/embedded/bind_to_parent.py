"""Become another program that the kernel signals when our parent dies.

Run as a script: `python bind_to_parent.py SIGNAL PARENT_PID PROGRAM [ARGUMENT ...]`. It is a
program of its own because code between fork and exec is not safe in a process with threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # From linux/prctl.h.


def become(argv: list[str], *, death_signal: int, parent_pid: int) -> None:
    """Replace this process by `argv`, which gets `death_signal` when the parent dies."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:
        # The parent died before prctl: no signal would ever come.
        sys.exit(1)
    # A shell starts background jobs with SIGINT ignored, and that would be inherited.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.execvp(argv[0], argv)  # noqa: S606 - the caller names the program


if __name__ == "__main__":
    become(sys.argv[3:], death_signal=int(sys.argv[1]), parent_pid=int(sys.argv[2]))
