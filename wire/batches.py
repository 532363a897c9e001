"""Does the work of requests that come at the same time in one go, as a group commit does."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

Work = Callable[[Sequence[T]], Awaitable[Sequence[R]]]


class Batches(Generic[T, R]):
    """Hands what waits to `work`, all of it at once, whenever a batch before it is done.

    Alone, an item is worked on without delay. The busier the site, the larger the batches, and the
    cheaper each item: a round trip to the database and its commit are paid once for all of them.
    """

    def __init__(
        self, work: Work[T, R], *, at_once: int = 2, largest: int = 128, patience: float = 0.0
    ) -> None:
        """Gather for `work`, which returns a result for each item, in their order.

        Args:
            work: What is done with a batch.
            at_once: How many batches are worked on at the same time.
            largest: How many items a batch has at most.
            patience: For so many seconds a batch has nobody beside it. Fewer and larger ones cost
                less, and yet one that hangs holds up nobody.
        """
        self._work = work
        self._at_once = at_once
        self._largest = largest
        self._patience = patience
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._workers: set[asyncio.Task[None]] = set()
        # Of the workers, those beside whom nobody begins yet.
        self._prompt: set[asyncio.Task[None]] = set()

    async def do(self, item: T) -> R:
        """Have an item worked on, and return its result or raise what went wrong with it."""
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        self._begin()
        return await done

    def _begin(self) -> None:
        """Put a worker beside those who take long, if there may be one more."""
        if self._waiting and not self._prompt and len(self._workers) < self._at_once:
            worker = asyncio.create_task(self._work_off())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
            if self._patience:
                self._prompt.add(worker)
                worker.add_done_callback(self._prompt.discard)

    async def _work_off(self) -> None:
        me = asyncio.current_task()
        while self._waiting and self._prompt <= {me}:
            batch = self._waiting[: self._largest]
            del self._waiting[: self._largest]
            with self._hurrying(me):
                try:
                    results = await self._work([item for item, _ in batch])
                except Exception as error:  # noqa: BLE001 - raised where the item is awaited
                    await self._work_singly(batch, error)
                else:
                    for (_, done), result in zip(batch, results, strict=True):
                        if not done.done():
                            done.set_result(result)

    @contextmanager
    def _hurrying(self, worker: "asyncio.Task[None] | None") -> Iterator[None]:
        """Keep others from beginning beside a worker, until patience is over."""
        if not self._patience or worker is None:
            yield
            return

        def lose_patience() -> None:
            self._prompt.discard(worker)
            self._begin()

        self._prompt.add(worker)
        losing = asyncio.get_running_loop().call_later(self._patience, lose_patience)
        try:
            yield
        finally:
            losing.cancel()

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
