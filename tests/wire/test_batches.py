"""Items that come together are worked on together, and each gets its own result."""

import asyncio
from collections.abc import Sequence

import pytest

from wire.batches import Batches


class Doubling:
    """Doubles numbers; a negative one spoils its whole batch."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()

    async def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        await self.gate.wait()
        if any(number < 0 for number in numbers):
            raise ValueError(f"{[n for n in numbers if n < 0]} below zero")
        return [2 * number for number in numbers]


async def ask(batches: Batches[int, int], numbers: Sequence[int]) -> list[int | BaseException]:
    return await asyncio.gather(*(batches.do(n) for n in numbers), return_exceptions=True)


def test_what_waits_goes_together_and_each_gets_its_own() -> None:
    async def story() -> None:
        work = Doubling()
        batches = Batches(work, at_once=1, largest=4)
        asking = asyncio.create_task(ask(batches, range(10)))
        await asyncio.sleep(0.01)
        work.gate.set()
        assert await asking == [2 * n for n in range(10)]
        assert [len(batch) for batch in work.batches] == [4, 4, 2]

    asyncio.run(story())


def test_no_more_batches_are_worked_on_than_may_be() -> None:
    async def story() -> None:
        work = Doubling()
        batches = Batches(work, at_once=2, largest=3)
        asking = asyncio.create_task(ask(batches, range(12)))
        await asyncio.sleep(0.01)
        assert len(work.batches) == 2
        work.gate.set()
        await asking
        assert len(work.batches) == 4

    asyncio.run(story())


def test_one_bad_item_fails_alone() -> None:
    async def story() -> None:
        work = Doubling()
        work.gate.set()
        first, bad, last = await ask(Batches(work, at_once=1), [1, -1, 3])
        assert (first, last) == (2, 6)
        assert isinstance(bad, ValueError)
        (alone,) = await ask(Batches(work), [-5])
        assert isinstance(alone, ValueError)

    asyncio.run(story())


def test_who_no_longer_waits_keeps_nobody_else_waiting() -> None:
    async def story() -> None:
        work = Doubling()
        batches = Batches(work, at_once=1)
        leaving = asyncio.create_task(batches.do(1))
        staying = asyncio.create_task(batches.do(2))
        await asyncio.sleep(0.01)
        leaving.cancel()
        work.gate.set()
        assert await staying == 4
        with pytest.raises(asyncio.CancelledError):
            await leaving

    asyncio.run(story())


def test_who_comes_when_a_worker_has_just_looked_for_the_last_time_is_not_forgotten() -> None:
    async def story() -> None:
        comes = asyncio.Event()

        async def work(numbers: Sequence[int]) -> Sequence[int]:
            # Whoever waits for this asks right after the worker's last step.
            comes.set()
            return numbers

        batches = Batches(work, at_once=1, most=2, patience=5.0)

        async def ask_then() -> int:
            await comes.wait()
            return await batches.do(2)

        late = asyncio.create_task(ask_then())
        await asyncio.sleep(0)
        assert await batches.do(1) == 1
        assert await asyncio.wait_for(late, timeout=1) == 2

    asyncio.run(story())


def test_beside_a_batch_that_hangs_another_is_begun() -> None:
    async def story() -> None:
        work = Doubling()
        batches = Batches(work, at_once=1, most=2, patience=0.05)
        hanging = asyncio.create_task(ask(batches, [1, 2]))
        await asyncio.sleep(0.01)
        waiting = asyncio.create_task(ask(batches, [3, 4]))
        await asyncio.sleep(0.01)
        assert work.batches == [[1, 2]], "it is given some time"
        await asyncio.sleep(0.1)
        assert work.batches == [[1, 2], [3, 4]]
        work.gate.set()
        assert await hanging == [2, 4]
        assert await waiting == [6, 8]

    asyncio.run(story())


def test_who_comes_while_a_batch_hangs_already_does_not_wait_again() -> None:
    async def story() -> None:
        work = Doubling()
        batches = Batches(work, at_once=1, most=2, patience=0.02)
        hanging = asyncio.create_task(batches.do(1))
        await asyncio.sleep(0.05)
        late = asyncio.create_task(batches.do(2))
        await asyncio.sleep(0.01)
        assert work.batches == [[1], [2]]
        work.gate.set()
        assert (await hanging, await late) == (2, 4)

    asyncio.run(story())


def test_while_batches_are_quick_there_is_one_at_a_time() -> None:
    most = 0

    async def story() -> None:
        at_work = 0

        async def work(numbers: Sequence[int]) -> Sequence[int]:
            nonlocal at_work, most
            at_work += 1
            most = max(most, at_work)
            await asyncio.sleep(0.001)
            at_work -= 1
            return numbers

        batches = Batches(work, at_once=1, most=2, largest=2, patience=5.0)
        assert await ask(batches, range(9)) == list(range(9))

    asyncio.run(story())
    assert most == 1


def test_what_is_one_owners_is_worked_on_in_its_order() -> None:
    async def story() -> None:
        work = Doubling()
        batches = Batches(work, at_once=2, owner=lambda number: number % 10)
        first = asyncio.create_task(batches.do(1))
        await asyncio.sleep(0.01)
        others = asyncio.create_task(ask(batches, [11, 2, 21, 3]))
        await asyncio.sleep(0.01)
        assert work.batches == [[1], [2, 3]], "what is of 1's owner waits for it alone"
        work.gate.set()
        assert await first == 2
        assert await others == [22, 4, 42, 6]
        assert work.batches == [[1], [2, 3], [11, 21]]

    asyncio.run(story())


def test_an_owner_is_free_again_after_a_failure() -> None:
    async def story() -> None:
        work = Doubling()
        work.gate.set()
        batches = Batches(work, at_once=2, owner=abs)
        assert isinstance((await ask(batches, [-4]))[0], ValueError)
        assert await ask(batches, [4]) == [8]

    asyncio.run(story())
