"""Names what runs by a hash, which every process makes alike."""

import hashlib
import re
from collections import deque

import msgspec

from experiments.assigning.running import Running

NAME = re.compile(r"[0-9a-f]{32}\Z")
REMEMBERED = 100


class Versions:
    """Hashes what runs, once for each value that is handed round."""

    def __init__(self) -> None:
        """Nothing was hashed yet."""
        self._last: tuple[Running | None, str] = (None, "")
        self._seen: deque[str] = deque(maxlen=REMEMBERED)

    def of(self, running: Running) -> str:
        """Return the name of a configuration."""
        of, name = self._last
        if of is not running:
            name = digest(msgspec.json.encode(list(running.values())))
            self._last = (running, name)
            self._seen.append(name)
        return name

    def may_come(self, name: str) -> bool:
        """Say whether a name can be of a configuration that this process does not know yet."""
        return NAME.match(name) is not None and name not in self._seen


def digest(content: bytes) -> str:
    """Hash content into a name that fits an ETag."""
    return hashlib.sha256(content).hexdigest()[:32]
