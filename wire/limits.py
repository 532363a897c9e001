"""Limits how often something may be done: a bucket of tokens that fills evenly."""

import math
from dataclasses import dataclass


@dataclass(slots=True)
class TokenBucket:
    """Lets `rate` things a second through on average, and `burst` at once after a pause.

    Attributes:
        rate: Tokens that come in each second.
        burst: The most tokens that it holds, with which it begins.
    """

    rate: float
    burst: float
    _tokens: float = math.inf
    _at: float = -math.inf

    def take(self, now: float, tokens: float = 1.0) -> float:
        """Take tokens, and return 0; or take none, and return after how many seconds to ask again.

        Args:
            now: Any clock that never goes back, in seconds.
            tokens: How many; more than fit at once are let through when the bucket is full.
        """
        self._tokens = min(self.burst, self._tokens + max(now - self._at, 0.0) * self.rate)
        self._at = now
        needed = min(tokens, self.burst)
        if self._tokens >= needed:
            self._tokens -= tokens
            return 0.0
        return (needed - self._tokens) / self.rate
