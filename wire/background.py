"""Does something beside everything else, for as long as a block lasts."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

AGAIN_SECONDS = 0.1


@asynccontextmanager
async def beside(story: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run a story in the background, and end it with the block."""
    task = asyncio.create_task(story)
    try:
        yield
    finally:
        # Whoever waits for a connection may take a cancellation for the end of that wait alone, so
        # once is not enough.
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=AGAIN_SECONDS)
