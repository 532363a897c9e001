"""Does the work of requests that come at the same time in one go, as a group commit does."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
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
        self,
        work: Work[T, R],
        *,
        at_once: int = 2,
        most: int | None = None,
        largest: int = 128,
        patience: float = 0.0,
        owner: Callable[[T], Hashable] | None = None,
    ) -> None:
        """Gather for `work`, which returns a result for each item, in their order.

        Args:
            work: What is done with a batch.
            at_once: How many batches are worked on at the same time: while one waits for the
                database, another one is thought about.
            most: How many there are at most, where some hang; `at_once` without it.
            largest: How many items a batch has at most.
            patience: After so many seconds a batch hangs, and another one begins beside it.
            owner: Tells whose an item is. What is one owner's is worked on in the order in which
                it came, so that each item finds what the one before it left.
        """
        self._work = work
        self._at_once = at_once
        self._most = at_once if most is None else most
        self._largest = largest
        self._patience = patience
        self._owner = owner
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._workers: set[asyncio.Task[None]] = set()
        # Of the workers, those whose batch does not hang.
        self._prompt: set[asyncio.Task[None]] = set()
        # Whose items are worked on now.
        self._busy: set[Hashable] = set()

    async def do(self, item: T) -> R:
        """Have an item worked on, and return its result or raise what went wrong with it."""
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        self._begin()
        return await done

    def _begin(self) -> None:
        """Put one more worker beside the others, if there may be one."""
        may_be = len(self._prompt) < self._at_once and len(self._workers) < self._most
        if self._waiting and may_be:
            worker = asyncio.create_task(self._run_worker())
            self._workers.add(worker)
            self._prompt.add(worker)

    async def _run_worker(self) -> None:
        me = asyncio.current_task()
        assert me is not None, "a worker is a task"
        try:
            await self._work_off(me)
        finally:
            # At once, and not when the loop gets round to calling back: whoever comes in between
            # would be left to a worker that has looked for the last time.
            self._workers.discard(me)
            self._prompt.discard(me)

    async def _work_off(self, me: "asyncio.Task[None]") -> None:
        while len(self._prompt - {me}) < self._at_once and (batch := self._take()):
            owners = self._owners_of(batch)
            self._busy |= owners
            try:
                with self._hurrying(me):
                    await self._work_together(batch)
            finally:
                self._busy -= owners

    def _take(self) -> list[tuple[T, asyncio.Future[R]]]:
        """Take the next batch out of what waits: nothing of whose owner something is worked on."""
        batch: list[tuple[T, asyncio.Future[R]]] = []
        left: list[tuple[T, asyncio.Future[R]]] = []
        for one in self._waiting:
            may_go = len(batch) < self._largest and self._is_free(one[0])
            (batch if may_go else left).append(one)
        self._waiting = left
        return batch

    def _is_free(self, item: T) -> bool:
        return self._owner is None or not self._busy or self._owner(item) not in self._busy

    def _owners_of(self, batch: Sequence[tuple[T, asyncio.Future[R]]]) -> set[Hashable]:
        return set() if self._owner is None else {self._owner(item) for item, _ in batch}

    async def _work_together(self, batch: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await self._work([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - raised where the item is awaited
            await self._work_singly(batch, error)
            return
        for (_, done), result in zip(batch, results, strict=True):
            if not done.done():
                done.set_result(result)

    @contextmanager
    def _hurrying(self, worker: "asyncio.Task[None]") -> Iterator[None]:
        """Let another one begin beside a worker when patience is over."""
        if not self._patience:
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
