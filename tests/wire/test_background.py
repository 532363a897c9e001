"""What runs beside a block ends with it, even if it takes a cancellation for something else."""

import asyncio

from wire.background import beside


def test_a_story_runs_while_the_block_lasts_and_ends_with_it() -> None:
    async def story() -> list[str]:
        told: list[str] = []

        async def tell() -> None:
            told.append("begun")
            try:
                await asyncio.sleep(60)
            finally:
                told.append("ended")

        async with beside(tell()):
            await asyncio.sleep(0.01)
            told.append("block")
        return told

    assert asyncio.run(story()) == ["begun", "block", "ended"]


def test_a_story_that_swallows_a_cancellation_is_ended_all_the_same() -> None:
    async def story() -> int:
        swallowed = 0

        async def stubborn() -> None:
            nonlocal swallowed
            while swallowed < 2:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    swallowed += 1
            await asyncio.sleep(60)

        async with beside(stubborn()):
            await asyncio.sleep(0.01)
        return swallowed

    assert asyncio.run(asyncio.wait_for(story(), 5)) == 2


def test_a_story_that_is_over_keeps_nobody() -> None:
    async def story() -> None:
        async with beside(asyncio.sleep(0)):
            await asyncio.sleep(0.01)

    asyncio.run(story())
