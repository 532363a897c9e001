"""Tells clients that flags are to be fetched again, as server-sent events."""

from collections.abc import AsyncIterator

import msgspec

from experiments.assigning.running import Running
from experiments.ofrep.documents import Change
from experiments.ofrep.versions import Versions
from wire.current import Current

# Proxies close a connection on which nothing was said for a minute or so.
SILENCE_SECONDS = 15.0
RECONNECT_MS = 2000


async def tell_changes(
    current: Current[Running],
    versions: Versions,
    *,
    seen: str | None,
    silence_seconds: float = SILENCE_SECONDS,
) -> AsyncIterator[bytes]:
    """Write an event for each change, and a comment where nothing changes for a while.

    Args:
        current: What runs.
        versions: By which it is named.
        seen: The version that the client fetched or heard of last. If it is not the current one,
            the change between was missed and is told at once.
        silence_seconds: How long nothing is said.
    """
    running = await current.get()
    # Said at once, so that the client knows that its connection stands.
    yield b"retry: %d\n\n" % RECONNECT_MS
    if seen is not None and seen != versions.of(running):
        yield to_event(versions.of(running))
    while True:
        now_running = await current.changed(running, silence_seconds)
        if now_running is running:
            yield b": nothing changed\n\n"
        else:
            running = now_running
            yield to_event(versions.of(running))


def to_event(version: str) -> bytes:
    """Write one event; its id is what a client that was cut off says it heard last."""
    data = msgspec.json.encode(Change(etag=version))
    return b"id: %b\nevent: message\ndata: %b\n\n" % (version.encode(), data)
