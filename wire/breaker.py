"""Remembers for a moment that something does not answer, so that not every request finds out."""

import time
from collections.abc import Callable

PAUSE_SECONDS = 0.5


class Breaker:
    """Open for a moment after a failure; then the next one may try again."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin closed."""
        self._clock = clock
        self._until: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether to do without. Once the pause is over, one caller is let through to try."""
        if self._until is None:
            return False
        if self._clock() < self._until:
            return True
        # Whoever asks meanwhile goes on without: the one who tries may have to wait.
        self._until = self._clock() + PAUSE_SECONDS
        return False

    def open(self) -> None:
        """Note a failure."""
        self._until = self._clock() + PAUSE_SECONDS

    def close(self) -> None:
        """Note that it answers."""
        self._until = None
