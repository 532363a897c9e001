"""Wait for something to become true while telling the user how long it has taken."""

import time
from collections.abc import Callable

from config.embedded.failure import ServerError

Report = Callable[[str], None]

REPORT_EVERY_SECONDS = 5.0


def wait_until(
    is_done: Callable[[], bool],
    *,
    what: str,
    timeout_seconds: float,
    report: Report,
    pause_seconds: float = 0.02,
) -> float:
    """Poll until `is_done`, and return the seconds that it took.

    Args:
        is_done: Asked again and again; what it raises ends the wait.
        what: What is awaited, as in "PostgreSQL is starting".
        timeout_seconds: When to give up.
        report: Told every five seconds that the wait goes on.
        pause_seconds: The pause between two questions.

    Raises:
        ServerError: The time is up.
    """
    began = time.monotonic()
    next_report = REPORT_EVERY_SECONDS
    while not is_done():
        waited = time.monotonic() - began
        if waited > timeout_seconds:
            raise ServerError(f"{what}, but not done after {timeout_seconds:.0f} s.")
        if waited > next_report:
            report(f"{what} … {waited:.0f} s")
            next_report += REPORT_EVERY_SECONDS
        time.sleep(pause_seconds)
    return time.monotonic() - began
