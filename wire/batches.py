"""Does the work of requests that come at the same time in one go, as a group commit does."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

Work = Callable[[Sequence[T]], Awaitable[Sequence[R]]]


class Batches(Generic[T, R]):
    """Hands what waits to `work`, all of it at once, whenever a batch before it is done.

    Alone, an item is worked on without delay. The busier the site, the larger the batches, and the
    cheaper each item: a round trip to the database and its commit are paid once for all of them.
    """

    def __init__(self, work: Work[T, R], *, at_once: int = 2, largest: int = 128) -> None:
        """Gather for `work`, which returns a result for each item, in their order.

        Args:
            work: What is done with a batch.
            at_once: How many batches are worked on at the same time.
            largest: How many items a batch has at most.
        """
        self._work = work
        self._at_once = at_once
        self._largest = largest
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._workers: set[asyncio.Task[None]] = set()

    async def do(self, item: T) -> R:
        """Have an item worked on, and return its result or raise what went wrong with it."""
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if len(self._workers) < self._at_once:
            worker = asyncio.create_task(self._work_off())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        return await done

    async def _work_off(self) -> None:
        while self._waiting:
            batch = self._waiting[: self._largest]
            del self._waiting[: self._largest]
            try:
                results = await self._work([item for item, _ in batch])
            except Exception as error:  # noqa: BLE001 - raised where the item is awaited
                await self._work_singly(batch, error)
            else:
                for (_, done), result in zip(batch, results, strict=True):
                    if not done.done():
                        done.set_result(result)

    async def _work_singly(
        self, batch: Sequence[tuple[T, asyncio.Future[R]]], error: Exception
    ) -> None:
        """Find out whose fault it was, so that one bad item does not fail the others."""
        for item, done in batch:
            if len(batch) > 1:
                try:
                    (result,) = await self._work([item])
                except Exception as own:  # noqa: BLE001 - as above
                    error = own
                else:
                    if not done.done():
                        done.set_result(result)
                    continue
            if not done.done():
                done.set_exception(error)
