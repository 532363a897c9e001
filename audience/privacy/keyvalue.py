"""Removes what Valkey holds under a person's names."""

from collections.abc import Iterator, Sequence

import redis
from django.conf import settings

# Parts of a key's name stand between these.
SEPARATORS = str.maketrans("|/ ", ":::")


def remove_names(texts: Sequence[str]) -> int:
    """Delete every key whose name holds a name of the person; return how many there were."""
    client = _client()
    try:
        names = list(_find(client, texts))
        return int(client.delete(*names)) if names else 0
    finally:
        client.close()


def count_names(texts: Sequence[str]) -> int:
    """Count the keys that are still there."""
    client = _client()
    try:
        return sum(1 for _ in _find(client, texts))
    finally:
        client.close()


def _client() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=30, socket_connect_timeout=5)


def _find(client: redis.Redis, texts: Sequence[str]) -> Iterator[bytes]:
    """Look at every key: which ones hold a person is known only by their names."""
    wanted = {text.casefold() for text in texts}
    long = [text for text in wanted if len(text) >= 8]
    for name in client.scan_iter(count=1000):
        text = name.decode(errors="replace").casefold()
        if any(one in text for one in long) or wanted & set(text.translate(SEPARATORS).split(":")):
            yield name
